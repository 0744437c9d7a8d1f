"""A function's configuration: how it is shown, and UpdateFunctionConfiguration."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import msgspec
from fastapi import Request, Response

from gateway.functions.artifacts import base64_digest
from gateway.functions.provisioning import check_provisions_fit
from gateway.functions.record import FunctionRecord
from gateway.lambda_api import images, snap_start
from gateway.lambda_api.edge import (
    Named,
    NamedLatest,
    UsesFunctions,
    UsesRuntimes,
    UsesServices,
    answer,
    find,
)
from gateway.lambda_api.function_layers import lay
from gateway.lambda_api.layers import UsesLayers
from gateway.lambda_api.models import (
    ConfigurationRequest,
    DeadLetter,
    FunctionConfiguration,
    Layer,
    Logging,
    RuntimeVersion,
    Storage,
    Tracing,
    Variables,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.validation import ARCHITECTURE, check_dead_letter, offered
from samovar.function import FunctionVersion, Limits
from samovar.link.operations import Standing
from samovar.logs import groups as log_groups
from samovar.logs.config import LoggingConfig, SystemLogLevel
from samovar.names import function_arn, runtime_version_arn

router = Operations()
_CREATING: Final = "The function is being created."
_SETTLING: Final = UUID("0b7ad2a1-8c7f-4d0e-9d6f-3f1c4f6f2a55")
"""Any will do: it only has to stay the same."""


def configuration(
    record: FunctionRecord, qualifier: str | None = None, standing: Standing | None = None
) -> FunctionConfiguration:
    """A function as the API shows it. The ARN has the qualifier the caller used, if any."""
    version = record.version
    shown = FunctionConfiguration(
        function_name=version.name,
        function_arn=function_arn(version.account, version.region, version.name, qualifier),
        runtime=version.runtime if version.image is None else None,
        role=record.role,
        handler=version.handler or None,
        code_size=record.code_size,
        description=record.description,
        timeout=version.limits.timeout_s,
        memory_size=version.limits.memory_mb,
        last_modified=record.last_modified,
        code_sha256=base64_digest(version.code_sha256) if version.image is None else version.code_sha256,
        version=version.version,
        environment=Variables(version.environment) if record.has_environment else None,
        dead_letter_config=DeadLetter(record.dead_letter) if record.dead_letter else None,
        tracing_config=Tracing(record.tracing),
        layers=[Layer(use.arn, use.code_size) for use in record.layers] or None,
        revision_id=version.revision_id,
        state="Active",
        last_update_status="Successful",
        package_type="Zip" if version.image is None else images.IMAGE,
        image_config_response=images.shown(version),
        architectures=[ARCHITECTURE],
        ephemeral_storage=Storage(version.limits.tmp_mb),
        snap_start=snap_start.shown(record),
        runtime_version_config=RuntimeVersion(runtime_version_arn=runtime_version_arn(version.region, version.runtime))
        if version.image is None
        else None,
        logging_config=_logging(version),
    )
    return shown if standing is None or standing.in_force else updating(shown)


def _logging(version: FunctionVersion) -> Logging:
    config = version.logging
    return Logging(
        log_format=config.log_format,
        application_log_level=config.application_log_level,
        system_log_level=config.system_log_level,
        log_group=config.group_of(version.name),
    )


def updating(shown: FunctionConfiguration) -> FunctionConfiguration:
    """As AWS answers an update, and shows a function until that is in force; its words.

    AWS adds a code, `Creating`, that its own model does not have among those of updates.
    """
    return msgspec.structs.replace(
        shown,
        last_update_status="InProgress",
        last_update_status_reason=_CREATING,
        revision_id=_unsettled(shown.revision_id),
    )


def _unsettled(revision_id: str) -> str:
    """What a revision is called until it is in force: on AWS, too, it has another name then, and the first is stale."""
    return str(uuid5(_SETTLING, revision_id))


def pending(shown: FunctionConfiguration) -> FunctionConfiguration:
    """As AWS answers when a function or a version has just been made; whoever asks next finds it active."""
    return msgspec.structs.replace(
        shown,
        state="Pending",
        state_reason=_CREATING,
        state_reason_code="Creating",
        last_update_status=None,
        revision_id=_unsettled(shown.revision_id),
    )


def listed(record: FunctionRecord, qualifier: str | None = None) -> FunctionConfiguration:
    """A function or a version as it stands in a list, where AWS leaves out its state and the runtime's version."""
    shown = configuration(record, qualifier)
    return msgspec.structs.replace(shown, state=None, last_update_status=None, runtime_version_config=None)


def configured(record: FunctionRecord, request: ConfigurationRequest) -> FunctionRecord:
    """The function with what the request gives; what it does not give stays. Raises `InvalidParameterValue`."""
    dead_letter = record.dead_letter
    if request.dead_letter_config is not None:
        dead_letter = request.dead_letter_config.target_arn or None
        check_dead_letter(dead_letter)
    edited = msgspec.structs.replace(
        record,
        version=_configured_version(record.version, request),
        description=record.description if request.description is None else request.description,
        role=request.role or record.role,
        has_environment=record.has_environment or request.environment is not None,
        dead_letter=dead_letter,
        tracing=record.tracing if request.tracing_config is None else request.tracing_config.mode,
    )
    return snap_start.applied(edited, request.snap_start)


def _configured_version(version: FunctionVersion, request: ConfigurationRequest) -> FunctionVersion:
    limits = version.limits
    storage = request.ephemeral_storage
    environment = version.environment
    if request.environment is not None:
        environment = request.environment.variables or {}
    logging = version.logging if request.logging_config is None else logged(version, request.logging_config)
    return msgspec.structs.replace(
        version,
        runtime=request.runtime or version.runtime,
        handler=request.handler or version.handler,
        limits=Limits(
            memory_mb=limits.memory_mb if request.memory_size is None else request.memory_size,
            timeout_s=limits.timeout_s if request.timeout is None else request.timeout,
            tmp_mb=limits.tmp_mb if storage is None else storage.size,
            pids=limits.pids,
            open_files=limits.open_files,
        ),
        environment=environment,
        logging=logging,
        image=None if version.image is None else images.with_config(version.image, request.image_config),
    )


def logged(version: FunctionVersion, given: Logging) -> LoggingConfig:
    """The logging configuration with what is given; what is not given stays. Raises `InvalidParameterValue`.

    Levels begin as INFO when the format becomes JSON, and go when it becomes Text, as on AWS.
    """
    current = version.logging
    log_format = given.log_format or current.log_format
    kept = current if log_format == current.log_format else LoggingConfig(log_format=log_format)
    usual: SystemLogLevel | None = "INFO" if log_format == "JSON" else None
    group = current.log_group if given.log_group is None else given.log_group
    return LoggingConfig(
        log_format=log_format,
        application_log_level=given.application_log_level or kept.application_log_level or usual,
        system_log_level=given.system_log_level or kept.system_log_level or usual,
        log_group="" if group == log_groups.PREFIX + version.name else group,
    )


@router.operation("GetFunctionConfiguration")
async def get_function_configuration(reference: Named, services: UsesServices, functions: UsesFunctions) -> Response:
    """GetFunctionConfiguration."""
    record = await find(services, reference)
    return answer(configuration(record, reference.qualifier, await functions.standing(record.version)))


@router.operation("UpdateFunctionConfiguration")
async def update_function_configuration(
    request: Request,
    reference: NamedLatest,
    services: UsesServices,
    functions: UsesFunctions,
    runtimes: UsesRuntimes,
    layers: UsesLayers,
) -> Response:
    """UpdateFunctionConfiguration."""
    update = asked(request, ConfigurationRequest)
    offered(update)
    await runtimes.check(update.runtime)
    before = await services.registry.fresh(reference.arn)
    images.check_configuration(before.version, update)
    await check_provisions_fit(services, configured(before, update).version)
    layering = await lay(services, layers, update.layers, before.version)

    def edit(current: FunctionRecord) -> FunctionRecord:
        edited = configured(current, update)
        return edited if layering is None else layering.on(edited)

    record, _ = await functions.change(reference.arn, edit, update.revision_id)
    if layering is not None:
        await services.artifacts.release(before.version.layers_sha256)
    return answer(updating(configuration(record, reference.qualifier)))
