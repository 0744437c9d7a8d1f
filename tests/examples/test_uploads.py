"""The examples that begin with an upload, driven as their READMEs say, over every real isolation."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from PIL import Image

from tests.examples import photographs
from tests.examples.test_examples import alike, deploy
from tests.platform import Platform
from tests.signing import key_for

PATIENCE_S = 60.0
CHAPTERS = 12


@pytest.fixture
def s3(platform: Platform) -> Iterator[Any]:
    """boto3's client of the platform's buckets."""
    key = key_for(platform.endpoint)
    client = boto3.client(
        "s3",
        endpoint_url=platform.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
    )
    yield client
    client.close()


def appears(s3: Any, bucket: str, key: str) -> bytes:
    """The object, once it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0:
        assert time.monotonic() < deadline, f"{key} did not appear in {bucket}"
        time.sleep(0.1)
    found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


@pytest.mark.component("seaweedfs", "boto3")
def test_a_photograph_in_a_bucket_becomes_a_thumbnail_in_another(platform: Platform, s3: Any, tmp_path: Path) -> None:
    platform.cli("buckets", "create", "thumbnails")
    deploy(platform, "thumbnail")
    picture = photographs.photograph("china.jpg")
    s3.put_object(Bucket="photos", Key="trips/a river & a tower.jpg", Body=picture)
    (tmp_path / "flower.jpg").write_bytes(photographs.photograph("flower.jpg"))
    platform.cli("upload", tmp_path / "flower.jpg", "s3://photos/trips/")
    small = appears(s3, "thumbnails", "trips/a river & a tower.jpg")
    with Image.open(io.BytesIO(small)) as made, Image.open(io.BytesIO(picture)) as large:
        assert made.size == (256, round(256 * large.height / large.width))
        assert alike(made, large)
    appears(s3, "thumbnails", "trips/flower.jpg")


@pytest.mark.component("seaweedfs", "boto3")
def test_a_text_goes_through_the_pipeline_chapter_by_chapter(platform: Platform, s3: Any) -> None:
    platform.cli("buckets", "create", "pipeline-results")
    deploy(platform, "pipeline")
    text = "".join(f"Chapter {number}\n{'word ' * number}\n" for number in range(1, CHAPTERS + 1))
    s3.put_object(Bucket="pipeline-texts", Key="novel.txt", Body=text.encode())
    kept = [json.loads(appears(s3, "pipeline-results", f"novel/{n:03}.json")) for n in range(1, CHAPTERS + 1)]
    assert [(one["chapter"], one["title"], one["words"]) for one in kept] == [
        (number, f"Chapter {number}", number + 2) for number in range(1, CHAPTERS + 1)
    ]
