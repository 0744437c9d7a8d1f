"""The control API through boto3, whose own model checks names, paths and shapes of everything it reads."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from botocore.validate import ParamValidator  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility import aws as aws_client
from tests.gateway.builders import CODE, zip_of

pytestmark = pytest.mark.component("boto3", "valkey")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"


def create(client: Any, name: str = "hello", **members: Any) -> dict[str, Any]:
    return aws_client.create(client, name, CODE.decode(), **members)


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer: Any = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_function_lives(aws: Any) -> None:
    made = create(aws, Environment={"Variables": {"A1": "x"}}, Tags={"team": "tea"})
    assert (made["ResponseMetadata"]["HTTPStatusCode"], made["FunctionArn"], made["State"]) == (201, ARN, "Pending")
    assert made["ResponseMetadata"]["RequestId"]
    aws.get_waiter("function_active_v2").wait(FunctionName="hello")
    aws.get_waiter("function_updated_v2").wait(FunctionName=ARN)
    aws.get_waiter("function_exists").wait(FunctionName="hello")

    shown = aws.get_function(FunctionName=ARN)
    assert shown["Tags"] == {"team": "tea"}
    with urllib.request.urlopen(shown["Code"]["Location"], timeout=10) as package:
        assert zipfile.ZipFile(io.BytesIO(package.read())).read("app.py") == CODE

    changed = aws.update_function_configuration(FunctionName="hello", MemorySize=256, Timeout=10)
    assert (changed["MemorySize"], changed["Environment"]) == (256, {"Variables": {"A1": "x"}})
    code = {"FunctionName": "hello", "ZipFile": zip_of({"b.py": b""})}
    settled = aws.get_function_configuration(FunctionName="hello")["RevisionId"]
    with pytest.raises(aws.exceptions.PreconditionFailedException):  # it is another one once the change is in force
        aws.update_function_code(**code, RevisionId=changed["RevisionId"])
    coded = aws.update_function_code(**code, RevisionId=settled)
    assert coded["CodeSha256"] != made["CodeSha256"]
    after = aws.get_function_configuration(FunctionName="hello")["RevisionId"]
    assert len({made["RevisionId"], changed["RevisionId"], settled, coded["RevisionId"], after}) == 5

    assert aws.delete_function(FunctionName="hello")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_function(FunctionName="hello")
    assert error.value.response["Error"]["Message"] == f"Function not found: {ARN}"
    assert code_of(error) == ("ResourceNotFoundException", 404)


def test_answers_have_the_members_and_types_of_awss_model(aws: Any) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    made = create(aws)
    url = aws.create_function_url_config(FunctionName="hello", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    for operation, answer in (
        ("CreateFunction", made),
        ("GetFunction", aws.get_function(FunctionName="hello")),
        ("ListFunctions", aws.list_functions()),
        ("CreateFunctionUrlConfig", url),
        ("GetFunctionUrlConfig", aws.get_function_url_config(FunctionName="hello")),
        ("ListFunctionUrlConfigs", aws.list_function_url_configs(FunctionName="hello")),
        ("ListTags", aws.list_tags(Resource=ARN)),
    ):
        content = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
        report = ParamValidator().validate(content, model.operation_model(operation).output_shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"


def test_functions_are_listed_page_by_page(aws: Any) -> None:
    names = [f"f{n:02}" for n in range(7)]
    for name in names:
        create(aws, name)
    pages = list(aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Functions"]) for page in pages] == [3, 3, 1]
    assert [each["FunctionName"] for page in pages for each in page["Functions"]] == names


def test_errors_are_boto3s_own_exceptions(aws: Any) -> None:
    create(aws)
    with pytest.raises(aws.exceptions.ResourceConflictException, match="Function already exist: hello"):
        create(aws)
    with pytest.raises(aws.exceptions.InvalidParameterValueException, match="Could not unzip uploaded file"):
        aws.update_function_code(FunctionName="hello", ZipFile=b"no zip")
    with pytest.raises(aws.exceptions.PreconditionFailedException):
        aws.update_function_configuration(FunctionName="hello", Timeout=5, RevisionId="old")
    with pytest.raises(ClientError) as error:
        aws.get_function(FunctionName="not a name")
    assert code_of(error) == ("ValidationException", 400)
    with pytest.raises(aws.exceptions.InvalidParameterValueException, match="valid ARN"):
        create(aws, "other", Runtime="cobol")


def test_of_twenty_updates_on_one_revision_exactly_one_wins(aws: Any) -> None:
    create(aws)
    revision = aws.get_function_configuration(FunctionName="hello")["RevisionId"]

    def update(number: int) -> str:
        try:
            aws.update_function_configuration(FunctionName="hello", Description=str(number), RevisionId=revision)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(number)

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(update, range(20)))
    won = [each for each in outcomes if each != "PreconditionFailedException"]
    assert won == [aws.get_function_configuration(FunctionName="hello")["Description"]]


def test_urls_tags_and_concurrency(aws: Any) -> None:
    create(aws)
    url = aws.create_function_url_config(FunctionName="hello", AuthType="NONE")["FunctionUrl"]
    assert aws.get_function_url_config(FunctionName=ARN)["FunctionUrl"] == url
    changed = aws.update_function_url_config(FunctionName="hello", Cors={"AllowOrigins": ["*"], "MaxAge": 5})
    assert changed["Cors"] == {"AllowOrigins": ["*"], "MaxAge": 5}
    aws.delete_function_url_config(FunctionName="hello")
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_function_url_config(FunctionName="hello")

    aws.tag_resource(Resource=ARN, Tags={"samovar:network": "bridge", "a": "b"})
    aws.untag_resource(Resource=ARN, TagKeys=["a"])
    assert aws.list_tags(Resource=ARN)["Tags"] == {"samovar:network": "bridge"}

    aws.put_function_concurrency(FunctionName="hello", ReservedConcurrentExecutions=3)
    assert aws.get_function_concurrency(FunctionName="hello")["ReservedConcurrentExecutions"] == 3
    aws.delete_function_concurrency(FunctionName="hello")
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName="hello")


def test_a_package_of_many_megabytes_is_taken(aws: Any) -> None:
    big = zip_of({"app.py": CODE, "data": bytes(range(256)) * 80_000}, compression=zipfile.ZIP_STORED)
    assert create(aws, Code={"ZipFile": big})["CodeSize"] == len(big) > 20_000_000
