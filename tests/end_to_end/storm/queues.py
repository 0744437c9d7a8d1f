"""Queues with mappings: a standard one, and a FIFO one whose groups keep their order."""

from __future__ import annotations

import random
import threading
from abc import abstractmethod
from collections import defaultdict
from typing import Any, ClassVar

import redis

from tests.end_to_end.lab import Lab
from tests.end_to_end.storm.kinds import AWAY, Books, Kind, metered
from tests.end_to_end.storm.runs import FAILS_EVERY, Run, ends, queue_handler, runs

GROUPS = 4
"""Of each sender of the FIFO queue."""
VISIBILITY_S = 2


class Queued(Kind):
    """What both have in common. Every tenth message or so fails when it is first received."""

    queue: str
    attributes: ClassVar[dict[str, str]]
    ordered: bool
    senders = 2

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.acknowledged: set[str] = set()

    def prepare(self) -> None:
        """See `Kind`."""
        sqs = self.client("sqs")
        # A message that failed comes back after the visibility timeout, which is to be no shorter than the function's.
        attributes = {"VisibilityTimeout": str(VISIBILITY_S), **self.attributes}
        self.url = sqs.create_queue(QueueName=self.queue, Attributes=attributes)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.function = self.lab.deploy(queue_handler(ordered=self.ordered), Timeout=2)
        self.client("lambda").create_event_source_mapping(
            FunctionName=self.function.name,
            EventSourceArn=found["Attributes"]["QueueArn"],
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    @abstractmethod
    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def faults(self, done: list[Run]) -> list[str]:
        """What of these runs, which went well, must not be."""
        return []

    def books(self, store: redis.Redis) -> Books:
        """A message ends by leaving its queue, after an invocation that went well and was metered."""
        faults: list[str] = []
        readings, ended = metered(self.function, store, faults), ends(self.function)
        if ended - readings:
            faults.append(f"{len(ended - readings)} invocations came to their end without a reading")
        all_runs = list(runs(self.function))
        done = [run for run in all_runs if run.did]
        settled = {run.body for run in done if run.request_id in readings}
        left = self.left(store)
        return Books(
            kind=self.name,
            acknowledged=len(self.acknowledged),
            refused=self.refused,
            ended=len(settled) - left,
            lost=[*(self.acknowledged - settled)],
            doubled=[],
            readings=len(readings),
            attempts=len(ended),
            counts={
                "failed at first": len({run.body for run in all_runs if not run.did}),
                "done again": len(done) - len({run.body for run in done}),
                "left": left,
            },
            faults=[*faults, *self.faults(done), *([f"{left} messages are left"] if left else [])],
        )


class StandardQueue(Queued):
    """Batches of messages in no order."""

    name = "queue"
    queue = "storm-plain"
    attributes: ClassVar[dict[str, str]] = {}
    ordered = False

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        sqs, choose, number = self.client("sqs"), random.Random(index), 0
        while not over.is_set():
            bodies = [f"{index} {number + more}" for more in range(choose.randint(1, 10))]
            number += len(bodies)
            entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
            try:
                answer = sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            except AWAY:
                self.pause(over)
            else:
                with self.lock:
                    self.acknowledged |= {bodies[int(one["Id"])] for one in answer.get("Successful", [])}
            over.wait(0.1)


class FifoQueue(Queued):
    """Messages of groups: what is not acknowledged is sent again under its name, before the next of its group."""

    name = "fifo"
    queue = "storm.fifo"
    attributes: ClassVar[dict[str, str]] = {"FifoQueue": "true"}
    ordered = True

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        sqs, choose = self.client("sqs"), random.Random(index)
        sent: defaultdict[str, int] = defaultdict(int)
        while not over.is_set():
            group = f"g{index}{choose.randrange(GROUPS)}"
            body = f"{group} {sent[group]}"
            if self._send(sqs, group, body, over):
                sent[group] += 1
                with self.lock:
                    self.acknowledged.add(body)
            over.wait(0.02)

    def _send(self, sqs: Any, group: str, body: str, over: threading.Event) -> bool:
        while not over.is_set():
            try:
                sqs.send_message(
                    QueueUrl=self.url,
                    MessageBody=body,
                    MessageGroupId=group,
                    MessageDeduplicationId=body.replace(" ", "-"),
                )
            except AWAY:
                self.pause(over)
            else:
                return True
        return False

    def takes_s(self, left: int) -> float:
        """See `Kind`: a group waits for the visibility timeout whenever a message of it has failed."""
        return left / FAILS_EVERY * VISIBILITY_S / (GROUPS * self.senders)

    def faults(self, done: list[Run]) -> list[str]:
        """Each message of a group was done for the first time after all that were sent before it."""
        first: defaultdict[str, list[int]] = defaultdict(list)
        for run in done:
            group, _, number = run.body.partition(" ")
            if int(number) not in first[group]:
                first[group].append(int(number))
        return [
            f"group {group} was done in the order {numbers}"
            for group, numbers in first.items()
            if numbers != list(range(len(numbers)))
        ]
