"""Resource policies of functions through boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, HANDLER, create, refusal

pytestmark = pytest.mark.component("boto3", "valkey")
CALL = {"Action": "lambda:InvokeFunction"}


@pytest.fixture(autouse=True)
def function(aws: Any) -> None:
    create(aws, "shop", HANDLER)


def test_a_policy_is_written_as_aws_writes_it(aws: Any) -> None:
    added = aws.add_permission(
        FunctionName="shop",
        StatementId="bucket",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::leaves",
        SourceAccount="123456789012",
        **CALL,
    )
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = (
        '{"Sid":"bucket","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction",'
        f'"Resource":"{ARN}shop","Condition":{{"StringEquals":{{"AWS:SourceAccount":"123456789012"}},'
        '"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::leaves"}}}'
    )
    assert added["Statement"] == statement
    found = aws.get_policy(FunctionName=f"{ARN}shop")
    assert found["Policy"] == f'{{"Version":"2012-10-17","Id":"default","Statement":[{statement}]}}'
    aws.update_function_configuration(FunctionName="shop", Description="tea")
    assert aws.get_policy(FunctionName="shop")["RevisionId"] == found["RevisionId"], "it changes with the policy alone"


@pytest.mark.parametrize(
    ("given", "principal"),
    [
        ("*", "*"),
        ("210987654321", {"AWS": "arn:aws:iam::210987654321:root"}),
        ("arn:aws:iam::210987654321:user/ada", {"AWS": "arn:aws:iam::210987654321:user/ada"}),
        ("events.amazonaws.com", {"Service": "events.amazonaws.com"}),
        ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
    ],
)
def test_principals_are_told_apart(aws: Any, given: str, principal: Any) -> None:
    added = aws.add_permission(FunctionName="shop", StatementId="s", Principal=given, **CALL)
    assert json.loads(added["Statement"])["Principal"] == principal


def test_every_condition_is_kept(aws: Any) -> None:
    added = aws.add_permission(
        FunctionName="shop",
        StatementId="all",
        Principal="*",
        Action="lambda:InvokeFunctionUrl",
        FunctionUrlAuthType="NONE",
        PrincipalOrgID="o-1234567890",
        EventSourceToken="token",
        InvokedViaFunctionUrl=True,
    )
    assert json.loads(added["Statement"])["Condition"] == {
        "StringEquals": {
            "lambda:EventSourceToken": "token",
            "lambda:FunctionUrlAuthType": "NONE",
            "aws:PrincipalOrgID": "o-1234567890",
        },
        "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
    }


def test_statements_come_and_go_with_their_revisions(aws: Any) -> None:
    for name in ("one", "two"):
        aws.add_permission(FunctionName="shop", StatementId=name, Principal="*", **CALL)
    before = aws.get_policy(FunctionName="shop")
    with pytest.raises(aws.exceptions.ResourceConflictException) as error:
        aws.add_permission(FunctionName="shop", StatementId="one", Principal="*", **CALL)
    assert refusal(error)[1] == (
        "The statement id (one) provided already exists. Please provide a new statement id, or remove the existing "
        "statement."
    )
    with pytest.raises(aws.exceptions.PreconditionFailedException) as error:
        aws.add_permission(FunctionName="shop", StatementId="three", Principal="*", RevisionId="stale", **CALL)
    assert "Call the GetFunction/GetAlias API to retrieve the latest Revision Id" in refusal(error)[1]
    with pytest.raises(aws.exceptions.PreconditionFailedException):
        aws.remove_permission(FunctionName="shop", StatementId="one", RevisionId="stale")
    assert aws.get_policy(FunctionName="shop")["RevisionId"] == before["RevisionId"], "refusals change nothing"
    aws.remove_permission(FunctionName="shop", StatementId="one", RevisionId=before["RevisionId"])
    assert aws.get_policy(FunctionName="shop")["RevisionId"] != before["RevisionId"]
    whole = aws.get_function_configuration(FunctionName="shop")["RevisionId"]
    aws.add_permission(FunctionName="shop", StatementId="four", Principal="*", RevisionId=whole, **CALL)
    aws.remove_permission(FunctionName="shop", StatementId="four")
    left = json.loads(aws.get_policy(FunctionName="shop")["Policy"])["Statement"]
    assert [statement["Sid"] for statement in left] == ["two"]
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.remove_permission(FunctionName="shop", StatementId="one")
    assert refusal(error)[1] == "Statement one is not found in resource policy."
    aws.remove_permission(FunctionName="shop", StatementId="two")
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_policy(FunctionName="shop")
    assert refusal(error)[1] == "The resource you requested does not exist."
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.remove_permission(FunctionName="shop", StatementId="two")
    assert refusal(error)[1] == "No policy is associated with the given resource."


def test_what_cannot_be_is_refused_in_awss_words(aws: Any) -> None:
    def refused(**members: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as error:
            aws.add_permission(**{"FunctionName": "shop", "StatementId": "s", "Principal": "*", **CALL, **members})
        return refusal(error)

    assert refused(Principal="nobody.example") == (
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    )
    assert refused(Qualifier="$LATEST")[1] == "We currently do not support adding policies for $LATEST."
    assert refused(FunctionName="never") == ("ResourceNotFoundException", f"Function not found: {ARN}never")
    assert refused(Qualifier="never")[1] == f"Cannot find alias arn: {ARN}shop:never"
    assert refused(Qualifier="42")[1] == f"Function not found: {ARN}shop:42"
    assert refused(StatementId="a b")[0] == "ValidationException"
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.remove_permission(FunctionName="never", StatementId="s")
    assert refusal(error)[1] == f"No policy found for: {ARN}never"


def test_a_policy_has_at_most_20_kb_and_goes_with_its_function(aws: Any) -> None:
    source = "arn:aws:s3:::" + "x" * 9000
    for name in ("a", "b"):
        aws.add_permission(
            FunctionName="shop", StatementId=name, Principal="s3.amazonaws.com", SourceArn=source, **CALL
        )
    with pytest.raises(ClientError) as error:
        aws.add_permission(FunctionName="shop", StatementId="c", Principal="*", SourceArn=source, **CALL)
    code, message = refusal(error)
    assert code == "PolicyLengthExceededException"
    assert message.endswith("is bigger than the limit (20480).")
    aws.delete_function(FunctionName="shop")
    create(aws, "shop", HANDLER)
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_policy(FunctionName="shop")


def test_versions_and_aliases_have_policies_of_their_own(aws: Any) -> None:
    aws.publish_version(FunctionName="shop")
    aws.create_alias(FunctionName="shop", Name="live", FunctionVersion="1")
    alias = aws.get_alias(FunctionName="shop", Name="live")
    everybody = {"FunctionName": "shop", "StatementId": "all", "Principal": "*", **CALL}
    for qualifier in ("1", "live"):
        added = aws.add_permission(**everybody, Qualifier=qualifier)
        assert json.loads(added["Statement"])["Resource"] == f"{ARN}shop:{qualifier}"
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_policy(FunctionName="shop")
    found = aws.get_policy(FunctionName=f"{ARN}shop:live")
    assert found["RevisionId"] != alias["RevisionId"], "a change of the policy renews it"
    with pytest.raises(aws.exceptions.PreconditionFailedException) as error:
        aws.remove_permission(FunctionName="shop", Qualifier="live", StatementId="all", RevisionId=alias["RevisionId"])
    assert "Call the GetPolicy API" in refusal(error)[1]
    aws.delete_alias(FunctionName="shop", Name="live")
    aws.create_alias(FunctionName="shop", Name="live", FunctionVersion="1")
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_policy(FunctionName="shop", Qualifier="live")
    assert aws.get_policy(FunctionName="shop", Qualifier="1")["Policy"]
    aws.put_function_event_invoke_config(FunctionName="shop", Qualifier="live", MaximumRetryAttempts=1)
    aws.put_function_event_invoke_config(FunctionName="shop", Qualifier="1", MaximumRetryAttempts=0)
    listed = aws.list_function_event_invoke_configs(FunctionName="shop")["FunctionEventInvokeConfigs"]
    assert [one["FunctionArn"] for one in listed] == [f"{ARN}shop:1", f"{ARN}shop:live"]


def test_a_whole_policy_takes_the_place_of_what_there_was(aws: Any) -> None:
    aws.add_permission(FunctionName="shop", StatementId="old", Principal="*", **CALL)
    permission = {
        "Sid": "new",
        "Effect": "Allow",
        "Principal": {"AWS": "210987654321"},
        "Action": ["lambda:*"],
        "Resource": f"{ARN}shop",
        "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "false"}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": permission})
    put = aws.put_resource_policy(ResourceArn=f"{ARN}shop", Policy=text)
    assert json.loads(put["Policy"])["Statement"] == [permission]
    found = aws.get_resource_policy(ResourceArn=f"{ARN}shop")
    assert (found["Policy"], found["RevisionId"]) == (put["Policy"], put["RevisionId"])
    assert aws.get_policy(FunctionName="shop")["Policy"] == put["Policy"]
    stale = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(aws.exceptions.PreconditionFailedException):
        aws.delete_resource_policy(ResourceArn=f"{ARN}shop", RevisionId=stale)
    nested, other = {**permission, "Condition": ["Bool"]}, {**permission, "NotAction": "*"}
    unjudged = {**permission, "Effect": "Deny", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    for statements in (None, [{"Effect": "Maybe"}], [permission, permission], nested, other, unjudged):
        wrong = "no JSON" if statements is None else json.dumps({"Statement": statements})
        with pytest.raises(aws.exceptions.InvalidParameterValueException):
            aws.put_resource_policy(ResourceArn=f"{ARN}shop", Policy=wrong)
    aws.delete_resource_policy(ResourceArn=f"{ARN}shop", RevisionId=put["RevisionId"])
    for act in (aws.get_resource_policy, aws.delete_resource_policy):
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            act(ResourceArn=f"{ARN}shop")
