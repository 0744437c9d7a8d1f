"""Folders that are watched as buckets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.end_to_end.lab import laboratory
from tests.end_to_end.platform_box import until
from tests.end_to_end.test_uploads import TELLS, client_of, told

pytestmark = pytest.mark.component("bubblewrap", "valkey", "seaweedfs", "boto3")


def test_a_folder_is_a_bucket(tmp_path: Path) -> None:
    """What was there before, what is put there and renamed, and what is removed; hidden files are nobody's uploads."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "before ü.txt").write_bytes(b"before")
    with laboratory("sandbox", upload_folders=f"scans={tmp_path}") as lab:
        client = client_of(lab)

        def keys() -> set[str]:
            try:
                return {each["Key"] for each in client.list_objects_v2(Bucket="scans").get("Contents", [])}
            except ClientError:
                return set()  # it is being made

        until(lambda: keys() == {"deep/before ü.txt"}, "the bucket has what was in the folder")
        function = lab.deploy(TELLS, name="scanner")
        arn = "arn:aws:lambda:us-east-1:123456789012:function:scanner"
        notify = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        client.put_bucket_notification_configuration(
            Bucket="scans", NotificationConfiguration={"LambdaFunctionConfigurations": [notify]}
        )
        (tmp_path / ".part").write_bytes(b"whole")
        (tmp_path / ".part").rename(tmp_path / "renamed.txt")
        (tmp_path / "deep" / "before ü.txt").unlink()
        told(function, ("ObjectCreated:Put", "renamed.txt"), ("ObjectRemoved:Delete", "deep/before+%C3%BC.txt"))
        assert client.get_object(Bucket="scans", Key="renamed.txt")["Body"].read() == b"whole"
        assert keys() == {"renamed.txt"}
        _moves_folders(tmp_path, keys)


def _moves_folders(folder: Path, keys: Callable[[], set[str]]) -> None:
    """Of what is in a folder that is moved, the kernel says nothing; nor of one that is put in another's place."""
    (folder / "deep").rename(folder / "other")
    written = {f"other/{number} ä.txt" for number in range(50)}
    for key in written:
        (folder / key).write_bytes(b"1")
    until(lambda: keys() == {"renamed.txt"} | written, "many files are there")
    (folder / "other").rename(folder / "moved")
    moved = {key.replace("other/", "moved/") for key in written}
    until(lambda: keys() == {"renamed.txt"} | moved, "the folder's files have other keys")
    (folder / "passing.txt").write_bytes(b"1")
    (folder / "renamed.txt").write_bytes(b"written, and then removed before it was whole")
    (folder / "renamed.txt").unlink()
    until(lambda: keys() == {"passing.txt"} | moved, "what was removed meanwhile has gone")
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir(exist_ok=True)
    (folder / "anew.txt").write_bytes(b"1")
    until(lambda: "anew.txt" in keys(), "the folder in its place is watched")
