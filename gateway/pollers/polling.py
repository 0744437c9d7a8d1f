"""What a worker polls with: its slots, and how sources of mappings are opened. Loaded when there are some."""

from __future__ import annotations

from gateway.functions.store import connect
from gateway.mappings.mapping import Config, Mapping
from gateway.pollers import redis_names
from gateway.pollers.batching import LONG_POLL_S
from gateway.pollers.leases import POLL, Slot
from gateway.pollers.plans import Planner
from gateway.pollers.queue_source import QueueSource, least_visibility
from gateway.pollers.redis_list import ListSource
from gateway.pollers.redis_stream import StreamRules, StreamSource
from gateway.pollers.slots import Ends, Slots
from gateway.pollers.source import Source
from gateway.pollers.spent import Spent
from gateway.tasks.tools import Tools
from samovar.function import MAX_TIMEOUT_S
from samovar.names import LATEST, split_arn

_MARGIN_S = 10.0
"""What a blocking read may take longer than it was told to wait."""


def slots_of(tools: Tools) -> Slots:
    """The slots of a process."""
    settings = tools.settings
    client = connect(settings.store_url, LONG_POLL_S + _MARGIN_S)  # closed with the process, as the loop is

    def opened(mapping: Mapping) -> Source:
        source, window_s = mapping.config.event_source_arn or "", mapping.config.maximum_batching_window_in_seconds
        if mapping.kind == "sqs":
            arn, qualifier = split_arn(mapping.function_arn)
            record = tools.registry.cached(arn, qualifier or LATEST)
            timeout_s = MAX_TIMEOUT_S if record is None else record.version.limits.timeout_s
            return QueueSource(tools.queues, source, least_visibility(float(window_s or 0), timeout_s))
        name, rules = redis_names.parse(source), _rules(mapping.config)
        spent = Spent(tools.intake, mapping, tools.clock)
        if name.kind == "list":
            return ListSource(client, name, mapping.uuid, spent, rules.retries)
        return StreamSource(client, name, mapping.uuid, rules, spent)

    def offer(slot: Slot) -> None:
        tools.doorbell.ask(POLL, slot)

    most_lanes, most_bytes = settings.max_environments_per_function, settings.max_payload_bytes
    planner = Planner(tools.registry, tools.runs, opened, most_lanes, tools.clock.epoch, most_bytes)
    ends = Ends(tools.stopping, settings.drain_timeout_s)
    return Slots(tools.worker_id, tools.redis, planner, offer, ends)


def _rules(config: Config) -> StreamRules:
    starts = {"LATEST": "$", "AT_TIMESTAMP": f"{int((config.starting_position_timestamp or 0) * 1000)}-0"}
    retries, age_s = config.maximum_retry_attempts, config.maximum_record_age_in_seconds
    return StreamRules(
        start=starts.get(config.starting_position or "", "0"),
        retries=-1 if retries is None else retries,
        age_s=-1 if age_s is None else age_s,
    )
