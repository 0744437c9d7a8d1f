"""Layers: each change publishes a new version; old ones stay for the functions that have them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.code import Code, in_request, layer_of
from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWanted:
    """A layer as a template has it."""

    name: str
    code: Code
    members: dict[str, Any]
    """Of PublishLayerVersion, beside name and content."""


class LayerDriver:
    """`AWS::Lambda::LayerVersion`; the physical id is the layer's name, `Ref` gives the ARN of the version."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: LayerWanted = item.wanted
        aws = target.aws("lambda")
        package = layer_of(wanted.code, target)
        newest = self._newest(aws, wanted.name)
        if newest is not None and package is not None and _is(newest, package, wanted.members):
            return _applied(wanted, newest["LayerVersionArn"], [])
        content = in_request(wanted.code, package)
        made = aws.publish_layer_version(LayerName=wanted.name, Content=content, **wanted.members)
        is_same = newest is not None and _is_same(newest, made)
        return _applied(wanted, made["LayerVersionArn"], [] if is_same else ["layer version"])

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`. All versions go: a stack's layer is its own."""
        aws = target.aws("lambda")
        for page in aws.get_paginator("list_layer_versions").paginate(LayerName=physical_id):
            for version in page["LayerVersions"]:
                aws.delete_layer_version(LayerName=physical_id, VersionNumber=version["Version"])

    def _newest(self, aws: Any, name: str) -> dict[str, Any] | None:
        try:
            versions = aws.list_layer_versions(LayerName=name, MaxItems=1)["LayerVersions"]
            if not versions:
                return None
            found: dict[str, Any] = aws.get_layer_version(LayerName=name, VersionNumber=versions[0]["Version"])
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return found


def _applied(wanted: LayerWanted, arn: str, changed: list[str]) -> Applied:
    return Applied(physical_id=wanted.name, changed=changed, attributes={"": arn})


def _is(version: dict[str, Any], package: bytes, members: dict[str, Any]) -> bool:
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    return version["Content"]["CodeSha256"] == digest and all(
        version.get(name, type(value)()) == value for name, value in members.items()
    )


def _is_same(version: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(version["Content"]["CodeSha256"] == other["Content"]["CodeSha256"])
