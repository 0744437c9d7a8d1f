"""What functions that work on batches say of their runs, read from their logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.end_to_end.lab import Function
from tests.end_to_end.storm.kinds import log_of

FAILS_EVERY = 13
HANDLER = """
    import time

    def handler(event, context):
        failed = []
        for record in event["Records"]:
            body, again = {body}, {again}
            time.sleep(0.002)
            if int(body.split()[1]) % {every} == 0 and not again:
                print("failed", body, flush=True)
                failed.append({{"itemIdentifier": record["{id}"]}})
                if {ordered}:
                    break
            else:
                print("did", body, flush=True)
        else:
            return {{"batchItemFailures": failed}}
        at = event["Records"].index(record)
        return {{"batchItemFailures": [{{"itemIdentifier": one["{id}"]}} for one in event["Records"][at:]]}}
"""
"""Says of each record that it did it, or that it failed: of every `FAILS_EVERY`th, the first time it is received."""


class Run(NamedTuple):
    """One record in one invocation."""

    request_id: str
    did: bool
    """Whether it went well."""
    body: str


def queue_handler(*, ordered: bool) -> str:
    """The source of a function that works on a queue."""
    again = 'int(record["attributes"]["ApproximateReceiveCount"]) > 1'
    return HANDLER.format(body='record["body"]', again=again, id="messageId", ordered=ordered, every=FAILS_EVERY)


def runs(function: Function) -> Iterator[Run]:
    """In the order in which they were."""
    for line in log_of(function):
        word, _, body = line.text.partition(" ")
        if word in ("did", "failed"):
            yield Run(line.request_id, word == "did", body)


def ends(function: Function) -> set[str]:
    """Request ids of the invocations that came to their end, as the log has it."""
    return {line.request_id for line in log_of(function) if line.text.startswith("REPORT RequestId: ")}
