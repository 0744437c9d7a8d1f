"""AWS's own clients with the right key, and with every kind of wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from botocore import UNSIGNED, auth  # type: ignore[import-untyped]  # as above
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]  # as above
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # as above

from samovar.access.sigv4 import Credentials
from tests.compatibility.aws import SANDBOX, create
from tests.platform import Platform
from tests.signing import Signing, root_key

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]
AWS = Path(sys.executable).parent / "aws"
TELLS = "def handler(event, context): return event.get('requestContext', {})"


def client(platform: Platform, key: Credentials, service: str = "lambda", **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=platform.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def refused(asking: Any, operation: str, **given: Any) -> tuple[int, str, str]:
    """Status, name and message of the error a call ends with."""
    with pytest.raises(ClientError) as error:
        getattr(asking, operation)(**given)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.fixture
def key(platform: Platform) -> Credentials:
    return root_key(platform.data_dir)


@pytest.fixture
def orders(cloud: Any) -> str:
    """A function."""
    create(cloud, "orders", TELLS)
    return "orders"


CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_functions", {}),
    ("invoke", {"FunctionName": "orders", "Payload": b"{}"}),
)
"""One through the control API, one on the warm path."""


@pytest.mark.parametrize(("operation", "given"), CALLS)
def test_wrong_keys_are_told_apart(
    platform: Platform, key: Credentials, orders: str, operation: str, given: dict[str, Any]
) -> None:
    assert refused(client(platform, key._replace(key_id="AKIASTRANGERSTRANGER")), operation, **given) == (
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
    status, name, message = refused(client(platform, key._replace(secret="guessed")), operation, **given)
    assert (status, name) == (403, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match the signature you provided.")
    assert refused(client(platform, key, signature_version=UNSIGNED), operation, **given) == (
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    )


@pytest.mark.parametrize(("operation", "given"), CALLS)
@pytest.mark.parametrize(("minutes", "said"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
def test_clocks_that_disagree(
    platform: Platform,
    key: Credentials,
    orders: str,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    given: dict[str, Any],
    minutes: int,
    said: str,
) -> None:
    elsewhere = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: elsewhere.replace(tzinfo=None))
    status, name, message = refused(client(platform, key), operation, **given)
    assert (status, name) == (403, "InvalidSignatureException")
    assert message.startswith(said)
    assert message.endswith("5 min.)")


def test_a_role_is_held_to(platform: Platform, orders: str) -> None:
    made = json.loads(
        platform.cli("keys", "create", "--role", "invoke", "--function", "orders", "--name", "shop", "--json").stdout
    )
    shop = client(platform, Credentials(made["key"]["key_id"], made["secret"]))
    assert shop.invoke(FunctionName="orders")["StatusCode"] == 200
    action = "lambda:InvokeFunction"
    assert refused(shop, "invoke", FunctionName="others") == (
        403,
        "AccessDeniedException",
        f"User: arn:aws:iam::123456789012:user/shop is not authorized to perform: {action} on resource: "
        f"arn:aws:lambda:us-east-1:123456789012:function:others because no identity-based policy allows the {action} "
        "action",
    )
    assert refused(shop, "get_function", FunctionName="orders")[1] == "AccessDeniedException"
    assert made["key"]["key_id"] in platform.cli("keys", "ls").stdout
    assert made["secret"] not in platform.cli("keys", "ls", "--json").stdout + platform.logs()
    platform.cli("keys", "revoke", made["key"]["key_id"])
    assert refused(shop, "invoke", FunctionName="orders")[1] == "UnrecognizedClientException"


def test_a_functions_policy_lets_in_whom_no_role_does(platform: Platform, cloud: Any, orders: str) -> None:
    made = json.loads(platform.cli("keys", "create", "--role", "read", "--name", "clerk", "--json").stdout)
    clerk = client(platform, Credentials(made["key"]["key_id"], made["secret"]))
    statement = {"FunctionName": "orders", "Action": "lambda:InvokeFunction"}
    cloud.add_permission(**statement, StatementId="account", Principal="123456789012")
    cloud.add_permission(**statement, StatementId="other", Principal="arn:aws:iam::123456789012:user/somebody")
    assert refused(clerk, "invoke", FunctionName="orders")[1] == "AccessDeniedException", "roles decide in the account"
    cloud.publish_version(FunctionName="orders")
    who = "arn:aws:iam::123456789012:user/clerk"
    cloud.add_permission(**statement, StatementId="clerk", Principal=who, Qualifier="1")
    assert clerk.invoke(FunctionName="orders", Qualifier="1")["ExecutedVersion"] == "1"
    assert clerk.invoke(FunctionName="orders:1")["ExecutedVersion"] == "1"
    assert refused(clerk, "invoke", FunctionName="orders")[1] == "AccessDeniedException", "that was for version 1"
    assert refused(clerk, "update_alias", FunctionName="orders", Name="live")[1] == "AccessDeniedException"
    cloud.remove_permission(FunctionName="orders", StatementId="clerk", Qualifier="1")
    assert refused(clerk, "invoke", FunctionName="orders:1")[1] == "AccessDeniedException"
    platform.cli("keys", "revoke", made["key"]["key_id"])


def test_what_a_functions_policy_denies_is_denied_whoever_allows_it(
    platform: Platform, cloud: Any, orders: str
) -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    denial = {"Sid": "no", "Effect": "Deny", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": arn}
    deny_url = {**denial, "Sid": "url", "Action": "lambda:InvokeFunctionUrl"}
    url = cloud.create_function_url_config(FunctionName="orders", AuthType="NONE")["FunctionUrl"]
    assert ask(platform, url, None).status_code == 200
    cloud.publish_version(FunctionName="orders")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denial, deny_url]})
    cloud.put_resource_policy(ResourceArn=arn, Policy=policy)
    status, name, message = refused(cloud, "invoke", FunctionName="orders")
    assert (status, name) == (403, "AccessDeniedException")
    assert message.endswith(
        f"lambda:InvokeFunction on resource: {arn} with an explicit deny in a resource-based policy"
    )
    assert cloud.invoke(FunctionName="orders", Qualifier="1")["StatusCode"] == 200
    assert ask(platform, url, None).status_code == 403
    cloud.delete_resource_policy(ResourceArn=arn)
    assert cloud.invoke(FunctionName="orders")["StatusCode"] == 200
    assert ask(platform, url, None).status_code == 200


def test_a_key_from_elsewhere_is_let_in(platform: Platform) -> None:
    platform.cli("keys", "import", "AKIAIOSFODNN7EXAMPLE", "--role", "read", given="wJalrXUtnFEMI/K7MDENG/bPxRfiCY\n")
    reader = client(platform, Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"))
    assert reader.list_functions()["Functions"] == []
    again = platform.cli("keys", "import", "AKIAIOSFODNN7EXAMPLE", "--role", "read", given="other\n", fails_with=2)
    assert "Access key already exists" in again.stderr
    platform.cli("keys", "revoke", "AKIAIOSFODNN7EXAMPLE")
    assert "secret" not in platform.cli("keys", "import", "x", "--role", "king", given="\n", fails_with=2).stdout


def test_the_callers_identity(platform: Platform, key: Credentials) -> None:
    found = client(platform, key, "sts").get_caller_identity()
    assert (found["Account"], found["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:root")
    given = {"RoleArn": "arn:aws:iam::123456789012:role/tea", "RoleSessionName": "tea"}
    for action, members in (("assume_role", given), ("get_session_token", {})):
        status, code, message = refused(client(platform, key, "sts"), action, **members)
        assert (status, code) == (400, "InvalidAction")
        assert "of AWS STS, Samovar offers GetCallerIdentity" in message
    wrong = client(platform, key._replace(secret="guessed"), "sts")
    assert refused(wrong, "get_caller_identity")[:2] == (403, "SignatureDoesNotMatch")
    unknown = client(platform, Credentials("AKIASTRANGERSTRANGER", "x"), "sts")
    assert refused(unknown, "get_caller_identity")[:2] == (403, "InvalidClientTokenId")


def test_sts_speaks_json_to_whom_asks_for_it(platform: Platform, key: Credentials) -> None:
    said, headers = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}, {"accept": "application/json"}
    told = httpx.post(platform.endpoint, data=said, headers=headers, auth=Signing(key, "sts"))
    assert told.headers["content-type"] == "application/json"
    assert told.json()["GetCallerIdentityResponse"]["GetCallerIdentityResult"] == {
        "Account": "123456789012",
        "Arn": "arn:aws:iam::123456789012:root",
        "UserId": "123456789012",
    }
    other = httpx.post(
        platform.endpoint, data=said | {"Action": "AssumeRole"}, headers=headers, auth=Signing(key, "sts")
    )
    assert (other.status_code, other.json()["Error"]["Code"]) == (400, "InvalidAction")
    unsigned = httpx.post(platform.endpoint, data=said, headers=headers)
    assert (unsigned.status_code, unsigned.json()["Error"]["Code"]) == (403, "MissingAuthenticationToken")


@pytest.mark.component("aws cli")
def test_the_identity_from_a_shell_with_the_platforms_own_file(platform: Platform, tmp_path: Path) -> None:
    done = subprocess.run(
        [AWS, "sts", "get-caller-identity"],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": platform.endpoint,
            "AWS_SHARED_CREDENTIALS_FILE": str(platform.data_dir / "credentials"),
            "AWS_PROFILE": "samovar",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Arn"] == "arn:aws:iam::123456789012:root"


# Function URLs with AuthType AWS_IAM.


@pytest.fixture
def url(cloud: Any, orders: str) -> str:
    made = cloud.create_function_url_config(
        FunctionName=orders, AuthType="AWS_IAM", Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["*"]}
    )
    assert cloud.get_function_url_config(FunctionName=orders)["AuthType"] == "AWS_IAM"
    return str(made["FunctionUrl"])


def ask(
    platform: Platform, url: str, key: Credentials | None, signer: Any = auth.SigV4Auth, **how: Any
) -> httpx.Response:
    """POST, or GET without a body, as the host of the URL."""
    host = url.removeprefix("http://").rstrip("/")
    body: bytes = how.get("body", b"")
    method = "POST" if body else "GET"
    request = AWSRequest(method=method, url=f"http://{host}/tea?b=2&a=1", data=body, headers={"Host": host})
    if key is not None:
        signer(BotoCredentials(key.key_id, key.secret), "lambda", "us-east-1").add_auth(request)
    target = request.url.removeprefix(f"http://{host}")
    headers = {name.lower(): value for name, value in request.headers.items()} | {"host": host}
    return httpx.request(method, platform.endpoint + target, headers=headers, content=how.get("sent", body), timeout=30)


def test_a_signed_call_is_let_in_and_told_of(platform: Platform, key: Credentials, url: str) -> None:
    for signer in (auth.SigV4Auth, auth.SigV4QueryAuth):
        context = ask(platform, url, key, signer).json()
        assert context["accountId"] == "123456789012"
        assert context["authorizer"]["iam"] == {
            "accessKey": key.key_id,
            "accountId": "123456789012",
            "callerId": "123456789012",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": "arn:aws:iam::123456789012:root",
            "userId": "123456789012",
        }
    assert ask(platform, url, key, body=b"milk").status_code == 200


def test_everything_else_is_forbidden(platform: Platform, key: Credentials, url: str) -> None:
    unsigned = ask(platform, url, None)
    assert (unsigned.status_code, unsigned.json()) == (403, {"Message": "Forbidden"})
    assert unsigned.headers["x-amzn-errortype"] == "AccessDeniedException"
    changed = ask(platform, url, key, body=b"milk", sent=b"more milk")
    assert (changed.status_code, changed.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    stranger = ask(platform, url, Credentials("AKIASTRANGERSTRANGER", "x"))
    assert stranger.headers["x-amzn-errortype"] == "UnrecognizedClientException"
    made = json.loads(platform.cli("keys", "create", "--role", "read", "--json").stdout)
    reader = ask(platform, url, Credentials(made["key"]["key_id"], made["secret"]))
    assert (reader.status_code, reader.json()) == (403, {"Message": "Forbidden"})


def test_a_browser_may_ask_first_and_read_the_refusal(platform: Platform, url: str) -> None:
    host = url.removeprefix("http://").rstrip("/")
    headers = {"host": host, "origin": "https://a.example", "access-control-request-method": "POST"}
    preflight = httpx.options(platform.endpoint, headers=headers)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    refused = httpx.post(platform.endpoint, headers={"host": host, "origin": "https://a.example"})
    assert refused.status_code == 403
    assert refused.headers["access-control-allow-origin"] == "https://a.example"


def test_none_opens_it(platform: Platform, cloud: Any, orders: str, url: str) -> None:
    cloud.update_function_url_config(FunctionName=orders, AuthType="NONE")
    deadline = time.monotonic() + 10
    while (answer := ask(platform, url, None)).status_code == 403 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answer.json()["accountId"] == "anonymous"
    assert "authorizer" not in answer.json()
