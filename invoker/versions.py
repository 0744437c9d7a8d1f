"""Which versions of functions this invoker has been told about, and which of them is current."""

from __future__ import annotations

from samovar.function import FunctionVersion
from samovar.link import Forget, UnknownVersion

Key = tuple[str, str]


class Versions:
    """Owner of the declared versions. The greatest serial wins, whatever order declarations arrive in."""

    def __init__(self) -> None:
        self._known: dict[Key, FunctionVersion] = {}
        self._forgotten: dict[str, int] = {}

    def declare(self, version: FunctionVersion) -> bool:
        """Take note of a version; whether it is newer than what was known."""
        if version.serial <= self._forgotten.get(version.arn, 0):
            return False
        known = self._known.get(version.key)
        if known is not None and known.serial >= version.serial:
            return False
        self._known[version.key] = version
        return True

    def forget(self, order: Forget) -> list[Key]:
        """Drop what `order` names and answer with the dropped keys; later declarations of old serials are ignored."""
        if order.version is None:
            self._forgotten[order.arn] = max(order.serial, self._forgotten.get(order.arn, 0))
        dropped = [
            key
            for key, version in self._known.items()
            if version.arn == order.arn and version.serial <= order.serial and order.version in (None, version.version)
        ]
        for key in dropped:
            del self._known[key]
        return dropped

    def resolve(self, arn: str, version: str, serial: int) -> FunctionVersion:
        """The current record for a call from a gateway that knows `serial`.

        A gateway may be behind (then it gets the newer code) but not ahead: raises `UnknownVersion`.
        """
        known = self._known.get((arn, version))
        if known is None or known.serial < serial:
            raise UnknownVersion(f"{arn}:{version} with serial {serial} has not been declared")
        return known
