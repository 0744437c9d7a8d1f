"""What SeaweedFS tells of its files, read as changes of objects; and the events that are made of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.uploads.changes import changes, decode
from gateway.uploads.intents import Intent
from gateway.uploads.record import Change, event_of

BUCKET = "/buckets/photos"
ETAG = {"Seaweed-X-Amz-ETag": "5d41402abc4b2a76b9719d911017c592"}
MULTIPART = {"Seaweed-X-Amz-ETag": "2009418154b595bf9683b295e79f963d-3", "X-Seaweedfs-Multipart-Parts-Count": "3"}
VERSION = {"Seaweed-X-Amz-Version-Id": "67154aaaa11309067a8230cf1613e30f"}


def entry(name: str, *, chunk: str = "1", folder: bool = False, mime: str = "", **noted: Any) -> dict[str, Any]:
    """A file as the filer writes it; `noted` is what the S3 server noted at it."""
    return {
        "name": name,
        "isDirectory": folder,
        "chunks": [] if folder else [{"fid": {"volumeId": 2, "fileKey": chunk}, "modifiedTsNs": "17954467793"}],
        "attributes": {"fileSize": "5", "mtime": "1795446779", "mime": mime, "md5": ""},
        "extended": {key: base64.b64encode(value.encode()).decode() for key, value in noted.get("noted", {}).items()},
        "content": "",
        "quota": "0",
    }


def told(directory: str, old: Any = None, new: Any = None, parent: str | None = None) -> list[Change]:
    written = {
        "directory": directory,
        "eventNotification": {
            "oldEntry": old,
            "newEntry": new,
            "newParentPath": (directory if new else "") if parent is None else parent,
            "signatures": [1],
        },
        "tsNs": "1795446779369380078",
    }
    return list(changes(decode(json.dumps(written))))


def test_a_new_file_is_an_object_that_was_put() -> None:
    [change] = told(f"{BUCKET}/in", new=entry("a b+ü.txt", noted=ETAG))
    assert change == Change(
        bucket="photos",
        key="in/a b+ü.txt",
        event="ObjectCreated:Put",
        at_ns=1795446779369380078,
        size=5,
        etag="5d41402abc4b2a76b9719d911017c592",
        modified_s=1795446779,
    )


def test_an_object_that_is_written_again_is_put_again() -> None:
    [change] = told(BUCKET, entry("a", noted=ETAG), entry("a", chunk="2", noted=ETAG))
    assert (change.key, change.event) == ("a", "ObjectCreated:Put")


TAGGED = ETAG | {"X-Amz-Tagging-a": "b"}
LISTED = ETAG | {"Seaweed-X-Amz-Acl": "[]"}


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (ETAG, TAGGED, ["ObjectTagging:Put"]),
        (TAGGED, ETAG | {"X-Amz-Tagging-a": "c"}, ["ObjectTagging:Put"]),
        (TAGGED, ETAG, ["ObjectTagging:Delete"]),
        (ETAG, LISTED, ["ObjectAcl:Put"]),
        (ETAG, TAGGED | LISTED, ["ObjectTagging:Put", "ObjectAcl:Put"]),
        (ETAG, ETAG | {"X-Amz-Meta-a": "b"}, []),
    ],
)
def test_tags_and_grants_that_are_noted_at_an_object_are_told(
    before: dict[str, str], after: dict[str, str], events: list[str]
) -> None:
    noted = told(f"{BUCKET}/in", entry("a", noted=before), entry("a", noted=after))
    assert [(change.key, change.event) for change in noted] == [("in/a", event) for event in events]


def test_what_is_noted_at_an_object_has_a_shorter_event_of_its_own_version() -> None:
    [change] = told(BUCKET, entry("a", noted=ETAG), entry("a", noted=TAGGED))
    record = json.loads(event_of(change, "x", "us-east-1", None))["Records"][0]
    assert (record["eventName"], record["eventVersion"]) == ("ObjectTagging:Put", "2.3")
    assert record["s3"]["object"] == {"key": "a", "eTag": "5d41402abc4b2a76b9719d911017c592"}


def test_an_object_put_while_versioning_is_suspended_names_no_version() -> None:
    [change] = told(f"{BUCKET}/v.versions", new=entry("v_null", noted=ETAG | {"Seaweed-X-Amz-Version-Id": "null"}))
    record = json.loads(event_of(change, "x", "us-east-1", None))["Records"][0]
    assert "versionId" not in record["s3"]["object"]


def test_an_upload_in_parts_is_one_object_when_it_is_complete() -> None:
    assert told(f"{BUCKET}/.uploads", new=entry("fa11", folder=True)) == []
    assert told(f"{BUCKET}/.uploads/fa11", new=entry("0001.part", noted=ETAG)) == []
    [change] = told(BUCKET, new=entry("big", noted=MULTIPART))
    assert (change.event, change.etag) == (
        "ObjectCreated:CompleteMultipartUpload",
        "2009418154b595bf9683b295e79f963d-3",
    )


def test_a_file_that_is_gone_is_an_object_that_was_removed() -> None:
    [change] = told(f"{BUCKET}/in", entry("a", noted=ETAG))
    assert (change.key, change.event, change.removes) == ("in/a", "ObjectRemoved:Delete", True)


def test_a_renamed_file_is_one_object_less_and_one_more() -> None:
    both = told(f"{BUCKET}/in", entry("a", noted=ETAG), entry("b", noted=ETAG), f"{BUCKET}/out")
    assert [(one.key, one.event) for one in both] == [
        ("in/a", "ObjectRemoved:Delete"),
        ("out/b", "ObjectCreated:Put"),
    ]


def test_versions_are_of_the_object_they_belong_to() -> None:
    folder = f"{BUCKET}/v/1.versions"
    [change] = told(folder, new=entry("v_67", noted=ETAG | VERSION))
    assert (change.key, change.version, change.event) == (
        "v/1",
        VERSION["Seaweed-X-Amz-Version-Id"],
        "ObjectCreated:Put",
    )
    marker = entry("v_68", noted=VERSION | {"Seaweed-X-Amz-Delete-Marker": "true"})
    [change] = told(folder, new=marker)
    assert (change.key, change.event) == ("v/1", "ObjectRemoved:DeleteMarkerCreated")
    assert change.etag == "d41d8cd98f00b204e9800998ecf8427e"  # as S3 tells it
    [change] = told(folder, marker)
    assert (change.key, change.event) == ("v/1", "ObjectRemoved:Delete")
    [change] = told(folder, entry("v_67", noted=ETAG | VERSION))
    assert (change.key, change.event) == ("v/1", "ObjectRemoved:Delete")


@pytest.mark.parametrize(
    ("directory", "new"),
    [
        ("/buckets", entry("photos", folder=True)),
        ("/buckets/.system/owners", entry("root")),
        (BUCKET, entry("in", folder=True)),
        ("/etc/iam", entry("identity.json")),
    ],
)
def test_what_is_no_object_is_no_change(directory: str, new: Any) -> None:
    assert told(directory, new=new) == []


def test_a_key_that_ends_in_a_slash_is_an_object() -> None:
    [change] = told(BUCKET, new=entry("folder", folder=True, mime="application/octet-stream"))
    assert change.key == "folder/"


INTENT = Intent(
    bucket="photos",
    key="in/a b+ü.txt",
    event="ObjectCreated:Put",
    at=1795446779.0,
    request_id="83f853df-94fe-49f1-8000-000000000000",
    principal="AWS:AIDAEXAMPLE",
    address="10.1.2.3",
)


def test_the_event_is_s3s_own() -> None:
    change = told(f"{BUCKET}/in", new=entry("a b+ü.txt", noted=ETAG))[0]
    assert json.loads(event_of(change, "thumbnails", "eu-central-1", INTENT)) == {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2026-11-23T15:12:59.369Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "10.1.2.3"},
                "responseElements": {"x-amz-request-id": "83F853DF94FE49F1", "x-amz-id-2": "83F853DF94FE49F1"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "thumbnails",
                    "bucket": {
                        "name": "photos",
                        "ownerIdentity": {"principalId": "samovar"},
                        "arn": "arn:aws:s3:::photos",
                    },
                    "object": {
                        "key": "in/a+b%2B%C3%BC.txt",
                        "size": 5,
                        "eTag": "5d41402abc4b2a76b9719d911017c592",
                        "sequencer": f"{1795446779369380078:018X}",
                    },
                },
            }
        ]
    }


def test_an_object_that_is_gone_has_neither_size_nor_tag() -> None:
    change = told(f"{BUCKET}/in", entry("a", noted=ETAG))[0]
    told_of = json.loads(event_of(change, "x", "us-east-1", None))["Records"][0]["s3"]["object"]
    assert told_of.keys() == {"key", "sequencer"}


def test_later_changes_have_greater_sequencers() -> None:
    moments = [1, 1795446779369380078, 1795446779369380079, 9 * 10**18]
    sequencers = [Change(bucket="b", key="k", event="ObjectCreated:Put", at_ns=at).sequencer for at in moments]
    assert sequencers == sorted(sequencers)
    assert len({len(each) for each in sequencers}) == 1
