"""Objects that are put and removed, through the platform and straight in the S3 server."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import Any

import redis
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from gateway.events import keys
from samovar import s3
from samovar.settings import Settings
from tests.end_to_end.lab import Lab
from tests.end_to_end.storm.kinds import (
    AWAY,
    Books,
    Kind,
    arn_of,
    ended_both_ways,
    ended_events,
    events_left,
    metered,
    store_of,
    unmetered_runs,
)

BUCKET = "storm"
HANDLER = """
    def handler(event, context):
        return len(event["Records"])
"""


class Uploads(Kind):
    """See the module. Every object has a name of its own, so that there is one event of each kind for it.

    What is removed straight in the server is told to be there first: `docs/decisions/0024-uploads.md` says why.
    """

    name = "uploads"
    senders = 2

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._acknowledged: set[tuple[str, str]] = set()
        """Names of events, and keys."""

    def prepare(self) -> None:
        """See `Kind`."""
        self._function = self.lab.deploy(HANDLER)
        client = self.client("s3")
        client.create_bucket(Bucket=BUCKET)
        notify = {
            "LambdaFunctionArn": arn_of(self._function),
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
        }
        client.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [notify]}
        )

    def send(self, index: int, over: threading.Event) -> None:
        """The first sender goes through the platform, the second straight to the server."""
        choose, number, there = random.Random(index), 0, list[str]()
        while not over.is_set():
            key = f"in/{'through' if index == 0 else 'straight'}-{number}"
            number += 1
            try:
                client = self._client(index)
                client.put_object(Bucket=BUCKET, Key=key, Body=b"1")
                self._note("ObjectCreated:Put", key)
                there.append(key)
                if index == 0 and choose.random() < 0.3:
                    self._remove(client, there.pop(choose.randrange(len(there))))
                if len(there) > 10 and number % 5 == 0:
                    gone = [key for key in there[:5] if index == 0 or self._is_told(key)]
                    there = [key for key in there if key not in gone]
                    self._remove(client, *gone)
            except AWAY as error:
                if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
                self.pause(over)
            over.wait(0.05)

    def _remove(self, client: Any, *keys: str) -> None:
        """One by itself, more than one by one request."""
        if not keys:
            return
        if len(keys) == 1:
            client.delete_object(Bucket=BUCKET, Key=keys[0])
            gone = {*keys}
        else:
            answer = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
            gone = {each["Key"] for each in answer.get("Deleted", ())}
        for key in gone:
            self._note("ObjectRemoved:Delete", key)

    def _is_told(self, key: str) -> bool:
        try:
            with store_of(self.lab) as store:
                return ("ObjectCreated:Put", key) in self._told(store, arn_of(self._function))
        except redis.RedisError:
            return False

    def _note(self, event: str, key: str) -> None:
        with self.lock:
            self._acknowledged.add((event, key))

    def _client(self, index: int) -> Any:
        if index == 0:
            return self.client("s3")
        server = s3.find(Settings(data_dir=str(self.lab.platform.data_dir)))
        assert server is not None
        return self.client("s3", server.endpoint)

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        line = arn_of(self._function)
        return events_left(store, line) + len(self._acknowledged - self._told(store, line).keys())

    @staticmethod
    def _told(store: redis.Redis, line: str) -> Counter[tuple[str, str]]:
        """How often each change was told, as ended events have it."""
        records = [json.loads(raw)["Records"][0] for raw in store.hvals(keys.past_payloads(line))]
        return Counter((record["eventName"], record["s3"]["object"]["key"]) for record in records)

    def books(self, store: redis.Redis) -> Books:
        """See `Kind`."""
        line, faults = arn_of(self._function), list[str]()
        ended, told = ended_events(store, line), self._told(store, line)
        readings = metered(self._function, store, faults)
        if wrong := unmetered_runs(ended, readings):
            faults.append(f"runs and readings of {len(wrong)} differ, such as {wrong[:5]}")
        ways = Counter(key.partition("-")[0].removeprefix("in/") for _, key in self._acknowledged)
        return Books(
            kind=self.name,
            acknowledged=len(self._acknowledged),
            refused=self.refused,
            ended=len(ended),
            lost=[f"{event} {key}" for event, key in self._acknowledged - told.keys()],
            doubled=[*ended_both_ways(store, line), *(f"{one}" for one, times in told.items() if times > 1)],
            readings=len(readings),
            attempts=sum(head.attempts for head in ended.values()),
            counts={**ways, "removed": sum(event.startswith("ObjectRemoved") for event, _ in self._acknowledged)},
            faults=faults,
        )
