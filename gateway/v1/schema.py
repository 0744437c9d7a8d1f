"""Lets OpenAPI describe answers that are msgspec records, from the records themselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

TITLE: Final = "Samovar"
_REF: Final = "#/components/schemas/{name}"
_FAULT: Final = {"application/json": {"schema": {"$ref": _REF.format(name="Fault")}}}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The request is at fault", "content": _FAULT},
    "5XX": {"description": "Samovar is at fault", "content": _FAULT},
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every error; the header `x-amzn-ErrorType` has its name."""

    kind: str = msgspec.field(name="Type")
    """`User` or `Service`: whose fault it is."""
    message: str
    upper_message: str = msgspec.field(name="Message")
    reason: str = msgspec.field(name="Reason", default="")


class Described:
    """The types the routes of this API take and answer with, collected while the routes are declared."""

    def __init__(self) -> None:
        self._types: list[Any] = [Fault]

    def answers(self, kind: Any, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
        """The `responses` of a route whose success is a `kind`; for a stream of lines, the kind of one line."""
        self._types.append(kind)
        (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
        return {200: {"description": "Success", "content": {media_type: {"schema": schema}}}, **_ERRORS}

    def takes(self, kind: Any) -> dict[str, Any]:
        """The `openapi_extra` of a route whose body is a `kind`."""
        self._types.append(kind)
        (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
        return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    def components(self) -> dict[str, Any]:
        """The schemas of all types, by name."""
        return msgspec.json.schema_components(self._types, ref_template=_REF)[1]


described: Final = Described()


def add_openapi(app: FastAPI, path: str, version: str) -> None:
    """Serve the description of every route that is not hidden from it."""

    async def openapi(_: Request) -> Response:
        if app.openapi_schema is None:
            document = get_openapi(title=TITLE, version=version, routes=app.routes)
            document.setdefault("components", {}).setdefault("schemas", {}).update(described.components())
            app.openapi_schema = document
        return JSONResponse(app.openapi_schema)

    app.add_route(path, openapi, include_in_schema=False)
