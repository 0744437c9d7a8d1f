"""InvokeAsync: the older way to hand a function an event, which old scripts still know.

AWS Lambda API reference, "InvokeAsync" (deprecated). What becomes of the event is what becomes of any.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from gateway.events.event import NewEvent
from gateway.lambda_api.edge import Named, UsesServices, find
from gateway.lambda_api.invoke import checked_event
from gateway.lambda_api.operations import Operations
from samovar.errors import RequestTooLarge

router = Operations()
MAX_BYTES: Final = 256 * 1024
"""Of an event, whatever the limit of Invoke is."""


@router.operation("InvokeAsync")
async def invoke_async(request: Request, reference: Named, services: UsesServices) -> Response:
    """InvokeAsync: 202 says that the event is stored."""
    payload: bytes = request.state.given["InvokeArgs"]
    if len(payload) > MAX_BYTES:
        raise RequestTooLarge(
            f"{len(payload)} byte payload is too large for the InvokeAsync operation (limit {MAX_BYTES} bytes)"
        )
    await find(services, reference)
    event = NewEvent(
        arn=reference.arn,
        qualifier=reference.qualifier,
        payload=checked_event(payload),
        request_id=request.state.request_id,
        trace_id=request.headers.get("x-amzn-trace-id"),
    )
    await services.intake.accept(event)
    return Response(status_code=202)
