"""Who may call a function, beside those whose keys may."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionWanted:
    """One statement of a function's policy."""

    function: str
    qualifier: str | None
    label: str
    """How its `Sid` begins; what follows says what it is about."""
    members: dict[str, Any]
    """Of AddPermission."""

    @property
    def physical_id(self) -> str:
        """`FUNCTION/LABEL`, or `FUNCTION:QUALIFIER/LABEL`."""
        return f"{self.function}{f':{self.qualifier}' if self.qualifier else ''}/{self.label}"


class PermissionDriver:
    """`AWS::Lambda::Permission`. A statement cannot be changed: another one comes in its place, before it goes."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: PermissionWanted = item.wanted
        aws, named = target.aws("lambda"), _named(wanted.physical_id)
        digest = hashlib.sha256(json.dumps(wanted.members, sort_keys=True).encode()).hexdigest()[:12]
        sid = f"{wanted.label}-{digest}"
        there = _labelled(aws, named, wanted.label)
        if sid not in there:
            aws.add_permission(**named, StatementId=sid, **wanted.members)
        for other in there - {sid}:
            aws.remove_permission(**named, StatementId=other)
        attributes = {"": sid, "Id": sid}
        return Applied(
            physical_id=wanted.physical_id, changed=[] if sid in there else ["permission"], attributes=attributes
        )

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        aws, named = target.aws("lambda"), _named(physical_id)
        for sid in _labelled(aws, named, physical_id.partition("/")[2]):
            aws.remove_permission(**named, StatementId=sid)


def _named(physical_id: str) -> dict[str, str]:
    function, _, qualifier = physical_id.partition("/")[0].partition(":")
    return {"FunctionName": function, **({"Qualifier": qualifier} if qualifier else {})}


def _labelled(aws: Any, named: dict[str, str], label: str) -> set[str]:
    """The statements of a resource; none where there is no policy, or no function."""
    try:
        policy = json.loads(aws.get_policy(**named)["Policy"])
    except ClientError as error:
        if is_missing(error):
            return set()
        raise
    sids = {str(statement["Sid"]) for statement in policy["Statement"]}
    return {sid for sid in sids if sid.rpartition("-")[0] == label}
