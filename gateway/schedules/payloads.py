"""What a schedule sends: its own input with the moment put in, or an event that says which it was and when. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from gateway.schedules.schedule import Schedule, Tick
from samovar.errors import SamovarError

_ATTRIBUTES: Final = "<aws.scheduler."


def request_id(schedule: Schedule, tick: Tick) -> str:
    """The id of what a moment starts: the same whoever starts it, however often it is tried."""
    return str(uuid5(NAMESPACE_URL, tick.name(schedule)))


def dead_letter(schedule: Schedule, tick: Tick, identity: str, error: SamovarError) -> dict[str, str]:
    """What a dead-letter queue is told beside what could not be delivered, as EventBridge Scheduler names it.

    Such a target is not tried again, so no condition of its retry policy is told.
    """
    return {
        "ERROR_CODE": error.aws_name,
        "ERROR_MESSAGE": error.message,
        "EXECUTION_ID": identity,
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": _moment(tick),
        "SCHEDULE_ARN": schedule.arn,
        "TARGET_ARN": schedule.target.arn,
    }


def payload(schedule: Schedule, tick: Tick) -> bytes:
    """What the target is sent.

    Without an input: the event as EventBridge writes it (AWS Lambda developer guide, "Using AWS Lambda with Amazon
    EventBridge"). In an input, the context attributes of EventBridge Scheduler are replaced (user guide, "Adding
    context attributes").
    """
    moment = _moment(tick)
    identity = request_id(schedule, tick)
    given = schedule.target.input
    if given is not None:
        if _ATTRIBUTES in given:
            attributes = {
                "schedule-arn": schedule.arn,
                "scheduled-time": moment,
                "execution-id": identity,
                "attempt-number": "1",
            }
            for name, value in attributes.items():
                given = given.replace(f"{_ATTRIBUTES}{name}>", value)
        return given.encode()
    return msgspec.json.encode(
        {
            "version": "0",
            "id": identity,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": schedule.account,
            "time": moment,
            "region": schedule.region,
            "resources": [schedule.arn],
            "detail": {},
        }
    )


def _moment(tick: Tick) -> str:
    return datetime.fromtimestamp(tick.due, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
