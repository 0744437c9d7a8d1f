"""CloudFormation's own resources: what they come down to, what is told of them, and what is refused."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from samovar.cors import Cors
from samovar.sam.document import TemplateError
from tests.samovar.sam.expanding import expanded, noted

ROLE = "arn:aws:iam::123456789012:role/r"


def wanted(resources: str) -> dict[str, Any]:
    return {item.name: item.wanted for item in expanded(textwrap.dedent(resources))}


def test_a_function_of_cloudformation_is_one_of_sams() -> None:
    found = wanted(f"""\
        F:
          Type: AWS::Lambda::Function
          Properties:
            Role: {ROLE}
            Runtime: python3.11
            Handler: index.handler
            Code: {{ZipFile: "def handler(event, context): return 1"}}
            Tags: [{{Key: team, Value: kitchen}}]
            TracingConfig: {{Mode: Active}}
            SnapStart: {{ApplyOn: None}}
            DeadLetterConfig: {{TargetArn: arn:aws:sqs:us-east-1:123456789012:dead}}
            ReservedConcurrentExecutions: 2
        """)["F"]
    assert found.configuration["FunctionName"] == "tea-F"
    assert (found.configuration["Role"], found.configuration["TracingConfig"]) == (ROLE, {"Mode": "Active"})
    assert found.configuration["SnapStart"] == {"ApplyOn": "None"}
    assert found.configuration["DeadLetterConfig"]["TargetArn"].endswith(":dead")
    assert (found.tags, found.reserved, found.code.inline is not None) == ({"team": "kitchen"}, 2, True)


def test_versions_aliases_urls_and_permissions_name_their_function() -> None:
    found = wanted("""\
        V: {Type: AWS::Lambda::Version, Properties: {FunctionName: pots}}
        A:
          Type: AWS::Lambda::Alias
          Properties:
            FunctionName: arn:aws:lambda:us-east-1:123456789012:function:pots
            FunctionVersion: 3
            Name: live
            RoutingConfig: {AdditionalVersionWeights: [{FunctionVersion: 2, FunctionWeight: 0.1}]}
            ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}
        U:
          Type: AWS::Lambda::Url
          Properties:
            TargetFunctionArn: arn:aws:lambda:us-east-1:123456789012:function:pots:live
            AuthType: NONE
            Cors: {AllowOrigins: ['*']}
        P:
          Type: AWS::Lambda::Permission
          Properties: {Action: lambda:InvokeFunction, FunctionName: pots, Principal: s3.amazonaws.com}
        E:
          Type: AWS::Lambda::EventInvokeConfig
          Properties: {FunctionName: pots, Qualifier: $LATEST, MaximumRetryAttempts: 0}
        """)
    assert found["A"].members == {
        "FunctionVersion": "3", "Description": "", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}},
    }  # fmt: skip
    assert found["AProvisioned"].physical_id == found["U"].physical_id == "pots:live"
    assert found["U"].members["Cors"] == {"AllowOrigins": ["*"]}
    assert (found["V"].physical_id, found["E"].physical_id) == ("pots", "pots")
    assert found["P"].physical_id == "pots/tea-P"


def test_schedules_and_rules_become_schedules() -> None:
    found = wanted(f"""\
        S:
          Type: AWS::Scheduler::Schedule
          Properties:
            FlexibleTimeWindow: {{Mode: FLEXIBLE, MaximumWindowInMinutes: 5}}
            GroupName: night
            ScheduleExpression: rate(1 day)
            Target: {{Arn: arn:f, RoleArn: {ROLE}, Input: '{{}}'}}
        R:
          Type: AWS::Events::Rule
          Properties:
            ScheduleExpression: rate(5 minutes)
            State: DISABLED
            Targets: [{{Id: One, Arn: arn:f}}, {{Id: Two, Arn: arn:g, Input: '{{"a": 1}}'}}]
        """)
    assert found["S"]["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}
    assert (found["S"]["Name"], found["S"]["GroupName"], found["S"]["Target"]["Input"]) == ("tea-S", "night", "{}")
    assert [found[name]["Name"] for name in ("ROne", "RTwo")] == ["tea-R-One", "tea-R-Two"]
    assert found["RTwo"]["Target"]["Input"] == '{"a": 1}'
    assert found["ROne"]["State"] == "DISABLED"


def test_a_bucket_tells_functions_and_queues() -> None:
    found = wanted("""\
        B:
          Type: AWS::S3::Bucket
          Properties:
            VersioningConfiguration: {Status: Enabled}
            NotificationConfiguration:
              LambdaConfigurations:
                - {Event: "s3:ObjectCreated:*", Function: "arn:aws:lambda:us-east-1:123456789012:function:f"}
              QueueConfigurations:
                - Event: s3:ObjectRemoved:*
                  Queue: arn:aws:sqs:us-east-1:123456789012:q
                  Filter: {S3Key: {Rules: [{Name: prefix, Value: in/}]}}
        """)
    assert (found["B"].name, found["B"].versioning) == ("tea-b", "Enabled")
    assert found["BNotice1"].configuration()["LambdaFunctionArn"].endswith(":f")
    queue = found["BNotice2"].configuration()
    assert queue["QueueArn"].endswith(":q")
    assert queue["Filter"]["Key"]["FilterRules"] == [{"Name": "prefix", "Value": "in/"}]


def test_sam_makes_queues_where_only_their_type_is_given() -> None:
    found = wanted("""\
        F:
          Type: AWS::Serverless::Function
          Properties:
            Handler: app.handler
            Runtime: python3.11
            InlineCode: "def handler(event, context): return 1"
            EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}
            Events:
              Nightly:
                Type: Schedule
                Properties: {Schedule: rate(1 day), DeadLetterConfig: {Type: SQS, QueueLogicalId: Missed}}
        """)
    arn = "arn:aws:sqs:us-east-1:123456789012:"
    destination = found["FEventInvokeConfig"].members["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == f"{arn}{found['FEventInvokeConfigOnFailureQueue'].name}"
    assert found["FNightly"]["Target"]["DeadLetterConfig"] == {"Arn": f"{arn}{found['Missed'].name}"}


FUNCTION = """\
F:
  Type: AWS::Serverless::Function
  Properties:
    Handler: app.handler
    Runtime: python3.11
    InlineCode: "def handler(event, context): return 1"
    Events:
      Own: {Type: HttpApi, Properties: {Path: /a, Method: get, ApiId: Tea}}
      Rest: {Type: Api, Properties: {Path: /b, Method: get}}
"""


def test_routes_have_the_cross_origin_rules_of_their_api() -> None:
    rules = """{AllowOrigin: "'https://a.example'", AllowHeaders: "'x-a,x-b'", MaxAge: "'60'"}"""
    head = f"Globals: {{Api: {{Cors: {rules}}}}}\n"
    tea = "Tea: {Type: AWS::Serverless::HttpApi, Properties: {StageName: v1, CorsConfiguration: true}}\n"
    (function,) = expanded(tea + FUNCTION, head=head)
    own, rest = function.wanted.routes
    assert (own.stage, own.cors) == ("v1", Cors(allow_origins=("*",)))
    assert rest.cors == Cors(allow_origins=("https://a.example",), allow_headers=("x-a", "x-b"), max_age=60)


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("R: {Type: AWS::IAM::Role}", "t.yaml:3: R (AWS::IAM::Role) is a name here"),
        ("P: {Type: AWS::IAM::Policy, Properties: {PolicyName: a}}", "t.yaml:3: P (AWS::IAM::Policy) decides nothing"),
        ("B: {Type: AWS::S3::Bucket, Properties: {BucketEncryption: {}}}", "BucketEncryption of B encrypts nothing"),
        (FUNCTION + "    Policies: [AWSLambdaBasicExecutionRole]", "t.yaml:12: Policies of F decides nothing here"),
        (
            FUNCTION + "    AutoPublishAlias: a\n    DeploymentPreference: {Type: Canary10Percent5Minutes}",
            "DeploymentPreference Canary10Percent5Minutes of F: the alias moves all at once here",
        ),
    ],
)
def test_what_decides_nothing_is_told(resource: str, says: str) -> None:
    (note,) = noted(resource)
    assert says in note


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("T: {Type: AWS::DynamoDB::Table}", "t.yaml:3: T: the type AWS::DynamoDB::Table is not supported; docs/"),
        ("L: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: a b}}", "t.yaml:3: L: 'a b' is not the name of a"),
        ("F: {Type: AWS::Lambda::Functoin}", "did you mean AWS::Lambda::Function?"),
        ("A: {Type: AWS::ApiGatewayV2::Api}", "events of type HttpApi make routes"),
        (
            "R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [aws.s3]}, Targets: []}}",
            "t.yaml:3: EventPattern of R is not supported",
        ),
        ("A: {Type: AWS::Serverless::HttpApi, Properties: {Auth: {}}}", "a function URL with AuthType AWS_IAM"),
        (
            FUNCTION + "    VpcConfig: {SubnetIds: [a]}",
            "t.yaml:12: VpcConfig is not supported; the tag samovar:network",
        ),
        (FUNCTION + "    Timeot: 1\n    Memory: 5", "t.yaml:13: Memory is not supported; did you mean MemorySize?"),
        (FUNCTION + "    Timeot: 1\n    Memory: 5", "t.yaml:12: Timeot is not supported; did you mean Timeout?"),
    ],
)
def test_what_is_not_there_is_refused_with_its_line(resource: str, says: str) -> None:
    with pytest.raises(TemplateError) as refused:
        expanded(resource)
    assert says in refused.value.message
