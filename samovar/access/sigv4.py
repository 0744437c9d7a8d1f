"""AWS Signature Version 4: what a request says of its signature, what it should be, and signing one's own. No I/O.

AWS General Reference, "Signature Version 4 signing process". Written out here, and not taken from botocore, because it
runs for every call in a gateway; `docs/decisions/0019-signatures.md` has what that saves. botocore's signer is what
the tests hold it to.

The errors have AWS's names and words; sources are named where AWS documents them or services were seen to say them.
"""

from __future__ import annotations

import hmac
import re
import time
from calendar import timegm
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from samovar.errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
SKEW_S: Final = 300
"""How far the clocks of caller and service may be apart."""
LONGEST_S: Final = 604_800
"""How long a signature in a query may hold: a week."""
S3: Final = "s3"
"""The service whose paths are signed as they are."""
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = sha256(b"").hexdigest()
MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

_USUAL = re.compile(
    rf"{ALGORITHM} Credential=([^/,\s]+)/([^/,\s]+)/([^/,\s]+)/([^/,\s]+)/{TERMINATOR}, ?"
    r"SignedHeaders=([^,\s]+), ?"
)
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_COMPACT = "%Y%m%dT%H%M%SZ"
_IN_QUERY = "X-Amz-Signature"


class Signed(NamedTuple):
    """A request as far as its signature depends on it."""

    method: str
    path: bytes
    """As it was sent, percent-encoded."""
    query: bytes
    headers: Mapping[bytes, bytes]
    """By lower-case name; repeated ones joined by commas."""


class Claim(NamedTuple):
    """What a request says of its signature. Nothing of it is verified."""

    key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str
    timestamp: str
    """`20261123T120000Z`."""
    expires_s: int | None
    """How long a signature in a query holds; `None` for one in a header."""
    has_token: bool = False
    """Whether a session's token came with it."""

    @property
    def scope(self) -> str:
        """What the key was derived for."""
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


class Credentials(NamedTuple):
    """A key to sign with."""

    key_id: str
    secret: str
    region: str = "us-east-1"


def claim_of(request: Signed) -> Claim:
    """What a request says of its signature, in a header or in its query.

    Raises `MissingAuthenticationToken` when it says nothing, `IncompleteSignature` when it says too little, and
    `InvalidSignature` when the parts contradict each other.
    """
    given = request.headers.get(b"authorization")
    if given is not None:
        return _of_header(given.decode("latin-1"), request.headers)
    if b"X-Amz-" in request.query:
        parameters = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
        if "X-Amz-Credential" in parameters or _IN_QUERY in parameters:
            return _of_query(parameters)
    raise MissingAuthenticationToken("Missing Authentication Token")


class WrongScope(InvalidSignature):
    """A signature was made for another service, day, or for no region. S3 has another name for it."""


def check_scope(claim: Claim, services: Iterable[str]) -> None:
    """Raises `WrongScope` when a signature was made for another service, day, or for no region."""
    if claim.service in services and claim.timestamp[:8] == claim.date and _is_region(claim.region):
        return
    wrong = []
    if not _is_region(claim.region):
        wrong.append(f"Credential should be scoped to a valid region, not '{claim.region}'. ")
    if claim.service not in services:
        wrong.append(f"Credential should be scoped to correct service: '{next(iter(services))}'. ")
    if claim.date != claim.timestamp[:8]:
        wrong.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'."
        )
    if wrong:
        raise WrongScope("".join(wrong))


@lru_cache(maxsize=128)
def _is_region(text: str) -> bool:
    return _REGION.fullmatch(text) is not None


class NotValidNow(InvalidSignature):
    """A signature was made too early or too late. S3 has other words for it than other services."""

    def __init__(self, message: str, *, is_link: bool, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.is_link = is_link
        """Whether it is in the query, with a lifetime of its own."""


def check_time(claim: Claim, now: float) -> None:
    """Raises `NotValidNow` when a signature is not valid now (epoch seconds): made too early or too late."""
    signed_at = epoch_of(claim.timestamp)
    if signed_at > now + SKEW_S:
        raise NotValidNow(
            f"Signature not yet current: {claim.timestamp} is still later than {compact(now + SKEW_S)} "
            f"({compact(now)} + {SKEW_S // 60} min.)",
            is_link=claim.expires_s is not None,
        )
    lifetime_s = SKEW_S if claim.expires_s is None else claim.expires_s
    if signed_at < now - lifetime_s:
        minutes, seconds = divmod(lifetime_s, 60)
        length = f"{lifetime_s} sec." if seconds else f"{minutes} min."
        raise NotValidNow(
            f"Signature expired: {claim.timestamp} is now earlier than {compact(now - lifetime_s)} "
            f"({compact(now)} - {length})",
            is_link=claim.expires_s is not None,
        )


def check_signature(claim: Claim, request: Signed, key: bytes, payload: str) -> None:
    """Raises `InvalidSignature` unless `key` signed this request.

    `payload` is the hash of its body, or `UNSIGNED_PAYLOAD` when the request states that its body is not signed.
    """
    stated = request.headers.get(b"x-amz-content-sha256")
    if stated is not None and stated.decode("latin-1") != payload:
        raise InvalidSignature(MISMATCH)
    query = _canonical_query(request.query) if request.query else b""
    if _is_signature(claim, canonical(claim, request, payload, query), key):
        return
    if request.query and claim.expires_s is None:
        query = _query_as_written(request.query)
        if _is_signature(claim, canonical(claim, request, payload, query), key):
            return
    raise InvalidSignature(MISMATCH)


def _is_signature(claim: Claim, canonical_request: bytes, key: bytes) -> bool:
    calculated = signature_of(claim, canonical_request, key)
    return hmac.compare_digest(calculated.encode(), claim.signature.encode("latin-1"))


def canonical(claim: Claim, request: Signed, payload: str, query: bytes) -> bytes:
    """The canonical form of a request.

    `payload` is the hash of its body, or the word that stands for one; `query` is the request's, in canonical form.
    """
    header = request.headers.get
    path = _path_of_s3(request.path) if claim.service == S3 else _canonical_path(request.path)
    lines = [request.method.encode(), path, query]
    lines += [name + b":" + b" ".join(header(name, b"").split()) for name in _names(claim.signed_headers)]
    lines.append(f"\n{claim.signed_headers}\n{payload}".encode("latin-1"))
    return b"\n".join(lines)


@lru_cache(maxsize=1024)
def _names(signed_headers: str) -> tuple[bytes, ...]:
    return tuple(signed_headers.encode("latin-1").split(b";"))


def signature_of(claim: Claim, canonical_request: bytes, key: bytes) -> str:
    """The signature a key gives to a canonical request."""
    text = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{sha256(canonical_request).hexdigest()}"
    return hmac.digest(key, text.encode("latin-1"), "sha256").hex()


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def sign(request: Signed, body: bytes, credentials: Credentials, now: float, service: str = "lambda") -> dict[str, str]:
    """The headers that sign a request which has a `host`; everything else it has is signed, too."""
    return sign_stated(request, sha256(body).hexdigest(), credentials, now, service)


def sign_stated(
    request: Signed, payload: str, credentials: Credentials, now: float, service: str = "lambda"
) -> dict[str, str]:
    """As `sign`, for a body that is not at hand: its hash, or the word that stands for one (`UNSIGNED_PAYLOAD`)."""
    timestamp = compact(now)
    added = {"x-amz-date": timestamp, "x-amz-content-sha256": payload}
    headers = {**request.headers, **{name.encode(): value.encode() for name, value in added.items()}}
    names = b";".join(sorted(headers)).decode("latin-1")
    claim = Claim(credentials.key_id, timestamp[:8], credentials.region, service, names, "", timestamp, None)
    key = signing_key(credentials.secret, claim.date, claim.region, service)
    query = _canonical_query(request.query) if request.query else b""
    signature = signature_of(claim, canonical(claim, request._replace(headers=headers), payload, query), key)
    said = f"Credential={claim.key_id}/{claim.scope}, SignedHeaders={names}, Signature={signature}"
    return {**added, "authorization": f"{ALGORITHM} {said}"}


def presign(path: bytes, host: bytes, scope: Claim, key: bytes) -> bytes:
    """The query that lets whoever has it GET a path, as long as `scope` says; `key` is derived for that scope."""
    given = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{scope.key_id}/{scope.scope}",
        "X-Amz-Date": scope.timestamp,
        "X-Amz-Expires": str(scope.expires_s),
        "X-Amz-SignedHeaders": "host",
    }
    query = urlencode(given, quote_via=quote, safe="-_.~").encode()
    text = canonical(scope, Signed("GET", path, query, {b"host": host}), EMPTY_SHA256, query)
    return query + f"&{_IN_QUERY}={signature_of(scope, text, key)}".encode()


def compact(epoch: float) -> str:
    """A moment as signatures write it."""
    return time.strftime(_COMPACT, time.gmtime(epoch))


@lru_cache(maxsize=128)
def epoch_of(timestamp: str) -> int:
    """The moment (epoch seconds) a signature names. Raises `IncompleteSignature` when it is none."""
    try:
        return timegm(time.strptime(timestamp, _COMPACT))
    except ValueError as error:
        raise IncompleteSignature(
            f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from error


class _Scoped(NamedTuple):
    """The parts of a claim that a caller repeats all day."""

    key_id: str
    date: str
    region: str
    service: str
    signed_headers: str


def _of_header(text: str, headers: Mapping[bytes, bytes]) -> Claim:
    has_token = b"x-amz-security-token" in headers
    before, found, signature = text.rpartition("Signature=")
    scoped, date = _usual(before) if found else None, headers.get(b"x-amz-date")
    if scoped is None or date is None:
        scoped, signature, date = _of_unusual_header(text, headers)
        _check_host_is_signed(scoped.signed_headers)
    return Claim(*scoped, signature, date.decode("latin-1"), None, has_token)


@lru_cache(maxsize=1024)
def _usual(text: str) -> _Scoped | None:
    """What stands before the signature, when it is written as nearly all clients write it."""
    usual = _USUAL.fullmatch(text)
    scoped = None if usual is None else _Scoped(*usual.groups())
    return scoped if scoped is not None and "host" in scoped.signed_headers.split(";") else None


def _check_host_is_signed(signed_headers: str) -> None:
    if "host" not in signed_headers.split(";"):
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")


def _of_unusual_header(text: str, headers: Mapping[bytes, bytes]) -> tuple[_Scoped, str, bytes]:
    """The header's parts in any order and with any blanks; or what is wrong with them, in the words of services."""
    algorithm, _, rest = text.strip().partition(" ")
    parts: dict[str, str] = {}
    if algorithm == ALGORITHM:
        for part in rest.split(","):
            name, equals, value = part.strip().partition("=")
            if not equals or " " in value:
                raise IncompleteSignature(
                    f"'{(value or part).strip()}' not a valid key=value pair (missing equal-sign) in "
                    f"Authorization header: '{text}'."
                )
            parts[name] = value
    missing = [
        f"Authorization header requires '{name}' parameter. "
        for name in ("Credential", "Signature", "SignedHeaders")
        if name not in parts
    ]
    date = headers.get(b"x-amz-date") or _http_date(headers.get(b"date"))
    if date is None:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
    if missing or date is None:
        raise IncompleteSignature(f"{''.join(missing)}Authorization={text}")
    return _Scoped(*_credential(parts["Credential"]), parts["SignedHeaders"]), parts["Signature"], date


def _http_date(given: bytes | None) -> bytes | None:
    """A `Date` header as signatures write moments; it may be written so already."""
    if given is None or given[:8].isdigit():
        return given
    from email.utils import parsedate_to_datetime  # nearly nobody signs like this

    try:
        return compact(parsedate_to_datetime(given.decode("latin-1")).timestamp()).encode()
    except ValueError:
        return given  # it will be refused as what it is


def _of_query(given: Mapping[str, str]) -> Claim:
    missing = [
        f"AWS query-string parameters must include '{name}'. "
        for name in ("X-Amz-Algorithm", "X-Amz-Credential", _IN_QUERY, "X-Amz-SignedHeaders", "X-Amz-Date")
        if not given.get(name)
    ]
    if missing:
        raise IncompleteSignature(f"{''.join(missing)}Re-examine the query-string parameters.")
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{given['X-Amz-Algorithm']}'. ")
    expires = given.get("X-Amz-Expires", str(SKEW_S))
    if not expires.isdecimal() or not 1 <= int(expires[:9]) <= LONGEST_S:
        raise IncompleteSignature(f"X-Amz-Expires must be a number of seconds from 1 to {LONGEST_S}, not '{expires}'.")
    scoped = _Scoped(*_credential(given["X-Amz-Credential"]), given["X-Amz-SignedHeaders"])
    _check_host_is_signed(scoped.signed_headers)
    return Claim(*scoped, given[_IN_QUERY], given["X-Amz-Date"], int(expires), "X-Amz-Security-Token" in given)


def _credential(text: str) -> tuple[str, str, str, str]:
    """Key id, date, region and service."""
    parts = text.split("/")
    if len(parts) != 5:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text}'"
        )
    if parts[4] != TERMINATOR:
        raise WrongScope(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{parts[4]}'. ")
    return parts[0], parts[1], parts[2], parts[3]


@lru_cache(maxsize=1024)
def _canonical_path(path: bytes) -> bytes:
    """The path encoded once more, without empty and dot segments, as every service but S3 wants it."""
    kept: list[str] = []
    for part in path.decode("latin-1").split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    last = "/" if path.endswith(b"/") and kept else ""
    return quote(f"/{'/'.join(kept)}{last}", safe="/~", encoding="latin-1").encode()


@lru_cache(maxsize=1024)
def _path_of_s3(path: bytes) -> bytes:
    """The path encoded once, with every segment it has: to S3, `a//b` and `a/./b` are keys."""
    return quote(unquote(path.decode("latin-1"), encoding="latin-1"), safe="/-_.~", encoding="latin-1").encode()


def _canonical_query(query: bytes) -> bytes:
    """The parameters sorted, each encoded anew, without the signature itself."""
    pairs = []
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if part and name != _IN_QUERY:
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def _query_as_written(query: bytes) -> bytes:
    """The parameters sorted but as they are: some clients leave more characters as they are than the rules let them."""
    pairs = [part.partition(b"=") for part in query.split(b"&")]
    return b"&".join(b"%s=%s" % (name, value) for name, _, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text, encoding="latin-1"), safe="-_.~", encoding="latin-1")
