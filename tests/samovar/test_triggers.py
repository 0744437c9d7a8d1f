"""What a manifest says of queues and streams becomes event source mappings, and is brought about once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from samovar.answers import SourceMapping
from samovar.clients.platform import Client
from samovar.deploy.manifest import ManifestError, parse
from samovar.deploy.mappings import bring_about
from samovar.deploy.triggers import MAPPING_TAG
from samovar.errors import ResourceConflict

LEAST = 'name = "tea"\nhandler = "app.handler"\n'
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:tea"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def test_a_queue_in_the_manifest_becomes_the_parameters_of_a_mapping() -> None:
    manifest = parse(
        LEAST + '[[triggers.queue]]\nqueue = "orders"\nbatch_size = 100\nwindow = 5\nreport_failures = true\n'
        'filters = [\'{"body": {"n": [1]}}\']\nmaximum_concurrency = 3\n[[triggers.redis]]\nkey = "clicks"\n'
        'kind = "list"\nenabled = false\n'
    )
    queue, clicks = (trigger.parameters(ARN) for trigger in manifest.triggers.sources())
    assert queue == {
        "EventSourceArn": QUEUE,
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"n": [1]}}'}]},
        "ScalingConfig": {"MaximumConcurrency": 3},
        "Enabled": True,
    }
    assert clicks["EventSourceArn"] == "arn:aws:redis:eu-west-1:123456789012:list/clicks"
    assert (clicks["BatchSize"], clicks["Enabled"], clicks["ScalingConfig"]) == (10, False, {})


def test_a_queue_may_be_named_by_its_arn() -> None:
    elsewhere = "arn:aws:sqs:us-east-1:123456789012:orders.fifo"
    manifest = parse(LEAST + f'[[triggers.queue]]\nqueue = "{elsewhere}"\n')
    assert manifest.triggers.sources()[0].source(ARN) == elsewhere


@pytest.mark.parametrize(
    "lines",
    [
        '[[triggers.queue]]\nqueue = "or ders"',
        "[[triggers.queue]]\nbatch_size = 10",
        '[[triggers.queue]]\nqueue = "orders"\nbatch_size = 0',
        '[[triggers.queue]]\nqueue = "orders"\nwindow = 301',
        '[[triggers.queue]]\nqueue = "orders"\nbatchsize = 3',
        '[[triggers.redis]]\nkey = "x"\nkind = "set"',
        '[triggers]\nbell = "loud"',
    ],
)
def test_what_is_no_trigger_is_refused_with_what_one_takes(lines: str) -> None:
    with pytest.raises(ManifestError, match=r"`triggers` = .* is not allowed; it takes tables \[\[triggers.queue\]\]"):
        parse(LEAST + lines)


class Platform:
    """The part of the API that has mappings, in memory."""

    def __init__(self) -> None:
        self.mappings: dict[str, dict[str, Any]] = {}
        self.busy = 0

    def list_mappings(self, function: str) -> Iterator[SourceMapping]:
        for uuid, members in list(self.mappings.items()):
            shown = {**members, "State": "Enabled" if members["Enabled"] else "Disabled", "EventSourceMappingArn": uuid}
            yield msgspec.convert(shown | {"UUID": uuid}, SourceMapping)

    def create_mapping(self, parameters: dict[str, Any]) -> None:
        self.mappings[f"uuid-{len(self.mappings)}"] = parameters

    def update_mapping(self, uuid: str, parameters: dict[str, Any]) -> None:
        if self.busy:
            self.busy -= 1
            raise ResourceConflict("The event source mapping cannot be changed now: it is Updating.")
        self.mappings[uuid] |= parameters

    def delete_mapping(self, uuid: str) -> None:
        del self.mappings[uuid]

    def tags(self, arn: str) -> dict[str, str]:
        found: dict[str, str] = self.mappings[arn].get("Tags", {})
        return found


def deployed(platform: Platform, lines: str) -> bool:
    return bring_about(cast(Client, platform), ARN, parse(LEAST + lines).triggers.sources())


def test_a_deploy_makes_changes_and_deletes_mappings_and_then_leaves_them() -> None:
    platform = Platform()
    assert deployed(platform, '[[triggers.queue]]\nqueue = "orders"\n')
    assert not deployed(platform, '[[triggers.queue]]\nqueue = "orders"\n')
    platform.busy = 2
    assert deployed(platform, '[[triggers.queue]]\nqueue = "orders"\nbatch_size = 3\n')
    assert [mapping["BatchSize"] for mapping in platform.mappings.values()] == [3]
    assert deployed(platform, "")
    assert platform.mappings == {}


def test_a_mapping_somebody_else_made_is_left_alone() -> None:
    platform = Platform()
    deployed(platform, '[[triggers.queue]]\nqueue = "orders"\n')
    [mapping] = platform.mappings.values()
    assert mapping["Tags"] == {MAPPING_TAG: "yes"}
    mapping["Tags"] = {}
    assert not deployed(platform, "")
    assert len(platform.mappings) == 1
