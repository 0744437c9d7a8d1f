"""Schedules, and rules that run by a schedule.

AWS CloudFormation, "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup" and "AWS::Events::Rule".
"""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.sam.properties.shared import DeadLetters, FlexibleWindow, RetryPolicy, Tag
from samovar.sam.reading import Properties


class MessageGroup(Properties, frozen=True):
    """`SqsParameters`."""

    message_group_id: str


class ScheduleTarget(Properties, frozen=True):
    """`Target` of a schedule: a function or a queue."""

    arn: str
    role_arn: str
    input: str | None = None
    dead_letter_config: DeadLetters | None = None
    retry_policy: RetryPolicy | None = None
    sqs_parameters: MessageGroup | None = None


class ScheduleProperties(Properties, frozen=True):
    """`AWS::Scheduler::Schedule`."""

    flexible_time_window: FlexibleWindow
    schedule_expression: str
    target: ScheduleTarget
    name: str | None = None
    group_name: str | None = None
    description: str = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    schedule_expression_timezone: str | None = None
    start_date: str | None = None
    end_date: str | None = None


class ScheduleGroupProperties(Properties, frozen=True):
    """`AWS::Scheduler::ScheduleGroup`."""

    name: str | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class RuleTarget(Properties, frozen=True):
    """One of a rule's `Targets`: a function or a queue."""

    id: str
    arn: str
    role_arn: str | None = None
    input: str | None = None
    dead_letter_config: DeadLetters | None = None
    retry_policy: RetryPolicy | None = None
    sqs_parameters: MessageGroup | None = None


class RuleProperties(Properties, frozen=True):
    """`AWS::Events::Rule` with a schedule. There is no bus whose events a pattern could match."""

    schedule_expression: str
    targets: list[RuleTarget]
    name: str | None = None
    description: str = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    role_arn: str | None = None
