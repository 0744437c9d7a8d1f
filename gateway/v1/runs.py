"""Runs of events by workers of other hosts, which have no invoker. Samovar's own door, not for people."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.lambda_api.body import whole
from gateway.lambda_api.edge import UsesServices
from gateway.link.remote import KEY_NAME, OUTCOME_HEADER, RUN_HEADER, Run
from samovar.access.roles import AccessKey
from samovar.errors import AccessDenied, InvalidRequestContent

router = APIRouter(prefix="/runs")
_decode: Final = msgspec.json.Decoder(Run).decode


@router.post("", include_in_schema=False)
async def run(request: Request, services: UsesServices) -> Response:
    """Run a version once, under the request id and the attempt its event has."""
    caller: AccessKey = request.state.caller
    if caller.role != "admin" and caller.name != KEY_NAME:
        raise AccessDenied(f"{caller.name} is no worker: events are run by workers, others invoke")
    try:
        wanted = _decode(base64.b64decode(request.headers.get(RUN_HEADER, ""), validate=True))
    except (binascii.Error, msgspec.DecodeError) as error:
        raise InvalidRequestContent(f"{RUN_HEADER} does not say what to run: {error}") from error
    payload = await whole(request, services.settings.max_payload_bytes)
    record = await services.registry.get(wanted.arn, wanted.version)
    answer = await services.link.invoke(record.version, wanted.call, payload)
    headers = {OUTCOME_HEADER: str(answer.head.outcome), "x-amz-executed-version": answer.head.version}
    return Response(answer.payload, headers=headers, media_type="application/json")
