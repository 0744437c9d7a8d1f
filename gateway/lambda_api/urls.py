"""Function URLs: Create, Get, Update, Delete and ListFunctionUrlConfig(s)."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, no_content
from gateway.lambda_api.models import CorsConfig, UrlConfig, UrlConfigs, UrlRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.record import Cors, FunctionRecord, FunctionUrl
from gateway.registry import Edit
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from samovar.names import FunctionReference, new_url_id

router = Operations()
_METHODS = frozenset({"*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"})


@router.operation("CreateFunctionUrlConfig")
async def create_function_url_config(request: Request, reference: Named, functions: UsesFunctions) -> Response:
    """CreateFunctionUrlConfig."""
    _refuse_qualifier(reference)
    wanted = _checked(request)
    now = functions.url_timestamp()
    url = _with(FunctionUrl(url_id=new_url_id(), created=now, modified=now), wanted, now)

    def create(record: FunctionRecord) -> FunctionRecord:
        if record.url is not None:
            raise ResourceConflict(
                f"Failed to create function url config for [functionArn = {record.version.arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return msgspec.structs.replace(record, url=url)

    try:
        record = await functions.attach(reference.arn, create)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    return answer(_shown(record, url, request), 201)


@router.operation("GetFunctionUrlConfig")
async def get_function_url_config(request: Request, reference: Named, services: UsesServices) -> Response:
    """GetFunctionUrlConfig."""
    _refuse_qualifier(reference)
    record = await _record(services, reference.arn)
    return answer(_shown(record, _url_of(record), request))


@router.operation("UpdateFunctionUrlConfig")
async def update_function_url_config(request: Request, reference: Named, functions: UsesFunctions) -> Response:
    """UpdateFunctionUrlConfig: what is not given stays."""
    _refuse_qualifier(reference)
    wanted = _checked(request)
    now = functions.url_timestamp()
    record = await _attach(
        functions, reference, lambda found: msgspec.structs.replace(found, url=_with(_url_of(found), wanted, now))
    )
    return answer(_shown(record, _url_of(record), request))


@router.operation("DeleteFunctionUrlConfig")
async def delete_function_url_config(reference: Named, functions: UsesFunctions) -> Response:
    """DeleteFunctionUrlConfig."""
    _refuse_qualifier(reference)

    def without(record: FunctionRecord) -> FunctionRecord:
        _url_of(record)
        return msgspec.structs.replace(record, url=None)

    await _attach(functions, reference, without)
    return no_content()


@router.operation("ListFunctionUrlConfigs")
async def list_function_url_configs(request: Request, reference: Named, services: UsesServices) -> Response:
    """ListFunctionUrlConfigs."""
    record = await services.registry.fresh(reference.arn)
    return answer(UrlConfigs([] if record.url is None else [_shown(record, record.url, request)]))


def _refuse_qualifier(reference: FunctionReference) -> None:
    """URLs of aliases are not offered."""
    if reference.qualifier is not None:
        raise ResourceNotFound("Function does not exist")


async def _attach(functions: UsesFunctions, reference: FunctionReference, edit: Edit) -> FunctionRecord:
    try:
        return await functions.attach(reference.arn, edit)
    except ResourceNotFound as error:
        raise _absent() from error


async def _record(services: Services, arn: str) -> FunctionRecord:
    try:
        return await services.registry.fresh(arn)
    except ResourceNotFound as error:
        raise _absent() from error


def _url_of(record: FunctionRecord) -> FunctionUrl:
    if record.url is None:
        raise _absent()
    return record.url


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _checked(request: Request) -> UrlRequest:
    wanted = asked(request, UrlRequest)
    unknown = set(wanted.cors.allow_methods or () if wanted.cors is not None else ()) - _METHODS
    if unknown:
        raise InvalidParameterValue(
            f"AllowMethods may have {', '.join(sorted(_METHODS))}, not {', '.join(sorted(unknown))}"
        )
    return wanted


def _with(url: FunctionUrl, wanted: UrlRequest, now: str) -> FunctionUrl:
    return msgspec.structs.replace(
        url,
        modified=now,
        auth_type=wanted.auth_type or url.auth_type,
        invoke_mode=wanted.invoke_mode or url.invoke_mode,
        cors=url.cors if wanted.cors is None else _cors(wanted.cors),
    )


def _cors(wanted: CorsConfig) -> Cors | None:
    given = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not None}
    return msgspec.convert(given, Cors) if given else None


def _shown(record: FunctionRecord, url: FunctionUrl, request: Request) -> UrlConfig:
    """The configuration as the API shows it; the URL leads to the port the request came to."""
    version = record.version
    port = request.url.port
    host = f"{url.url_id}.lambda-url.{version.region}.localhost" + (f":{port}" if port else "")
    return UrlConfig(
        function_url=f"{request.url.scheme}://{host}/",
        function_arn=version.arn,
        auth_type=url.auth_type,
        creation_time=url.created,
        last_modified_time=url.modified,
        invoke_mode=url.invoke_mode,
        cors=None if url.cors is None else _shown_cors(url.cors),
    )


def _shown_cors(cors: Cors) -> CorsConfig:
    """Only the rules that were made: the rest stays out of the answer."""
    return CorsConfig(
        allow_credentials=cors.allow_credentials or None,
        allow_headers=list(cors.allow_headers) or None,
        allow_methods=list(cors.allow_methods) or None,
        allow_origins=list(cors.allow_origins) or None,
        expose_headers=list(cors.expose_headers) or None,
        max_age=cors.max_age or None,
    )
