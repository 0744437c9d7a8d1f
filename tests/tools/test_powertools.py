"""Powertools for AWS Lambda in functions, installed as their requirements, and what its parts make of our events."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from samovar.clients.platform import Client
from tests.platform import Platform
from tests.signing import key_for

pytestmark = pytest.mark.component("bubblewrap", "valkey")

TEMPLATE = """\
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: code/, Runtime: python3.11, Timeout: 30, Environment: {Variables: {POWERTOOLS_SERVICE_NAME: tea}}}
Resources:
  Http:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.http
      Events: {All: {Type: HttpApi, Properties: {Path: "/http/{proxy+}", Method: ANY}}}
  Rest:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.rest
      Events: {All: {Type: Api, Properties: {Path: "/rest/{proxy+}", Method: ANY}}}
  Url: {Type: AWS::Serverless::Function, Properties: {Handler: app.url}}
  Batch: {Type: AWS::Serverless::Function, Properties: {Handler: app.batch}}
  Parsed: {Type: AWS::Serverless::Function, Properties: {Handler: app.parsed}}
"""
SOURCE = """
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver
    from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver
    from aws_lambda_powertools.event_handler.exceptions import NotFoundError
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes import event_source, SQSEvent
    from aws_lambda_powertools.utilities.parser import BaseModel, event_parser

    logger = Logger()


    def routes(resolver, prefix):
        @resolver.get(prefix + "/pots/<number>")
        def pot(number):
            if number == "13":
                raise NotFoundError("there is no such pot")
            logger.info("poured", extra={"pot": number})
            return {"pot": number, "cups": resolver.current_event.get_query_string_value("cups", "1")}

        @resolver.post(prefix + "/pots")
        def made():
            return {"made": resolver.current_event.json_body["name"]}, 201

        return resolver


    http_routes = routes(APIGatewayHttpResolver(), "/http")
    rest_routes = routes(APIGatewayRestResolver(), "/rest")
    url_routes = routes(LambdaFunctionUrlResolver(), "")


    @logger.inject_lambda_context
    def http(event, context):
        return http_routes.resolve(event, context)


    def rest(event, context):
        return rest_routes.resolve(event, context)


    def url(event, context):
        return url_routes.resolve(event, context)


    processor = BatchProcessor(event_type=EventType.SQS)


    def one(record):
        if record.json_body["poison"]:
            raise ValueError("poisoned")


    def batch(event, context):
        return process_partial_response(event=event, record_handler=one, processor=processor, context=context)


    class Order(BaseModel):
        item: str
        count: int


    @event_parser(model=Order)
    def parsed(event: Order, context):
        return {"item": event.item, "count": event.count + 1}
"""


@pytest.fixture(scope="module")
def stack(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The template, deployed; the address of its API."""
    folder = tmp_path_factory.mktemp("powertools")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(textwrap.dedent(SOURCE))
    (folder / "code" / "requirements.txt").write_text("aws-lambda-powertools[parser]\n")
    (folder / "template.yaml").write_text(TEMPLATE)
    told = json.loads(platform.cli("deploy", folder, "--stack-name", "powertools", "--json").stdout)
    yield str(told["api"])
    platform.cli("stacks", "delete", "powertools", "--yes")


@pytest.mark.parametrize("kind", ["http", "rest", "url"])
def test_its_resolvers_route_our_requests(platform: Platform, stack: str, kind: str) -> None:
    address = f"{platform.endpoint}/fn/powertools-Url" if kind == "url" else f"{stack}{kind}"
    assert httpx.get(f"{address}/pots/7?cups=3", timeout=60).json() == {"pot": "7", "cups": "3"}
    made = httpx.post(f"{address}/pots", json={"name": "brown"}, timeout=60)
    assert (made.status_code, made.json()) == (201, {"made": "brown"})
    missing = httpx.get(f"{address}/pots/13", timeout=60)
    assert (missing.status_code, missing.json()["message"]) == (404, "there is no such pot")
    assert httpx.get(f"{address}/cups", timeout=60).status_code == 404


def test_its_logger_finds_the_context(platform: Platform, stack: str) -> None:
    answered = httpx.get(f"{stack}http/pots/99", timeout=60)
    with Client(platform.endpoint, key_for(platform.endpoint)) as client:
        lines = [line.text for line in client.logs("powertools-Http") if '"poured"' in line.text]
    (said,) = [found for line in lines if (found := json.loads(line))["pot"] == "99"]
    assert (said["service"], said["function_name"], said["level"]) == ("tea", "powertools-Http", "INFO")
    assert said["function_arn"].endswith(":function:powertools-Http")
    assert said["function_request_id"] == answered.headers["x-amzn-requestid"]
    assert said["function_memory_size"] in (128, "128")


def invoked(platform: Platform, name: str, event: Any, fails_with: int = 0) -> Any:
    done = platform.cli("invoke", name, "--data", json.dumps(event), "--no-tail", fails_with=fails_with)
    return json.loads(done.stdout) if not fails_with else done.stderr


def test_its_batch_processor_reports_what_failed(platform: Platform, stack: str) -> None:
    records = [
        {"messageId": name, "eventSource": "aws:sqs", "body": json.dumps({"poison": name == "two"})}
        for name in ("one", "two", "three")
    ]
    told = invoked(platform, "powertools-Batch", {"Records": records})
    assert told == {"batchItemFailures": [{"itemIdentifier": "two"}]}


def test_its_parser_holds_events_to_a_model(platform: Platform, stack: str) -> None:
    assert invoked(platform, "powertools-Parsed", {"item": "cup", "count": 1}) == {"item": "cup", "count": 2}
    assert "ValidationError" in invoked(platform, "powertools-Parsed", {"item": "cup"}, fails_with=1)
