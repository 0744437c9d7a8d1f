"""What resources come down to, and what of them is refused by name and line."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from samovar.sam.document import TemplateError
from tests.samovar.sam.expanding import expanded

FUNCTION = """\
F:
  Type: AWS::Serverless::Function
  Properties:
    Handler: app.handler
    Runtime: python3.11
    InlineCode: "def handler(event, context): return 1"
"""


def function(properties: str) -> dict[str, Any]:
    """The items of the function with more properties, by name."""
    return {
        item.name: item.wanted for item in expanded(FUNCTION + textwrap.indent(textwrap.dedent(properties), "    "))
    }


def test_a_function_has_what_the_template_says() -> None:
    wanted = function("""\
        MemorySize: 256
        Environment: {Variables: {A: 1, B: yes}}
        EphemeralStorage: {Size: 1024}
        Tracing: Active
        SnapStart: {ApplyOn: PublishedVersions}
        Tags: {team: kitchen}
        ReservedConcurrentExecutions: 3
        DeadLetterQueue: {Type: SQS, TargetArn: arn:aws:sqs:us-east-1:123456789012:dead}
        Layers: [arn:a, arn:b]
        Architectures: [x86_64]
        """)["F"]
    assert wanted.configuration == {
        "FunctionName": "tea-F",
        "Role": "arn:aws:iam::123456789012:role/tea-FRole",
        "Description": "",
        "Handler": "app.handler",
        "Runtime": "python3.11",
        "MemorySize": 256,
        "Timeout": 3,
        "EphemeralStorage": {"Size": 1024},
        "Environment": {"Variables": {"A": "1", "B": "true"}},
        "Layers": ["arn:a", "arn:b"],
        "TracingConfig": {"Mode": "Active"},
        "SnapStart": {"ApplyOn": "PublishedVersions"},
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:dead"},
    }
    assert (wanted.tags, wanted.reserved) == ({"team": "kitchen"}, 3)
    assert wanted.at_creation == {"PackageType": "Zip"}  # sources are packed for whatever host this is


def test_what_belongs_to_a_function_is_made_of_its_alias() -> None:
    wanted = function("""\
        AutoPublishAlias: live
        ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}
        FunctionUrlConfig: {AuthType: AWS_IAM, InvokeMode: RESPONSE_STREAM}
        EventInvokeConfig:
          MaximumRetryAttempts: 0
          DestinationConfig: {OnFailure: {Type: SQS, Destination: arn:dead}}
        """)
    assert list(wanted) == ["F", "FAliaslive", "FProvisioned", "FEventInvokeConfig", "FUrl"]
    assert {one.physical_id for name, one in wanted.items() if name != "F"} == {"tea-F:live"}
    assert wanted["FEventInvokeConfig"].members == {
        "MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": "arn:dead"}},
    }  # fmt: skip


def test_events_become_routes_mappings_notices_and_schedules() -> None:
    wanted = function("""\
        Events:
          Rest: {Type: Api, Properties: {Path: /a, Method: get}}
          Http: {Type: HttpApi, Properties: {Path: '/b/{id}', Method: ANY, PayloadFormatVersion: "1.0"}}
          Rest2: {Type: Api, Properties: {Path: /a, Method: post, RestApiId: Tea}}
          Any: {Type: HttpApi}
          Queue:
            Type: SQS
            Properties:
              Queue: arn:q
              BatchSize: 5
              FunctionResponseTypes: [ReportBatchItemFailures]
              FilterCriteria: {Filters: [{Pattern: '{"body": {"a": [1]}}'}]}
              ScalingConfig: {MaximumConcurrency: 4}
          Upload:
            Type: S3
            Properties:
              Bucket: photos
              Events: s3:ObjectCreated:*
              Filter: {S3Key: {Rules: [{Name: suffix, Value: .jpg}]}}
          Nightly: {Type: Schedule, Properties: {Schedule: rate(1 day), Enabled: false, Input: '{"a": 1}'}}
          Later: {Type: ScheduleV2, Properties: {ScheduleExpression: at(2030-01-01T00:00:00), Name: later}}
        """)
    routes = [(route.method, route.path, route.payload, route.stage) for route in wanted["F"].routes]
    assert routes == [
        ("GET", "/a", "rest", "Prod"),
        ("ANY", "/b/{id}", "1.0", "$default"),
        ("POST", "/a", "rest", "Prod"),
        ("ANY", "$default", "2.0", "$default"),
    ]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:tea-F"
    assert wanted["FQueue"] == {
        "FunctionName": arn,
        "EventSourceArn": "arn:q",
        "Enabled": True,
        "BatchSize": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]},
        "ScalingConfig": {"MaximumConcurrency": 4},
    }
    assert wanted["FUpload"].configuration() == {
        "Id": "tea-FUpload",
        "LambdaFunctionArn": arn,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
    }
    assert wanted["FNightly"]["State"] == "DISABLED"
    assert wanted["FNightly"]["Target"]["Input"] == '{"a": 1}'
    assert (wanted["FLater"]["Name"], wanted["FLater"]["FlexibleTimeWindow"]) == ("later", {"Mode": "OFF"})


def test_queues_have_their_attributes_as_text() -> None:
    (item,) = expanded("""\
Q:
  Type: AWS::SQS::Queue
  Properties:
    FifoQueue: true
    VisibilityTimeout: 30
    RedrivePolicy: {deadLetterTargetArn: arn:dead, maxReceiveCount: 3}
    Tags: [{Key: team, Value: kitchen}]
""")
    assert item.wanted.name == "tea-Q.fifo"
    assert item.wanted.tags == {"team": "kitchen"}
    assert item.wanted.attributes == {
        "FifoQueue": "true",
        "VisibilityTimeout": "30",
        "RedrivePolicy": '{"deadLetterTargetArn":"arn:dead","maxReceiveCount":3}',
    }


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ("MemorySiz: 1", "t.yaml:9: MemorySiz is not supported; did you mean MemorySize?"),
        ("MemorySize: big", "t.yaml:9: MemorySize: Expected `int`, got `str`"),
        ("Xyz: {SubnetIds: [a]}", "t.yaml:9: Xyz is not supported; there are Architectures, "),
        ("Environment: {Variable: {A: 1}}", "Variable in Environment is not supported; did you mean Variables?"),
        ("Environment: {Variables: {A: [1]}}", "t.yaml:9: Variables: Expected `str`, got `array`"),
        ("FunctionUrlConfig: {AuthType: OPEN}", "AuthType: Invalid enum value 'OPEN'"),
        ("CodeUri: .", "F needs either CodeUri or InlineCode"),
        ("PackageType: Image", "PackageType Image needs ImageUri"),
        ("FunctionName: a b", "'a b' is no name"),
        ("ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1}", "needs AutoPublishAlias"),
        ("Events:\n  E: {Type: Kinesis}", "t.yaml:10: events of type Kinesis are not supported; there are Api"),
        ("Events:\n  E: {Type: SQS, Properties: {Queu: a}}", "Queu is not supported; did you mean Queue?"),
        ("Events:\n  E: {Type: SQS}", "t.yaml:10: this: Object missing required field `Queue`"),
        (
            "Events:\n  E: {Type: Api, Properties: {Path: a, Method: get}}",
            "the path a is not allowed: it begins with /",
        ),
        ("Events:\n  E: {Type: Api, Properties: {Path: /a, Method: gett}}", "GETT is no method; did you mean GET?"),
        ("Events:\n  E: {Type: HttpApi, Properties: {Path: /a}}", "has both Path and Method, or neither"),
        ("Events:\n  E: {Type: Api, Properties: {Path: '/{a}b', Method: get}}", "the path /{a}b is not allowed"),
        ("Events:\n  A: {Type: HttpApi}\n  B: {Type: HttpApi}", "t.yaml:11: B: ANY $default leads to F already"),
    ],
)
def test_what_is_not_understood_is_refused_by_name_and_line(properties: str, says: str) -> None:
    with pytest.raises(TemplateError) as refused:
        function(properties)
    assert says in refused.value.message


def test_types_and_code_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"t\.yaml:3: T: the type AWS::DynamoDB::Table is not supported"):
        expanded("T: {Type: 'AWS::DynamoDB::Table'}")
    with pytest.raises(TemplateError, match=r"t\.yaml:6: there is no .*/nowhere"):
        expanded(
            FUNCTION.partition("Handler")[0] + "CodeUri: nowhere\n    Handler: a.b\n    Runtime: python3.11\n", tmp_path
        )
