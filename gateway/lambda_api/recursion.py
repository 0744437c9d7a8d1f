"""What is to become of calls that go in circles (`gateway/lineage.py`): Put and GetFunctionRecursionConfig."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import NamedLatest, UsesFunctions, UsesServices, answer, find
from gateway.lambda_api.models import Recursion
from gateway.lambda_api.operations import Operations, asked

router = Operations()


@router.operation("PutFunctionRecursionConfig")
async def put_function_recursion_config(request: Request, reference: NamedLatest, functions: UsesFunctions) -> Response:
    """PutFunctionRecursionConfig."""
    wanted = asked(request, Recursion)
    await functions.attach(
        reference.arn, lambda record: msgspec.structs.replace(record, recursive_loop=wanted.recursive_loop)
    )
    return answer(wanted)


@router.operation("GetFunctionRecursionConfig")
async def get_function_recursion_config(reference: NamedLatest, services: UsesServices) -> Response:
    """GetFunctionRecursionConfig."""
    return answer(Recursion((await find(services, reference)).recursive_loop))
