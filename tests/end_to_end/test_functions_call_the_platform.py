"""boto3 inside a handler: who it is, what it reaches, what it may not do, and where a circle of calls ends."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from gateway import lineage
from samovar.errors import SamovarError
from tests.end_to_end.lab import ROLE, RUNTIME, Function, Lab, zipped
from tests.signing import key_for

SOURCE = """
    import json, os, time

    def handler(event, context):
        names = {"event": event, "context": context, "attempted": attempted}
        exec(event["run"], names)
        return names.get("result")

    def attempted(service, operation, **parameters):
        import boto3
        from botocore.exceptions import ClientError
        try:
            answer = getattr(boto3.client(service), operation)(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        answer.pop("ResponseMetadata")
        return {name: value.read().decode() if hasattr(value, "read") else value for name, value in answer.items()}
"""


def deploy(lab: Lab, name: str, files: Mapping[str, bytes] = MappingProxyType({}), **parameters: Any) -> Function:
    usual = {"FunctionName": name, "Role": ROLE, "Runtime": RUNTIME, "Handler": "app.handler", "Timeout": 60}
    lab.client.create_function(
        usual | {"MemorySize": 512} | parameters, zipped({"app.py": textwrap.dedent(SOURCE), **files})
    )
    return Function(lab, name)


def client(lab: Lab, service: str) -> Any:
    """A client with the root key, outside."""
    key = key_for(lab.endpoint)
    return boto3.Session(key.key_id, key.secret, region_name="us-east-1").client(service, endpoint_url=lab.endpoint)


@pytest.fixture(scope="package")
def sdk(lab: Lab) -> Function:
    return deploy(lab, "sdk")


def test_it_is_its_role_and_calls_a_function(lab: Lab, sdk: Function) -> None:
    lab.deploy("def handler(event, context): return {'told': event}", name="called")
    who = sdk.run("result = attempted('sts', 'get_caller_identity')")
    assert who["Arn"] == "arn:aws:sts::123456789012:assumed-role/samovar/sdk"
    assert who["Account"] == "123456789012"
    answer = sdk.run("result = attempted('lambda', 'invoke', FunctionName='called', Payload=b'[1, 2]')")
    assert (answer["StatusCode"], json.loads(answer["Payload"])) == (200, {"told": [1, 2]})


def test_boto3_is_in_the_runtime_behind_what_the_function_brings(lab: Lab, sdk: Function) -> None:
    lines = """
        import subprocess, sys, boto3, dateutil, s3transfer, six, urllib3
        command = [sys.executable, "-S", "-c", "import boto3; print(boto3.__version__)"]
        told = subprocess.run(command, capture_output=True)
        path = sys.path[:4]
        result = [boto3.__file__, boto3.__version__, told.stdout.decode().strip(), path]
    """
    path = ["/var/task", f"/opt/python/lib/{RUNTIME}/site-packages", "/opt/python", "/var/runtime"]
    assert sdk.run(lines) == ["/var/runtime/boto3/__init__.py", boto3.__version__, boto3.__version__, path]
    own = deploy(lab, "own-sdk", {"boto3.py": b"version = 'my own'"})
    assert own.run("import boto3; result = boto3.version") == "my own"


def test_it_sends_to_a_queue_and_takes_from_it(lab: Lab, sdk: Function) -> None:
    url = client(lab, "sqs").create_queue(QueueName="from-a-function")["QueueUrl"]
    assert sdk.run("result = attempted('sqs', 'get_queue_url', QueueName='from-a-function')")["QueueUrl"] == url
    sdk.run("attempted('sqs', 'send_message', QueueUrl=event['url'], MessageBody='tea')", url=url)
    lines = """
        asked = {"QueueUrl": event["url"], "WaitTimeSeconds": 5, "MessageSystemAttributeNames": ["AWSTraceHeader"]}
        result = attempted("sqs", "receive_message", **asked)
    """
    (message,) = sdk.run(lines, url=url)["Messages"]
    assert message["Body"] == "tea"
    trace = message["Attributes"]["AWSTraceHeader"]
    assert lineage.times(trace, "arn:aws:lambda:us-east-1:123456789012:function:sdk") == 1
    refused = sdk.run("result = attempted('sqs', 'delete_queue', QueueUrl=event['url'])", url=url)
    assert refused[0].startswith("AccessDenied")


def test_it_writes_and_reads_objects(lab: Lab, sdk: Function) -> None:
    client(lab, "s3").create_bucket(Bucket="from-a-function")
    put = "result = attempted('s3', 'put_object', Bucket='from-a-function', Key='a/tea', Body=b'x' * event['size'])"
    assert "ETag" in sdk.run(put, size=1_000_000)
    got = sdk.run("result = len(attempted('s3', 'get_object', Bucket='from-a-function', Key='a/tea')['Body'])")
    assert got == 1_000_000
    assert sdk.run("result = attempted('s3', 'create_bucket', Bucket='another')")[0] == "AccessDenied"
    assert sdk.run("result = attempted('s3', 'delete_object', Bucket='from-a-function', Key='a/tea')") == {}


def test_environments_that_are_forked_reach_it_too(sdk: Function) -> None:
    lines = """
        time = __import__("time"); time.sleep(0.5)
        result = [attempted('sts', 'get_caller_identity')['Account'], context.log_stream_name]
    """
    with ThreadPoolExecutor(4) as callers:
        told = list(callers.map(lambda _: sdk.run(lines), range(4)))
    assert {account for account, _ in told} == {"123456789012"}
    assert len({stream for _, stream in told}) > 1


def test_it_may_not_change_functions_nor_read_others_logs(sdk: Function) -> None:
    code, message = sdk.run("result = attempted('lambda', 'delete_function', FunctionName='sdk')")
    assert code == "AccessDeniedException"
    assert message == (
        "User: arn:aws:sts::123456789012:assumed-role/samovar/sdk is not authorized to perform: lambda:DeleteFunction "
        "on resource: arn:aws:lambda:us-east-1:123456789012:function:sdk because no identity-based policy allows the "
        "lambda:DeleteFunction action"
    )
    others = "result = attempted('logs', 'filter_log_events', logGroupName='/aws/lambda/anything')"
    assert sdk.run(others)[0] == "AccessDeniedException"
    assert "events" in sdk.run(others.replace("anything", "sdk"))


def test_a_role_of_the_operators_says_otherwise(lab: Lab) -> None:
    folder = lab.platform.data_dir / "roles"
    folder.mkdir(exist_ok=True)
    allowed = {"Effect": "Allow", "Action": ["lambda:Get*", "lambda:TagResource"], "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "lambda:GetPolicy", "Resource": "*"}
    (folder / "auditor.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]}))
    auditor = deploy(lab, "auditor", Role="arn:aws:iam::123456789012:role/service-role/auditor")
    found = auditor.run("result = attempted('lambda', 'get_function_configuration', FunctionName='auditor')")
    assert found["FunctionName"] == "auditor"
    for operation in ("invoke", "get_policy"):
        refused = auditor.run(f"result = attempted('lambda', '{operation}', FunctionName='auditor')")
        assert refused[0] == "AccessDeniedException"


def test_a_session_ends_with_its_function(lab: Lab, sdk: Function) -> None:
    passing = deploy(lab, "passing")
    lines = "import os; result = {name: os.environ[name] for name in os.environ if name.startswith('AWS_')}"
    key = passing.run(lines)
    lines = """
        import boto3
        from botocore.exceptions import ClientError
        keys = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        client = boto3.client("sts", **{name: event["key"][name.upper()] for name in keys})
        try:
            result = client.get_caller_identity()["Arn"]
        except ClientError as error:
            result = error.response["Error"]["Code"]
    """
    assert sdk.run(lines, key=key).endswith("/passing")
    lab.client.delete_function("passing")
    assert sdk.run(lines, key=key) == "ExpiredToken"
    deploy(lab, "passing")
    assert sdk.run(lines, key=key) == "ExpiredToken"


def test_a_circle_of_calls_is_cut_after_sixteen(lab: Lab) -> None:
    circle = deploy(lab, "circle", MemorySize=256)
    lines = """
        import json, os
        if event["left"] == 6:  # as if it had been called twelve times before
            os.environ["_X_AMZN_TRACE_ID"] = os.environ["_X_AMZN_TRACE_ID"].removesuffix(":1") + ":13"
        asked = {"run": event["run"], "left": event["left"] - 1}
        answer = attempted("lambda", "invoke", FunctionName="circle", Payload=json.dumps(asked).encode())
        if isinstance(answer, dict):
            told = json.loads(answer["Payload"])
            result = [told[0] + 1, told[1]]
        else:
            result = [1, answer[0]]
    """
    assert circle.run(lines, left=6) == [4, "RecursiveInvocationException"]


def test_the_platform_away_is_an_error_of_the_sdk_and_not_of_the_environment(sdk: Function) -> None:
    lines = """
        import boto3, botocore.config, botocore.exceptions
        one = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=2)
        try:
            boto3.client("lambda", endpoint_url="http://127.0.0.1:1", config=one).list_functions()
        except botocore.exceptions.EndpointConnectionError:
            result = "no connection"
    """
    assert sdk.run(lines) == "no connection"
    with pytest.raises(SamovarError):
        sdk.lab.client.delete_function("nobody")
