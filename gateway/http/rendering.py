"""Answers as data, and errors as answers in AWS's form. The raw ASGI path and the FastAPI side share both."""

from __future__ import annotations

import math

import msgspec

from samovar.errors import SamovarError

Headers = list[tuple[bytes, bytes]]


class Response(msgspec.Struct, frozen=True):
    """A whole HTTP answer. `headers` have lower-case names and no Content-Length: whoever sends it adds that."""

    status: int
    headers: Headers
    body: bytes = b""


def render_error(error: SamovarError, request_id: str) -> Response:
    """An error as the Lambda API shows it: `Type` (of most) and `Message` in the body, its name in `x-amzn-ErrorType`.

    The message is there twice because AWS's services are not of one mind: some SDKs read `message`.
    """
    content: dict[str, str] = {"Type": error.fault} if error.says_fault else {}
    content |= {"Message": error.message, "message": error.message}
    if error.reason is not None:
        content["Reason"] = error.reason
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-errortype", error.aws_name.encode()),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    return Response(error.status, headers, msgspec.json.encode(content))
