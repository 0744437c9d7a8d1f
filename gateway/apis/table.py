"""Which function a method and a path lead to. No I/O.

API Gateway developer guide, "Routing API requests" of HTTP APIs: the route that says most of the path wins, a method
wins over ANY, `$default` takes what no other route takes.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from gateway.functions.record import FunctionRecord
from samovar.cors import Cors
from samovar.stack import ANY, DEFAULT, Route

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class Found(NamedTuple):
    """A route that takes a request."""

    arn: str
    """Of the function, without a qualifier."""
    route: Route
    parameters: dict[str, str]
    """What stands in the path for the route's parameters, decoded."""


class ApiTable:
    """The routes of all APIs of one region each, as the functions' records have them."""

    def __init__(self) -> None:
        self._routes: dict[str, tuple[Route, ...]] = {}
        """By ARN of the function; only of those that have any."""
        self._apis: dict[tuple[str, str], list[tuple[str, Route]]] = {}
        """Region and API → ARNs and routes, made when they are first asked for after a change."""

    def follows(self, record: FunctionRecord) -> None:
        """Take in what a record says."""
        if record.routes != self._routes.get(record.arn, ()):
            self.drop(record.arn)
            if record.routes:
                self._routes[record.arn] = record.routes

    def drop(self, arn: str) -> None:
        """A function is gone."""
        self._routes.pop(arn, None)
        self._apis.clear()

    def find(self, region: str, api: str, method: str, path: str) -> Found | None:
        """What takes a request; `path` is what stands behind the API's name, still encoded."""
        given = [part for part in path.split("/") if part]
        best: tuple[tuple[object, ...], Found] | None = None
        for arn, route in self._of(region, api):
            if route.method not in (method, ANY):
                continue
            parameters = _matched(route, given)
            if parameters is not None:
                rank = _rank(route)
                if best is None or rank < best[0]:
                    best = rank, Found(arn, route, parameters)
        return None if best is None else best[1]

    def rules(self, region: str, api: str, method: str, path: str) -> Cors | None:
        """The cross-origin rules for a method a browser asks about, which need not lead anywhere.

        An HTTP API has one set of rules, whatever the path. A REST API answers where it has a path, for its methods.
        """
        found = self.find(region, api, method, path)
        if found is not None and found.route.cors is not None and found.route.payload != "rest":
            return found.route.cors
        given = [part for part in path.split("/") if part]
        on_path = [route for _, route in self._of(region, api) if _matched(route, given) is not None]
        resting = [route for route in on_path if route.payload == "rest" and route.cors is not None]
        if resting:
            rules = resting[0].cors
            assert rules is not None, "it was looked for"
            methods = rules.allow_methods or (*sorted({route.method for route in resting}), "OPTIONS")
            return msgspec.structs.replace(rules, allow_methods=_METHODS if ANY in methods else methods)
        http = (route.cors for _, route in self._of(region, api) if route.payload != "rest")
        return next((rules for rules in http if rules is not None), None)

    def _of(self, region: str, api: str) -> list[tuple[str, Route]]:
        if (region, api) not in self._apis:
            found = [
                (arn, route)
                for arn, routes in sorted(self._routes.items())
                for route in routes
                if route.api == api and arn.split(":", 4)[3] == region
            ]
            if not found:
                return found  # unknown names are anybody's to make up: they must not fill the memory
            self._apis[region, api] = found
        return self._apis[region, api]


def _matched(route: Route, given: list[str]) -> dict[str, str] | None:
    """The parameters of a path that a route takes; `None` when it does not."""
    if route.path == DEFAULT:
        return {}
    wanted = route.parts()
    parameters: dict[str, str] = {}
    for index, part in enumerate(wanted):
        if part.endswith("+}"):
            if index >= len(given):
                return None
            return parameters | {part[1:-2]: unquote("/".join(given[index:]))}
        if index >= len(given):
            return None
        if part.startswith("{"):
            parameters[part[1:-1]] = unquote(given[index])
        elif part not in (given[index], unquote(given[index])):
            return None
    return parameters if len(wanted) == len(given) else None


def _rank(route: Route) -> tuple[object, ...]:
    """Lower wins: a fixed part before a parameter before the rest of the path, a method before ANY."""
    if route.path == DEFAULT:
        return (1, (), route.method == ANY)
    return (0, tuple(_weight(part) for part in route.parts()), route.method == ANY)


def _weight(part: str) -> int:
    if part.endswith("+}"):
        return 2
    return 1 if part.startswith("{") else 0
