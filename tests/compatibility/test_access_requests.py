"""Requests that are signed well and look unusual, and what lets a caller in for a while: links, sessions, keys."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import pytest
from botocore import auth  # type: ignore[import-untyped]  # it ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]  # as above

from samovar.access.sigv4 import Credentials
from tests.compatibility.aws import SANDBOX
from tests.compatibility.doors import DOORS, Door, Signer, doors_of, send
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]
DRIPS: Final = """
    import os, time

    def handler(event, context):
        if event.get("rawPath") != "/drip":
            return {"event": event, "variables": dict(os.environ)}
        def parts():
            yield "first "
            time.sleep(1)
            yield "last"
        return parts()
"""


@pytest.fixture(scope="module")
def signer(platform: Platform) -> Iterator[Signer]:
    """With the root key, and a function with a URL behind the doors."""
    with doors_of(platform, DRIPS, InvokeMode="RESPONSE_STREAM") as signing:
        yield signing


def made_key(platform: Platform, *options: str) -> Credentials:
    made = json.loads(platform.cli("keys", "create", *options, "--json").stdout)
    return Credentials(made["key"]["key_id"], made["secret"])


@pytest.mark.parametrize(
    "path",
    [
        "/a%2Fb",
        "/with%20space/and+plus",
        "/%C5%BElu%C5%A5ou%C4%8Dk%C3%BD",
        "/a//b///c",
        "/a/./b/../c",
        "/tilde~and-_.",
        "/%7Eencoded",
        "/semi;colon=1,2",
        "/star*(x)!'",
        "/at@and$dollar&more",
        "/percent%25",
        "/?only=query",
        "/q?b=2&a=1&b=1&a=",
        "/q?empty&also=",
        "/q?space=a%20b&plus=a%2Bb&slash=a%2Fb&equals=a%3Db",
        "/q?%C5%BE=%E2%9C%93&sort=B&sort=a",
    ],
)
def test_paths_and_queries_of_any_characters_are_signed(platform: Platform, signer: Signer, path: str) -> None:
    status, code, body = send(platform.endpoint, signer.sign(Door("lambda", "GET", path, is_url=True)))
    assert (status, code) == (200, "")
    told = json.loads(body)["event"]
    where, _, query = path.partition("?")
    assert (told["rawPath"], told["rawQueryString"]) == (where, query)


def test_repeated_headers_are_signed_together_and_what_was_added_later_is_not_signed(
    platform: Platform, signer: Signer
) -> None:
    door = Door("lambda", "GET", "/", headers={"X-Tea": "black, green"}, is_url=True)
    signed = signer.sign(door)
    apart = signed.without("X-Tea")
    apart = apart._replace(headers=[*apart.headers, ("X-Tea", "black"), ("X-Tea", "green")])
    status, code, _ = send(platform.endpoint, apart)
    assert (status, code) == (403, "InvalidSignatureException"), "joined they have no blank"
    together = signer.sign(door._replace(headers={"X-Tea": "black,green"}))
    apart = together.without("X-Tea")
    apart = apart._replace(headers=[*apart.headers, ("X-Tea", "black"), ("X-Tea", "green")])
    assert send(platform.endpoint, apart)[0] == 200
    assert send(platform.endpoint, together.with_header("X-Tea", "white"))[1] == "InvalidSignatureException"
    assert send(platform.endpoint, together.without("X-Tea"))[1] == "InvalidSignatureException"
    assert send(platform.endpoint, together.with_header("X-Milk", "oat"))[0] == 200


@pytest.mark.parametrize("door", ["control", "url", "sts", "sqs query", "scheduler"])
def test_within_its_minutes_a_request_may_come_again(platform: Platform, signer: Signer, door: str) -> None:
    signed = signer.sign(DOORS[door])
    assert [send(platform.endpoint, signed)[0] for _ in range(3)] == [200, 200, 200]


def link(signer: Signer, door: Door, expires_s: int, minutes: int = 0) -> Door:
    """A door's request with the signature in its query."""
    request = AWSRequest(
        door.method, f"http://{signer.host_of(door)}{door.path}", headers={"Host": signer.host_of(door)}
    )
    kind = auth.S3SigV4QueryAuth if door.service == "s3" else auth.SigV4QueryAuth
    credentials = BotoCredentials(signer.key.key_id, signer.key.secret)
    with signer.clock(minutes):
        kind(credentials, door.service, "us-east-1", expires=expires_s).add_auth(request)
    return door._replace(path=request.url.partition(signer.host_of(door))[2])


def test_links_hold_as_long_as_they_say(platform: Platform, signer: Signer) -> None:
    doors = [DOORS["control"], DOORS["s3"], Door("lambda", "GET", "/tea?b=2&a=1", is_url=True)]

    def follow(door: Door, path: str | None = None) -> tuple[int, str]:
        unsigned = signer.sign(door._replace(path=path or door.path)).without(
            "Authorization", "X-Amz-Date", "X-Amz-Content-SHA256", "X-Amz-Content-Sha256"
        )
        return send(platform.endpoint, unsigned)[:2]

    for door in doors:
        assert follow(link(signer, door, 60)) == (200, "")
        assert follow(link(signer, door, 3600, minutes=-30)) == (200, "")
        late = (403, "AccessDenied") if door.service == "s3" else (403, "InvalidSignatureException")
        assert follow(link(signer, door, 60, minutes=-2)) == late
        wrong = (403, "SignatureDoesNotMatch") if door.service == "s3" else (403, "InvalidSignatureException")
        fine = link(signer, door, 60)
        assert follow(fine, fine.path.replace("Expires=60", "Expires=600")) == wrong
        assert follow(fine, f"{fine.path}&more=1") == wrong


def test_a_session_may_do_what_its_function_may(platform: Platform, signer: Signer) -> None:
    _, _, body = send(platform.endpoint, signer.sign(DOORS["invoke"]))
    given = json.loads(body)["variables"]
    key = Credentials(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
    session = signer._replace(key=key, token=given["AWS_SESSION_TOKEN"])
    status, _, body = send(platform.endpoint, session.sign(DOORS["sts"]))
    assert status == 200
    assert b":assumed-role/" in body
    for door in ("invoke", "sqs", "sqs query"):
        assert send(platform.endpoint, session.sign(DOORS[door]))[:2] == (200, "")
    assert send(platform.endpoint, session.sign(DOORS["scheduler"]))[:2] == (403, "AccessDeniedException")
    assert send(platform.endpoint, session.sign(DOORS["logs"]))[:2] == (400, "AccessDeniedException")
    assert send(platform.endpoint, session._replace(token=None).sign(DOORS["sts"]))[:2] == (403, "InvalidClientTokenId")
    guessed = session.having(secret="guessed")
    assert send(platform.endpoint, guessed.sign(DOORS["sts"]))[:2] == (403, "SignatureDoesNotMatch")
    mixed = signer._replace(token=session.token)
    assert send(platform.endpoint, mixed.sign(DOORS["sts"]))[:2] == (403, "InvalidClientTokenId")


def test_a_key_that_is_revoked_ends_no_answer_that_has_begun(platform: Platform, signer: Signer) -> None:
    key = made_key(platform, "--role", "invoke", "--function", "doors")
    signed = signer._replace(key=key).sign(Door("lambda", "GET", "/drip", is_url=True))
    connection = http.client.HTTPConnection(urlsplit(platform.endpoint).netloc, timeout=60)
    connection.putrequest(signed.method, signed.path, skip_host=True, skip_accept_encoding=True)
    for name, value in signed.headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.read(6) == b"first "
    platform.cli("keys", "revoke", key.key_id)
    assert answer.read() == b"last"
    connection.close()
    assert send(platform.endpoint, signed)[:2] == (403, "UnrecognizedClientException")


ROLES: Final[dict[str, set[str]]] = {
    "admin": set(DOORS),
    "deploy": set(DOORS),
    "invoke": {"invoke", "event", "stream", "url", "sts"},
    "read": {"control", "own", "scheduler", "logs", "sqs", "sqs query", "sts", "s3"},
}
"""Which doors a role opens."""


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_doors_and_no_others(platform: Platform, signer: Signer, role: str) -> None:
    key = made_key(platform, "--role", role)
    holder = signer._replace(key=key)
    found = {name: send(platform.endpoint, holder.sign(door)) for name, door in DOORS.items()}
    assert {name for name, (status, _, _) in found.items() if status < 300} == ROLES[role]
    assert {code.removesuffix("Exception") for _, code, _ in found.values()} <= {"", "AccessDenied"}
    platform.cli("keys", "revoke", key.key_id)
    assert key.secret not in platform.logs()
    assert send(platform.endpoint, holder.sign(DOORS["sts"]))[1] == "InvalidClientTokenId"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    ("service", "target", "more", "says"),
    [
        ("lambda", "/2015-03-31/functions/?MaxItems=5", (), '"Functions"'),
        ("lambda", "/2015-03-31/functions/doors/invocations", ("-d", '{"cups": 2}'), '"cups": 2'),
        ("sqs", "/", ("-d", "Action=ListQueues&Version=2012-11-05"), "<ListQueuesResponse"),
        ("sts", "/", ("-d", "Action=GetCallerIdentity&Version=2011-06-15"), ":root</Arn>"),
        ("scheduler", "/schedules", (), '"Schedules"'),
    ],
)
def test_curl_signs_too(
    platform: Platform, signer: Signer, service: str, target: str, more: tuple[str, ...], says: str
) -> None:
    user = f"{signer.key.key_id}:{signer.key.secret}"
    command = ["curl", "-sS", "--aws-sigv4", f"aws:amz:us-east-1:{service}", "--user", user, *more]
    done = subprocess.run(
        [*command, platform.endpoint + target], capture_output=True, text=True, timeout=60, check=True
    )
    assert says in done.stdout
