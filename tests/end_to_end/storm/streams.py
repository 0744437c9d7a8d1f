"""Streams in Redis with mappings."""

from __future__ import annotations

import threading
from contextlib import suppress

import redis

from tests.end_to_end.lab import Lab
from tests.end_to_end.storm.kinds import ACCOUNT, REGION, Books, Kind, metered, store_of
from tests.end_to_end.storm.runs import FAILS_EVERY, HANDLER, ends, runs

KEY = "storm-clicks"
_ARN = f"arn:aws:redis:{REGION}:{ACCOUNT}:stream/{KEY}"


class Stream(Kind):
    """Entries that are added to a stream, past the platform."""

    name = "stream"

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._acknowledged: set[str] = set()

    def prepare(self) -> None:
        """See `Kind`."""
        source = HANDLER.format(
            body='"c " + record["data"]["n"]', again="True", id="messageId", ordered=False, every=FAILS_EVERY
        )
        self._function = self.lab.deploy(source, Timeout=2)
        self.client("lambda").create_event_source_mapping(
            FunctionName=self._function.name, EventSourceArn=_ARN, StartingPosition="TRIM_HORIZON", BatchSize=10
        )

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        number = 0
        while not over.is_set():
            try:
                with store_of(self.lab) as store:
                    store.xadd(KEY, {"n": number})
            except redis.RedisError:
                self.pause(over)
            else:
                self._acknowledged.add(f"c {number}")
            number += 1
            over.wait(0.03)

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        with suppress(redis.ResponseError):  # nobody has begun
            (group,) = store.xinfo_groups(KEY)
            return int(group["pending"]) + int(group["lag"] or 0)
        return int(store.xlen(KEY))

    def books(self, store: redis.Redis) -> Books:
        """See `Kind`."""
        faults: list[str] = []
        readings, ended = metered(self._function, store, faults), ends(self._function)
        if ended - readings:
            faults.append(f"{len(ended - readings)} invocations came to their end without a reading")
        done = [run for run in runs(self._function) if run.did]
        settled = {run.body for run in done if run.request_id in readings}
        return Books(
            kind=self.name,
            acknowledged=len(self._acknowledged),
            refused=self.refused,
            ended=len(settled),
            lost=[*(self._acknowledged - settled)],
            doubled=[],
            readings=len(readings),
            attempts=len(ended),
            counts={"done again": len(done) - len({run.body for run in done}), "left": self.left(store)},
            faults=faults,
        )
