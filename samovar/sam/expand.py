"""What each resource of a template comes down to, and what others may know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from samovar.sam.document import Node, close_to
from samovar.sam.expand_apis import IMPLICIT, Apis
from samovar.sam.expand_function import Functions
from samovar.sam.expand_lambdas import Lambdas
from samovar.sam.expand_schedules import Schedules
from samovar.sam.expand_stores import Stores
from samovar.sam.expanding import Expand, Expanded, Expanding
from samovar.sam.target import Target
from samovar.sam.template import Resource

_INSTEAD: Final = {
    "AWS::ApiGateway::RestApi": "events of type Api make routes",
    "AWS::ApiGatewayV2::Api": "events of type HttpApi make routes",
    "AWS::Serverless::Application": "deploy its template as a stack of its own",
}
"""What there is in place of some types."""
_CLOSE: Final = 0.9
"""Types begin alike, and one of another service is no slip."""


class Expander(Expanding):
    """Takes resources apart, their functions resolved. Every method raises `TemplateError` with the line."""

    def __init__(self, target: Target, shared: Mapping[str, Node]) -> None:
        """`shared`: what `Globals` say of each type, resolved."""
        super().__init__(target)
        self._apis = Apis(target, shared)
        self._kinds: dict[str, Expand] = {
            "AWS::Serverless::Api": self._apis.rest_api,
            "AWS::Serverless::Function": Functions(target, self._apis).function,
            "AWS::Serverless::HttpApi": self._apis.http_api,
            **Lambdas(target).kinds(),
            **Schedules(target).kinds(),
            **Stores(target).kinds(),
        }

    def implicit(self) -> Expanded:
        """The APIs that SAM makes itself."""
        domain = f"execute-api.{self.target.region}.amazonaws.com"
        known = {name: {"": name, "ApiEndpoint": f"https://{name}.{domain}"} for name in IMPLICIT}
        return Expanded(known=known, notes=self._apis.implicit())

    def expand(self, resource: Resource, properties: Node) -> Expanded:
        """A resource with its resolved properties."""
        expand = self._kinds.get(resource.type)
        if expand is None:
            hint = close_to(resource.type, self._kinds, _CLOSE) or _INSTEAD.get(resource.type)
            problem = f"{resource.name}: the type {resource.type} is not supported"
            raise self.error(resource.line, f"{problem}; {hint or 'docs/templates.md has those that are'}")
        return expand(resource, properties)

    def generated(self, resource: Resource) -> Iterator[str]:
        """Names by which a template may refer to what SAM makes of a resource, as far as they do not depend on it."""
        if resource.type == "AWS::Serverless::Function":
            yield from (f"{resource.name}Role", f"{resource.name}Url")
