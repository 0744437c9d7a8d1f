"""Function URLs: Create, Get, Update, Delete and ListFunctionUrlConfig(s)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from fastapi import Request, Response

from gateway.functions.record import FunctionUrl
from gateway.lambda_api.edge import Named, UsesFunctions, UsesPublished, UsesServices, answer, no_content
from gateway.lambda_api.models import CorsConfig, Page, UrlConfig, UrlConfigs, UrlRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.services import Services
from samovar.cors import Cors
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from samovar.names import FunctionReference, new_url_id

router = Operations()
_PAGE: Final = 50
"""ListFunctionUrlConfigs gives at most 50 a page."""
_METHODS = frozenset({"*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"})


UrlEdit = Callable[[FunctionUrl | None], FunctionUrl | None]
"""What a change does to the URL of a function or an alias."""


@router.operation("CreateFunctionUrlConfig")
async def create_function_url_config(
    request: Request, reference: Named, functions: UsesFunctions, published: UsesPublished
) -> Response:
    """CreateFunctionUrlConfig."""
    wanted = _checked(request)
    now = functions.url_timestamp()
    made = FunctionUrl(url_id=new_url_id(), created=now, modified=now, qualifier=reference.qualifier)
    url = _with(made, wanted, now)

    def create(found: FunctionUrl | None) -> FunctionUrl:
        if found is not None:
            raise ResourceConflict(
                f"Failed to create function url config for [functionArn = {_arn(reference, url)}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return url

    try:
        await _change(reference, functions, published, create)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    return answer(_shown(reference, url, request), 201)


@router.operation("GetFunctionUrlConfig")
async def get_function_url_config(request: Request, reference: Named, services: UsesServices) -> Response:
    """GetFunctionUrlConfig."""
    urls = await _urls(services, reference)
    url = next((url for url in urls if url.qualifier == reference.qualifier), None)
    if url is None:
        raise _absent()
    return answer(_found(reference, url, request))


@router.operation("UpdateFunctionUrlConfig")
async def update_function_url_config(
    request: Request, reference: Named, functions: UsesFunctions, published: UsesPublished
) -> Response:
    """UpdateFunctionUrlConfig: what is not given stays."""
    wanted = _checked(request)
    now = functions.url_timestamp()
    try:
        url = await _change(reference, functions, published, lambda found: _with(_there(found), wanted, now))
    except _NoUrl:
        raise
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    return answer(_shown(reference, _there(url), request))


@router.operation("DeleteFunctionUrlConfig")
async def delete_function_url_config(reference: Named, functions: UsesFunctions, published: UsesPublished) -> Response:
    """DeleteFunctionUrlConfig."""

    def without(found: FunctionUrl | None) -> None:
        _there(found)

    await _changed(reference, functions, published, without)
    return no_content()


@router.operation("ListFunctionUrlConfigs")
async def list_function_url_configs(request: Request, reference: Named, services: UsesServices) -> Response:
    """ListFunctionUrlConfigs: the function's own, then those of its aliases. A marker is the last one's URL id."""
    wanted = asked(request, Page)
    try:
        urls = await _urls(services, reference)
    except ResourceNotFound as error:
        raise ResourceNotFound("Function does not exist") from error
    ids = [url.url_id for url in urls]
    begin = ids.index(wanted.marker) + 1 if wanted.marker in ids else 0
    page = urls[begin : begin + min(wanted.max_items, _PAGE)]
    more = begin + len(page) < len(urls)
    shown = [_found(reference, url, request) for url in page]
    return answer(UrlConfigs(function_url_configs=shown, next_marker=page[-1].url_id if more else None))


async def _change(
    reference: FunctionReference, functions: UsesFunctions, published: UsesPublished, edit: UrlEdit
) -> FunctionUrl | None:
    """Change the URL of a function or an alias; what it is then. Raises `ResourceNotFound`."""
    if reference.qualifier is None:
        record = await functions.attach(
            reference.arn, lambda found: msgspec.structs.replace(found, url=edit(found.url))
        )
        return record.url
    alias = await published.change_alias(
        reference.arn, reference.qualifier, lambda found: msgspec.structs.replace(found, url=edit(found.url)), None
    )
    return alias.url


async def _changed(
    reference: FunctionReference, functions: UsesFunctions, published: UsesPublished, edit: UrlEdit
) -> FunctionUrl | None:
    try:
        return await _change(reference, functions, published, edit)
    except ResourceNotFound as error:
        raise _absent() from error


async def _urls(services: Services, reference: FunctionReference) -> list[FunctionUrl]:
    """All URLs that lead to a function. Raises `ResourceNotFound`."""
    try:
        record = await services.registry.fresh(reference.arn)
    except ResourceNotFound as error:
        raise _absent() from error
    aliases = await services.registry.qualified.store.aliases(reference.arn)
    return [url for url in (record.url, *(alias.url for alias in aliases)) if url is not None]


def _there(url: FunctionUrl | None) -> FunctionUrl:
    if url is None:
        raise _absent()
    return url


def _arn(reference: FunctionReference, url: FunctionUrl) -> str:
    return reference.arn if url.qualifier is None else f"{reference.arn}:{url.qualifier}"


class _NoUrl(ResourceNotFound):
    """There is no URL, though there may be a function."""


def _absent() -> ResourceNotFound:
    return _NoUrl("The resource you requested does not exist.")


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


def _found(reference: FunctionReference, url: FunctionUrl, request: Request) -> UrlConfig:
    """The configuration as it is shown to who asks for it, with the mode that is in force."""
    return _shown(reference, msgspec.structs.replace(url, invoke_mode=url.invoke_mode or "BUFFERED"), request)


def _shown(reference: FunctionReference, url: FunctionUrl, request: Request) -> UrlConfig:
    """The configuration as it is shown to who makes or changes it; the URL leads to the port the request came to.

    As on AWS, the mode is in it once somebody has said one.
    """
    port = request.url.port
    host = f"{url.url_id}.lambda-url.{reference.region}.localhost" + (f":{port}" if port else "")
    return UrlConfig(
        function_url=f"{request.url.scheme}://{host}/",
        function_arn=_arn(reference, url),
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
