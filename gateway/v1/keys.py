"""Access keys: made, let in from elsewhere, listed, revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from gateway.lambda_api.body import read
from gateway.lambda_api.edge import UsesServices, answer, no_content
from gateway.v1.schema import described
from samovar.access.roles import KEY_ID, KEY_NAME, SECRET, AccessKey, NewKey, Role, new_key_id, new_secret
from samovar.errors import InvalidParameterValue
from samovar.names import FUNCTION_NAME

router = APIRouter(prefix="/keys")

_FunctionName = Annotated[str, Meta(pattern=f"^{FUNCTION_NAME.pattern}$")]


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made; with `key_id` and `secret`, one that exists elsewhere is let in."""

    role: Role
    name: Annotated[str, Meta(pattern=f"^{KEY_NAME.pattern}$")] | None = None
    functions: Annotated[tuple[_FunctionName, ...], Meta(max_length=100)] = ()
    key_id: Annotated[str, Meta(pattern=f"^{KEY_ID.pattern}$")] | None = None
    secret: Annotated[str, Meta(pattern=f"^{SECRET.pattern}$")] | None = None


@router.get("", responses=described.answers(list[AccessKey]))
async def list_keys(services: UsesServices) -> Response:
    """Every access key, without its secret."""
    return answer(await services.keyring.all())


@router.post("", responses=described.answers(NewKey), openapi_extra=described.takes(KeyRequest))
async def create_key(request: Request, services: UsesServices) -> Response:
    """Make an access key, or let one in. The answer is the only time its secret is told."""
    asked = await read(request, KeyRequest)
    if (asked.key_id is None) != (asked.secret is None):
        raise InvalidParameterValue("A key that is imported has both its id and its secret")
    if asked.functions and asked.role != "invoke":
        raise InvalidParameterValue("Only keys of the role invoke can be limited to functions")
    key_id, secret = asked.key_id or new_key_id(), asked.secret or new_secret()
    created = datetime.fromtimestamp(services.clock.epoch(), UTC).isoformat(timespec="seconds")
    key = AccessKey(
        key_id=key_id,
        name=asked.name or key_id,
        role=asked.role,
        functions=asked.functions,
        created=created.replace("+00:00", "Z"),
    )
    await services.keyring.add(key, secret)
    return answer(NewKey(key=key, secret=secret))


@router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: str, services: UsesServices) -> Response:
    """Let a key in no more, in every gateway."""
    await services.keyring.revoke(key_id)
    return no_content()
