"""The functions a gateway knows, and the rules of changing them.

Reading is a dict look-up: the cache holds every function that was ever asked for, is filled at the start, and
follows the store's notifications. While Redis is away the cache goes on serving, and everything is read anew
as soon as it is back, because notifications were missed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from redis.exceptions import RedisError

from gateway.apis.table import ApiTable
from gateway.functions.policy import Statements
from gateway.functions.qualified import Qualified, url_key
from gateway.functions.qualified_store import QualifiedStore
from gateway.functions.record import FunctionRecord, attached_to
from gateway.functions.store import CHANGED, Store
from samovar.errors import PreconditionFailed, ResourceConflict, ResourceNotFound, SamovarError, ServiceUnavailable
from samovar.names import LATEST, new_request_id, split_arn

Edit = Callable[[FunctionRecord], FunctionRecord]
"""What a change does to a record. It may run again on a newer record, so it has no side effects."""

_ATTEMPTS: Final = 16
_HEARTBEAT_S: Final = 10.0
_STOP_PAUSE_S: Final = 0.05
_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 2.0
_log = logging.getLogger(__name__)


def not_found(arn: str, qualifier: str | None = None) -> ResourceNotFound:
    """The error AWS gives for a function, version or alias that does not exist; `arn` is the unqualified one."""
    return ResourceNotFound(f"Function not found: {arn}:{qualifier}" if qualifier else f"Function not found: {arn}")


def check_revision(record: FunctionRecord, revision_id: str | None) -> None:
    """Raise `PreconditionFailed` if a revision is given and is not the record's. AWS's words."""
    if revision_id is not None and revision_id != record.version.revision_id:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


class Registry:
    """An async context manager: inside it, the cache follows the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.qualified = Qualified(QualifiedStore(store.redis), lambda arn: self._records.get(arn))
        """Versions and aliases."""
        self.apis = ApiTable()
        """The routes to functions below `/api/`."""
        self.following = False
        """Whether notifications arrive; without them, cached records may be out of date."""
        self._records: dict[str, FunctionRecord] = {}
        """By unqualified ARN."""
        self._arns_by_url: dict[str, str] = {}
        self._denying: set[str] = set()
        """Those whose policies deny something."""
        self._changes = 0  # counts what may have made a read in progress outdated
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to follow the store. Does not wait for it: a gateway starts while Redis is away."""
        self._task = asyncio.create_task(self._follow(), name="registry")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            # redis-py loses a cancellation that arrives while it connects, hence the repetition.
            await asyncio.wait([self._task], timeout=_STOP_PAUSE_S)
        self.following = False

    # Reading.

    def cached(self, arn: str, qualifier: str = LATEST) -> FunctionRecord | None:
        """What takes a call to the function of an ARN, as far as this process knows it. No I/O."""
        return self._records.get(arn) if qualifier == LATEST else self.qualified.cached(arn, qualifier)

    def policy(self, arn: str, qualifier: str | None) -> Statements:
        """The resource policy of a function, or of a version or an alias of it, as far as it is known. No I/O."""
        record = self._records.get(arn)
        return () if record is None else attached_to(record, qualifier).policy

    def has_denials(self) -> bool:
        """Whether the policy of any function denies something: few do, and then nobody has to look. No I/O."""
        return bool(self._denying)

    def all_cached(self) -> list[FunctionRecord]:
        """Every function this process knows: all there are, as long as it follows the store. No I/O."""
        return list(self._records.values())

    def cached_by_url(self, url_id: str) -> FunctionRecord | None:
        """The function with this URL (id and region, joined by a dot) as far as this process knows. No I/O."""
        arn = self._arns_by_url.get(url_id)
        return self.qualified.cached_by_url(url_id) if arn is None else self._records.get(arn)

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """What takes a call to a function, or to a version or an alias of it, from the cache, else from Redis.

        Raises `ResourceNotFound` (naming `qualifier` too, when given), and `ServiceUnavailable` when it is not
        cached and Redis is away.
        """
        latest = self._records.get(arn) or await self._fresh(arn, qualifier)
        if qualifier is None or qualifier == LATEST:
            return latest
        return _existing(await self.qualified.get(latest, qualifier), arn, qualifier)

    async def fresh(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """The function, its version, or the version an alias of it mainly points to, as Redis has it now.

        Raises as `get` does.
        """
        latest = await self._fresh(arn, qualifier)
        if qualifier is None or qualifier == LATEST:
            return latest
        return _existing(await self.qualified.fresh(latest, qualifier), arn, qualifier)

    async def _fresh(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        changes = self._changes
        record = await self.store.get(arn)
        if record is None:
            self._drop(arn)
            raise not_found(arn, qualifier)
        if changes == self._changes:
            self._keep(record)
        return record

    async def by_url(self, url_id: str) -> FunctionRecord | None:
        """What takes a call to this URL (id and region, joined by a dot), from the cache, else from Redis."""
        record = self.cached_by_url(url_id)
        if record is not None:
            return record
        arn, alias = split_arn(await self.store.url_owner(url_id.partition(".")[0]) or "")
        if alias is not None:
            latest = self._records.get(arn) or await self.store.get(arn)
            return None if latest is None else await self.qualified.by_url(latest, alias, url_id)
        changes = self._changes
        record = await self.store.by_url(url_id)
        if record is not None and changes == self._changes:
            self._keep(record)
        return record

    # Changing.

    async def create(self, record: FunctionRecord) -> FunctionRecord:
        """Add a function; gives it its serial and first revision. Raises `ResourceConflict` if it exists."""
        serial = await self.store.next_serial()
        born = msgspec.structs.replace(record, version=msgspec.structs.replace(record.version, born=serial))
        record = _renewed(born, serial)
        if await self.store.create(record) != "ok":
            raise ResourceConflict(f"Function already exist: {record.name}")
        self.apply(record)
        return record

    async def change(self, arn: str, edit: Edit, revision_id: str | None = None) -> FunctionRecord:
        """Change a function by `edit`, atomically; returns the new record.

        A change always gives a new revision; it gives a new serial, which makes environments be replaced, only
        when something an invoker looks at has changed. With `revision_id` the change is made on that revision or
        not at all (`PreconditionFailed`). Raises `ResourceNotFound`, and `ResourceConflict` if other changes keep
        getting in between.
        """
        for _ in range(_ATTEMPTS):
            current = await self._fresh(arn)
            check_revision(current, revision_id)
            edited = edit(current)
            serial = current.version.serial
            is_attached = _attached(edited) != _attached(current)
            if edited.version != current.version or is_attached:
                serial = await self.store.next_serial()
            edited = _renewed(edited, serial, is_attached=is_attached)
            written = await self.store.replace(current, edited)
            if written == "ok":
                self.apply(edited)
                return edited
            self._changes += 1
        raise ResourceConflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"
        )

    async def delete(self, arn: str) -> int:
        """Remove a function and its URL. Returns a serial greater than any it had. Raises `ResourceNotFound`."""
        serial = await self.store.delete(arn)
        self._drop(arn)
        if serial is None:
            raise not_found(arn)
        return serial

    # Following the store.

    async def _follow(self) -> None:
        pause = _FIRST_RETRY_S
        while True:
            try:
                async with self.store.redis.pubsub() as subscription:
                    await subscription.subscribe(CHANGED)
                    await self._reload()
                    self.following, pause = True, _FIRST_RETRY_S
                    await self._listen(subscription)
            except (SamovarError, msgspec.MsgspecError, RedisError, OSError) as error:
                if self.following or pause == _FIRST_RETRY_S:
                    _log.warning("following the store failed, serving what is cached: %s", error)
            self.following = False
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

    async def _refresh(self, changed: str) -> None:
        self._changes += 1
        arn, qualifier = split_arn(changed)
        if qualifier is not None:
            await self.qualified.refresh(arn, qualifier)
            return
        record = await self.store.get(arn)
        if record is None:
            self._drop(arn)
        else:
            self._keep(record)

    async def _reload(self) -> None:
        self._changes += 1
        records = await self.store.all()
        self.qualified.clear()
        for arn in self._records.keys() - {record.arn for record in records}:
            self._drop(arn)
        for record in records:
            self._keep(record)

    # The cache.

    def apply(self, record: FunctionRecord) -> None:
        """Cache what this process has written itself."""
        self._changes += 1
        self._keep(record)

    def _keep(self, record: FunctionRecord) -> None:
        """Cache a record, unless a later one is there already."""
        known = self._records.get(record.arn)
        if known is not None and known.version.serial > record.version.serial:
            return
        if known is not None and known.url is not None:
            self._arns_by_url.pop(url_key(known.url, known.arn), None)
        self._records[record.arn] = record
        denies = any(one.get("Effect") == "Deny" for attached in record.attached.values() for one in attached.policy)
        (self._denying.add if denies else self._denying.discard)(record.arn)
        self.qualified.follows(record)
        self.apis.follows(record)
        if record.url is not None:
            self._arns_by_url[url_key(record.url, record.arn)] = record.arn

    def _drop(self, arn: str) -> None:
        self._changes += 1
        self.qualified.drop(arn)
        self.apis.drop(arn)
        self._denying.discard(arn)
        known = self._records.pop(arn, None)
        if known is not None and known.url is not None:
            self._arns_by_url.pop(url_key(known.url, known.arn), None)


def _renewed(record: FunctionRecord, serial: int, *, is_attached: bool = False) -> FunctionRecord:
    version = msgspec.structs.replace(record.version, serial=serial, revision_id=new_request_id())
    attached_serial = serial if is_attached else record.attached_serial
    return msgspec.structs.replace(record, version=version, attached_serial=attached_serial)


def _attached(record: FunctionRecord) -> tuple[object, ...]:
    """What an invoker has to know of a function's versions that is not theirs alone."""
    provisioned = {name: one.provisioned for name, one in record.attached.items() if one.provisioned is not None}
    return record.version.max_environments, record.version.placement, provisioned


def _existing(record: FunctionRecord | None, arn: str, qualifier: str) -> FunctionRecord:
    if record is None:
        raise not_found(arn, qualifier)
    return record
