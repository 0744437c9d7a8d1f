"""Stacks and routes, as a client of the platform's own API sees them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from samovar.clients.platform import Client
from samovar.stack import Check, Route, Stack


def get_routes(client: Client, function: str) -> tuple[Route, ...]:
    """The routes that lead to a function. Raises `ResourceNotFound`."""
    return client.call(tuple[Route, ...], "GET", f"functions/{quote(function, safe='')}/routes")


def put_routes(client: Client, function: str, routes: Sequence[Route]) -> None:
    """Replace the routes that lead to a function."""
    body = {"routes": msgspec.to_builtins(routes)}
    client.order("PUT", f"functions/{quote(function, safe='')}/routes", body)


def stacks(client: Client) -> list[Stack]:
    """Every deployed template."""
    return client.call(list[Stack], "GET", "stacks")


def get_stack(client: Client, name: str) -> Stack:
    """What belongs to a deployed template. Raises `ResourceNotFound`."""
    return client.call(Stack, "GET", f"stacks/{quote(name, safe='')}")


def put_stack(client: Client, stack: Stack) -> None:
    """Have the platform keep what belongs to a template."""
    client.order("PUT", f"stacks/{quote(stack.name, safe='')}", msgspec.to_builtins(stack))


def forget_stack(client: Client, name: str) -> None:
    """Forget what belongs to a template; it stays. Raises `ResourceNotFound`."""
    client.order("DELETE", f"stacks/{quote(name, safe='')}")


def check(client: Client, requests: Sequence[Check]) -> list[str]:
    """What the platform would refuse of these requests, without carrying any out: a message each, or nothing."""
    return client.call(list[str], "POST", "checks", {"requests": msgspec.to_builtins(requests)})
