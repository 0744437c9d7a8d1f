"""Function URLs: Create, Get, Update, Delete and ListFunctionUrlConfig(s)."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.lambda_api.edge import Qualifier, UsesFunctions, UsesServices, answer, no_content, read, resolve
from gateway.lambda_api.models import CorsConfig, UrlConfig, UrlConfigs, UrlRequest
from gateway.lambda_api.validation import Constraints, check_cors
from gateway.record import Cors, FunctionRecord, FunctionUrl
from gateway.registry import Edit
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from samovar.names import FunctionReference, new_url_id

router = APIRouter(prefix="/2021-10-31/functions")


@router.post("/{name}/url")
async def create_function_url_config(
    name: str,
    request: Request,
    services: UsesServices,
    functions: UsesFunctions,
    qualifier: Qualifier = None,
) -> Response:
    """CreateFunctionUrlConfig."""
    reference = _resolve(services, name, qualifier)
    asked = await read(request, UrlRequest)
    _check(asked, creating=True)
    now = functions.url_timestamp()
    url = _with(FunctionUrl(url_id=new_url_id(), created=now, modified=now), asked, now)

    def create(record: FunctionRecord) -> FunctionRecord:
        if record.url is not None:
            raise ResourceConflict(
                f"Failed to create function url config for [functionArn = {record.version.arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return msgspec.structs.replace(record, url=url)

    try:
        record = await functions.attach(reference.name, create)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    return answer(_shown(record, url, request), 201)


@router.get("/{name}/url")
async def get_function_url_config(
    name: str,
    request: Request,
    services: UsesServices,
    qualifier: Qualifier = None,
) -> Response:
    """GetFunctionUrlConfig."""
    record = await _record(services, _resolve(services, name, qualifier).name)
    return answer(_shown(record, _url_of(record), request))


@router.put("/{name}/url")
async def update_function_url_config(
    name: str,
    request: Request,
    services: UsesServices,
    functions: UsesFunctions,
    qualifier: Qualifier = None,
) -> Response:
    """UpdateFunctionUrlConfig: what is not given stays."""
    reference = _resolve(services, name, qualifier)
    asked = await read(request, UrlRequest)
    _check(asked, creating=False)
    now = functions.url_timestamp()
    record = await _attach(
        functions, reference, lambda found: msgspec.structs.replace(found, url=_with(_url_of(found), asked, now))
    )
    return answer(_shown(record, _url_of(record), request))


@router.delete("/{name}/url")
async def delete_function_url_config(
    name: str,
    services: UsesServices,
    functions: UsesFunctions,
    qualifier: Qualifier = None,
) -> Response:
    """DeleteFunctionUrlConfig."""
    reference = _resolve(services, name, qualifier)

    def without(record: FunctionRecord) -> FunctionRecord:
        _url_of(record)
        return msgspec.structs.replace(record, url=None)

    await _attach(functions, reference, without)
    return no_content()


@router.get("/{name}/urls")
async def list_function_url_configs(name: str, request: Request, services: UsesServices) -> Response:
    """ListFunctionUrlConfigs."""
    record = await services.registry.fresh(_resolve(services, name, None).name)
    return answer(UrlConfigs([] if record.url is None else [_shown(record, record.url, request)]))


def _resolve(services: Services, name: str, qualifier: str | None) -> FunctionReference:
    """URLs of aliases are not offered, and `$LATEST` cannot have one of its own."""
    reference = resolve(services, name, qualifier)
    constraints = Constraints()
    constraints.matches(reference.qualifier, "qualifier", r"(?!\d+$)[0-9a-zA-Z_-]+", r"((?!^\d+$)^[0-9a-zA-Z-_]+$)")
    constraints.enforce()
    if reference.qualifier is not None:
        raise ResourceNotFound("Function does not exist")
    return reference


async def _attach(functions: UsesFunctions, reference: FunctionReference, edit: Edit) -> FunctionRecord:
    try:
        return await functions.attach(reference.name, edit)
    except ResourceNotFound as error:
        raise _absent() from error


async def _record(services: Services, name: str) -> FunctionRecord:
    try:
        return await services.registry.fresh(name)
    except ResourceNotFound as error:
        raise _absent() from error


def _url_of(record: FunctionRecord) -> FunctionUrl:
    if record.url is None:
        raise _absent()
    return record.url


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _check(asked: UrlRequest, *, creating: bool) -> None:
    constraints = Constraints()
    constraints.check(asked.auth_type is not None or not creating, None, "authType", "not be null")
    constraints.one_of(asked.auth_type, "authType", ("NONE", "AWS_IAM"))
    constraints.one_of(asked.invoke_mode, "invokeMode", ("BUFFERED", "RESPONSE_STREAM"))
    constraints.enforce()
    check_cors(asked.cors)
    if asked.invoke_mode == "RESPONSE_STREAM":
        raise InvalidParameterValue("InvokeMode = RESPONSE_STREAM is not offered by Samovar: use BUFFERED")


def _with(url: FunctionUrl, asked: UrlRequest, now: str) -> FunctionUrl:
    return msgspec.structs.replace(
        url,
        modified=now,
        auth_type=asked.auth_type or url.auth_type,
        cors=url.cors if asked.cors is None else _cors(asked.cors),
    )


def _cors(asked: CorsConfig) -> Cors | None:
    given = {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
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
