"""A function's code: UpdateFunctionCode."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.functions.artifacts import Package
from gateway.functions.functions import Functions
from gateway.functions.published import Publication
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import Edit, check_revision
from gateway.lambda_api import images
from gateway.lambda_api.code_source import package_of
from gateway.lambda_api.configuration import configuration, pending, updating
from gateway.lambda_api.edge import NamedLatest, UsesFunctions, UsesPublished, UsesServices, answer
from gateway.lambda_api.function_layers import check_size
from gateway.lambda_api.models import UpdateFunctionCodeRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.validation import check_architectures, check_code, refuse_unless_empty
from gateway.services import Services

router = Operations()


def coded(record: FunctionRecord, package: Package) -> FunctionRecord:
    """The function with other code."""
    version = msgspec.structs.replace(record.version, code_sha256=package.sha256)
    return msgspec.structs.replace(record, version=version, code_size=package.size)


async def _new_code(
    services: Services, functions: Functions, current: FunctionRecord, update: UpdateFunctionCodeRequest
) -> Edit:
    """What puts the new code into a function. A package is checked, and kept unless nothing is to be changed."""
    if update.image_uri is not None:
        image = await images.pull(functions.link, update.image_uri, None)
        return lambda found: images.on(found, image)
    package = await package_of(services, update, keep=not update.dry_run)
    if not update.dry_run:
        await check_size(services, package.sha256, current.layers)
    return lambda found: coded(found, package)


@router.operation("UpdateFunctionCode")
async def update_function_code(
    request: Request,
    reference: NamedLatest,
    services: UsesServices,
    functions: UsesFunctions,
    published: UsesPublished,
) -> Response:
    """UpdateFunctionCode. A `DryRun` checks everything and changes nothing."""
    update = asked(request, UpdateFunctionCodeRequest)
    check_architectures(update.architectures)
    refuse_unless_empty("publish_to", update.publish_to)
    if update.image_uri is None:
        check_code(update)
    # Before the package is unpacked, so that an unknown function costs nothing.
    current = await services.registry.fresh(reference.arn, reference.qualifier)
    images.check_source(current.version, update)
    check_revision(current, update.revision_id)
    edit = await _new_code(services, functions, current, update)
    if update.dry_run:
        record = edit(current)
    else:
        record, _ = await functions.change(reference.arn, edit, update.revision_id)
        await services.artifacts.release(current.version.code_sha256)
        if update.publish:
            version = await published.publish(reference.arn, Publication())
            return answer(pending(configuration(version, version.version.version)))
    shown = configuration(record, reference.qualifier)
    return answer(shown if update.dry_run else updating(shown))
