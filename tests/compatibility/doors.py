"""The doors of the platform, and requests to them that are signed by botocore and sent as bytes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore import auth  # type: ignore[import-untyped]  # it ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]  # as above

from samovar.access.sigv4 import Credentials
from tests.compatibility.aws import create, lambda_client
from tests.platform import Platform
from tests.signing import root_key

FORM: Final = "application/x-www-form-urlencoded"


class Door(NamedTuple):
    """A request that is let in when it is signed well."""

    service: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    dialect: str = "rest"
    """How the service words errors."""
    is_url: bool = False
    """Whether it goes to the host of a function URL."""


def _target(name: str) -> dict[str, str]:
    return {"X-Amz-Target": name, "Content-Type": "application/x-amz-json-1.1"}


DOORS: Final = {
    "control": Door("lambda", "GET", "/2015-03-31/functions/?MaxItems=2"),
    "invoke": Door("lambda", "POST", "/2015-03-31/functions/doors/invocations?Qualifier=%24LATEST", b"{}"),
    "event": Door(
        "lambda", "POST", "/2015-03-31/functions/doors/invocations", b"{}", {"X-Amz-Invocation-Type": "Event"}
    ),
    "stream": Door("lambda", "POST", "/2021-11-15/functions/doors/response-streaming-invocations", b"{}"),
    "url": Door("lambda", "POST", "/tea?b=2&a=1", b"milk", dialect="url", is_url=True),
    "own": Door("lambda", "GET", "/samovar/v1/usage"),
    "scheduler": Door("scheduler", "GET", "/schedules?MaxResults=2"),
    "logs": Door("logs", "POST", "/", b"{}", _target("Logs_20140328.DescribeLogGroups"), "json"),
    "sqs": Door("sqs", "POST", "/", b"{}", _target("AmazonSQS.ListQueues")),
    "sqs query": Door("sqs", "POST", "/", b"Action=ListQueues&Version=2012-11-05", {"Content-Type": FORM}, "query"),
    "sts": Door("sts", "POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15", {"Content-Type": FORM}, "query"),
    "s3": Door("s3", "GET", "/?list-type=2&x-id=ListBuckets", dialect="s3"),
}


class Signed(NamedTuple):
    """A request as it leaves."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def with_header(self, name: str, value: str) -> Signed:
        """With another value of a header, which may have been missing."""
        kept = [(key, given) for key, given in self.headers if key.lower() != name.lower()]
        return self._replace(headers=[*kept, (name, value)])

    def without(self, *names: str) -> Signed:
        """Without some headers."""
        return self._replace(headers=[each for each in self.headers if each[0] not in names])

    def edited(self, pattern: str, to: str) -> Signed:
        """With something else in its Authorization."""
        given = next(value for name, value in self.headers if name == "Authorization")
        changed = re.sub(pattern, to, given)
        assert changed != given
        return self.with_header("Authorization", changed)


class Signer(NamedTuple):
    """Signs for one platform with one key."""

    key: Credentials
    host: str
    url_host: str
    token: str | None = None

    def having(self, **other: str) -> Signer:
        """With another id or secret."""
        return self._replace(key=self.key._replace(**other))

    def host_of(self, door: Door) -> str:
        """Where the door is."""
        return self.url_host if door.is_url else self.host

    @contextmanager
    def clock(self, minutes: float) -> Iterator[None]:
        """Its clock, so far off."""
        moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auth, "get_current_datetime", lambda *_, **__: moment)
            yield

    def sign(self, door: Door, minutes: float = 0, **scope: str) -> Signed:
        """The door's request, well signed unless `scope` (service, region) says otherwise; so long ago, or to come."""
        host = self.host_of(door)
        request = AWSRequest(
            door.method, f"http://{host}{door.path}", data=door.body, headers={"Host": host, **door.headers}
        )
        kind = auth.S3SigV4Auth if door.service == "s3" else auth.SigV4Auth
        credentials = BotoCredentials(self.key.key_id, self.key.secret, self.token)
        signing = kind(credentials, scope.get("service", door.service), scope.get("region", "us-east-1"))
        with self.clock(minutes):
            signing.add_auth(request)
        return Signed(door.method, door.path, list(request.headers.items()), door.body)


@contextmanager
def doors_of(platform: Platform, source: str, **url: str) -> Iterator[Signer]:
    """A signer with the root key, for as long as there is a function `doors`, which has a URL."""
    with lambda_client(platform.endpoint) as client:
        create(client, "doors", source)
        made = client.create_function_url_config(FunctionName="doors", AuthType="AWS_IAM", **url)
        hosts = urlsplit(platform.endpoint).netloc, urlsplit(made["FunctionUrl"]).netloc
        yield Signer(root_key(platform.data_dir), *hosts)


def send(endpoint: str, signed: Signed) -> tuple[int, str, bytes]:
    """Status, error code (empty where it is none), and body."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.putrequest(signed.method, signed.path, skip_host=True, skip_accept_encoding=True)
        for name, value in signed.headers:
            connection.putheader(name, value)
        if not any(name.lower() == "content-length" for name, _ in signed.headers):
            connection.putheader("Content-Length", str(len(signed.body)))
        connection.endheaders(signed.body)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, _code(answer.headers.get("x-amzn-errortype"), body) if answer.status >= 300 else "", body
    finally:
        connection.close()


def _code(header: str | None, body: bytes) -> str:
    in_xml = re.search(rb"<Code>([^<]+)</Code>", body)
    if in_xml is not None:
        return in_xml[1].decode()
    if header is not None:
        return header
    return str(json.loads(body)["__type"]).rpartition("#")[2]
