"""The APIs of a template: what their routes have of them, which is a stage and cross-origin rules. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from samovar.cors import Cors
from samovar.sam.document import Node
from samovar.sam.expanding import Expanded, Expanding
from samovar.sam.properties.apis import (
    API_IGNORED,
    HTTP_API_IGNORED,
    ApiProperties,
    HttpApiProperties,
    HttpCors,
    RestCors,
)
from samovar.sam.reading import convert
from samovar.sam.target import Target
from samovar.sam.template import Resource

IMPLICIT: Final = ("ServerlessHttpApi", "ServerlessRestApi")
"""The APIs that SAM makes for events that name none."""
REST_STAGE: Final = "Prod"
"""The stage SAM gives a REST API that it makes itself."""
DEFAULT_STAGE: Final = "$default"


class Apis(Expanding):
    """`AWS::Serverless::HttpApi`, `AWS::Serverless::Api`, and those that SAM makes itself. They are nothing by
    themselves: `Ref` gives their logical id, by which routes find what they have of them.
    """

    def __init__(self, target: Target, shared: Mapping[str, Node]) -> None:
        """`shared`: what `Globals` say of each type, resolved; that goes for the APIs SAM makes, too."""
        super().__init__(target)
        self._stages: dict[str, str] = {}
        self._cors: dict[str, Cors | None] = {}
        self._shared = shared

    def implicit(self) -> list[str]:
        """Take in the APIs that SAM makes itself. Answers with notes; raises `TemplateError`."""
        empty = Node(1, {})
        http = self.http(IMPLICIT[0], self._shared.get("AWS::Serverless::HttpApi", empty))
        stage = Node(1, {"StageName": Node(1, REST_STAGE), **self._shared.get("AWS::Serverless::Api", empty).members()})
        return http + self.rest(IMPLICIT[1], stage)

    def http_api(self, resource: Resource, node: Node) -> Expanded:
        """See `Expand`."""
        notes = self.http(resource.name, node)
        return Expanded(known={resource.name: self._known(resource.name)}, notes=notes)

    def rest_api(self, resource: Resource, node: Node) -> Expanded:
        """See `Expand`."""
        notes = self.rest(resource.name, node)
        return Expanded(known={resource.name: self._known(resource.name)}, notes=notes)

    def http(self, name: str, node: Node) -> list[str]:
        """Take in an HTTP API; the notes on it."""
        properties = convert(node, HttpApiProperties, self.target.path)
        self._stages[name], self._cors[name] = properties.stage_name, _http_cors(properties.cors_configuration)
        return self.ignored(node, HTTP_API_IGNORED, name)

    def rest(self, name: str, node: Node) -> list[str]:
        """Take in a REST API; the notes on it."""
        properties = convert(node, ApiProperties, self.target.path)
        self._stages[name], self._cors[name] = properties.stage_name, _rest_cors(properties.cors)
        return self.ignored(node, API_IGNORED, name)

    def stage(self, api: str | None, default: str) -> str:
        """The stage events tell of; `api` as an event names it, `None` for the one SAM makes."""
        return self._stages.get(api or "", default)

    def cors(self, api: str) -> Cors | None:
        """The rules of an API."""
        return self._cors.get(api)

    def _known(self, name: str) -> dict[str, str]:
        domain = f"{name}.execute-api.{self.target.region}.amazonaws.com"
        return {"": name, "RootResourceId": "root", "ApiId": name, "ApiEndpoint": f"https://{domain}"}


def _http_cors(said: bool | HttpCors | None) -> Cors | None:
    if not said:
        return None
    if isinstance(said, bool):
        return Cors(allow_origins=("*",))
    return Cors(
        allow_credentials=said.allow_credentials,
        allow_headers=tuple(said.allow_headers or ()),
        allow_methods=tuple(said.allow_methods or ()),
        allow_origins=tuple(said.allow_origins or ()),
        expose_headers=tuple(said.expose_headers or ()),
        max_age=said.max_age,
    )


def _rest_cors(said: str | RestCors | None) -> Cors | None:
    """Lists are texts with commas; whether a text has quotes of its own, as API Gateway wants it, is no matter."""
    if not said:
        return None
    if isinstance(said, str):
        return Cors(allow_origins=_listed(said))
    return Cors(
        allow_credentials=said.allow_credentials,
        allow_headers=_listed(said.allow_headers),
        allow_methods=_listed(said.allow_methods),
        allow_origins=_listed(said.allow_origin),
        max_age=int(_bare(said.max_age or "0") or 0),
    )


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(item.strip() for item in _bare(text or "").split(",") if item.strip())


def _bare(text: str) -> str:
    return text.strip().strip("'\"")
