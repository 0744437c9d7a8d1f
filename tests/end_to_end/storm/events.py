"""Asynchronous calls, whose ends are told to queues."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import Any

import redis

from gateway.events import keys
from samovar.clients.platform import Client
from samovar.errors import SamovarError
from tests.end_to_end.lab import Lab
from tests.end_to_end.storm.kinds import (
    ACCOUNT,
    REGION,
    Books,
    Kind,
    arn_of,
    ended_both_ways,
    ended_events,
    events_left,
    metered,
    unmetered_runs,
)

HANDLER = """
    import time
    def handler(event, context):
        time.sleep(event.get("s", 0))
        if event.get("fail"):
            raise ValueError("on purpose")
        return event["n"]
"""
SLEEPS_S = (0, 0, 0.02, 0.3)
ENVIRONMENTS = 4
"""At once, by the platform's settings."""
DESTINATIONS = {"OnSuccess": "storm-succeeded", "OnFailure": "storm-failed"}
"""Queues that are told of ends."""


class Events(Kind):
    """See the module. Every event's end is in the books once; its queue is told of it at least once."""

    name = "events"
    senders = 2

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._acknowledged: set[str] = set()
        self._numbers = iter(range(10**9))

    def prepare(self) -> None:
        """See `Kind`."""
        self._function = self.lab.deploy(HANDLER)
        sqs = self.client("sqs")
        self._urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in DESTINATIONS.values()}
        told = {when: {"Destination": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"} for when, name in DESTINATIONS.items()}
        self.client("lambda").put_function_event_invoke_config(
            FunctionName=self._function.name, MaximumRetryAttempts=0, DestinationConfig=told
        )
        self._function.value({"n": 0})

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        choose = random.Random(index)
        while not over.is_set():
            event = {"n": next(self._numbers), "s": choose.choice(SLEEPS_S), "fail": choose.random() < 0.1}
            try:
                with Client(self.lab.endpoint) as client:
                    accepted = client.invoke_later(self._function.name, json.dumps(event).encode())
            except SamovarError:
                self.pause(over)
            else:
                with self.lock:
                    self._acknowledged.add(accepted)
            over.wait(0.01)

    def takes_s(self, left: int) -> float:
        """See `Kind`: each sleeps, and so many do at once."""
        return left * sum(SLEEPS_S) / len(SLEEPS_S) / ENVIRONMENTS

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        return events_left(store, arn_of(self._function)) + events_left(store, keys.DELIVERIES)

    def books(self, store: redis.Redis) -> Books:
        """See `Kind`."""
        faults: list[str] = []
        ended = ended_events(store, arn_of(self._function))
        readings = metered(self._function, store, faults)
        if wrong := unmetered_runs(ended, readings):
            faults.append(f"runs and readings of {len(wrong)} differ, such as {wrong[:5]}")
        told = {name: self._told(url) for name, url in self._urls.items()}
        for name, head in ended.items():
            if not told["storm-succeeded" if head.condition == "Success" else "storm-failed"][name]:
                faults.append(f"nobody was told of the end of {name}, {head.condition}")
        return Books(
            kind=self.name,
            acknowledged=len(self._acknowledged),
            refused=self.refused,
            ended=len(ended),
            lost=[*(self._acknowledged - ended.keys())],
            doubled=ended_both_ways(store, arn_of(self._function)),
            readings=len(readings),
            attempts=sum(head.attempts for head in ended.values()),
            counts={
                "begun more than once": sum(head.runs > 1 for head in ended.values()),
                "failed": sum(head.condition != "Success" for head in ended.values()),
                "told": sum(map(Counter.total, told.values())),
            },
            faults=faults,
        )

    def _told(self, url: str) -> Counter[str]:
        """How often a queue was told of each event."""
        sqs, told = self.client("sqs"), Counter[str]()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            records: list[Any] = [json.loads(message["Body"]) for message in messages]
            told.update(record["requestContext"]["requestId"] for record in records)
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return told
