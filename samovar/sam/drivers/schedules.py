"""Schedules that start functions, by the API of EventBridge Scheduler."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


class ScheduleGroupDriver:
    """`AWS::Scheduler::ScheduleGroup`; the physical id is its name."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        aws, wanted = target.aws("scheduler"), item.wanted
        there = _found(aws.get_schedule_group, {"Name": wanted["Name"]}) is not None
        if not there:
            aws.create_schedule_group(**wanted)
        arn = target.arn("scheduler", f"schedule-group/{wanted['Name']}")
        return Applied(
            physical_id=wanted["Name"],
            changed=[] if there else ["created"],
            attributes={"": wanted["Name"], "Arn": arn, "State": "ACTIVE"},
        )

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        _found(target.aws("scheduler").delete_schedule_group, {"Name": physical_id})


class ScheduleDriver:
    """`AWS::Scheduler::Schedule`; the physical id is its name, behind its group where that is not `default`."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        aws, wanted = target.aws("scheduler"), item.wanted
        name, group = wanted["Name"], wanted.get("GroupName", "default")
        physical = name if group == "default" else f"{group}/{name}"
        attributes = {"": name, "Arn": target.arn("scheduler", f"schedule/{group}/{name}")}
        current = _found(aws.get_schedule, {"Name": name, "GroupName": group})
        if current is None:
            aws.create_schedule(**wanted)
            return Applied(physical_id=physical, changed=["created"], attributes=attributes)
        is_so = all(_covers(current.get(member), value) for member, value in wanted.items())
        if not is_so:
            aws.update_schedule(**wanted)
        return Applied(physical_id=physical, changed=[] if is_so else ["schedule"], attributes=attributes)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        group, _, name = physical_id.rpartition("/")
        _found(target.aws("scheduler").delete_schedule, {"Name": name, "GroupName": group or "default"})


def _found(operation: Callable[..., Any], request: dict[str, Any]) -> Any:
    """An operation's answer; `None` when what it names is not there."""
    try:
        return operation(**request)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _covers(current: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; the service adds defaults of its own, and leaves out empty text."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(_covers(current.get(name), value) for name, value in wanted.items())
    if isinstance(current, datetime):
        return bool(current == parse_timestamp(wanted))
    return bool(current == wanted or (current is None and wanted == ""))
