"""Versions: PublishVersion, ListVersionsByFunction."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from gateway.functions.published import Publication
from gateway.functions.qualified import joined
from gateway.lambda_api.configuration import configuration, listed
from gateway.lambda_api.edge import NamedLatest, UsesPublished, UsesServices, answer
from gateway.lambda_api.models import ListVersionsResponse, Page, PublishVersionRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.validation import refuse_unless_empty
from samovar.names import LATEST

router = Operations()
_PAGE: Final = 50
"""ListVersionsByFunction gives at most 50 a page, whatever more is asked for."""


@router.operation("PublishVersion")
async def publish_version(request: Request, reference: NamedLatest, published: UsesPublished) -> Response:
    """PublishVersion. If nothing has changed since the last version, that one is the answer."""
    wanted = asked(request, PublishVersionRequest)
    refuse_unless_empty("publish_to", wanted.publish_to)
    wish = Publication(description=wanted.description, code_sha256=wanted.code_sha256, revision_id=wanted.revision_id)
    version = await published.publish(reference.arn, wish)
    return answer(configuration(version, version.version.version), 201)


@router.operation("ListVersionsByFunction")
async def list_versions_by_function(request: Request, reference: NamedLatest, services: UsesServices) -> Response:
    """ListVersionsByFunction: `$LATEST`, then the others by number. A marker is the last one of the page before."""
    wanted = asked(request, Page)
    size = min(wanted.max_items, _PAGE)
    latest = await services.registry.fresh(reference.arn)
    store = services.registry.qualified.store
    numbers = [0, *await store.numbers(reference.arn)]  # 0 stands for $LATEST
    begin = _position(numbers, wanted.marker)
    page = numbers[begin : begin + size]
    versions = [joined(one, latest) for one in await store.versions(reference.arn, [one for one in page if one])]
    shown = [latest, *versions] if page[:1] == [0] else versions
    more = begin + size < len(numbers)
    return answer(
        ListVersionsResponse(
            versions=[listed(one, LATEST if one is latest else one.version.version) for one in shown],
            next_marker=str(page[-1]) if more else None,
        )
    )


def _position(numbers: list[int], marker: str | None) -> int:
    """Where the page behind a marker begins, also when the version of the marker has gone meanwhile."""
    if not marker or not marker.isdecimal():
        return 0
    return sum(number <= int(marker) for number in numbers)
