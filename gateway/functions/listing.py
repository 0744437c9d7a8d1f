"""All versions of all functions of a region, page by page."""

from __future__ import annotations

from gateway.functions.qualified import joined
from gateway.functions.record import FunctionRecord
from gateway.services import Services
from samovar.names import LATEST

_READ: int = 50
"""Functions read at a time."""


async def every_version(
    services: Services, region: str, marker: str | None, size: int
) -> tuple[list[FunctionRecord], str | None]:
    """Up to `size` versions, by the names of their functions, `$LATEST` first and then by number.

    A marker is `NAME:VERSION` of the last one of the page before. The second part of the answer is the next marker, or
    `None` at the end.
    """
    name, _, shown = (marker or "").partition(":")
    found: list[FunctionRecord] = []
    if name and (latest := await services.store.get(services.store.arn(name, region))) is not None:
        found += await _versions(services, latest, 0 if shown in ("", LATEST) else int(shown), size + 1)
    after: str | None = name or None
    more = True
    while more and len(found) <= size:
        records, after = await services.store.page(after, _READ, region)
        more = after is not None
        for record in records:
            if len(found) <= size:
                found += [record, *await _versions(services, record, 0, size + 1 - len(found))]
    page = found[:size]
    following = f"{page[-1].name}:{page[-1].version.version}" if len(found) > size else None
    return page, following


async def _versions(services: Services, latest: FunctionRecord, after: int, limit: int) -> list[FunctionRecord]:
    """Up to `limit` published versions of a function with numbers above `after`."""
    store = services.registry.qualified.store
    numbers = [number for number in await store.numbers(latest.arn) if number > after]
    return [joined(version, latest) for version in await store.versions(latest.arn, numbers[: max(0, limit)])]
