"""What there is of a function besides `$LATEST`, as resources that are attached to one of it ask."""

from __future__ import annotations

from gateway.functions.registry import not_found
from gateway.lambda_api.edge import find
from gateway.services import Services
from samovar.errors import ResourceNotFound
from samovar.names import LATEST, FunctionReference


async def check_qualifier(services: Services, reference: FunctionReference) -> None:
    """Raise `ResourceNotFound`, in AWS's words, unless there are the function and the version or alias named."""
    await find(services, reference._replace(qualifier=None))
    qualifier = reference.qualifier
    if qualifier in (None, LATEST):
        return
    store = services.registry.qualified.store
    if qualifier.isdecimal() or "$" in qualifier:
        if await store.version(reference.arn, qualifier) is None:
            raise not_found(reference.arn, qualifier)
    elif await store.alias(reference.arn, qualifier) is None:
        raise ResourceNotFound(f"Cannot find alias arn: {reference.arn}:{qualifier}")


async def revision_of(services: Services, reference: FunctionReference) -> str:
    """The revision of the function, version or alias itself. Raises `ResourceNotFound`."""
    qualifier = reference.qualifier
    if qualifier is not None and qualifier != LATEST and not qualifier.isdecimal():
        alias = await services.registry.qualified.store.alias(reference.arn, qualifier)
        if alias is not None:
            return alias.revision_id
    return (await find(services, reference)).version.revision_id
