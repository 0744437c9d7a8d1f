"""What a schedule sends: its own input with the moment put in, or an event that says which it was and when. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from gateway.schedules.schedule import Schedule, Tick

_ATTRIBUTES: Final = "<aws.scheduler."


def request_id(schedule: Schedule, tick: Tick) -> str:
    """The id of what a moment starts: the same whoever starts it, however often it is tried."""
    return str(uuid5(NAMESPACE_URL, tick.name(schedule)))


def payload(schedule: Schedule, tick: Tick) -> bytes:
    """What the target is sent.

    Without an input: the event as EventBridge writes it (AWS Lambda developer guide, "Using AWS Lambda with Amazon
    EventBridge"). In an input, the context attributes of EventBridge Scheduler are replaced (user guide, "Adding
    context attributes").
    """
    moment = datetime.fromtimestamp(tick.due, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
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
