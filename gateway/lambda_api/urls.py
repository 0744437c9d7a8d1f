"""Function URLs: Create, Get, Update, Delete and ListFunctionUrlConfig(s)."""

from __future__ import annotations

import re

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, no_content
from gateway.lambda_api.models import CorsConfig, UrlConfig, UrlConfigs, UrlPage, UrlRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier
from gateway.record import Cors, FunctionRecord, FunctionUrl, attached_to, urls_of, with_attached
from gateway.registry import Edit
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from samovar.names import FunctionReference, new_url_id

router = Operations()
ALIAS = re.compile(r"(?!\d+$)[a-zA-Z0-9_-]+")
_METHODS = frozenset({"*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"})


@router.operation("CreateFunctionUrlConfig")
async def create_function_url_config(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """CreateFunctionUrlConfig, of a function or of an alias."""
    wanted = _checked(request)
    await _check_there(services, reference)
    now = functions.url_timestamp()
    url = _with(FunctionUrl(url_id=new_url_id(), created=now, modified=now), wanted, now)

    def create(record: FunctionRecord) -> FunctionRecord:
        if _found(record, reference) is not None:
            raise ResourceConflict(
                f"Failed to create function url config for [functionArn = {_arn(reference)}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return _having(record, reference, url)

    try:
        await functions.attach(reference.arn, create)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    return answer(_shown(reference, url, request), 201)


@router.operation("GetFunctionUrlConfig")
async def get_function_url_config(request: Request, reference: Named, services: UsesServices) -> Response:
    """GetFunctionUrlConfig."""
    record = await _record(services, reference.arn)
    return answer(_shown(reference, _url_of(record, reference), request))


@router.operation("UpdateFunctionUrlConfig")
async def update_function_url_config(request: Request, reference: Named, functions: UsesFunctions) -> Response:
    """UpdateFunctionUrlConfig: what is not given stays."""
    wanted = _checked(request)
    now = functions.url_timestamp()

    def edit(record: FunctionRecord) -> FunctionRecord:
        return _having(record, reference, _with(_url_of(record, reference), wanted, now))

    record = await _attach(functions, reference, edit)
    return answer(_shown(reference, _url_of(record, reference), request))


@router.operation("DeleteFunctionUrlConfig")
async def delete_function_url_config(reference: Named, functions: UsesFunctions) -> Response:
    """DeleteFunctionUrlConfig."""

    def without(record: FunctionRecord) -> FunctionRecord:
        _url_of(record, reference)
        return _having(record, reference, None)

    await _attach(functions, reference, without)
    return no_content()


@router.operation("ListFunctionUrlConfigs")
async def list_function_url_configs(request: Request, reference: Named, services: UsesServices) -> Response:
    """ListFunctionUrlConfigs: the function's, then those of its aliases. A marker is the last alias shown."""
    page = asked(request, UrlPage)
    await _check_there(services, reference)
    urls = {alias or "": url for alias, url in urls_of(await services.registry.fresh(reference.arn))}
    names = sorted(name for name in urls if page.marker is None or name > page.marker)
    shown = names[: page.max_items]
    configs = [_shown(reference._replace(qualifier=name or None), urls[name], request) for name in shown]
    return answer(UrlConfigs(configs, next_marker=shown[-1] if len(names) > len(shown) else None))


async def _check_there(services: Services, reference: FunctionReference) -> None:
    """Raise `ResourceNotFound` without the function, or without the alias that is named; versions have no URL."""
    try:
        await check_qualifier(services, reference)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    if reference.qualifier is not None and not ALIAS.fullmatch(reference.qualifier):
        raise ResourceNotFound("Function does not exist")


def _arn(reference: FunctionReference) -> str:
    return f"{reference.arn}:{reference.qualifier}" if reference.qualifier else reference.arn


def _found(record: FunctionRecord, reference: FunctionReference) -> FunctionUrl | None:
    return record.url if reference.qualifier is None else attached_to(record, reference.qualifier).url


def _having(record: FunctionRecord, reference: FunctionReference, url: FunctionUrl | None) -> FunctionRecord:
    """The function when what a reference means has another URL, or none."""
    if reference.qualifier is None:
        return msgspec.structs.replace(record, url=url)
    return with_attached(record, reference.qualifier, lambda found: msgspec.structs.replace(found, url=url))


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


def _url_of(record: FunctionRecord, reference: FunctionReference) -> FunctionUrl:
    found = _found(record, reference)
    if found is None:
        raise _absent()
    return found


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _checked(request: Request) -> UrlRequest:
    wanted = asked(request, UrlRequest)
    unknown = set(wanted.cors.allow_methods or () if wanted.cors is not None else ()) - _METHODS
    if unknown:
        raise InvalidParameterValue(
            f"AllowMethods may have {', '.join(sorted(_METHODS))}, not {', '.join(sorted(unknown))}"
        )
    if wanted.invoke_mode == "RESPONSE_STREAM":
        raise InvalidParameterValue("InvokeMode = RESPONSE_STREAM is not offered by Samovar: use BUFFERED")
    return wanted


def _with(url: FunctionUrl, wanted: UrlRequest, now: str) -> FunctionUrl:
    return msgspec.structs.replace(
        url,
        modified=now,
        auth_type=wanted.auth_type or url.auth_type,
        cors=url.cors if wanted.cors is None else _cors(wanted.cors),
    )


def _cors(wanted: CorsConfig) -> Cors | None:
    given = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not None}
    return msgspec.convert(given, Cors) if given else None


def _shown(reference: FunctionReference, url: FunctionUrl, request: Request) -> UrlConfig:
    """The configuration as the API shows it; the URL leads to the port the request came to."""
    port = request.url.port
    host = f"{url.url_id}.lambda-url.{reference.region}.localhost" + (f":{port}" if port else "")
    return UrlConfig(
        function_url=f"{request.url.scheme}://{host}/",
        function_arn=_arn(reference),
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
