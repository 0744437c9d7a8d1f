"""Queues, buckets, log groups, and what is said of who may use them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from samovar.logs import groups as log_groups
from samovar.sam.document import Node
from samovar.sam.drivers.buckets import BucketWanted, NoticeWanted
from samovar.sam.drivers.logs import LogGroupWanted
from samovar.sam.drivers.queues import QueueWanted
from samovar.sam.expanding import Expand, Expanded, Expanding
from samovar.sam.item import Item
from samovar.sam.properties.shared import UploadFilter
from samovar.sam.properties.stores import (
    BUCKET_IGNORED,
    BucketProperties,
    LogGroupProperties,
    QueuePolicyProperties,
    QueueProperties,
    RoleProperties,
)
from samovar.sam.reading import convert
from samovar.sam.target import Target, given
from samovar.sam.template import Resource

QUEUE_NAME: Final = r"[a-zA-Z0-9_-]{1,80}(\.fifo)?"
_BUCKET_NAME: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_QUEUE_ATTRIBUTES: Final = (
    "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "DelaySeconds",
    "KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "MaximumMessageSize", "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds", "SqsManagedSseEnabled", "VisibilityTimeout", "RedrivePolicy", "RedriveAllowPolicy",
)  # fmt: skip
_POLICIES: Final = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::S3::BucketPolicy")
"""Read and told: what functions and keys may do is said by their roles on the platform."""


class Stores(Expanding):
    """`AWS::SQS::…`, `AWS::S3::…`, `AWS::Logs::…` and `AWS::IAM::…`."""

    def kinds(self) -> dict[str, Expand]:
        """What each type is taken apart by."""
        return {
            "AWS::IAM::Role": self._role,
            "AWS::Logs::LogGroup": self._log_group,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SQS::Queue": self._queue,
            "AWS::SQS::QueuePolicy": self._queue_policy,
            **dict.fromkeys(_POLICIES, self._policy),
        }

    def _queue(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, QueueProperties, self.target.path)
        suffix = ".fifo" if properties.fifo_queue and not properties.queue_name else ""
        name = self.name(properties.queue_name, resource, QUEUE_NAME, suffix)
        attributes = {key: _as_text(value) for key, value in given(properties, *_QUEUE_ATTRIBUTES).items()}
        tags = {tag.key: tag.value for tag in properties.tags}
        item, known = queue(self.target, resource.name, resource.line, name, attributes, tags)
        return Expanded(items=[item], known={resource.name: known})

    def _queue_policy(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, QueuePolicyProperties, self.target.path)
        document = properties.policy_document
        policy = document if isinstance(document, str) else json.dumps(document)
        wanted = {"Queues": properties.queues, "Policy": policy}
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        note = f"{resource.name} ({resource.type}) is kept and decides nothing here: keys and roles do"
        return Expanded(
            items=[item], known={resource.name: {"": resource.name}}, notes=[self.note(resource.line, note)]
        )

    def _bucket(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, BucketProperties, self.target.path)
        default = f"{self.target.stack}-{resource.name}".lower().replace("_", "-")
        name = self.name(properties.bucket_name or default, resource, _BUCKET_NAME)
        versioning = properties.versioning_configuration
        wanted = BucketWanted(name=name, versioning=versioning.status if versioning else None)
        items = [Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)]
        items += self._notices(resource, properties, name)
        domain = f"{name}.s3.amazonaws.com"
        known = {"": name, "Arn": f"arn:aws:s3:::{name}", "DomainName": domain, "RegionalDomainName": domain}
        notes = self.ignored(node, BUCKET_IGNORED, resource.name)
        return Expanded(items=items, known={resource.name: known}, notes=notes)

    def _notices(self, resource: Resource, properties: BucketProperties, bucket: str) -> Iterator[Item]:
        notices = properties.notification_configuration
        if notices is None:
            return
        said = [(one.event, one.function, one.filter) for one in notices.lambda_configurations]
        said += [(one.event, one.queue, one.filter) for one in notices.queue_configurations]
        for number, (event, arn, chosen) in enumerate(said, 1):
            logical = f"{resource.name}Notice{number}"
            wanted = NoticeWanted(
                bucket=bucket, id=f"{self.target.stack}-{logical}", target_arn=arn, events=[event], filter=keys(chosen)
            )
            yield Item(name=logical, kind="Samovar::Notice", line=resource.line, wanted=wanted)

    def _log_group(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LogGroupProperties, self.target.path)
        name = properties.log_group_name or f"{self.target.stack}-{resource.name}"
        known = {resource.name: {"": name, "Arn": self.target.arn("logs", f"log-group:{name}:*")}}
        try:
            log_groups.folder_name(name)
        except ValueError as error:
            raise self.error(resource.line, f"{resource.name}: {error}") from error
        wanted = LogGroupWanted(
            name=name,
            retention_days=properties.retention_in_days,
            tags={tag.key: tag.value for tag in properties.tags},
        )
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        return Expanded(items=[item], known=known)

    def _role(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, RoleProperties, self.target.path)
        name = properties.role_name or f"{self.target.stack}-{resource.name}"
        arn = f"arn:aws:iam::{self.target.account}:role/{name}"
        said = "a name here: what functions of it may do is the platform's to say"
        note = self.note(resource.line, f"{resource.name} ({resource.type}) is {said}")
        return Expanded(known={resource.name: {"": name, "Arn": arn, "RoleId": name}}, notes=[note])

    def _policy(self, resource: Resource, node: Node) -> Expanded:
        del node  # whatever it says
        note = f"{resource.name} ({resource.type}) decides nothing here: what functions may do is the platform's to say"
        arn = f"arn:aws:iam::{self.target.account}:policy/{self.target.stack}-{resource.name}"
        known = {resource.name: {"": arn, "PolicyArn": arn}}
        return Expanded(known=known, notes=[self.note(resource.line, note)])


def queue(
    target: Target, logical: str, line: int, name: str, attributes: dict[str, str], tags: dict[str, str]
) -> tuple[Item, dict[str, str]]:
    """A queue, and what others may know of it."""
    url = f"{target.client.endpoint}/{target.account}/{name}"
    known = {"": url, "Arn": target.arn("sqs", name), "QueueName": name, "QueueUrl": url}
    wanted = QueueWanted(name=name, attributes=attributes, tags=tags)
    return Item(name=logical, kind="AWS::SQS::Queue", line=line, wanted=wanted), known


def keys(chosen: UploadFilter | None) -> dict[str, Any] | None:
    """`Filter` of a notice in S3's words."""
    rules = [{"Name": rule.name.lower(), "Value": rule.value} for rule in chosen.s3_key.rules] if chosen else []
    return {"Key": {"FilterRules": rules}} if rules else None


def _as_text(value: Any) -> str:
    """Attributes of queues are text, whatever they mean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps({name: msgspec.to_builtins(item) for name, item in value.items()}, separators=(",", ":"))
    return str(value)
