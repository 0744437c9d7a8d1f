"""From a mapping's parameters to what polls it: its source, its function, and how."""

from __future__ import annotations

from collections.abc import Callable

from gateway.mappings.mapping import Mapping
from gateway.pollers.batching import BatchLimits
from gateway.pollers.calling import FunctionCall, Functions, Invoker
from gateway.pollers.filters import Filters
from gateway.pollers.leases import Slot
from gateway.pollers.outcome import REPORTS_FAILURES
from gateway.pollers.poller import LANES, Plan
from gateway.pollers.source import Source
from samovar.invocation import MAX_PAYLOAD_BYTES

Open = Callable[[Mapping], Source]


class Planner:
    """Knows where functions are found, what runs them, and how sources are opened."""

    def __init__(
        self,
        functions: Functions,
        invoker: Invoker,
        open_source: Open,
        most_lanes: int,
        epoch: Callable[[], float],
        most_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        """`most_lanes` bounds the batches under way at once of a mapping that does not say, `most_bytes` any batch."""
        self._functions = functions
        self._invoker = invoker
        self._open = open_source
        self._most_lanes = most_lanes
        self._most_bytes = most_bytes
        self._epoch = epoch

    def lanes_of(self, mapping: Mapping) -> int:
        """Batches of a mapping that may be under way at once, over all its slots."""
        asked = (mapping.config.scaling_config or {}).get("MaximumConcurrency")
        return int(asked) if asked else self._most_lanes

    def plan(self, slot: Slot, mapping: Mapping) -> tuple[Plan, Source, FunctionCall]:
        """What polls a slot of a mapping."""
        config = mapping.config
        source = self._open(mapping)
        window_s = float(config.maximum_batching_window_in_seconds or 0)
        plan = Plan(
            limits=BatchLimits(config.batch_size or 10, window_s, self._most_bytes),
            filters=Filters(config.patterns, source.body),
            reports=REPORTS_FAILURES in (config.function_response_types or []),
            lanes=min(LANES, self.lanes_of(mapping) - slot.number * LANES),
            stays=slot.number == 0,
            ahead=mapping.kind == "sqs" and not (config.event_source_arn or "").endswith(".fifo"),
        )
        return plan, source, FunctionCall(mapping.function_arn, self._functions, self._invoker, self._epoch)
