"""Which version a call to an alias goes to. Pure: chance comes as an argument.

An alias points to one version, and may give a share of its calls to a second one (AWS Lambda developer guide, "Lambda
alias routing").
"""

from __future__ import annotations

from gateway.functions.record import Alias
from samovar.errors import InvalidParameterValue, UntypedParameterValue
from samovar.names import LATEST


def choose(alias: Alias, chance: float) -> str:
    """The version that takes a call, for a `chance` from 0 to 1 (1 excluded), evenly distributed."""
    for version, weight in alias.weights.items():
        if chance < weight:
            return version
        chance -= weight
    return alias.version


def check_routing(alias: Alias) -> None:
    """Raise `InvalidParameterValue`, in AWS's words, for weights that make no sense."""
    if len(alias.weights) > 1:
        raise InvalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if alias.weights and alias.version == LATEST:
        raise UntypedParameterValue("$LATEST is not supported for an alias pointing to more than 1 version")
    if alias.version in alias.weights:
        raise InvalidParameterValue(
            f"Invalid function version {alias.version}. "
            f"Function version {alias.version} is already included in routing configuration."
        )
