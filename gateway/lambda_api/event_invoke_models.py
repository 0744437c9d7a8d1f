"""Requests and answers about event invoke configurations, as AWS names their members (API reference, data types)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Destination(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`OnSuccess`, `OnFailure`."""

    destination: str | None = None


class Destinations(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`DestinationConfig`."""

    on_success: Destination | None = None
    on_failure: Destination | None = None

    def __iter__(self) -> Iterator[str]:
        """The ARNs that are given."""
        return (one.destination for one in (self.on_success, self.on_failure) if one is not None and one.destination)

    def in_javas_words(self) -> str:
        """As AWS's messages print it."""
        success, failure = (
            "null" if one is None else f"{name}(destination={one.destination or 'null'})"
            for name, one in (("OnSuccess", self.on_success), ("OnFailure", self.on_failure))
        )
        return f"DestinationConfig(onSuccess={success}, onFailure={failure})"


class EventInvokeRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`PutFunctionEventInvokeConfig` and `UpdateFunctionEventInvokeConfig`. `None` was not given."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None
    destination_config: Destinations | None = None


class EventInvokeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`FunctionEventInvokeConfig`."""

    last_modified: float
    function_arn: str
    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None
    destination_config: Destinations


class EventInvokeConfigs(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`ListFunctionEventInvokeConfigs`."""

    function_event_invoke_configs: list[EventInvokeConfig]
    next_marker: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What every list is asked for."""

    marker: str | None = None
    max_items: int | None = None
