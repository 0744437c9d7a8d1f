"""Schedules of EventBridge Scheduler, and EventBridge's rules that run by a schedule. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from samovar.sam.document import Node
from samovar.sam.expanding import Expand, Expanded, Expanding
from samovar.sam.item import Item
from samovar.sam.properties.schedules import (
    RuleProperties,
    RuleTarget,
    ScheduleGroupProperties,
    ScheduleProperties,
    ScheduleTarget,
)
from samovar.sam.properties.shared import FlexibleWindow
from samovar.sam.reading import convert
from samovar.sam.target import given
from samovar.sam.template import Resource

_NAME = r"[0-9a-zA-Z_.-]{1,64}"


class Schedules(Expanding):
    """`AWS::Scheduler::…` and `AWS::Events::Rule`."""

    def kinds(self) -> dict[str, Expand]:
        """What each type is taken apart by."""
        return {
            "AWS::Events::Rule": self._rule,
            "AWS::Scheduler::Schedule": self._schedule,
            "AWS::Scheduler::ScheduleGroup": self._group,
        }

    def _schedule(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, ScheduleProperties, self.target.path)
        name = self.name(properties.name, resource, _NAME)
        wanted = {
            "Name": name,
            "State": properties.state,
            "Description": properties.description,
            "FlexibleTimeWindow": window(properties.flexible_time_window),
            "Target": _target(properties.target, properties.target.role_arn),
            **given(
                properties, "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"
            ),
        }
        arn = self.target.arn("scheduler", f"schedule/{properties.group_name or 'default'}/{name}")
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": name, "Arn": arn}})

    def _group(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, ScheduleGroupProperties, self.target.path)
        name = self.name(properties.name, resource, _NAME)
        wanted = {"Name": name, "Tags": [{"Key": tag.key, "Value": tag.value} for tag in properties.tags]}
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        arn = self.target.arn("scheduler", f"schedule-group/{name}")
        return Expanded(items=[item], known={resource.name: {"": name, "Arn": arn, "State": "ACTIVE"}})

    def _rule(self, resource: Resource, node: Node) -> Expanded:
        """One schedule for each target; its event is that of EventBridge Scheduler."""
        if "EventPattern" in node.members():
            line = node.members()["EventPattern"].line
            raise self.error(line, f"EventPattern of {resource.name} is not supported: there is no bus of events")
        properties = convert(node, RuleProperties, self.target.path)
        name = self.name(properties.name, resource, _NAME)
        role = properties.role_arn or f"arn:aws:iam::{self.target.account}:role/{self.target.stack}-{resource.name}Role"
        items = [
            Item(
                name=f"{resource.name}{one.id}",
                kind="AWS::Scheduler::Schedule",
                line=resource.line,
                wanted={
                    "Name": self.name(f"{name}-{one.id}", resource, _NAME),
                    "ScheduleExpression": properties.schedule_expression,
                    "State": properties.state,
                    "Description": properties.description,
                    "FlexibleTimeWindow": {"Mode": "OFF"},
                    "Target": _target(one, one.role_arn or role),
                },
            )
            for one in properties.targets
        ]
        return Expanded(
            items=items, known={resource.name: {"": name, "Arn": self.target.arn("events", f"rule/{name}")}}
        )


def window(said: FlexibleWindow | None) -> dict[str, Any]:
    """`FlexibleTimeWindow` of CreateSchedule."""
    members = msgspec.to_builtins(said) if said else {"Mode": "OFF"}
    return {name: value for name, value in members.items() if value is not None}


def _target(said: ScheduleTarget | RuleTarget, role: str) -> dict[str, Any]:
    return {
        "Arn": said.arn,
        "RoleArn": role,
        **given(said, "Input", "RetryPolicy", "DeadLetterConfig", "SqsParameters"),
    }
