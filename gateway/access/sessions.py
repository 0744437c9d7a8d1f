"""The sessions of functions: whose request bears a session token, and what the function's role lets it do.

A token is verified by itself (`samovar/access/sessions.py`). Whether the function is still there, and which role it
has, is in the registry's memory, so a session costs no look into the store but when a gateway has not heard of the
function yet. A session ends with its function or version; the function's environments have others from the next
deployment on.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from typing import Final, Protocol

from gateway.access import roles
from gateway.access.keyring import HeldKey
from gateway.access.roles import Deed, Roles
from gateway.functions.record import FunctionRecord
from samovar.access import sessions
from samovar.access.roles import AccessKey
from samovar.access.sessions import Session
from samovar.clock import Clock
from samovar.errors import ExpiredToken, ResourceNotFound, UnrecognizedClient
from samovar.names import LATEST, function_arn

_KEPT: Final = 4096
"""Tokens remembered as verified."""
_NO_ROLE: Final = "samovar"
"""The role of functions that name none."""


class Functions(Protocol):
    """Where functions are looked up; `gateway.functions.registry.Registry` is one."""

    def cached(self, arn: str, qualifier: str = LATEST) -> FunctionRecord | None:
        """What is known without I/O."""
        ...

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """What there is. Raises `ResourceNotFound` and `ServiceUnavailable`."""
        ...


class InvalidToken(UnrecognizedClient):
    """A session's token that nobody here made. S3 has another name for it."""


class RoleSession(AccessKey, frozen=True, kw_only=True):
    """The key of a function's environment. What it may do, its role says, not `role`."""

    region: str
    function: str
    role_name: str

    def arn(self, account: str) -> str:
        """Who it is, as AWS writes it."""
        return f"arn:aws:sts::{account}:assumed-role/{self.role_name}/{self._name}"

    def user_id(self, account: str) -> str:
        """Its unique id, as AWS forms them: the role's, which all its sessions have, and the session's name."""
        role = sha256(f"{account}/{self.role_name}".encode()).digest()
        return f"AROA{b32encode(role).decode()[:17]}:{self._name}"

    @property
    def _name(self) -> str:
        """AWS's sessions have two characters at least, and this is what becomes of one."""
        return self.function if len(self.function) > 1 else f"{self.function}@lambda_function"


class Sessions:
    """See the module."""

    def __init__(self, key: bytes, functions: Functions, policies: Roles, account: str, clock: Clock) -> None:
        """`key` is what tokens are made with."""
        self._key = key
        self._functions = functions
        self._roles = policies
        self._account = account
        self._clock = clock
        self._verified: dict[str, tuple[Session, str]] = {}
        self._held: dict[str, HeldKey] = {}

    def held(self, key_id: str, token: str) -> HeldKey | None:
        """The key of a session; `None` when its function has to be looked up first. No I/O.

        Raises `UnrecognizedClient` and `ExpiredToken`.
        """
        session, secret = self._session(key_id, token)
        arn = function_arn(self._account, session.region, session.function)
        latest, version = self._functions.cached(arn), self._functions.cached(arn, session.version)
        if latest is None or version is None:
            return None
        return self._key_of(session, secret, latest)

    async def find(self, key_id: str, token: str) -> HeldKey:
        """As `held`, looking the function up. Raises `ServiceUnavailable`, too."""
        session, secret = self._session(key_id, token)
        arn = function_arn(self._account, session.region, session.function)
        try:
            latest = await self._functions.get(arn)
            await self._functions.get(arn, session.version)
        except ResourceNotFound as error:
            raise _expired() from error
        return self._key_of(session, secret, latest)

    def may(self, key: RoleSession, deed: Deed, region: str) -> bool:
        """Whether a function's role lets it do something in a region; in another than its own it may do nothing."""
        if region != key.region:
            return False
        statements = self._roles.of(key.role_name, self._clock.monotonic())
        if statements is None:
            statements = roles.usual(self._account, key.region, key.function)
        return roles.may(statements, key.arn(self._account), deed)

    def _session(self, key_id: str, token: str) -> tuple[Session, str]:
        verified = self._verified.get(token)
        if verified is None:
            verified = sessions.verified(self._key, token)
            if verified is None:
                raise InvalidToken("The security token included in the request is invalid.")
            if len(self._verified) >= _KEPT:
                self._verified.clear()
                self._held.clear()
            self._verified[token] = verified
        if verified[0].key_id != key_id:
            raise InvalidToken("The security token included in the request is invalid.")
        return verified

    def _key_of(self, session: Session, secret: str, latest: FunctionRecord) -> HeldKey:
        if latest.version.born != session.born:
            raise _expired()
        role_name = latest.role.rpartition("/")[2] or _NO_ROLE
        held = self._held.get(session.key_id)
        if held is None or not isinstance(held.key, RoleSession) or held.key.role_name != role_name:
            key = RoleSession(
                key_id=session.key_id,
                name=session.function,
                role="invoke",
                region=session.region,
                function=session.function,
                role_name=role_name,
            )
            held = self._held[session.key_id] = HeldKey(key, secret)
        return held


def _expired() -> ExpiredToken:
    return ExpiredToken("The security token included in the request is expired")
