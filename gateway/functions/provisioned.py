"""Provisioned concurrency of versions and aliases, as Lambda has it: who asked for how much, and what came of it.

What is asked for is attached to the function's record, with the versions it falls to; `qualified.joined` makes it part
of each version, and the invoker keeps to that as it does for every function (`invoker/pool/floors.py`). Source of the
rules: AWS Lambda developer guide, "Configuring provisioned concurrency for a function", and recorded answers of AWS.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.functions.functions import Functions
from gateway.functions.qualified import joined
from gateway.functions.record import Alias, Attached, FunctionRecord, ProvisionedConcurrency, attached_to, with_attached
from gateway.functions.registry import Registry, not_found
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound, UntypedParameterValue
from samovar.function import FunctionVersion
from samovar.link.operations import Standing
from samovar.names import LATEST

INIT_FAILURE: Final = "FUNCTION_ERROR_INIT_FAILURE"
"""AWS's `StatusReason` for code that cannot be initialised."""
_NOT_PUBLISHED: Final = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."


class Allocation(NamedTuple):
    """How far it has come."""

    status: Literal["IN_PROGRESS", "READY", "FAILED"]
    ready: int
    """Environments that are there."""
    reason: str | None = None
    """Why it has failed."""


def shares(count: int, alias: Alias) -> dict[str, int]:
    """The environments each version of an alias is to have: by its share of the calls, rounded up."""
    other = {number: math.ceil(count * weight) for number, weight in alias.weights.items() if weight}
    return {alias.version: max(1, count - sum(other.values())), **other}


def of_function(latest: FunctionRecord) -> int:
    """What all versions and aliases of a function have asked for."""
    return sum(one.provisioned.requested for one in latest.attached.values() if one.provisioned is not None)


class Provisions:
    """What the control API does with provisioned concurrency."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._registry: Registry = functions.registry

    async def put(self, arn: str, qualifier: str, count: int) -> ProvisionedConcurrency:
        """Have a version, or what an alias points to, keep so many environments ready.

        Raises `InvalidParameterValue`, `ResourceConflict` and `ResourceNotFound` with AWS's words.
        """
        wanted = ProvisionedConcurrency(
            requested=count, modified=self._functions.timestamp(), versions=await self._shares(arn, qualifier, count)
        )
        await self._attach(arn, qualifier, wanted)
        return wanted

    async def delete(self, arn: str, qualifier: str) -> None:
        """Have it keep nothing ready; that it did not is no error. Raises `ResourceNotFound`."""
        await self.target(arn, qualifier)
        if attached_to(await self._registry.fresh(arn), qualifier).provisioned is not None:
            await self._attach(arn, qualifier, None)

    async def follow(self, arn: str, alias: Alias) -> None:
        """An alias points elsewhere now, and what is provisioned for it goes there. Raises `ResourceConflict`."""
        held = attached_to(await self._registry.fresh(arn), alias.name).provisioned
        if held is None:
            return
        moved = shares(held.requested, alias)
        if moved != held.versions and LATEST not in moved:
            await self._attach(arn, alias.name, msgspec.structs.replace(held, versions=moved))

    async def target(self, arn: str, qualifier: str) -> Alias | None:
        """The alias that is meant, or `None` for a version that exists. Raises `ResourceNotFound`."""
        store = self._registry.qualified.store
        if qualifier.isdecimal():
            if await store.version(arn, qualifier) is None:
                raise not_found(arn, qualifier)
            return None
        alias = await store.alias(arn, qualifier)
        if alias is None:
            raise ResourceNotFound(f"Cannot find alias arn: {arn}:{qualifier}")
        return alias

    async def allocation(self, latest: FunctionRecord, held: ProvisionedConcurrency) -> Allocation:
        """What there is of it now, as the invoker says. While that is away, nothing is known to be there."""
        standings = [await self._functions.standing(one) for one in await self._versions(latest, held.versions)]
        views = [one.provisioned for one in standings if isinstance(one, Standing) and one.provisioned is not None]
        problem = next((view.problem for view in views if view.problem), None)
        if problem is not None:
            reason = INIT_FAILURE if problem.startswith("its initialisation failed") else problem
            return Allocation("FAILED", sum(view.ready for view in views), reason)
        if len(views) == len(held.versions) and all(view.ready >= view.wanted for view in views):
            return Allocation("READY", held.requested)
        return Allocation("IN_PROGRESS", 0)

    async def _shares(self, arn: str, qualifier: str, count: int) -> dict[str, int]:
        alias = await self.target(arn, qualifier)
        latest = await self._registry.fresh(arn)
        if alias is None:
            aliases = await self._registry.qualified.store.aliases(arn)
            if any(one.version == qualifier and attached_to(latest, one.name).provisioned for one in aliases):
                raise ResourceConflict("Version is pointed by a Provisioned Concurrency alias")
            return {qualifier: count}
        if alias.version == LATEST:
            raise InvalidParameterValue(_NOT_PUBLISHED)
        if any(attached_to(latest, number).provisioned for number in (alias.version, *alias.weights)):
            raise ResourceConflict(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
        return shares(count, alias)

    async def _attach(self, arn: str, qualifier: str, wanted: ProvisionedConcurrency | None) -> None:
        before: dict[str, int] = {}

        def edit(record: FunctionRecord) -> FunctionRecord:
            nonlocal before
            held = attached_to(record, qualifier).provisioned
            before = {} if held is None else held.versions
            return with_attached(record, qualifier, lambda found: _holding(found, wanted))

        latest = await self._registry.change(arn, edit)
        after = {} if wanted is None else wanted.versions
        for version in await self._versions(latest, before | after):
            await self._functions.tell("declare", msgspec.json.encode(version))

    async def _versions(self, latest: FunctionRecord, numbers: dict[str, int]) -> list[FunctionVersion]:
        found = await self._registry.qualified.store.versions(latest.arn, [int(number) for number in numbers])
        return [joined(one, latest).version for one in found]


def check_published(qualifier: str | None, message: str = _NOT_PUBLISHED) -> str:
    """The qualifier, which may not be `$LATEST`. Raises `InvalidParameterValue`."""
    if qualifier is None or qualifier == LATEST:
        raise InvalidParameterValue(message)
    return qualifier


def check_limits(latest: FunctionRecord, qualifier: str, count: int, unreserved: int) -> None:
    """Raise `InvalidParameterValue`, in AWS's words, for more than the function or the platform may have.

    `unreserved` is what neither other functions nor other versions have for themselves.
    """
    held = attached_to(latest, qualifier).provisioned
    others = of_function(latest) - (0 if held is None else held.requested)
    reserved = latest.version.max_environments
    if reserved is not None:
        if others + count > reserved:
            raise InvalidParameterValue(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
                "for function"
            )
    elif others + count > unreserved:
        raise UntypedParameterValue(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{max(0, unreserved - others)}]."
        )


def check_reserved(latest: FunctionRecord, reserved: int) -> None:
    """Raise `InvalidParameterValue`, in AWS's words, for less reserved concurrency than is provisioned."""
    total = of_function(latest)
    if reserved < total:
        raise UntypedParameterValue(
            f" ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned "
            f"concurrency [{total}]."
        )


def _holding(found: Attached, wanted: ProvisionedConcurrency | None) -> Attached:
    return msgspec.structs.replace(found, provisioned=wanted)
