"""Function URLs of aliases, through boto3 and over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.compatibility.aws import ARN, HANDLER, SANDBOX, create, package, refusal
from tests.platform import Platform

TELLS = 'def handler(event, context): return f"{{context.function_version}} {word}"'


def called(platform: Platform, url: str) -> httpx.Response:
    """What a function URL answers; its host name needs no name server."""
    host = urlsplit(url).netloc
    return httpx.get(platform.endpoint, headers={"Host": host}, timeout=30)


@pytest.mark.component("boto3", "valkey")
@pytest.mark.parametrize("platform", [SANDBOX], indirect=True)
def test_an_aliass_url_answers_with_the_version_it_points_to(cloud: Any, platform: Platform) -> None:
    create(cloud, "shop", TELLS.format(word="first"))
    cloud.publish_version(FunctionName="shop")
    cloud.create_alias(FunctionName="shop", Name="live", FunctionVersion="1")
    own = cloud.create_function_url_config(FunctionName="shop", AuthType="NONE")
    made = cloud.create_function_url_config(FunctionName="shop", Qualifier="live", AuthType="NONE")
    assert (made["FunctionArn"], own["FunctionArn"]) == (f"{ARN}shop:live", f"{ARN}shop")

    cloud.update_function_code(FunctionName="shop", ZipFile=package(TELLS.format(word="second")))
    cloud.get_waiter("function_updated_v2").wait(FunctionName="shop")
    assert [called(platform, url["FunctionUrl"]).text for url in (own, made)] == ["$LATEST second", "1 first"]
    cloud.publish_version(FunctionName="shop")
    cloud.update_alias(FunctionName="shop", Name="live", FunctionVersion="2")
    assert called(platform, made["FunctionUrl"]).text == "2 second"
    cloud.update_alias(
        FunctionName="shop",
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
    )
    answers = {called(platform, made["FunctionUrl"]).text for _ in range(40)}
    assert answers == {"1 first", "2 second"}, "weights hold for calls by URL, too"

    cloud.delete_alias(FunctionName="shop", Name="live")
    assert called(platform, made["FunctionUrl"]).status_code == 403
    assert called(platform, own["FunctionUrl"]).text == "$LATEST second"


@pytest.mark.component("boto3", "valkey")
def test_urls_of_a_function_and_its_aliases_are_told_apart(aws: Any) -> None:
    create(aws, "shop", HANDLER)
    aws.publish_version(FunctionName="shop")
    for name in ("blue", "green"):
        aws.create_alias(FunctionName="shop", Name=name, FunctionVersion="1")
        aws.create_function_url_config(FunctionName="shop", Qualifier=name, AuthType="NONE", Cors={"MaxAge": 5})
    with pytest.raises(aws.exceptions.ResourceConflictException) as error:
        aws.create_function_url_config(FunctionName="shop:blue", AuthType="NONE")
    assert f"[functionArn = {ARN}shop:blue]" in refusal(error)[1]
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_function_url_config(FunctionName="shop")
    assert refusal(error)[1] == "The resource you requested does not exist."
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.create_function_url_config(FunctionName="shop:never", AuthType="NONE")
    assert refusal(error)[1] == "Function does not exist"
    pages = aws.get_paginator("list_function_url_configs").paginate(
        FunctionName="shop", PaginationConfig={"PageSize": 1}
    )
    listed = [one["FunctionArn"] for page in pages for one in page["FunctionUrlConfigs"]]
    assert listed == [f"{ARN}shop:blue", f"{ARN}shop:green"]
    changed = aws.update_function_url_config(FunctionName="shop", Qualifier="blue", Cors={"MaxAge": 9})
    assert changed["Cors"] == {"MaxAge": 9}
    assert aws.get_function_url_config(FunctionName="shop", Qualifier="green")["Cors"] == {"MaxAge": 5}
    aws.delete_function_url_config(FunctionName="shop", Qualifier="green")
    assert len(aws.list_function_url_configs(FunctionName="shop")["FunctionUrlConfigs"]) == 1
