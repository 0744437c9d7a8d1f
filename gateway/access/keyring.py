"""The access keys a gateway knows, and the rules of making and revoking them.

Verifying a signature is a dict look-up: every gateway holds all keys, and follows the store's notifications. A key it
has not heard of costs one read, so that a key works everywhere as soon as it is made. While the store is away, the
keys that are known go on working; the root key comes from a file and works without the store.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from redis.exceptions import RedisError

from gateway.access.key_store import CHANGED, KeyStore, StoredKey
from gateway.access.vault import Vault
from samovar.access import sigv2, sigv4
from samovar.access.roles import AccessKey
from samovar.access.sigv4 import Claim, Credentials
from samovar.errors import ResourceConflict, ResourceNotFound, SamovarError, ServiceFailure, ServiceUnavailable

MAX_KEYS: Final = 1000
"""All of them are in the memory of every gateway."""
LINK_S: Final = 600
_SCOPES_KEPT: Final = 16
"""Derived keys kept for each access key: today and yesterday in a few regions."""
_HEARTBEAT_S: Final = 10.0
_STOP_PAUSE_S: Final = 0.05
_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 2.0
_log = logging.getLogger(__name__)


class HeldKey:
    """An access key with its secret, which leaves this object only as keys derived from it."""

    __slots__ = ("_derived", "_secret", "key")

    def __init__(self, key: AccessKey, secret: str) -> None:
        self.key = key
        self._secret = secret
        self._derived: dict[tuple[str, str, str], bytes] = {}

    def __repr__(self) -> str:
        return f"<HeldKey {self.key.key_id} {self.key.role}>"

    def signing_key(self, claim: Claim) -> bytes:
        """The key for one day, region and service."""
        scope = (claim.date, claim.region, claim.service)
        derived = self._derived.get(scope)
        if derived is None:
            if len(self._derived) >= _SCOPES_KEPT:
                self._derived.clear()
            derived = self._derived[scope] = sigv4.signing_key(self._secret, *scope)
        return derived

    def sign_v2(self, text: bytes) -> bytes:
        """The signature of a text by version 2 of AWS's signatures."""
        return sigv2.signature(self._secret, text)


class Keyring:
    """An async context manager: inside it, what is known follows the store."""

    def __init__(self, store: KeyStore, vault: Vault, root: Credentials) -> None:
        self._store = store
        self._vault = vault
        key = AccessKey(key_id=root.key_id, name="root", role="admin", root=True)
        self._root = HeldKey(key, root.secret)
        self._held: dict[str, HeldKey] = {key.key_id: self._root}
        self._changes = 0  # counts what may have made a read in progress outdated
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to follow. Does not wait for the store."""
        self._task = asyncio.create_task(self._follow(), name="keyring")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Follow no more."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            # redis-py loses a cancellation that arrives while it connects, hence the repetition.
            await asyncio.wait([self._task], timeout=_STOP_PAUSE_S)

    @property
    def root(self) -> AccessKey:
        """The key of the credentials file."""
        return self._root.key

    def held(self, key_id: str) -> HeldKey | None:
        """The key as far as this process knows. No I/O."""
        return self._held.get(key_id)

    async def find(self, key_id: str) -> HeldKey | None:
        """The key; the store is asked for one that is not known. Raises `ServiceUnavailable`."""
        held = self._held.get(key_id)
        if held is None:
            await self._refresh(key_id)
            held = self._held.get(key_id)
        return held

    def link(self, path: str, host: bytes, region: str, now: float) -> str:
        """A path with a query that lets whoever has it GET it for ten minutes, as long as AWS's links to code hold."""
        timestamp = sigv4.compact(now)
        claim = Claim(self.root.key_id, timestamp[:8], region, "lambda", "host", "", timestamp, LINK_S)
        query = sigv4.presign(path.encode(), host, claim, self._root.signing_key(claim))
        return f"{path}?{query.decode()}"

    async def all(self) -> list[AccessKey]:
        """Every key there is, the root key first, then by their age. Raises `ServiceUnavailable`."""
        stored = [one.key for one in await self._store.all() if one.key.key_id != self.root.key_id]
        return [self.root, *sorted(stored, key=lambda key: (key.created, key.key_id))]

    async def add(self, key: AccessKey, secret: str) -> None:
        """Let a key in. Raises `ResourceConflict` when its id is taken or there are too many, `ServiceUnavailable`."""
        known = await self.all()
        if len(known) >= MAX_KEYS:
            raise ResourceConflict(f"There are {len(known)} access keys already; revoke some first")
        stored = StoredKey(key=key, sealed=self._vault.seal(key.key_id, secret))
        if key.key_id == self.root.key_id or not await self._store.create(stored):
            raise ResourceConflict(f"Access key already exists: {key.key_id}")
        self._changes += 1
        self._held[key.key_id] = HeldKey(key, secret)

    async def revoke(self, key_id: str) -> None:
        """Let a key in no more. Raises `ResourceNotFound`, `ServiceUnavailable`, `ResourceConflict` for the root."""
        if key_id == self.root.key_id:
            raise ResourceConflict("The root access key is not revoked here: delete its file and restart Samovar")
        deleted = await self._store.delete(key_id)
        self._changes += 1
        self._held.pop(key_id, None)
        if not deleted:
            raise ResourceNotFound(f"Access key not found: {key_id}")

    async def _follow(self) -> None:
        pause = _FIRST_RETRY_S
        while True:
            try:
                async with self._store.redis.pubsub() as subscription:
                    await subscription.subscribe(CHANGED)
                    await self._reload()
                    pause = _FIRST_RETRY_S
                    await self._listen(subscription)
            except (SamovarError, msgspec.MsgspecError, RedisError, OSError) as error:
                if pause == _FIRST_RETRY_S:
                    _log.warning("following the access keys failed, serving those that are known: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_S)

    async def _listen(self, subscription: Any) -> None:
        """Take notifications until the connection breaks or is silent for two heartbeats."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=_HEARTBEAT_S)
            if message is None:
                if asked:
                    raise ServiceUnavailable("the subscription is silent")
                await subscription.ping()
            elif message["type"] == "message":
                await self._refresh(message["data"].decode())
            asked = message is None

    async def _refresh(self, key_id: str) -> None:
        changes = -1
        while changes != self._changes:  # else what was read may be older than what is known
            changes = self._changes
            stored = await self._store.get(key_id)
        self._put(key_id, stored)

    async def _reload(self) -> None:
        found = {one.key.key_id: one for one in await self._store.all()}
        for key_id in self._held.keys() | found.keys():
            self._put(key_id, found.get(key_id))

    def _put(self, key_id: str, stored: StoredKey | None) -> None:
        if key_id == self.root.key_id:
            return
        self._held.pop(key_id, None)
        if stored is None:
            return
        try:
            self._held[key_id] = HeldKey(stored.key, self._vault.open(key_id, stored.sealed))
        except ServiceFailure as error:  # the others go on working
            _log.error("access key %s cannot be used: %s", key_id, error)
