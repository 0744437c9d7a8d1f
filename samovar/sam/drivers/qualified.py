"""What belongs to a function: published versions under an alias, its URL, and what becomes of its asynchronous calls.

Physical ids are `FUNCTION` or `FUNCTION:ALIAS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.deploy.deployment import settle
from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class QualifiedWanted:
    """Something of a function, or of an alias of it."""

    function: str
    alias: str | None
    members: dict[str, Any]
    """Of the request that makes it."""

    @property
    def named(self) -> dict[str, str]:
        """The function as requests name it."""
        return {"FunctionName": self.function, **({"Qualifier": self.alias} if self.alias else {})}

    @property
    def physical_id(self) -> str:
        """See the top of this file."""
        return f"{self.function}:{self.alias}" if self.alias else self.function


class VersionDriver:
    """`AWS::Lambda::Version`. The physical id is its function: versions go with that, a change publishes one."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QualifiedWanted = item.wanted
        aws = target.aws("lambda")
        before = _numbers(aws, wanted.function)
        published = aws.publish_version(FunctionName=wanted.function, **wanted.members)
        settle(target.client, wanted.function)
        number, arn = published["Version"], published["FunctionArn"]
        attributes = {"": arn, "Version": number, "FunctionArn": arn}
        return Applied(
            physical_id=wanted.function, changed=[] if number in before else ["version"], attributes=attributes
        )

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`. A version may be what an alias points to, and is what somebody goes back to: it stays."""


class AliasDriver:
    """`AWS::Lambda::Alias`, on a version that is named, or on the one that `AutoPublishAlias` publishes."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QualifiedWanted = item.wanted
        assert wanted.alias is not None
        aws, named = target.aws("lambda"), {"FunctionName": wanted.function, "Name": wanted.alias}
        members = wanted.members
        if "FunctionVersion" not in members:
            said = {"Description": members["VersionDescription"]} if members else {}
            members = {"FunctionVersion": aws.publish_version(FunctionName=wanted.function, **said)["Version"]}
            settle(target.client, wanted.function)
        current = _found(aws.get_alias, named)
        is_so = current is not None and _covers(current, members)
        if current is None:
            aws.create_alias(**named, **members)
        elif not is_so:
            aws.update_alias(**named, **members)
        arn = target.arn("lambda", f"function:{wanted.physical_id}")
        attributes = {"": arn, "AliasArn": arn}
        return Applied(physical_id=wanted.physical_id, changed=[] if is_so else ["alias"], attributes=attributes)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        function, _, alias = physical_id.partition(":")
        _found(target.aws("lambda").delete_alias, {"FunctionName": function, "Name": alias})


class ProvisionedDriver:
    """Provisioned concurrency of an alias."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QualifiedWanted = item.wanted
        aws = target.aws("lambda")
        current = _found(aws.get_provisioned_concurrency_config, wanted.named) or {}
        count = wanted.members["ProvisionedConcurrentExecutions"]
        is_so = current.get("RequestedProvisionedConcurrentExecutions") == count
        if not is_so:
            aws.put_provisioned_concurrency_config(**wanted.named, **wanted.members)
        return Applied(physical_id=wanted.physical_id, changed=[] if is_so else ["provisioned"])

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        _found(target.aws("lambda").delete_provisioned_concurrency_config, _named(physical_id))


class UrlDriver:
    """`AWS::Lambda::Url`."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QualifiedWanted = item.wanted
        aws = target.aws("lambda")
        current = _found(aws.get_function_url_config, wanted.named)
        changed = ["url"]
        if current is None:
            made = aws.create_function_url_config(**wanted.named, **wanted.members)
        elif _covers(current, wanted.members):
            made, changed = current, []
        else:
            made = aws.update_function_url_config(**wanted.named, **wanted.members)
        attributes = {"": made["FunctionArn"], "FunctionUrl": made["FunctionUrl"], "FunctionArn": made["FunctionArn"]}
        return Applied(physical_id=wanted.physical_id, changed=changed, attributes=attributes)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        _found(target.aws("lambda").delete_function_url_config, _named(physical_id))


class EventInvokeDriver:
    """`AWS::Lambda::EventInvokeConfig`."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QualifiedWanted = item.wanted
        aws = target.aws("lambda")
        current = _found(aws.get_function_event_invoke_config, wanted.named)
        is_so = current is not None and _covers(current, wanted.members)
        if not is_so:
            aws.put_function_event_invoke_config(**wanted.named, **wanted.members)
        return Applied(physical_id=wanted.physical_id, changed=[] if is_so else ["event invoke config"])

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        _found(target.aws("lambda").delete_function_event_invoke_config, _named(physical_id))


def _numbers(aws: Any, function: str) -> set[str]:
    pages = aws.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    return {version["Version"] for page in pages for version in page["Versions"]}


def _named(physical_id: str) -> dict[str, str]:
    function, _, alias = physical_id.partition(":")
    return {"FunctionName": function, **({"Qualifier": alias} if alias else {})}


def _found(operation: Callable[..., Any], request: dict[str, Any]) -> Any:
    """An operation's answer; `None` when what it names is not there."""
    try:
        return operation(**request)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _covers(current: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether what there is is what is wanted: neither less nor, within members that are objects, more."""
    return all(_trimmed(current.get(name)) == _trimmed(value) for name, value in wanted.items())


def _trimmed(value: Any) -> Any:
    """Without members that say nothing; `None` when nothing is left."""
    if isinstance(value, dict):
        return {name: _trimmed(item) for name, item in value.items() if item not in (None, [], {}, False, 0)} or None
    return value if value != "" else None
