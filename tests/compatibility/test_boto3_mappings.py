"""Event source mappings through boto3: records, states, and what cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from botocore.validate import ParamValidator  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, HANDLER, create, refusal, without_metadata

pytestmark = pytest.mark.component("boto3", "valkey")
QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-01-01T00:00:00.000"


@pytest.fixture(autouse=True)
def functions(aws: Any, sqs: Any) -> Iterator[None]:
    create(aws, "shop", HANDLER)
    create(aws, "ledger", HANDLER)
    sqs.create_queue(QueueName="orders")
    sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})
    yield
    for mapping in aws.list_event_source_mappings()["EventSourceMappings"]:
        aws.delete_event_source_mapping(UUID=mapping["UUID"])


def test_a_mapping_goes_through_its_states(aws: Any) -> None:
    made = aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE, Tags={"team": "tea"})
    uuid = made["UUID"]
    expected = {
        "UUID": uuid,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "EventSourceArn": QUEUE,
        "FunctionArn": f"{ARN}shop",
        "FunctionResponseTypes": [],
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{uuid}",
    }
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert without_metadata(made) == expected | {"LastModified": made["LastModified"]}
    assert aws.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"
    assert aws.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"team": "tea"}

    slowed = aws.update_event_source_mapping(UUID=uuid, Enabled=False, BatchSize=5, FunctionName="ledger")
    assert (slowed["State"], slowed["BatchSize"], slowed["FunctionArn"]) == ("Disabling", 5, f"{ARN}ledger")
    assert aws.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    assert aws.update_event_source_mapping(UUID=uuid, BatchSize=6)["State"] == "Updating"
    assert aws.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    assert aws.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"

    deleted = aws.delete_event_source_mapping(UUID=uuid)
    assert (deleted["State"], deleted["ResponseMetadata"]["HTTPStatusCode"]) == ("Deleting", 202)
    for act in (aws.get_event_source_mapping, aws.delete_event_source_mapping, aws.update_event_source_mapping):
        with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
            act(UUID=uuid)
        assert refusal(error)[1] == "The resource you requested does not exist."


def test_streams_have_awss_defaults(aws: Any) -> None:
    made = aws.create_event_source_mapping(
        FunctionName="shop:$LATEST", EventSourceArn=STREAM, StartingPosition="LATEST", Enabled=False
    )
    expected = {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "FunctionArn": f"{ARN}shop:$LATEST",
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "LATEST",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }
    assert made.items() >= expected.items()
    assert made["State"] == "Disabled"  # there is nothing to wait for
    assert aws.get_event_source_mapping(UUID=made["UUID"])["State"] == "Disabled"


def test_mappings_are_listed_by_function_and_source_in_pages(aws: Any) -> None:
    def made(function: str, source: str, **members: Any) -> str:
        answer = aws.create_event_source_mapping(FunctionName=function, EventSourceArn=source, **members)
        return str(answer["UUID"])

    first, second = made("shop", QUEUE), made("ledger", QUEUE)
    third = made("shop", STREAM, StartingPosition="TRIM_HORIZON")

    def listed(**members: Any) -> set[str]:
        pages = aws.get_paginator("list_event_source_mappings").paginate(PaginationConfig={"PageSize": 1}, **members)
        found = [mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]]
        assert len(found) == len(set(found))
        return set(found)

    assert listed() == {first, second, third}
    assert listed(FunctionName="shop") == listed(FunctionName=f"{ARN}shop") == {first, third}
    assert listed(EventSourceArn=QUEUE) == {first, second}
    assert listed(EventSourceArn=QUEUE, FunctionName="ledger") == {second}
    assert listed(FunctionName="never") == set()


def test_a_source_feeds_a_function_once(aws: Any) -> None:
    first = aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE)["UUID"]
    with pytest.raises(aws.exceptions.ResourceConflictException) as error:
        aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE)
    assert refusal(error)[1] == (
        f'An event source mapping with SQS arn (" {QUEUE} ") and function (" shop ") already exists. '
        f"Please update or delete the existing mapping with UUID {first}"
    )
    other = aws.create_event_source_mapping(FunctionName="ledger", EventSourceArn=QUEUE)["UUID"]
    with pytest.raises(aws.exceptions.ResourceConflictException):
        aws.update_event_source_mapping(UUID=other, FunctionName="shop")
    aws.delete_event_source_mapping(UUID=first)
    assert aws.update_event_source_mapping(UUID=other, FunctionName="shop")["FunctionArn"] == f"{ARN}shop"


def test_a_self_managed_kafka_is_known_by_its_servers_and_topics(aws: Any) -> None:
    def kafka(*servers: str, **members: Any) -> Any:
        return aws.create_event_source_mapping(
            FunctionName="shop",
            Topics=["topic"],
            SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(servers)}},
            **members,
        )

    access = [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:123456789012:secret:kafka"}]
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        kafka("kafka:1000")
    assert refusal(error)[1] == "Required 'sourceAccessConfigurations' parameter is missing."
    made = kafka("kafka:1000", SourceAccessConfigurations=access)
    assert (made["BatchSize"], made["StartingPosition"], made["Topics"]) == (100, "TRIM_HORIZON", ["topic"])
    assert made["SelfManagedKafkaEventSourceConfig"]["ConsumerGroupId"]
    with pytest.raises(aws.exceptions.ResourceConflictException) as error:
        kafka("kafka:1000", "kafka:2000", SourceAccessConfigurations=access)
    assert refusal(error)[1] == (
        f'An event source mapping with event source ("kafka:1000,kafka:2000"), function ("{ARN}shop"), '
        f'topics ("topic") already exists. Please update or delete the existing mapping with UUID {made["UUID"]}'
    )


UNSUPPORTED = "Unsupported {} parameter for given event source mapping type."
LARGE_BATCH = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
NO_POSITION = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no source": ({"EventSourceArn": None}, "Unrecognized event source."),
    "unknown source": ({"EventSourceArn": "arn:aws:s3:::leaves"}, "Unrecognized event source."),
    "no function": ({"FunctionName": "never"}, "Function does not exist"),
    "no alias": ({"FunctionName": "shop:never"}, "Function does not exist"),
    "success destination": ({"DestinationConfig": {"OnSuccess": {}}}, UNSUPPORTED.format("DestinationConfig")),
    "failure destination": ({"DestinationConfig": {"OnFailure": {}}}, UNSUPPORTED.format("DestinationConfig")),
    "parallel": ({"ParallelizationFactor": 2}, UNSUPPORTED.format("ParallelizationFactor")),
    "large batch": ({"BatchSize": 11}, LARGE_BATCH),
    "FIFO batch": ({"EventSourceArn": f"{QUEUE}.fifo", "BatchSize": 11}, "at most 10 records"),
    "no position": ({"EventSourceArn": STREAM}, NO_POSITION),
    "table's past": (
        {"EventSourceArn": TABLE, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1.0},
        f"Unsupported starting position for arn type: {TABLE}",
    ),
    "no queue": (
        {"EventSourceArn": QUEUE.replace("orders", "never")},
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist.",
    ),
    "no name of a queue": ({"EventSourceArn": QUEUE.replace("orders", "or/ders")}, "NonExistentQueue"),
    "the platform's own key": (
        {"EventSourceArn": "arn:aws:redis:us-east-1:123456789012:stream/samovar:x"},
        "the platform's own",
    ),
    "no key": ({"EventSourceArn": "arn:aws:redis:us-east-1:123456789012:hash/x"}, "Unrecognized event source"),
    "a list's end": (
        {"EventSourceArn": "arn:aws:redis:us-east-1:123456789012:list/x", "StartingPosition": "LATEST"},
        "Unsupported starting position",
    ),
    "a destination that is none": (
        {
            "EventSourceArn": "arn:aws:redis:us-east-1:123456789012:list/x",
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:123456789012:topic"}},
        },
        "The destination ARN arn:aws:sns:us-east-1:123456789012:topic is invalid.",
    ),
    "itself as the destination": (
        {
            "EventSourceArn": "arn:aws:redis:us-east-1:123456789012:list/x",
            "DestinationConfig": {"OnFailure": {"Destination": f"{ARN}shop"}},
        },
        "You can't specify the function as a destination for itself.",
    ),
    "two ways to scale": (
        {"ScalingConfig": {"MaximumConcurrency": 2}, "ProvisionedPollerConfig": {"MinimumPollers": 2}},
        "exclude each other",
    ),
}


@pytest.mark.parametrize(("members", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_impossible_mappings_are_refused(aws: Any, members: dict[str, Any], message: str) -> None:
    given = {"FunctionName": "shop", "EventSourceArn": QUEUE} | members
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.create_event_source_mapping(**{name: value for name, value in given.items() if value is not None})
    assert message in refusal(error)[1]
    assert aws.list_event_source_mappings()["EventSourceMappings"] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "null", "simple string", '{"a": "b"}', '{"a": []}', "{}", '{"a": [{"like": 1}]}', '{"a": [{"wildcard": "**"}]}',
        '{"a": [{"numeric": ["<", 5, ">", 1]}]}', '{"$or": [{"a": [1]}]}', '{"a": [{"cidr": "here"}]}',
    ],
)  # fmt: skip
def test_what_is_no_filter_pattern_is_refused(aws: Any, pattern: str) -> None:
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.create_event_source_mapping(
            FunctionName="shop", EventSourceArn=QUEUE, FilterCriteria={"Filters": [{"Pattern": pattern}]}
        )
    assert refusal(error)[1] == "Invalid filter pattern definition."


def test_a_mapping_has_five_filters_at_most(aws: Any) -> None:
    five = [{"Pattern": json.dumps({"body": {"n": [number]}})} for number in range(5)]
    given = {"FunctionName": "shop", "EventSourceArn": QUEUE}
    with pytest.raises(aws.exceptions.InvalidParameterValueException):
        aws.create_event_source_mapping(**given, FilterCriteria={"Filters": [*five, five[0]]})
    made = aws.create_event_source_mapping(**given, FilterCriteria={"Filters": five})
    assert made["FilterCriteria"] == {"Filters": five}


def test_filters_are_kept_and_removed(aws: Any) -> None:
    pattern = json.dumps({"body": {"n": [{"numeric": [">", 1]}], "$or": [{"a": [None]}, {"b": [{"exists": False}]}]}})
    criteria = {"Filters": [{"Pattern": pattern}]}
    made = aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE, FilterCriteria=criteria)
    assert made["FilterCriteria"] == criteria
    assert aws.update_event_source_mapping(UUID=made["UUID"], BatchSize=2)["FilterCriteria"] == criteria
    emptied = aws.update_event_source_mapping(UUID=made["UUID"], FilterCriteria={"Filters": []})
    assert "FilterCriteria" not in emptied


def test_a_queue_has_to_leave_the_function_its_time(aws: Any, sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE)
    assert refusal(error)[1] == "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "3"})
    aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE)


def test_a_stream_in_redis_is_a_source(aws: Any) -> None:
    source = "arn:aws:redis:us-east-1:123456789012:stream/clicks"
    made = aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=source, StartingPosition="LATEST")
    expected = {"BatchSize": 10, "StartingPosition": "LATEST", "MaximumRetryAttempts": -1, "State": "Creating"}
    assert made.items() >= expected.items()
    assert aws.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled"


def test_values_out_of_the_models_bounds_are_validation_errors(aws: Any) -> None:
    for members in ({"BatchSize": 10_001}, {"MaximumBatchingWindowInSeconds": 301}, {"StartingPosition": "invalid"}):
        with pytest.raises(ClientError) as error:
            aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE, **members)
        assert refusal(error)[0] == "ValidationException"


def test_a_mapping_outlives_its_function(aws: Any) -> None:
    uuid = aws.create_event_source_mapping(FunctionName="shop", EventSourceArn=QUEUE)["UUID"]
    aws.delete_function(FunctionName="shop")
    assert aws.get_event_source_mapping(UUID=uuid)["FunctionArn"] == f"{ARN}shop"


def test_answers_have_the_members_and_types_of_awss_model(aws: Any) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    stream = {"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_000}
    made = aws.create_event_source_mapping(FunctionName="shop", **stream)
    uuid = made["UUID"]
    assert made["StartingPositionTimestamp"].timestamp() == stream["StartingPositionTimestamp"]
    for operation, answer in (
        ("CreateEventSourceMapping", made),
        ("GetEventSourceMapping", aws.get_event_source_mapping(UUID=uuid)),
        ("ListEventSourceMappings", aws.list_event_source_mappings()),
        ("UpdateEventSourceMapping", aws.update_event_source_mapping(UUID=uuid, BatchSize=7)),
        ("DeleteEventSourceMapping", aws.delete_event_source_mapping(UUID=uuid)),
    ):
        report = ParamValidator().validate(without_metadata(answer), model.operation_model(operation).output_shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
