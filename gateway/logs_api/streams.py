"""Log streams, one an execution environment: DescribeLogStreams, DeleteLogStream."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec

from gateway.logs_api import tokens
from gateway.logs_api.folders import Place
from gateway.logs_api.stream_index import Span, StreamIndex
from samovar.errors import InvalidParameter
from samovar.logs.groups import GroupSubject

_PAGE: Final = 50


class DescribeLogStreams(msgspec.Struct, kw_only=True, rename="camel"):
    """Which streams of which group, in which order."""

    log_group_name: str | None = None
    log_group_identifier: str | None = None
    log_stream_name_prefix: str | None = None
    order_by: Literal["LogStreamName", "LastEventTime"] = "LogStreamName"
    descending: bool = False
    next_token: str | None = None
    limit: int = _PAGE


class DeleteLogStream(msgspec.Struct, kw_only=True, rename="camel"):
    """One stream."""

    log_group_name: str
    log_stream_name: str


async def describe(place: Place, index: StreamIndex, request: DescribeLogStreams) -> dict[str, Any]:
    """DescribeLogStreams: by name, or by when something was last written."""
    by_time = request.order_by == "LastEventTime"
    if by_time and request.log_stream_name_prefix is not None:
        raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
    name, group = await place.find(request.log_group_name, request.log_group_identifier)
    found = await asyncio.to_thread(index.streams, place.folder(name), group, place.now_ms())
    keys = sorted(
        ((span.last_ms if by_time else 0, stream) for stream, span in found.items()), reverse=request.descending
    )
    if request.next_token:
        passed = tokens.redeem(request.next_token, request, tuple[int, str])
        keys = [key for key in keys if (key < passed if request.descending else key > passed)]
    prefix = request.log_stream_name_prefix or ""
    keys = [key for key in keys if key[1].startswith(prefix)]
    page = keys[: request.limit]
    answer: dict[str, Any] = {"logStreams": [_shown(place.arn(name), stream, found[stream]) for _, stream in page]}
    if len(keys) > len(page):
        answer["nextToken"] = tokens.issue(request, page[-1])
    return answer


def _shown(group_arn: str, stream: str, span: Span) -> dict[str, Any]:
    return {
        "logStreamName": stream,
        "creationTime": span.first_ms,
        "firstEventTimestamp": span.first_ms,
        "lastEventTimestamp": span.last_ms,
        "lastIngestionTime": span.last_ms,
        "arn": f"{group_arn}:log-stream:{stream}",
        "storedBytes": 0,  # as AWS answers since 2019
    }


async def delete(place: Place, request: DeleteLogStream) -> None:
    """DeleteLogStream: its lines are overwritten; what its environment writes from now on makes it anew."""
    name = place.folder_of(request.log_group_name)
    subject = GroupSubject(region=place.region, name=name, stream=request.log_stream_name)
    await place.order("delete_log_stream", subject)
