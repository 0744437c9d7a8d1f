"""The event a function is given for a change of an object. Pure.

Amazon S3 user guide, "Event message structure", version 2.1.
"""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec

from gateway.uploads.intents import Intent

VERSION: Final = "2.1"
NOTED_VERSION: Final = "2.3"
"""Of events about what is noted at an object, which have less to say of it."""
NULL_VERSION: Final = "null"
"""What is written while a bucket's versioning is suspended. Its events name no version."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an object."""

    bucket: str
    key: str
    event: str
    """`ObjectCreated:Put` and the like."""
    at_ns: int
    """Epoch nanoseconds; of one object's changes the later one's is greater."""
    size: int = 0
    etag: str = ""
    """Without quotes."""
    version: str = ""
    """Empty where the bucket has no versions."""
    modified_s: int = 0
    """When the object was written, epoch seconds, as S3 tells it."""
    owner: str = ""

    @property
    def kind(self) -> str:
        """`ObjectCreated` and the like."""
        return self.event.partition(":")[0]

    @property
    def is_noted(self) -> bool:
        """Whether only what is noted at the object has changed, and not the object."""
        return self.kind in ("ObjectTagging", "ObjectAcl")

    @property
    def removes(self) -> bool:
        """Whether the object is gone."""
        return self.event.startswith("ObjectRemoved")

    @property
    def leaves_none(self) -> bool:
        """Whether there is no object of that key afterwards, as far as this change tells."""
        return self.removes and (self.event.endswith("DeleteMarkerCreated") or self.version in ("", NULL_VERSION))

    @property
    def sequencer(self) -> str:
        """Hex digits of one length, so that later ones are greater as texts, too."""
        return f"{self.at_ns:018X}"


def event_of(change: Change, rule_id: str, region: str, intent: Intent | None) -> bytes:
    """The event as JSON. `intent` is the request that made the change, if it is known."""
    principal = {"principalId": (intent.principal if intent else "") or "AWS:samovar"}
    request_id = intent.request_id.replace("-", "")[:16].upper() if intent else change.sequencer[:16]
    record = {
        "eventVersion": NOTED_VERSION if change.is_noted else VERSION,
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": moment(change.at_ns // 1_000_000),
        "eventName": change.event,
        "userIdentity": principal,
        "requestParameters": {"sourceIPAddress": (intent.address if intent else "") or "127.0.0.1"},
        "responseElements": {"x-amz-request-id": request_id, "x-amz-id-2": request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule_id,
            "bucket": {
                "name": change.bucket,
                "ownerIdentity": {"principalId": change.owner or "samovar"},
                "arn": f"arn:aws:s3:::{change.bucket}",
            },
            "object": _object(change),
        },
    }
    return msgspec.json.encode({"Records": [record]})


def _object(change: Change) -> dict[str, Any]:
    told: dict[str, Any] = {"key": quote_plus(change.key, safe="/*-._")}
    if not change.is_noted:
        told["sequencer"] = change.sequencer
        if not change.removes:
            told["size"] = change.size
    if not change.removes or change.event.endswith("DeleteMarkerCreated"):
        told["eTag"] = change.etag
    if change.version not in ("", NULL_VERSION):
        told["versionId"] = change.version
    return told


def moment(epoch_ms: int) -> str:
    """A moment as S3 writes it."""
    seconds, thousandths = divmod(epoch_ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{thousandths:03d}Z"
