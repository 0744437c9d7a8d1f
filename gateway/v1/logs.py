"""A function's log, as newline-delimited JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from gateway.lambda_api.edge import InPath, UsesServices
from gateway.log_reader import Selection, follow, tail
from gateway.v1.schema import described
from samovar.answers import LogRecord
from samovar.logs.lines import LogLine, folder_of

router = APIRouter()
MEDIA_TYPE = "application/x-ndjson"


@router.get("/functions/{name}/logs", responses=described.answers(LogRecord, MEDIA_TYPE))
async def logs(
    reference: InPath,
    services: UsesServices,
    since: Annotated[int, Query(ge=0, description="Epoch milliseconds of the oldest line wanted.")] = 0,
    request_id: Annotated[str | None, Query(description="Lines of this invocation only.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The last so many lines.")] = 1000,
    following: Annotated[
        bool, Query(alias="follow", description="Go on with new lines until the client hangs up or the gateway stops.")
    ] = False,
) -> Response:
    """The last lines, oldest first, one JSON object a line. Logs of deleted functions can be read until they rotate."""
    logs_dir, region = services.settings.logs_dir, reference.region or ""
    folder = folder_of(logs_dir, region, reference.name)
    selection = Selection(since_ms=since, request_id=request_id, limit=limit)
    record = services.registry.cached(reference.arn)
    if record is None and not await asyncio.to_thread(folder.is_dir):
        record = await services.registry.get(reference.arn)
    if record is not None and record.version.logging.log_group:
        folder = folder_of(logs_dir, region, record.version.logging.folder_of(reference.name))
        selection = msgspec.structs.replace(selection, function=reference.name)
    if following:
        return StreamingResponse(_followed(folder, selection, services.stopping), media_type=MEDIA_TYPE)
    lines, _ = await asyncio.to_thread(tail, folder, selection)
    return Response(_encode(lines), media_type=MEDIA_TYPE)


async def _followed(folder: Path, selection: Selection, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    async for lines in follow(folder, selection, stopping):
        yield _encode(lines)


def _encode(lines: Iterable[LogLine]) -> bytes:
    return msgspec.json.Encoder().encode_lines([LogRecord(*line) for line in lines])
