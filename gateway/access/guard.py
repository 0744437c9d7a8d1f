"""Decides whether a request may do what it asks for: whose signature it bears, and what that key's role lets it do.

Keys are in memory, so a signature costs no I/O. A gateway told `auth = "none"` asks for none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qs

from gateway.access import resources
from gateway.access.keyring import HeldKey, Keyring
from gateway.access.operations import INVOKE_URL, SERVICES, Asked, Operation
from gateway.access.roles import Deed
from gateway.access.sessions import InvalidToken, RoleSession, Sessions
from gateway.functions import policy
from gateway.http.asgi import Request
from samovar.access import aws_chunked, sigv2, sigv4
from samovar.access.roles import AccessKey
from samovar.access.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Claim, Signed
from samovar.clock import Clock
from samovar.errors import AccessDenied, ServiceNotOffered, UnrecognizedClient
from samovar.names import LATEST, FunctionReference, function_arn
from samovar.settings import Settings

_VERIFIED_ASIDE_BYTES: Final = 256 * 1024
"""From here on a thread hashes a body, so that other calls do not wait."""


class Policies(Protocol):
    """The resource policies there are."""

    def policy(self, arn: str, qualifier: str | None) -> policy.Statements:
        """That of a function (by its unqualified ARN) or of a version or an alias of it. No I/O."""
        ...

    def has_denials(self) -> bool:
        """Whether any of them denies something. No I/O."""
        ...


class _NoPolicies:
    def policy(self, arn: str, qualifier: str | None) -> policy.Statements:
        return ()

    def has_denials(self) -> bool:
        return False


class Unread(NamedTuple):
    """A verified signature of a request whose body is still to come."""

    claim: Claim
    key: bytes
    """Derived for the claim's scope."""
    stated: str
    """The hash of the body, or the word that stands for one."""


class Guard:
    """Lets requests in."""

    def __init__(
        self,
        settings: Settings,
        keyring: Keyring,
        clock: Clock,
        policies: Policies | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        """Without `sessions`, no token of a session is taken."""
        self._open = settings.auth == "none"
        self._account = settings.account
        self._region = settings.region
        self._keyring = keyring
        self._clock = clock
        self._policies = _NoPolicies() if policies is None else policies
        self._sessions = sessions

    def admit_at_once(self, request: Request, asked: Asked, body: bytes) -> bool:
        """Let a request in that has arrived whole; false when that takes a look into the store.

        Sets `request.caller`. Raises `MissingAuthenticationToken`, `IncompleteSignature`, `InvalidSignature` and
        `AccessDenied`.
        """
        if self._open:
            request.caller = self._keyring.root
            return True
        signed = _signed(request)
        claim = sigv4.claim_of(signed)
        held = self._held(request, claim)
        if held is None or _stated(request) in aws_chunked.STATED:
            return False
        self._check_claim(claim, asked)
        sigv4.check_signature(claim, signed, held.signing_key(claim), _hash(request, asked, body))
        request.caller = held.key
        self._authorise(held.key, asked, claim.region, request, body)
        return True

    async def admit(self, request: Request, asked: Asked, limit: int, deadline_s: float) -> None:
        """As `admit_at_once`, reading a body of at most `limit` bytes first, which `request.body` then gives out.

        Nothing is read for a key that does not exist or for a signature that is too old. Raises also
        `UnrecognizedClient`, `ServiceUnavailable`, and what `Request.body` raises.
        """
        if not self._open:
            region, body = await self.authenticate(request, asked, limit, deadline_s)
            self.authorise(request, asked, region, request.scope["path"], body)
        else:
            request.caller = self._keyring.root

    async def authenticate(self, request: Request, asked: Asked, limit: int, deadline_s: float) -> tuple[str, bytes]:
        """The first half of `admit`, for operations that only the body names: region and body of what was signed."""
        if self._open:
            request.caller = self._keyring.root
            return self._region, await request.look_ahead(limit, deadline_s)
        signed = _signed(request)
        claim = sigv4.claim_of(signed)
        held = await self._known(request, claim)
        self._check_claim(claim, asked)
        body = await request.look_ahead(limit, deadline_s, asked.operation.action.partition(":")[2])
        verify = partial(_verified, request, asked, claim, signed, held.signing_key(claim), body)
        decoded = await asyncio.to_thread(verify) if len(body) > _VERIFIED_ASIDE_BYTES else verify()
        request.replace(decoded)
        request.caller = held.key
        return claim.region, decoded

    async def admit_unread(self, request: Request, asked: Asked, services: tuple[str, ...], path: str) -> Unread | None:
        """Let a request in by its head alone; its body is then to be what the head says it is.

        `path` names what it is about, and may be another than the one that was signed.
        `None` where nobody has to sign, and for a signature that leaves the body out. Raises as `admit` does, but for
        what concerns the body.
        """
        if self._open:
            request.caller = self._keyring.root
            return None
        signed = _signed(request)
        older = sigv2.claim_of(signed.query)
        claim = None if older is not None else sigv4.claim_of(signed)
        unread = None
        if older is not None:
            held = await self.holder(older.key_id)
            sigv2.check(older, signed, held.sign_v2(sigv2.text_of(older, signed)), self._clock.epoch())
        elif claim is not None:
            held = await self._known(request, claim)
            sigv4.check_scope(claim, services)
            sigv4.check_time(claim, self._clock.epoch())
            stated = _stated(request) or (UNSIGNED_PAYLOAD if claim.expires_s is not None else EMPTY_SHA256)
            sigv4.check_signature(claim, signed, held.signing_key(claim), stated)
            unread = Unread(claim, held.signing_key(claim), stated)
        request.caller = held.key
        self.authorise(request, asked, self._region if claim is None else claim.region, path)
        return unread

    @property
    def is_open(self) -> bool:
        """Whether nobody has to sign."""
        return self._open

    @property
    def region(self) -> str:
        """The region of what names none."""
        return self._region

    @property
    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.epoch()

    async def holder(self, key_id: str) -> HeldKey:
        """A key by its id, for what is signed otherwise than requests are. Raises `UnrecognizedClient`."""
        held = await self._keyring.find(key_id)
        if held is None:
            raise UnrecognizedClient("The AWS Access Key Id you provided does not exist in our records.")
        return held

    def authorise(self, request: Request, asked: Asked, region: str, path: str, body: bytes = b"") -> None:
        """Raises `AccessDenied` unless the caller may do what is asked to what `path`, or `body`, names."""
        if request.caller is not None and not self._open:
            self._authorise(request.caller, asked, region, request, body, path)

    def _held(self, request: Request, claim: Claim) -> HeldKey | None:
        if not claim.has_token:
            return self._keyring.held(claim.key_id)
        return None if self._sessions is None else self._sessions.held(claim.key_id, _token(request))

    async def _known(self, request: Request, claim: Claim) -> HeldKey:
        """The key of a claim, or of the session whose token came with it."""
        held = None
        if not claim.has_token:
            held = await self._keyring.find(claim.key_id)
        elif self._sessions is not None:
            held = await self._sessions.find(claim.key_id, _token(request))
        if held is None:
            kind = InvalidToken if claim.has_token else UnrecognizedClient
            raise kind("The security token included in the request is invalid.")
        return held

    def _check_claim(self, claim: Claim, asked: Asked) -> None:
        if asked.operation.shares_its_path and claim.service not in SERVICES:
            offered = ", ".join(sorted(SERVICES))
            raise ServiceNotOffered(f"Samovar does not offer AWS's service '{claim.service}'; it has {offered}")
        sigv4.check_scope(claim, (asked.operation.service,))
        sigv4.check_time(claim, self._clock.epoch())

    def _authorise(
        self, key: AccessKey, asked: Asked, region: str, request: Request, body: bytes, path: str | None = None
    ) -> None:
        operation, scope = asked.operation, request.scope
        if self._policies.has_denials():
            self._check_not_denied(key.arn(self._account), asked, region, request)
        if not isinstance(key, RoleSession) and (
            operation.needs is None or (key.may(operation.needs) and not key.functions)
        ):
            return
        function = resources.function_of(asked, scope["query_string"])
        resource = "*" if function is None else function_arn(self._account, region, function.name)
        if isinstance(key, RoleSession):
            place = resources.Place(self._account, region)
            resource = resources.resource_of(asked, place, path or scope["path"], scope["query_string"], body)
            if self._sessions is not None and self._sessions.may(key, Deed(operation.action, resource), region):
                return
        elif function is not None and operation.needs == "invoke" and key.may_invoke(function.name):
            return
        if (
            function is not None
            and operation.needs == "invoke"
            and self._is_permitted(key, operation, function, region)
        ):
            return
        raise AccessDenied(
            f"User: {key.arn(self._account)} is not authorized to perform: {operation.action} on resource: "
            f"{resource} because no identity-based policy allows the {operation.action} action"
        )

    def check_open(self, arn: str, qualifier: str | None) -> None:
        """Raise `AccessDenied` if a URL that asks for no signature is closed to everybody by a policy."""
        if self._policies.has_denials():
            where = arn if qualifier is None else f"{arn}:{qualifier}"
            caller = policy.Caller(context={"lambda:FunctionUrlAuthType": "NONE"})
            if policy.denies(self._policies.policy(arn, qualifier), caller, INVOKE_URL.action, where):
                raise AccessDenied(f"{INVOKE_URL.action} on {where} is denied to everybody by a resource-based policy")

    def _check_not_denied(self, who: str, asked: Asked, region: str, request: Request) -> None:
        """Raise `AccessDenied` if the function's policy denies it, whoever allows it (AWS IAM user guide)."""
        function = resources.function_of(asked, request.scope["query_string"])
        if function is None:
            return
        qualifier = None if function.qualifier == LATEST else function.qualifier
        where = self._account, function.region or region, function.name
        context = {"lambda:FunctionUrlAuthType": "AWS_IAM"} if asked.operation == INVOKE_URL else {}
        caller = policy.Caller(account=self._account, arn=who, context=context)
        action, resource = asked.operation.action, function_arn(*where, qualifier)
        if policy.denies(self._policies.policy(function_arn(*where), qualifier), caller, action, resource):
            raise AccessDenied(
                f"User: {who} is not authorized to perform: {action} on resource: {resource} with an explicit deny in "
                "a resource-based policy"
            )

    def _is_permitted(self, key: AccessKey, operation: Operation, function: FunctionReference, region: str) -> bool:
        """Whether the function's own policy lets in a key whose role does not.

        A key is of the function's account, so a permission for the whole account does not mean it: that leaves the
        decision to roles (AWS IAM user guide, "Policy evaluation logic").
        """
        qualifier = None if function.qualifier == LATEST else function.qualifier
        where = self._account, function.region or region, function.name
        statements = self._policies.policy(function_arn(*where), qualifier)
        context = {"lambda:FunctionUrlAuthType": "AWS_IAM"} if operation == INVOKE_URL else {}
        caller = policy.Caller(arn=key.arn(self._account), context=context)
        return policy.allows(statements, caller, operation.action, function_arn(*where, qualifier))


def _signed(request: Request) -> Signed:
    scope = request.scope
    headers: Mapping[bytes, bytes] = request.headers
    if len(headers) != len(scope["headers"]):
        headers = _joined(scope["headers"])
    return Signed(scope["method"], scope["raw_path"] or b"/", scope["query_string"], headers)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in raw:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def _verified(request: Request, asked: Asked, claim: Claim, signed: Signed, key: bytes, body: bytes) -> bytes:
    """The body that was signed: of one that was sent in signed chunks, what is in them. Raises as `admit` does."""
    stated = _stated(request)
    if stated in aws_chunked.STATED:
        sigv4.check_signature(claim, signed, key, stated)
        return aws_chunked.decode(body, claim, key, stated)
    sigv4.check_signature(claim, signed, key, _hash(request, asked, body))
    return body


def _token(request: Request) -> str:
    """The session's token, from a header or from the query that has the signature."""
    given = request.headers.get(b"x-amz-security-token")
    if given is None:
        query: bytes = request.scope["query_string"]
        return parse_qs(query.decode("latin-1")).get("X-Amz-Security-Token", [""])[0]
    return given.decode("latin-1")


def _stated(request: Request) -> str:
    return request.headers.get(b"x-amz-content-sha256", b"").decode("latin-1")


def _hash(request: Request, asked: Asked, body: bytes) -> str:
    """The hash of a body, unless the caller signed that it is not signed.

    Lambda takes no unsigned payloads (AWS CloudFront developer guide, "Restrict access to an AWS Lambda function URL
    origin"): there, the signature of such a request is another one than ours.
    """
    is_unsigned = asked.operation.service != "lambda" and _stated(request) == sigv4.UNSIGNED_PAYLOAD
    return sigv4.UNSIGNED_PAYLOAD if is_unsigned else sha256(body).hexdigest()
