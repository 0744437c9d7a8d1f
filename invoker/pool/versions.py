"""Which versions of functions this invoker has been told about, and which record of each is in force."""

from __future__ import annotations

from samovar.function import FunctionVersion
from samovar.link.operations import Forget, UnknownVersion

Key = tuple[str, str]


class Versions:
    """Owner of the declared versions. The greatest serial wins, whatever order declarations arrive in."""

    def __init__(self) -> None:
        self._newest: dict[Key, FunctionVersion] = {}
        self._in_force: dict[Key, FunctionVersion] = {}
        self._forgotten: dict[str, int] = {}

    def declare(self, version: FunctionVersion) -> bool:
        """Take note of a version; whether it is newer than what was known. Calls get it when it is put in force."""
        if version.serial <= self._forgotten.get(version.arn, 0):
            return False
        known = self._newest.get(version.key)
        if known is not None and known.serial >= version.serial:
            return False
        self._newest[version.key] = version
        return True

    def put_in_force(self, version: FunctionVersion) -> None:
        """Have calls get it from now on."""
        self._in_force[version.key] = version

    def serial_in_force(self, key: Key) -> int:
        """The serial of the record calls get; 0 if there is none."""
        version = self._in_force.get(key)
        return 0 if version is None else version.serial

    def forget(self, order: Forget) -> list[Key]:
        """Drop what `order` names and answer with the dropped keys; later declarations of old serials are ignored."""
        if order.version is None:
            self._forgotten[order.arn] = max(order.serial, self._forgotten.get(order.arn, 0))
        dropped = [
            key
            for key, version in self._newest.items()
            if version.arn == order.arn and version.serial <= order.serial and order.version in (None, version.version)
        ]
        for key in dropped:
            del self._newest[key]
            self._in_force.pop(key, None)
        return dropped

    def resolve(self, arn: str, version: str, serial: int) -> FunctionVersion:
        """The record in force, for a call from a gateway that knows `serial`.

        A gateway may be behind (then it gets the newer code) and may know of a record that is still to come, but of
        none that has not been declared: raises `UnknownVersion`.
        """
        key = (arn, version)
        in_force = self._in_force.get(key)
        if in_force is not None and in_force.serial >= serial:
            return in_force
        newest = self._newest.get(key)
        if newest is None or newest.serial < serial:
            raise UnknownVersion(f"{arn}:{version} with serial {serial} has not been declared")
        return in_force or newest
