"""The JSON 1.1 protocol of CloudWatch Logs: one path, the operation in a header, errors with `__type`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from gateway.lambda_api import body, constraints
from gateway.logs_api import events, groups, live_tail, streams
from gateway.logs_api.folders import Place
from gateway.logs_api.stream_index import StreamIndex
from gateway.services import Services
from samovar.errors import CallerError, InvalidParameter, SamovarError, SerializationFailed, ValidationFailed
from samovar.link import event_stream

TARGET: Final = "Logs_20140328."
"""What the header `X-Amz-Target` begins with; the operation's name follows."""
_MEDIA_TYPE: Final = "application/x-amz-json-1.1"
_MOST_BYTES: Final = 1024 * 1024
"""Of a request."""

Operation = Callable[[Place, Any], Awaitable[dict[str, Any] | None]]


class UnknownLogsOperation(CallerError):
    """CloudWatch Logs has no such operation, or Samovar does not offer it."""

    status, aws_name = 400, "UnknownOperationException"


class LogsApi:
    """CloudWatch Logs, as far as Samovar offers it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        index = StreamIndex()
        self._operations: dict[str, tuple[type[Any], Operation]] = {
            "DescribeLogGroups": (groups.DescribeLogGroups, groups.describe),
            "ListLogGroups": (groups.ListLogGroups, groups.list_groups),
            "CreateLogGroup": (groups.CreateLogGroup, groups.create),
            "DeleteLogGroup": (groups.NamedGroup, groups.delete),
            "PutRetentionPolicy": (groups.PutRetentionPolicy, groups.put_retention),
            "DeleteRetentionPolicy": (groups.NamedGroup, groups.delete_retention),
            "ListTagsForResource": (groups.TaggedResource, groups.list_tags_of_resource),
            "TagResource": (groups.TaggedResource, groups.tag_resource),
            "UntagResource": (groups.TaggedResource, groups.untag_resource),
            "ListTagsLogGroup": (groups.NamedGroup, groups.list_tags),
            "TagLogGroup": (groups.TaggedGroup, groups.tag),
            "UntagLogGroup": (groups.UntaggedGroup, groups.untag),
            "DescribeLogStreams": (streams.DescribeLogStreams, _with(index, streams.describe)),
            "DeleteLogStream": (streams.DeleteLogStream, streams.delete),
            "GetLogEvents": (events.GetLogEvents, _with(index, events.get)),
            "FilterLogEvents": (events.FilterLogEvents, _with(index, events.search)),
        }

    async def answer(self, request: Request, region: str) -> Response:
        """Serve one request whose target begins with `TARGET`."""
        name = request.headers["x-amz-target"].removeprefix(TARGET)
        try:
            return await self._served(name, await body.whole(request, _MOST_BYTES), region)
        except SamovarError as error:
            return _rendered(error)

    async def _served(self, name: str, content: bytes, region: str) -> Response:
        settings = self._services.settings
        place = Place(settings.account, region, settings.logs_dir, self._services.clock, self._services.link)
        if name == "StartLiveTail":
            request = _decode(name, content, live_tail.StartLiveTail)
            session = await live_tail.open_session(place, request, self._services.stopping)
            return StreamingResponse(session, media_type=event_stream.MEDIA_TYPE)
        if name not in self._operations:
            raise UnknownLogsOperation(f"{name} is no operation of CloudWatch Logs that Samovar offers")
        kind, operation = self._operations[name]
        answer = await operation(place, _decode(name, content, kind))
        return Response(b"" if answer is None else msgspec.json.encode(answer), media_type=_MEDIA_TYPE)


def _with(index: StreamIndex, operation: Callable[[Place, StreamIndex, Any], Awaitable[dict[str, Any]]]) -> Operation:
    def operate(place: Place, request: Any) -> Awaitable[dict[str, Any]]:
        return operation(place, index, request)

    return operate


def _decode(operation: str, content: bytes, kind: type[Any]) -> Any:
    """The request, checked against AWS's model of it. Raises `SerializationFailed` and `ValidationFailed`."""
    try:
        given = msgspec.json.decode(content or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SerializationFailed(f"The request is not a JSON object: {error}") from error
    members = {name: value for name, value in given.items() if value is not None}
    constraints.check(operation, members, "logs")
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as error:
        raise SerializationFailed(str(error)) from error


def _rendered(error: SamovarError) -> Response:
    """An error as this protocol has it: 400 for all that is the caller's."""
    name = InvalidParameter.aws_name if isinstance(error, ValidationFailed) else error.aws_name
    body = msgspec.json.encode({"__type": name, "message": error.message})
    status = 400 if isinstance(error, CallerError) else error.status
    return Response(body, status, media_type=_MEDIA_TYPE)
