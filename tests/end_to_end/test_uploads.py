"""Uploads on a whole platform: by AWS's clients, by forms and links, straight into the S3 server, and through kills.

What a function was told is read from its log.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
import redis
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from gateway.uploads.pruning import forget_old_changes
from samovar import s3
from samovar.clients.platform import Client
from samovar.settings import Settings
from tests.end_to_end.lab import Function, Lab, laboratory, package
from tests.end_to_end.platform_box import until
from tests.signing import Signing, key_for

pytestmark = pytest.mark.component("bubblewrap", "valkey", "seaweedfs", "boto3")

TELLS = """
import json
def handler(event, context):
    for record in event["Records"]:
        print("TOLD " + json.dumps(record))
"""
AWS = Path(sys.executable).parent / "aws"


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A platform for this module, which kills parts of it."""
    failed_before = request.session.testsfailed
    with laboratory("sandbox") as lab:
        yield lab
        if request.session.testsfailed > failed_before:
            sys.stderr.write(lab.platform.logs())


def client_of(lab: Lab, service: str = "s3", endpoint: str = "") -> Any:
    key = key_for(lab.endpoint)
    return boto3.client(
        service,
        endpoint_url=endpoint or lab.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


@pytest.fixture(scope="module")
def bucket(lab: Lab) -> Any:
    """boto3's client, with the bucket `photos` whose changes below `in/` and `kept/` a function hears of."""
    client = client_of(lab)
    assert client.list_buckets()["Buckets"] == []
    assert "s3" not in lab.pids()  # listing buckets does not start a server
    client.create_bucket(Bucket="photos")
    assert "s3" in lab.pids()
    return client


@pytest.fixture(scope="module")
def teller(lab: Lab, bucket: Any) -> Function:
    """The function."""
    function = lab.deploy(TELLS, name="teller")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:teller"
    bucket.put_bucket_notification_configuration(
        Bucket="photos",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "Id": name,
                    "LambdaFunctionArn": arn,
                    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": f"{name}/"}]}},
                }
                for name in ("in", "kept")
            ]
        },
    )
    return function


def told(function: Function, *wanted: tuple[str, str]) -> list[dict[str, Any]]:
    """The records of these events (name and key), once the function has been told all of them."""

    def found() -> list[dict[str, Any]]:
        lines = [line.text for line in function.lab.client.logs(function.name) if line.text.startswith("TOLD ")]
        records = [json.loads(line.removeprefix("TOLD ")) for line in lines]
        by_name = {(record["eventName"], record["s3"]["object"]["key"]): record for record in records}
        return [by_name[one] for one in wanted] if all(one in by_name for one in wanted) else []

    records: list[dict[str, Any]] = until(found, f"{function.name} is told of {wanted}")
    return records


def test_each_way_to_change_an_object_is_told_as_what_it_is(bucket: Any, teller: Function) -> None:
    put = bucket.put_object(Bucket="photos", Key="in/a b+ü.txt", Body=b"hello")
    bucket.put_object(Bucket="photos", Key="elsewhere", Body=b"hello")
    bucket.upload_fileobj(io.BytesIO(os.urandom(12 << 20)), "photos", "in/parts")
    bucket.copy_object(Bucket="photos", Key="in/copy", CopySource="photos/elsewhere")
    bucket.delete_object(Bucket="photos", Key="in/a b+ü.txt")
    bucket.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "in/parts"}, {"Key": "in/copy"}]})
    first, parts, *_ = told(
        teller,
        ("ObjectCreated:Put", "in/a+b%2B%C3%BC.txt"),
        ("ObjectCreated:CompleteMultipartUpload", "in/parts"),
        ("ObjectCreated:Copy", "in/copy"),
        ("ObjectRemoved:Delete", "in/a+b%2B%C3%BC.txt"),
        ("ObjectRemoved:Delete", "in/parts"),
        ("ObjectRemoved:Delete", "in/copy"),
    )
    assert (first["eventVersion"], first["eventSource"], first["awsRegion"]) == ("2.1", "aws:s3", "us-east-1")
    assert first["userIdentity"] == {"principalId": "AWS:123456789012"}
    assert first["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert first["s3"]["configurationId"] == "in"
    assert first["s3"]["bucket"]["arn"] == "arn:aws:s3:::photos"
    assert (first["s3"]["object"]["size"], first["s3"]["object"]["eTag"]) == (5, put["ETag"].strip('"'))
    assert parts["s3"]["object"]["sequencer"] > first["s3"]["object"]["sequencer"]


def test_versions_and_delete_markers_are_told(bucket: Any, lab: Lab, teller: Function) -> None:
    bucket.create_bucket(Bucket="versioned")
    bucket.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    arn = "arn:aws:lambda:us-east-1:123456789012:function:teller"
    notify = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:DeleteMarkerCreated"]}
    bucket.put_bucket_notification_configuration(
        Bucket="versioned", NotificationConfiguration={"LambdaFunctionConfigurations": [notify]}
    )
    version = bucket.put_object(Bucket="versioned", Key="v/1", Body=b"1")["VersionId"]
    marker = bucket.delete_object(Bucket="versioned", Key="v/1")["VersionId"]
    put, marked = told(teller, ("ObjectCreated:Put", "v/1"), ("ObjectRemoved:DeleteMarkerCreated", "v/1"))
    assert (put["s3"]["object"]["versionId"], marked["s3"]["object"]["versionId"]) == (version, marker)


def test_what_is_put_straight_into_the_s3_server_is_told_too(lab: Lab, bucket: Any, teller: Function) -> None:
    server = s3.find(Settings(data_dir=str(lab.platform.data_dir)))
    assert server is not None
    client_of(lab, endpoint=server.endpoint).put_object(Bucket="photos", Key="in/straight", Body=b"x")
    told(teller, ("ObjectCreated:Put", "in/straight"))


def test_links_and_forms_upload_without_a_key(lab: Lab, bucket: Any, teller: Function) -> None:
    newer = client_of(lab)
    newer.meta.config.signature_version = "s3v4"
    for client, name in ((bucket, "v2"), (newer, "v4")):
        link = client.generate_presigned_url("put_object", Params={"Bucket": "photos", "Key": f"in/link-{name}"})
        assert httpx.put(link, content=b"by link").status_code == 200
        assert httpx.put(link.replace("in/link", "in/other"), content=b"by link").status_code == 403
        form = client.generate_presigned_post(
            "photos", f"in/form-{name}-${{filename}}", Conditions=[["content-length-range", 1, 10]]
        )
        files = {"file": ("a.txt", b"by form")}
        assert httpx.post(form["url"], data=form["fields"], files=files).status_code == 204
        refused = httpx.post(form["url"], data=form["fields"], files={"file": ("a.txt", b"x" * 11)})
        assert (refused.status_code, "EntityTooLarge" in refused.text) == (400, True)
        told(teller, ("ObjectCreated:Put", f"in/link-{name}"), ("ObjectCreated:Post", f"in/form-{name}-a.txt"))
    unsigned = httpx.put(f"{lab.endpoint}/uploads/photos/in/unsigned", content=b"x")
    assert (unsigned.status_code, "<Code>AccessDenied</Code>" in unsigned.text) == (403, True)


@pytest.mark.component("aws cli")
def test_the_command_lines_upload(lab: Lab, bucket: Any, teller: Function, tmp_path: Path) -> None:
    (tmp_path / "a file.txt").write_bytes(b"by command")
    lab.platform.cli("upload", tmp_path / "a file.txt", "s3://photos/in/samovar/")
    key = key_for(lab.endpoint)
    variables = {
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_ENDPOINT_URL": lab.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command: list[str | Path] = [AWS, "s3", "cp", tmp_path / "a file.txt", "s3://photos/in/aws/"]
    subprocess.run(command, env=os.environ | variables, check=True, capture_output=True, timeout=60)
    told(teller, ("ObjectCreated:Put", "in/samovar/a+file.txt"), ("ObjectCreated:Put", "in/aws/a+file.txt"))
    assert "photos" in lab.platform.cli("buckets", "ls").stdout
    failed = lab.platform.cli("upload", tmp_path / "a file.txt", "s3://nowhere/x", fails_with=2)
    assert "NoSuchBucket" in failed.stderr


def test_a_folder_is_uploaded_with_the_paths_in_it(lab: Lab, bucket: Any, teller: Function, tmp_path: Path) -> None:
    names = ["one.txt", "below/two.html", "below/deeper/three", *(f"many/{number}" for number in range(20))]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "below" / "round").symlink_to(tmp_path)
    done = lab.platform.cli("upload", tmp_path, "s3://photos/in/folder")
    assert done.stderr.startswith("23 files, ")
    listed = bucket.list_objects_v2(Bucket="photos", Prefix="in/folder/")["Contents"]
    assert {each["Key"] for each in listed} == {f"in/folder/{name}" for name in names}
    two = bucket.get_object(Bucket="photos", Key="in/folder/below/two.html")
    assert (two["ContentType"], two["Body"].read()) == ("text/html", b"below/two.html")
    told(teller, *(("ObjectCreated:Put", f"in/folder/{name}") for name in names))
    failed = lab.platform.cli("upload", tmp_path, "s3://nowhere/", fails_with=2)
    assert "NoSuchBucket" in failed.stderr
    assert "(0 of 23 files are uploaded)" in failed.stderr
    (tmp_path / "empty").mkdir()
    assert "holds no file" in lab.platform.cli("upload", tmp_path / "empty", "s3://photos/", fails_with=2).stderr


def test_a_queue_is_notified_and_tested_first(lab: Lab, bucket: Any) -> None:
    sqs = client_of(lab, "sqs")
    url = sqs.create_queue(QueueName="uploads")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:uploads"
    bucket.create_bucket(Bucket="queued")
    bucket.put_bucket_notification_configuration(
        Bucket="queued",
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:Put"]}]},
    )
    bucket.put_object(Bucket="queued", Key="a", Body=b"1")
    bodies: list[dict[str, Any]] = []

    def both() -> bool:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        bodies.extend(json.loads(message["Body"]) for message in received)
        return len(bodies) == 2

    until(both, "the queue has two messages")
    assert {body.get("Event", "") or body["Records"][0]["eventName"] for body in bodies} == {
        "s3:TestEvent",
        "ObjectCreated:Put",
    }


def test_what_failed_for_good_is_kept_in_a_bucket(lab: Lab, bucket: Any) -> None:
    """An asynchronous event, and an entry of a stream, whose function fails."""
    bucket.create_bucket(Bucket="failures")
    function = lab.deploy("def handler(event, context): raise ValueError(event)", name="failing")
    told = {"OnFailure": {"Destination": "arn:aws:s3:::failures"}}
    functions = client_of(lab, "lambda")
    functions.put_function_event_invoke_config(FunctionName="failing", MaximumRetryAttempts=0, DestinationConfig=told)
    event_id = lab.client.invoke_later(function.name, b'{"n": 1}')
    functions.create_event_source_mapping(
        FunctionName="failing",
        EventSourceArn="arn:aws:redis:us-east-1:123456789012:stream/poison",
        MaximumRetryAttempts=0,
        DestinationConfig=told,
    )
    with redis.Redis.from_url(Settings(data_dir=str(lab.platform.data_dir)).store_url) as store:
        store.xadd("poison", {"n": "2"})

    def both() -> list[Any]:
        there = [each["Key"] for each in bucket.list_objects_v2(Bucket="failures").get("Contents", [])]
        return [json.load(bucket.get_object(Bucket="failures", Key=key)["Body"]) for key in there] if there[1:] else []

    records = until(both, "both are in the bucket")
    by_condition = {record["requestContext"]["condition"]: record for record in records}
    assert by_condition["RetriesExhausted"]["requestContext"]["requestId"] == event_id
    assert by_condition["RetriesExhausted"]["requestPayload"] == {"n": 1}
    [entry] = by_condition["RetryAttemptsExhausted"]["payload"]["Records"]
    assert entry["data"] == {"n": "2"}


def test_code_comes_from_a_bucket(lab: Lab, bucket: Any) -> None:
    bucket.create_bucket(Bucket="releases")
    bucket.put_object(Bucket="releases", Key="f.zip", Body=package("def handler(event, context): return 'from s3'"))
    lab.client.create_function(
        {"FunctionName": "stored", "Role": "arn:aws:iam::123456789012:role/r", "Runtime": "python3.11"}
        | {"Handler": "app.handler"},
        package("def handler(event, context): return 'from zip'"),
    )
    functions = client_of(lab, "lambda")
    functions.update_function_code(FunctionName="stored", S3Bucket="releases", S3Key="f.zip")
    assert json.loads(lab.client.invoke("stored", b"{}").payload) == "from s3"
    with pytest.raises(ClientError, match="S3 Error Code: NoSuchKey"):
        functions.update_function_code(FunctionName="stored", S3Bucket="releases", S3Key="none.zip")


@pytest.mark.parametrize(
    ("operation", "given", "code"),
    [
        ("create_bucket", {"Bucket": "Bad_Name"}, "InvalidBucketName"),
        ("put_object", {"Bucket": "nowhere", "Key": "a", "Body": b""}, "NoSuchBucket"),
        ("get_object", {"Bucket": "photos", "Key": "none"}, "NoSuchKey"),
        ("get_bucket_notification_configuration", {"Bucket": "nowhere"}, "NoSuchBucket"),
        ("delete_bucket", {"Bucket": "photos"}, "BucketNotEmpty"),
    ],
)
def test_what_cannot_be_done_is_said_as_s3_says_it(
    bucket: Any, teller: Function, operation: str, given: dict[str, Any], code: str
) -> None:
    bucket.put_object(Bucket="photos", Key="something", Body=b"1")
    with pytest.raises(ClientError) as error:
        getattr(bucket, operation)(**given)
    assert error.value.response["Error"]["Code"] == code


def test_a_notification_of_what_is_not_there_is_refused(bucket: Any) -> None:
    bucket.create_bucket(Bucket="rules")
    for arn in ("arn:aws:lambda:us-east-1:123456789012:function:none", "arn:aws:sqs:us-east-1:123456789012:none"):
        kind = ("LambdaFunction", "LambdaFunctionArn") if ":lambda:" in arn else ("Queue", "QueueArn")
        configuration = {f"{kind[0]}Configurations": [{kind[1]: arn, "Events": ["s3:ObjectCreated:*"]}]}
        with pytest.raises(ClientError) as error:
            bucket.put_bucket_notification_configuration(Bucket="rules", NotificationConfiguration=configuration)
        assert error.value.response["Error"]["Code"] == "InvalidArgument"
        told = error.value.response["Error"]
        assert told["Message"] == "Unable to validate the following destination configurations"
        assert told["ArgumentName1"].startswith(arn)
        skipped = {"Bucket": "rules", "NotificationConfiguration": configuration, "SkipDestinationValidation": True}
        bucket.put_bucket_notification_configuration(**skipped)
        shown = bucket.get_bucket_notification_configuration(Bucket="rules")
        assert shown[f"{kind[0]}Configurations"][0][kind[1]] == arn
    wrong = {"QueueConfigurations": [{"QueueArn": "work", "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(ClientError) as error:
        bucket.put_bucket_notification_configuration(Bucket="rules", NotificationConfiguration=wrong)
    told = error.value.response["Error"]
    assert (told["Message"], told["ArgumentName"]) == ("The ARN could not be parsed", "Queue")
    assert told["ArgumentValue"] == "work"
    bucket.delete_bucket(Bucket="rules")


def test_a_body_that_is_not_the_signed_one_leaves_nothing_behind(lab: Lab, bucket: Any) -> None:
    request = httpx.Request("PUT", f"{lab.endpoint}/photos/in/forged", content=b"what was signed")
    next(Signing(key_for(lab.endpoint), "s3").auth_flow(request))
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    answer = httpx.put(request.url, headers=headers, content=b"what was sent!!")
    assert (answer.status_code, "XAmzContentSHA256Mismatch" in answer.text) == (400, True)
    assert bucket.list_objects_v2(Bucket="photos", Prefix="in/forged")["KeyCount"] == 0


def test_nothing_is_lost_when_everything_that_tells_is_killed(lab: Lab, bucket: Any, teller: Function) -> None:
    """The follower is killed first, then the server that alone knows what happened since, then both once more."""
    server = s3.find(Settings(data_dir=str(lab.platform.data_dir)))
    assert server is not None
    straight = client_of(lab, endpoint=server.endpoint)
    before = lab.pids()
    os.kill(before["uploads"], signal.SIGKILL)
    for number in range(10):
        straight.put_object(Bucket="photos", Key=f"kept/straight-{number}", Body=b"1")
        bucket.put_object(Bucket="photos", Key=f"kept/through-{number}", Body=b"1")
    os.kill(before["s3"], signal.SIGKILL)
    told(
        teller,
        *(("ObjectCreated:Put", f"kept/{way}-{number}") for way in ("straight", "through") for number in range(10)),
    )
    until(lambda: lab.pids().get("s3") not in (None, before["s3"]), "the server runs again")
    bucket.put_object(Bucket="photos", Key="kept/afterwards", Body=b"1")  # waits for the server
    told(teller, ("ObjectCreated:Put", "kept/afterwards"))


def test_no_removal_is_lost_when_everything_that_tells_is_killed(lab: Lab, bucket: Any, teller: Function) -> None:
    """Objects go while nobody hears, and the server is killed before it has written that down."""
    server = s3.find(Settings(data_dir=str(lab.platform.data_dir)))
    assert server is not None
    straight = client_of(lab, endpoint=server.endpoint)
    ways = ("straight", "through", "many", "many-straight")
    names = {way: [f"kept/goes-{way}-{number}" for number in range(5)] for way in ways}
    for key in (key for keys in names.values() for key in keys):
        bucket.put_object(Bucket="photos", Key=key, Body=b"1")
    told(teller, *(("ObjectCreated:Put", key) for keys in names.values() for key in keys))
    before = lab.pids()
    os.kill(before["uploads"], signal.SIGSTOP)
    for key in names["straight"]:
        straight.delete_object(Bucket="photos", Key=key)
    for key in names["through"]:
        bucket.delete_object(Bucket="photos", Key=key)
    for client, way in ((bucket, "many"), (straight, "many-straight")):
        answer = client.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": key} for key in names[way]]})
        assert {each["Key"] for each in answer["Deleted"]} == set(names[way])
    os.kill(before["s3"], signal.SIGKILL)
    os.kill(before["uploads"], signal.SIGKILL)
    records = told(teller, *(("ObjectRemoved:Delete", key) for keys in names.values() for key in keys))
    assert {record["userIdentity"]["principalId"] for record in records[5:15]} == {"AWS:123456789012"}


def test_removing_many_at_once(bucket: Any, teller: Function) -> None:
    keys = [f"in/many & {number}" for number in range(30)]
    for key in keys:
        bucket.put_object(Bucket="photos", Key=key, Body=b"1")
    quiet = {"Objects": [{"Key": key} for key in (*keys, "in/never-there")], "Quiet": True}
    assert "Errors" not in bucket.delete_objects(Bucket="photos", Delete=quiet)
    told(teller, *(("ObjectRemoved:Delete", f"in/many+%26+{number}") for number in range(30)))
    with pytest.raises(ClientError) as error:
        bucket.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": f"{number}"} for number in range(1001)]})
    assert error.value.response["Error"]["Code"] == "MalformedXML"


async def test_the_servers_log_is_shortened(lab: Lab, bucket: Any) -> None:
    """Raises what went wrong."""
    await forget_old_changes(Settings(data_dir=str(lab.platform.data_dir)), days=1)


def test_buckets_and_notifications_are_there_after_a_restart(lab: Lab, bucket: Any, teller: Function) -> None:
    lab.platform.stop()
    lab.platform.start()
    client = client_of(lab)
    client.put_object(Bucket="photos", Key="kept/restarted", Body=b"1")  # waits for the server
    with Client(lab.endpoint) as restarted:
        told(Function(Lab(lab.platform, restarted), "teller"), ("ObjectCreated:Put", "kept/restarted"))
