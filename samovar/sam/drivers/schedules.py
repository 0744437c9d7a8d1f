"""Schedules that start functions, by the API of EventBridge Scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


class ScheduleDriver:
    """`AWS::Scheduler::Schedule`; the physical id is its name."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        aws, wanted = target.aws("scheduler"), item.wanted
        current = _present(aws, wanted["Name"])
        attributes = {"": wanted["Name"], "Arn": target.arn("scheduler", f"schedule/default/{wanted['Name']}")}
        if current is None:
            aws.create_schedule(**wanted)
            return Applied(physical_id=wanted["Name"], changed=["created"], attributes=attributes)
        is_so = all(_covers(current.get(name), value) for name, value in wanted.items())
        if not is_so:
            aws.update_schedule(**wanted)
        return Applied(physical_id=wanted["Name"], changed=[] if is_so else ["schedule"], attributes=attributes)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        try:
            target.aws("scheduler").delete_schedule(Name=physical_id)
        except ClientError as error:
            if not is_missing(error):
                raise


def _present(aws: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = aws.get_schedule(Name=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return found


def _covers(current: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; the service adds defaults of its own, and leaves out empty text."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(_covers(current.get(name), value) for name, value in wanted.items())
    if isinstance(current, datetime):
        return bool(current == parse_timestamp(wanted))
    return bool(current == wanted or (current is None and wanted == ""))
