"""Provisioned environments: whether what a function asks for can be held, and what is told of it."""

from __future__ import annotations

import msgspec

from gateway.functions.functions import ask
from gateway.services import Services
from samovar.errors import InvalidParameterValue, SamovarError
from samovar.function import FunctionVersion
from samovar.link.operations import InvokerStatus
from samovar.provisioning import most


async def check_provisions_fit(services: Services, version: FunctionVersion) -> None:
    """Raise `InvalidParameterValue` if a version's provisioned environments can never all be ready.

    Their number has to keep to the function's reserved concurrency, and the memory of all functions' provisioned
    environments to the memory budget. An invoker that is away is not asked: it starts what it has room for, and says
    what is missing.
    """
    wanted = most(version.provisioned)
    if not wanted:
        return
    limit = version.max_environments
    if limit is not None and wanted > limit:
        raise InvalidParameterValue(
            f"{version.name} cannot have {wanted} provisioned environments: its reserved concurrency is {limit}"
        )
    if wanted > services.settings.max_environments_per_function:
        raise InvalidParameterValue(
            f"{version.name} cannot have {wanted} provisioned environments: a function has at most "
            f"{services.settings.max_environments_per_function} (setting max_environments_per_function)"
        )
    try:
        budget_mb = msgspec.json.decode(await ask(services.link, "status"), type=InvokerStatus).memory_budget_mb
    except SamovarError:
        return
    others_mb = sum(_reserved_mb(one.version) for one in services.registry.all_cached() if one.arn != version.arn)
    if _reserved_mb(version) + others_mb > budget_mb:
        raise InvalidParameterValue(
            f"{version.name} cannot have {wanted} provisioned environments of {version.limits.memory_mb} MB: "
            f"the memory budget is {budget_mb} MB (setting memory_budget_mb), of which other functions' provisioned "
            f"environments take {others_mb} MB"
        )


def _reserved_mb(version: FunctionVersion) -> int:
    return most(version.provisioned) * version.limits.memory_mb
