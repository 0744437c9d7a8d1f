"""Requests and answers about schedules, as AWS names their members (EventBridge Scheduler API reference)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.schedules.schedule import MAX_AGE_S, MAX_RETRIES, Schedule, Target
from samovar.errors import ValidationFailed

_ELSEWHERE = (
    "EcsParameters",
    "EventBridgeParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
)
"""Members of a target for services that are not here."""


class _Window(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    mode: Literal["OFF", "FLEXIBLE"]
    maximum_window_in_minutes: int | None = None


class _Arn(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    arn: str | None = None


class _Retries(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    maximum_event_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None


class _Sqs(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    message_group_id: str | None = None


class _Target(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    arn: str
    role_arn: str
    input: str | None = None
    dead_letter_config: _Arn | None = None
    retry_policy: _Retries | None = None
    sqs_parameters: _Sqs | None = None


class ScheduleRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`CreateSchedule` and `UpdateSchedule`: the whole schedule, what is left out is as new."""

    name: str
    group_name: str | None = None
    schedule_expression: str
    schedule_expression_timezone: str | None = None
    flexible_time_window: _Window
    start_date: float | None = None
    end_date: float | None = None
    state: Literal["ENABLED", "DISABLED"] | None = None
    target: _Target
    action_after_completion: Literal["NONE", "DELETE"] | None = None
    description: str | None = None
    kms_key_arn: str | None = None
    client_token: str | msgspec.UnsetType = msgspec.UNSET

    def schedule(self, account: str, region: str, now: float) -> Schedule:
        """The schedule that is wanted. Raises `ValidationFailed`."""
        window = self.flexible_time_window
        is_flexible = window.mode == "FLEXIBLE"
        if is_flexible != (window.maximum_window_in_minutes is not None):
            raise ValidationFailed("MaximumWindowInMinutes is given with Mode FLEXIBLE, and only then.")
        return Schedule(
            account=account,
            region=region,
            group=self.group_name or "default",
            name=self.name,
            expression=self.schedule_expression,
            timezone=self.schedule_expression_timezone or "UTC",
            window_min=window.maximum_window_in_minutes or 0,
            start=self.start_date,
            end=self.end_date,
            enabled=self.state != "DISABLED",
            target=_of_request(self.target),
            after_completion=self.action_after_completion or "NONE",
            description=self.description or "",
            kms_key=self.kms_key_arn,
            created=now,
            modified=now,
            token=self.client_token,
        )


def refuse_elsewhere(given: dict[str, Any]) -> None:
    """Raise `ValidationFailed` for a target that only services of AWS's have."""
    for member in _ELSEWHERE:
        if (given.get("Target") or {}).get(member) is not None:
            raise ValidationFailed(f"Target.{member} is not offered by Samovar: targets are functions and queues.")


def _of_request(target: _Target) -> Target:
    retries = target.retry_policy or _Retries()
    most, age = retries.maximum_retry_attempts, retries.maximum_event_age_in_seconds
    return Target(
        arn=target.arn,
        role_arn=target.role_arn,
        input=target.input,
        retries=MAX_RETRIES if most is None else most,
        max_age_s=MAX_AGE_S if age is None else age,
        dead_letter=None if target.dead_letter_config is None else target.dead_letter_config.arn,
        group=None if target.sqs_parameters is None else target.sqs_parameters.message_group_id,
    )


def shown(schedule: Schedule) -> dict[str, Any]:
    """A schedule as `GetSchedule` tells it."""
    target = schedule.target
    window: dict[str, Any] = {"Mode": "FLEXIBLE" if schedule.window_min else "OFF"}
    if schedule.window_min:
        window["MaximumWindowInMinutes"] = schedule.window_min
    told = {
        **summary(schedule),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "FlexibleTimeWindow": window,
        "StartDate": schedule.start,
        "EndDate": schedule.end,
        "Description": schedule.description or None,
        "KmsKeyArn": schedule.kms_key,
        "ActionAfterCompletion": schedule.after_completion,
        "Target": _given(
            {
                "Arn": target.arn,
                "RoleArn": target.role_arn,
                "Input": target.input,
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": target.max_age_s,
                    "MaximumRetryAttempts": target.retries,
                },
                "DeadLetterConfig": None if target.dead_letter is None else {"Arn": target.dead_letter},
                "SqsParameters": None if target.group is None else {"MessageGroupId": target.group},
            }
        ),
    }
    return _given(told)


def summary(schedule: Schedule) -> dict[str, Any]:
    """A schedule as lists tell it."""
    return {
        "Arn": schedule.arn,
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": "ENABLED" if schedule.enabled else "DISABLED",
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
        "Target": {"Arn": schedule.target.arn},
    }


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
