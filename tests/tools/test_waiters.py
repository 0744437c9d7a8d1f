"""boto3's waiters: each ends when it should, on functions and versions that are made, changed and published."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import RUNTIME, package
from tests.gateway.builders import ROLE

pytestmark = pytest.mark.component("boto3", "bubblewrap", "valkey")
QUICK: dict[str, int] = {"Delay": 1, "MaxAttempts": 30}
SOURCE = "def handler(event, context): return {}"


def make(aws: Any, name: str) -> None:
    aws.create_function(
        FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": package(SOURCE)}
    )


def test_every_waiter_of_functions_ends(aws: Any) -> None:
    waiters = {"function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"}
    assert waiters | {"published_version_active"} == set(aws.waiter_names)
    make(aws, "waited")
    for name in sorted(waiters):
        aws.get_waiter(name).wait(FunctionName="waited", WaiterConfig=QUICK)
    aws.update_function_code(FunctionName="waited", ZipFile=package(SOURCE + " | {1: 2}"))
    aws.get_waiter("function_updated_v2").wait(FunctionName="waited", WaiterConfig=QUICK)
    aws.update_function_configuration(FunctionName="waited", Timeout=9)
    aws.get_waiter("function_updated").wait(FunctionName="waited", WaiterConfig=QUICK)
    version = aws.publish_version(FunctionName="waited")["Version"]
    published = aws.get_waiter("published_version_active")
    published.wait(FunctionName="waited", Qualifier=version, WaiterConfig=QUICK)
    aws.create_alias(FunctionName="waited", Name="live", FunctionVersion=version)
    published.wait(FunctionName="waited", Qualifier="live", WaiterConfig=QUICK)


def test_a_waiter_for_what_is_not_there_gives_up(aws: Any) -> None:
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        aws.get_waiter("function_exists").wait(FunctionName="nobody", WaiterConfig={"Delay": 0, "MaxAttempts": 2})
    with pytest.raises(WaiterError, match="ResourceNotFound"):
        aws.get_waiter("function_active_v2").wait(FunctionName="nobody", WaiterConfig={"Delay": 0, "MaxAttempts": 2})
