"""SAM templates on a whole platform: deployed, changed, deployed again, pruned, removed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

from samovar.clients import stacks as stack_client
from samovar.clients.platform import Client
from tests.platform import Platform
from tests.signing import key_for

pytestmark = pytest.mark.component("bubblewrap", "valkey")

STARTED_WITHIN_S = 120.0
"""Of a function, by a message or an upload, on a machine that does much else."""
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
Globals:
  Function:
    Runtime: python3.11
    Timeout: 5
    Environment: {Variables: {STAGE: !Ref Stage}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Resources:
  Words:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer/, CompatibleRuntimes: [python3.11]}
  Pots:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: pots/
      Handler: app.handler
      Layers: [!Ref Words]
      MemorySize: !If [IsProd, 256, 128]
      AutoPublishAlias: live
      EventInvokeConfig: {MaximumRetryAttempts: 1}
      FunctionUrlConfig: {AuthType: NONE}
      Environment: {Variables: {CUPS: !GetAtt Cups.Arn}}
      Tags: {team: kitchen}
      Events:
        List: {Type: Api, Properties: {Path: /pots, Method: get}}
        One: {Type: HttpApi, Properties: {Path: "/pots/{id}", Method: ANY}}
  Cups:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-cups-${Stage}"
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return {"cups": event["rawPath"]}
      Events:
        Rest: {Type: HttpApi}
Outputs:
  Address: {Value: !Sub "https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/pots"}
  Url: {Value: !GetAtt PotsUrl.FunctionUrl}
  Pots: {Value: !GetAtt Pots.Arn}
"""
SOURCE = """
import json, os, words

def handler(event, context):
    told = {"word": words.WORD, "stage": os.environ["STAGE"], "cups": os.environ["CUPS"]}
    told |= {"resource": event.get("resource"), "id": (event.get("pathParameters") or {}).get("id")}
    return {"statusCode": 200, "body": json.dumps(told | {"version": context.function_version})}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a template."""
    for name in ("pots", "layer/python"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "pots" / "app.py").write_text(SOURCE)
    (tmp_path / "layer" / "python" / "words.py").write_text("WORD = 'hello'\n")
    return tmp_path


@pytest.fixture(autouse=True)
def clean(platform: Platform) -> Iterator[None]:
    """No stack is left to the next test."""
    yield
    with Client(platform.endpoint, key_for(platform.endpoint)) as client:
        for stack in stack_client.stacks(client):
            platform.cli("stacks", "delete", stack.name, "--yes")


def functions(aws: Any) -> set[str]:
    """The functions of stacks called tea."""
    found = {function["FunctionName"] for function in aws.list_functions()["Functions"]}
    return {name for name in found if name.startswith("tea-")}


def deployed(platform: Platform, folder: Path, *more: str) -> dict[str, Any]:
    done = platform.cli("deploy", "template.yaml", "--stack-name", "tea", "--json", *more, cwd=folder)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_stack_lives_from_its_template(platform: Platform, folder: Path, aws: Any) -> None:
    first = deployed(platform, folder)
    api = f"{platform.endpoint}/api/tea"
    assert first["outputs"]["Address"] == f"{api}/pots"
    assert first["outputs"]["Pots"] == "arn:aws:lambda:us-east-1:123456789012:function:tea-Pots"
    assert first["functions"] == {"Cups": "tea-cups-dev", "Pots": "tea-Pots"}

    told = httpx.get(first["outputs"]["Address"]).json()
    assert (told["word"], told["stage"], told["resource"], told["version"]) == ("hello", "dev", "/pots", "1")
    assert told["cups"].endswith(":function:tea-cups-dev")
    assert httpx.put(f"{api}/pots/a%20b").json()["id"] == "a b"
    assert httpx.get(f"{api}/else").json() == {"cups": "/else"}
    host = httpx.URL(first["outputs"]["Url"]).netloc.decode()
    assert httpx.get(f"{platform.endpoint}/pots/7", headers={"host": host}).json()["word"] == "hello"
    config = aws.get_function_event_invoke_config(FunctionName="tea-Pots", Qualifier="live")
    assert config["MaximumRetryAttempts"] == 1
    assert aws.list_tags(Resource=first["outputs"]["Pots"])["Tags"] == {"team": "kitchen"}

    again = deployed(platform, folder)
    assert (again["changed"], again["orphaned"]) == ({}, [])
    assert len(again["unchanged"]) == len(first["changed"])

    (folder / "layer" / "python" / "words.py").write_text("WORD = 'hi'\n")
    other = deployed(platform, folder, "--parameter-overrides", "Stage=prod")
    assert other["changed"]["Pots"] == ["configuration"]
    assert [one["physical_id"] for one in other["orphaned"]] == ["tea-cups-dev"]
    told = httpx.get(f"{api}/pots").json()
    assert (told["word"], told["stage"], told["version"]) == ("hi", "prod", "2")
    assert httpx.get(f"{platform.endpoint}/fn/tea-cups-dev/still").json() == {"cups": "/still"}

    pruned = deployed(platform, folder, "--parameter-overrides", "Stage=prod", "--prune")
    assert [one["physical_id"] for one in pruned["removed"]] == ["tea-cups-dev"]
    assert functions(aws) == {"tea-Pots", "tea-cups-prod"}

    assert "tea-cups-prod" in platform.cli("stacks", "show", "tea").stdout
    platform.cli("stacks", "delete", "tea", "--yes")
    assert not functions(aws)
    assert aws.list_layers()["Layers"] == []
    assert httpx.get(f"{api}/pots").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("MemorySiz: 1", "Tags: {team: kitchen}", "error: template.yaml:27: MemorySiz is not supported"),
        ("!GetAtt Cupps.Arn", "!GetAtt Cups.Arn", "error: template.yaml:26: there is no parameter or resource Cupps"),
        ("Timeout: 9000", "Timeout: 5", "template.yaml:31: Cups: 1 validation error detected: Value '9000'"),
    ],
)
def test_a_mistake_is_told_and_leaves_nothing(
    platform: Platform, folder: Path, aws: Any, wrong: str, right: str, says: str
) -> None:
    assert right in TEMPLATE
    (folder / "template.yaml").write_text(TEMPLATE.replace(right, wrong))
    done = platform.cli("deploy", "template.yaml", "--stack-name", "tea", cwd=folder, fails_with=2)
    assert says in done.stderr
    assert not functions(aws)


def test_what_a_half_made_stack_has_is_known(platform: Platform, folder: Path, aws: Any) -> None:
    """The package of the second function is none; the first one belongs to the stack nevertheless."""
    (folder / "broken.zip").write_bytes(b"no zip")
    (folder / "template.yaml").write_text(TEMPLATE.replace("CodeUri: pots/", "CodeUri: broken.zip"))
    done = platform.cli("deploy", "template.yaml", "--stack-name", "tea", cwd=folder, fails_with=2)
    assert "template.yaml:16: Pots: " in done.stderr
    assert "there: Words, Cups; not as wanted yet: Pots. Nothing is taken back: deploy again" in done.stderr
    assert functions(aws) == {"tea-cups-dev"}
    (stack,) = json.loads(platform.cli("stacks", "ls", "--json").stdout)
    assert [one["physical_id"] for one in stack["resources"]] == ["tea-Words", "tea-cups-dev"]


def test_a_folder_with_a_template_is_deployed_under_its_name(platform: Platform, folder: Path, aws: Any) -> None:
    project = folder / "tea_house"
    project.mkdir()
    text = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Pot": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Handler": "index.handler",
                    "Runtime": "python3.11",
                    "InlineCode": "def handler(event, context): return 7",
                },
            }
        },
    }
    (project / "template.json").write_text(json.dumps(text, indent="\t"))
    assert "stack tea-house is deployed" in platform.cli("deploy", project).stdout
    assert json.loads(platform.cli("invoke", "tea-house-Pot").stdout) == 7


EVENTS = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}}
  Dead: {Type: AWS::SQS::Queue}
  Photos: {Type: AWS::S3::Bucket}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            record = event["Records"][0]
            print("got", record["body"] if "body" in record else record["s3"]["object"]["key"])
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}
      Events:
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Orders.Arn, BatchSize: 5}}
        Upload:
          Type: S3
          Properties:
            Bucket: !Ref Photos
            Events: s3:ObjectCreated:*
            Filter: {S3Key: {Rules: [{Name: suffix, Value: .txt}]}}
        Yearly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: "cron(0 3 1 1 ? *)", ScheduleExpressionTimezone: Europe/Berlin}
Outputs:
  Orders: {Value: !Ref Orders}
  Photos: {Value: !Ref Photos}
"""


def client_of(platform: Platform, service: str) -> Any:
    """boto3's client of a service of the platform."""
    key = key_for(platform.endpoint)
    return boto3.client(
        service,
        endpoint_url=platform.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(s3={"addressing_style": "path"}),
    )


def test_queues_buckets_and_schedules_of_a_template_start_its_function(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(EVENTS)
    told = deployed(platform, tmp_path)
    assert deployed(platform, tmp_path)["changed"] == {}
    sqs, s3, scheduler = (client_of(platform, service) for service in ("sqs", "s3", "scheduler"))
    sqs.send_message(QueueUrl=told["outputs"]["Orders"], MessageBody="an order")
    s3.put_object(Bucket=told["outputs"]["Photos"], Key="a.txt", Body=b"1")
    assert scheduler.get_schedule(Name="tea-WorkerYearly")["ScheduleExpressionTimezone"] == "Europe/Berlin"

    def said() -> set[str]:
        with Client(platform.endpoint, key_for(platform.endpoint)) as client:
            return {line.text for line in client.logs("tea-Worker") if line.text.startswith("got")}

    deadline = time.monotonic() + STARTED_WITHIN_S
    while said() != {"got an order", "got a.txt"}:
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)

    (tmp_path / "template.yaml").write_text(EVENTS.replace("        Queue: {Type: SQS", "        #"))
    orphaned = deployed(platform, tmp_path)["orphaned"]
    assert [one["logical_id"] for one in orphaned] == ["WorkerQueue"]
    s3.delete_object(Bucket=told["outputs"]["Photos"], Key="a.txt")
    platform.cli("stacks", "delete", "tea", "--yes")
    assert "QueueUrls" not in sqs.list_queues()
    assert s3.list_buckets()["Buckets"] == []
    assert scheduler.list_schedules()["Schedules"] == []


RESOURCES = """\
Resources:
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Jobs: {Type: AWS::SQS::Queue, DeletionPolicy: Retain}
  JobsPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties: {PolicyDocument: {Version: "2012-10-17", Statement: []}, Queues: [!Ref Jobs]}
  Kettle:
    Type: AWS::Lambda::Function
    Properties:
      Role: !GetAtt Role.Arn
      Runtime: python3.11
      Handler: index.handler
      Code: {ZipFile: "def handler(event, context): return context.function_version"}
  One: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Kettle}}
  Live:
    Type: AWS::Lambda::Alias
    Properties: {FunctionName: !Ref Kettle, FunctionVersion: !GetAtt One.Version, Name: live}
  Url: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !Ref Live, AuthType: NONE}}
  Allowed:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Kettle, Principal: s3.amazonaws.com}
  Calls:
    Type: AWS::Lambda::EventInvokeConfig
    DependsOn: Live
    Properties: {FunctionName: !Ref Kettle, Qualifier: live, MaximumRetryAttempts: 1}
  Fed:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref Live, EventSourceArn: !GetAtt Jobs.Arn, BatchSize: 2}
  Log: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/aws/lambda/${Kettle}", RetentionInDays: 14}}
  Nightly:
    Type: AWS::Scheduler::Schedule
    Properties:
      FlexibleTimeWindow: {Mode: "OFF"}
      ScheduleExpression: cron(0 3 * * ? *)
      Target: {Arn: !Ref Live, RoleArn: !GetAtt Role.Arn}
Outputs:
  Url: {Value: !GetAtt Url.FunctionUrl}
"""


def test_resources_of_cloudformation_are_made_changed_and_removed(platform: Platform, tmp_path: Path, aws: Any) -> None:
    (tmp_path / "template.yaml").write_text(RESOURCES)
    checked = json.loads(platform.cli("deploy", "--stack-name", "tea", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert "Kettle" in checked["resources"]
    assert not functions(aws)
    first = deployed(platform, tmp_path)
    assert deployed(platform, tmp_path)["changed"] == {}
    assert any("Role (AWS::IAM::Role) is a name here" in note for note in first["notes"])
    host = httpx.URL(first["outputs"]["Url"]).netloc.decode()
    assert httpx.get(f"{platform.endpoint}/", headers={"host": host}).text == "1"
    assert "s3.amazonaws.com" in aws.get_policy(FunctionName="tea-Kettle")["Policy"]
    logs, scheduler, sqs = (client_of(platform, service) for service in ("logs", "scheduler", "sqs"))
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/tea-Kettle")["logGroups"]
    assert group["retentionInDays"] == 14
    assert scheduler.get_schedule(Name="tea-Nightly")["Target"]["Arn"].endswith(":function:tea-Kettle:live")

    changed = RESOURCES.replace("return context", "return 'v' + context").replace("RetentionInDays: 14", "Tags: []")
    (tmp_path / "template.yaml").write_text(changed.replace("Principal: s3", "Principal: events"))
    again = deployed(platform, tmp_path)
    assert {"Kettle": ["code"], "One": ["version"], "Live": ["alias"]}.items() <= again["changed"].items()
    assert (again["changed"]["Log"], again["changed"]["Allowed"]) == (["retention"], ["permission"])
    assert httpx.get(f"{platform.endpoint}/", headers={"host": host}).text == "v2"
    assert "s3.amazonaws.com" not in aws.get_policy(FunctionName="tea-Kettle")["Policy"]

    removed = platform.cli("stacks", "delete", "tea", "--yes").stdout
    assert "kept Jobs (AWS::SQS::Queue" in removed
    assert not functions(aws)
    (left,) = sqs.list_queues(QueueNamePrefix="tea-")["QueueUrls"]
    sqs.delete_queue(QueueUrl=left)


OF_THE_CDK = {
    "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/x"}},
    "Rules": {"CheckBootstrapVersion": {"Assertions": [{"Assert": "true"}]}},
    "Resources": {
        "Tea9270": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": {"S3Bucket": "cdk-assets", "S3Key": "6ceb.zip"}, "Handler": "app.handler",
                "Role": "arn:aws:iam::123456789012:role/any", "Runtime": "python3.11",
            },
            "Metadata": {"aws:asset:path": "asset.6ceb", "aws:asset:property": "Code"},
        },
        "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2"}},
    },
}  # fmt: skip
"""As the AWS CDK writes it for an app with one function."""


def test_what_the_cdk_writes_is_deployed_with_the_code_beside_it(platform: Platform, tmp_path: Path, aws: Any) -> None:
    (tmp_path / "asset.6ceb").mkdir()
    (tmp_path / "asset.6ceb" / "app.py").write_text("def handler(event, context): return 'poured'")
    (tmp_path / "template.yaml").write_text(json.dumps(OF_THE_CDK))
    assert set(deployed(platform, tmp_path)["changed"]) == {"Tea9270"}
    assert aws.invoke(FunctionName="tea-Tea9270")["Payload"].read() == b'"poured"'
