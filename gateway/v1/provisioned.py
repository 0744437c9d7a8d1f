"""Provisioned environments of functions. Lambda's own API has them for published versions and aliases only."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.functions.provisioning import check_provisions_fit
from gateway.functions.record import FunctionRecord
from gateway.lambda_api.body import read
from gateway.lambda_api.edge import InPath, UsesFunctions, UsesServices, answer, find, no_content
from gateway.v1.schema import described
from samovar.answers import Provisioned
from samovar.link.operations import Standing
from samovar.provisioning import Provision

router = APIRouter(prefix="/functions/{name}/provisioned")


class ProvisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a function is to have; of those that are in force at a moment the greatest count holds."""

    provisions: tuple[Provision, ...]


@router.get("", responses=described.answers(Provisioned))
async def get_provisioned(reference: InPath, services: UsesServices, functions: UsesFunctions) -> Response:
    """The environments a function keeps ready: what it asks for, how many that are now, and how many there are."""
    record = await find(services, reference)
    return answer(_shown(record, await functions.standing(record.version)))


@router.put("", responses=described.answers(Provisioned), openapi_extra=described.takes(ProvisionRequest))
async def put_provisioned(
    request: Request, reference: InPath, services: UsesServices, functions: UsesFunctions
) -> Response:
    """Replace what a function asks for. Its environments stay; those that are missing are being started."""
    asked = (await read(request, ProvisionRequest)).provisions
    await check_provisions_fit(services, _providing(await find(services, reference), asked).version)
    record = await functions.attach(reference.arn, lambda record: _providing(record, asked))
    return answer(_shown(record, await functions.standing(record.version)))


@router.delete("", status_code=204)
async def delete_provisioned(reference: InPath, services: UsesServices, functions: UsesFunctions) -> Response:
    """Have a function keep nothing ready but what its keep-alive says."""
    await functions.attach(reference.arn, lambda record: _providing(record, ()))
    return no_content()


def _providing(record: FunctionRecord, provisions: tuple[Provision, ...]) -> FunctionRecord:
    return msgspec.structs.replace(record, version=msgspec.structs.replace(record.version, provisioned=provisions))


def _shown(record: FunctionRecord, standing: Standing | None) -> Provisioned:
    view = standing.provisioned if standing is not None else None
    return Provisioned(
        provisions=record.version.provisioned,
        wanted=view.wanted if view is not None else 0,
        ready=view.ready if view is not None else 0,
        problem=view.problem if view is not None else "",
    )
