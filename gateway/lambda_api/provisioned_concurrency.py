"""Provisioned concurrency of versions and aliases: Put, Get, List and DeleteProvisionedConcurrencyConfig(s)."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import Request, Response

from gateway.functions.provisioned import Allocation, check_limits, check_published
from gateway.functions.record import ProvisionedConcurrency, attached_to
from gateway.lambda_api.concurrency import unreserved
from gateway.lambda_api.edge import Named, UsesProvisions, UsesServices, answer, find, no_content
from gateway.lambda_api.models import Page
from gateway.lambda_api.operations import Operations, asked
from samovar.errors import ProvisionedConcurrencyConfigNotFound

router = Operations()
_PAGE: Final = 50
_NOT_LATEST: Final = "The function resource provided must be an alias or a published version."


class PutRequest(msgspec.Struct, frozen=True, rename="pascal"):
    """`PutProvisionedConcurrencyConfig`."""

    provisioned_concurrent_executions: int


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What `Put` and `Get` answer, and an item of `List`."""

    function_arn: str | None = None
    requested_provisioned_concurrent_executions: int
    available_provisioned_concurrent_executions: int
    allocated_provisioned_concurrent_executions: int
    status: str
    status_reason: str | None = None
    last_modified: str


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ListProvisionedConcurrencyConfigs`."""

    provisioned_concurrency_configs: list[Config]
    next_marker: str | None = None


@router.operation("PutProvisionedConcurrencyConfig")
async def put_provisioned_concurrency_config(
    request: Request, reference: Named, services: UsesServices, provisions: UsesProvisions
) -> Response:
    """PutProvisionedConcurrencyConfig. What is asked for is being started when this has been answered."""
    count = asked(request, PutRequest).provisioned_concurrent_executions
    qualifier = check_published(reference.qualifier)
    await provisions.target(reference.arn, qualifier)
    latest = await services.registry.fresh(reference.arn)
    check_limits(latest, qualifier, count, unreserved(services, but=latest.arn))
    held = await provisions.put(reference.arn, qualifier, count)
    return answer(_shown(held, Allocation("IN_PROGRESS", 0)), 202)


@router.operation("GetProvisionedConcurrencyConfig")
async def get_provisioned_concurrency_config(
    reference: Named, services: UsesServices, provisions: UsesProvisions
) -> Response:
    """GetProvisionedConcurrencyConfig."""
    qualifier = check_published(reference.qualifier, _NOT_LATEST)
    await provisions.target(reference.arn, qualifier)
    latest = await services.registry.fresh(reference.arn)
    held = attached_to(latest, qualifier).provisioned
    if held is None:
        raise ProvisionedConcurrencyConfigNotFound("No Provisioned Concurrency Config found for this function")
    return answer(_shown(held, await provisions.allocation(latest, held)))


@router.operation("ListProvisionedConcurrencyConfigs")
async def list_provisioned_concurrency_configs(
    request: Request, reference: Named, services: UsesServices, provisions: UsesProvisions
) -> Response:
    """ListProvisionedConcurrencyConfigs, by qualifier; a marker is the last one of the page before."""
    page = asked(request, Page)
    latest = await find(services, reference._replace(qualifier=None))
    names = sorted(name for name, one in latest.attached.items() if one.provisioned and name > (page.marker or ""))
    configs = []
    for name in names[: min(page.max_items, _PAGE)]:
        held = latest.attached[name].provisioned
        assert held is not None, "those were chosen that have some"
        configs.append(_shown(held, await provisions.allocation(latest, held), f"{latest.arn}:{name}"))
    more = len(configs) < len(names)
    return answer(
        ListAnswer(
            provisioned_concurrency_configs=configs, next_marker=names[len(configs) - 1] if more and configs else None
        )
    )


@router.operation("DeleteProvisionedConcurrencyConfig")
async def delete_provisioned_concurrency_config(reference: Named, provisions: UsesProvisions) -> Response:
    """DeleteProvisionedConcurrencyConfig. Environments that are there stay for as long as the keep-alive says."""
    await provisions.delete(reference.arn, check_published(reference.qualifier, _NOT_LATEST))
    return no_content()


def _shown(held: ProvisionedConcurrency, now: Allocation, arn: str | None = None) -> Config:
    return Config(
        function_arn=arn,
        requested_provisioned_concurrent_executions=held.requested,
        available_provisioned_concurrent_executions=now.ready,
        allocated_provisioned_concurrent_executions=now.ready,
        status=now.status,
        status_reason=now.reason,
        last_modified=held.modified,
    )
