"""Queues, and the mappings by which they feed functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_exponential

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing

_STEADY_S: Final = 60.0
"""How long a mapping may take to come out of a change before the next one."""
_CHANGING: Final = frozenset({"Creating", "Enabling", "Disabling", "Updating"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWanted:
    """A queue as a template has it."""

    name: str
    attributes: dict[str, str]
    tags: dict[str, str]


class QueueDriver:
    """`AWS::SQS::Queue`; the physical id is its URL."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: QueueWanted = item.wanted
        aws, changed = target.aws("sqs"), []
        url = _url(aws, wanted.name)
        if url is None:
            tags = {"tags": wanted.tags} if wanted.tags else {}
            url = aws.create_queue(QueueName=wanted.name, Attributes=wanted.attributes, **tags)["QueueUrl"]
            changed.append("created")
        else:
            current = aws.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            differing = {name: value for name, value in wanted.attributes.items() if current.get(name) != value}
            if differing:
                aws.set_queue_attributes(QueueUrl=url, Attributes=differing)
                changed.append("attributes")
            present = aws.list_queue_tags(QueueUrl=url).get("Tags", {})
            if wanted.tags.items() - present.items():
                aws.tag_queue(QueueUrl=url, Tags=wanted.tags)
                changed.append("tags")
        arn = target.arn("sqs", wanted.name)
        attributes = {"": url, "Arn": arn, "QueueName": wanted.name, "QueueUrl": url}
        return Applied(physical_id=url, changed=changed, attributes=attributes)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        try:
            target.aws("sqs").delete_queue(QueueUrl=physical_id)
        except ClientError as error:
            if not is_missing(error):
                raise


class QueuePolicyDriver:
    """`AWS::SQS::QueuePolicy`; the physical id is the URLs of its queues."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        aws, policy, changed = target.aws("sqs"), item.wanted["Policy"], []
        for url in item.wanted["Queues"]:
            current = aws.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
            if json.loads(current.get("Policy") or "{}") != json.loads(policy):
                aws.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
                changed = ["policy"]
        return Applied(physical_id=" ".join(item.wanted["Queues"]), changed=changed)

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        for url in physical_id.split():
            try:
                target.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
            except ClientError as error:
                if not is_missing(error):
                    raise


class MappingDriver:
    """`AWS::Lambda::EventSourceMapping`; the physical id is its UUID."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        aws, wanted = target.aws("lambda"), item.wanted
        named = {name: wanted[name] for name in ("FunctionName", "EventSourceArn")}
        there = aws.list_event_source_mappings(**named)["EventSourceMappings"]
        if not there:
            return Applied(physical_id=aws.create_event_source_mapping(**wanted)["UUID"], changed=["created"])
        uuid, current = there[0]["UUID"], _steady(aws, there[0]["UUID"])
        differing = {
            name: value
            for name, value in wanted.items()
            if name not in named and name != "Enabled" and current.get(name) != value
        }
        if wanted["Enabled"] != (current["State"] == "Enabled"):
            differing["Enabled"] = wanted["Enabled"]
        if differing:
            aws.update_event_source_mapping(UUID=uuid, FunctionName=wanted["FunctionName"], **differing)
        return Applied(physical_id=uuid, changed=["mapping"] if differing else [])

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        aws = target.aws("lambda")
        try:
            _steady(aws, physical_id)
            aws.delete_event_source_mapping(UUID=physical_id)
        except ClientError as error:
            if not is_missing(error):
                raise


def _url(aws: Any, name: str) -> str | None:
    try:
        return str(aws.get_queue_url(QueueName=name)["QueueUrl"])
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _steady(aws: Any, uuid: str) -> dict[str, Any]:
    """The mapping once its last change is in force, or as it is when that takes too long."""
    waiting = Retrying(
        stop=stop_after_delay(_STEADY_S),
        wait=wait_exponential(multiplier=0.05, max=1.0),
        retry=retry_if_result(lambda found: found["State"] in _CHANGING),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    found: dict[str, Any] = waiting(aws.get_event_source_mapping, UUID=uuid)
    return found
