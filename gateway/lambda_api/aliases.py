"""Aliases: Create, Get, Update, Delete and ListAlias(es)."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import Request, Response

from gateway.functions.record import Alias
from gateway.lambda_api.edge import NamedLatest, UsesProvisions, UsesPublished, UsesServices, answer, no_content
from gateway.lambda_api.models import (
    AliasConfiguration,
    AliasRequest,
    ListAliasesRequest,
    ListAliasesResponse,
    RoutingConfig,
)
from gateway.lambda_api.operations import Operations, asked
from samovar.errors import ResourceNotFound

router = Operations()
_PAGE: Final = 10_000
"""As many as the API model lets a caller ask for."""


@router.operation("CreateAlias")
async def create_alias(request: Request, reference: NamedLatest, published: UsesPublished) -> Response:
    """CreateAlias."""
    wanted = asked(request, AliasRequest)
    alias = _edited(Alias(name=wanted.name, version=wanted.function_version or ""), wanted)
    return answer(_shown(reference.arn, await published.create_alias(reference.arn, alias)), 201)


@router.operation("GetAlias")
async def get_alias(request: Request, reference: NamedLatest, services: UsesServices) -> Response:
    """GetAlias."""
    name = request.state.given["Name"]
    alias = await services.registry.qualified.store.alias(reference.arn, name)
    if alias is None:
        raise ResourceNotFound(f"Cannot find alias arn: {reference.arn}:{name}")
    return answer(_shown(reference.arn, alias))


@router.operation("UpdateAlias")
async def update_alias(
    request: Request, reference: NamedLatest, published: UsesPublished, provisions: UsesProvisions
) -> Response:
    """UpdateAlias: what is not given stays."""
    wanted = asked(request, AliasRequest)
    changed = await published.change_alias(
        reference.arn, wanted.name, lambda current: _edited(current, wanted), wanted.revision_id
    )
    await provisions.follow(reference.arn, changed)
    return answer(_shown(reference.arn, changed))


@router.operation("DeleteAlias")
async def delete_alias(request: Request, reference: NamedLatest, published: UsesPublished) -> Response:
    """DeleteAlias. An alias that is not there is deleted already."""
    await published.delete_alias(reference.arn, request.state.given["Name"])
    return no_content()


@router.operation("ListAliases")
async def list_aliases(request: Request, reference: NamedLatest, services: UsesServices) -> Response:
    """ListAliases, in the order of their names. A marker is the name of the last one of the page before."""
    wanted = asked(request, ListAliasesRequest)
    await services.registry.fresh(reference.arn)
    aliases = [
        alias
        for alias in await services.registry.qualified.store.aliases(reference.arn)
        if wanted.function_version in (None, alias.version) and alias.name > (wanted.marker or "")
    ]
    page = aliases[: min(wanted.max_items, _PAGE)]
    return answer(
        ListAliasesResponse(
            aliases=[_shown(reference.arn, alias) for alias in page],
            next_marker=page[-1].name if len(page) < len(aliases) else None,
        )
    )


def _edited(alias: Alias, wanted: AliasRequest) -> Alias:
    weights = alias.weights
    if wanted.routing_config is not None:
        weights = wanted.routing_config.additional_version_weights or {}
    return msgspec.structs.replace(
        alias,
        version=wanted.function_version or alias.version,
        description=alias.description if wanted.description is None else wanted.description,
        weights=weights,
    )


def _shown(arn: str, alias: Alias) -> AliasConfiguration:
    return AliasConfiguration(
        alias_arn=f"{arn}:{alias.name}",
        name=alias.name,
        function_version=alias.version,
        description=alias.description,
        routing_config=RoutingConfig(alias.weights) if alias.weights else None,
        revision_id=alias.revision_id,
    )
