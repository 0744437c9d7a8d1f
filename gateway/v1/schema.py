"""Lets OpenAPI describe answers that are msgspec records, from the records themselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from gateway.access.operations import OPEN

TITLE: Final = "Samovar"
_REF: Final = "#/components/schemas/{name}"
_FAULT: Final = {"application/json": {"schema": {"$ref": _REF.format(name="Fault")}}}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The request is at fault", "content": _FAULT},
    "5XX": {"description": "Samovar is at fault", "content": _FAULT},
}

_SIGNATURE: Final = "sigv4"
_SIGNED: Final = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "AWS Signature Version 4 with an access key of this Samovar, for the service `lambda`.",
    "x-amazon-apigateway-authtype": "awsSigv4",
}
_PARAMETERS: Final = {
    "name": "A function (its name, or its ARN), or a schedule where schedules are meant.",
    "request_id": "An invocation, by the id its answer had in `x-amzn-RequestId`.",
    "event_id": "An event, by the request id it was taken with.",
    "key_id": "An access key, by its id.",
    "sha256": "A package of code, by the SHA-256 of its contents in hexadecimal digits.",
    "stack": "A stack: what was deployed from one template.",
    "state": "Events in this state alone.",
}
"""Of parameters that mean the same wherever they stand."""


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


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI does not know of these routes: their records, their errors, who may call them."""
    components = document.setdefault("components", {})
    components["schemas"] = described.components()
    components["securitySchemes"] = {_SIGNATURE: _SIGNED}
    document["security"] = [{_SIGNATURE: []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)  # requests are checked against records, not by FastAPI
            operation["responses"].update({str(status): error for status, error in _ERRORS.items()})
            operation["tags"] = [_noun(path)]
            if (method.upper(), path) in OPEN:
                operation["security"] = []
            for parameter in operation.get("parameters", ()):
                parameter.setdefault("description", _PARAMETERS.get(parameter["name"], ""))
    return document


def _noun(path: str) -> str:
    """What an operation is about: the first word of its path, or what of a function it is about."""
    words = path.split("/")[3:]
    return words[2] if words[0] == "functions" and len(words) > 2 else words[0]


def add_openapi(app: FastAPI, path: str, version: str) -> None:
    """Serve the description of every route that is not hidden from it."""

    async def openapi(_: Request) -> Response:
        if app.openapi_schema is None:
            document = get_openapi(title=TITLE, version=version, routes=app.routes)
            app.openapi_schema = _completed(document)
        return JSONResponse(app.openapi_schema)

    app.add_route(path, openapi, include_in_schema=False)
