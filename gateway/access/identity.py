"""Who the caller is: for `aws sts get-caller-identity` (AWS STS API reference) and for events. Pure."""

from __future__ import annotations

import msgspec

from gateway.http.rendering import Response
from samovar.access.roles import AccessKey
from samovar.errors import CallerError

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class InvalidAction(CallerError):
    """Of this service only one action is offered."""

    status, aws_name = 400, "InvalidAction"


def iam(caller: AccessKey, account: str) -> dict[str, str | None]:
    """The caller as events of function URLs tell it (AWS Lambda developer guide, "Invoking Lambda function URLs")."""
    return {
        "accessKey": caller.key_id,
        "accountId": account,
        "callerId": caller.user_id(account),
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn(account),
        "userId": caller.user_id(account),
    }


def answer(action: str, caller: AccessKey, account: str, request_id: str, *, as_json: bool = False) -> Response:
    """The answer to an action of STS. Raises `InvalidAction` for any other than GetCallerIdentity."""
    if action != "GetCallerIdentity":
        raise InvalidAction(
            f"Could not find operation {action or 'none'} for version 2011-06-15: of AWS STS, Samovar offers "
            "GetCallerIdentity; functions have sessions of their roles, and keys have roles of their own"
        )
    if as_json:
        told = {"Account": account, "Arn": caller.arn(account), "UserId": caller.user_id(account)}
        whole = {"GetCallerIdentityResult": told, "ResponseMetadata": {"RequestId": request_id}}
        return _response(b"application/json", request_id, msgspec.json.encode({"GetCallerIdentityResponse": whole}))
    body = (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}">\n'
        "  <GetCallerIdentityResult>\n"
        f"    <Arn>{caller.arn(account)}</Arn>\n"
        f"    <UserId>{caller.user_id(account)}</UserId>\n"
        f"    <Account>{account}</Account>\n"
        "  </GetCallerIdentityResult>\n"
        f"  <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n"
        "</GetCallerIdentityResponse>\n"
    )
    return _response(b"text/xml", request_id, body.encode())


def _response(kind: bytes, request_id: str, body: bytes) -> Response:
    return Response(200, [(b"content-type", kind), (b"x-amzn-requestid", request_id.encode())], body)
