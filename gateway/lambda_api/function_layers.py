"""The layers of a function: which it asks for, whether they fit, and the folder in which they lie together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.functions.layers import Layers
from gateway.functions.record import FunctionRecord, LayerUse
from gateway.services import Services
from samovar.errors import InvalidParameterValue
from samovar.function import FunctionVersion


class Layering(NamedTuple):
    """A function's layers, ready to be mounted."""

    uses: tuple[LayerUse, ...] = ()
    digest: str = ""
    """Names the folder in which they lie one over the other."""

    def on(self, record: FunctionRecord) -> FunctionRecord:
        """The function with these layers and no others."""
        version = msgspec.structs.replace(record.version, layers_sha256=self.digest)
        return msgspec.structs.replace(record, version=version, layers=self.uses)


async def lay(
    services: Services, layers: Layers, arns: Sequence[str] | None, version: FunctionVersion
) -> Layering | None:
    """What a request's `Layers` ask for; `None` when it does not say. If there is no code yet, the size is not checked.

    Raises `InvalidParameterValue` with AWS's words.
    """
    if arns is None:
        return None
    uses = await layers.resolve(arns, version.region)
    if version.code_sha256:
        await check_size(services, version.code_sha256, uses)
    return Layering(uses, await services.artifacts.combine([use.code_sha256 for use in uses]))


async def check_size(services: Services, code_sha256: str, uses: Sequence[LayerUse]) -> None:
    """Refuse code that is too large together with its layers, unpacked. Raises `InvalidParameterValue`."""
    if not uses:
        return
    size = await services.artifacts.unpacked_size([code_sha256, *(use.code_sha256 for use in uses)])
    limit = services.settings.max_code_bytes
    if size > limit:
        raise InvalidParameterValue(
            f"Function code combined with layers exceeds the maximum allowed size of {limit} bytes. "
            f"The actual size is {size} bytes."
        )
