"""Event source mappings: what ties a source to a function, its states, and the rules of its parameters. Pure.

Sources: AWS Lambda API reference, CreateEventSourceMapping and EventSourceMappingConfiguration; AWS Lambda developer
guide, "How Lambda processes records from stream and queue-based event sources" and "Control which events Lambda sends".
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.pollers import redis_names
from gateway.pollers.filters import Filters, TooManyFilters
from gateway.pollers.patterns import PatternError
from samovar.errors import InvalidParameterValue, ResourceConflict, ValidationFailed

State = Literal["Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting"]
Event = Literal["update", "enable", "disable", "delete", "settle on", "settle off"]

TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    ("Creating", "settle on"): "Enabled",
    ("Creating", "settle off"): "Disabled",
    ("Enabling", "settle on"): "Enabled",
    ("Disabling", "settle off"): "Disabled",
    ("Updating", "settle on"): "Enabled",
    ("Updating", "settle off"): "Disabled",
    ("Enabled", "update"): "Updating",
    ("Enabled", "enable"): "Updating",
    ("Enabled", "disable"): "Disabling",
    ("Enabled", "delete"): "Deleting",
    ("Disabled", "update"): "Updating",
    ("Disabled", "disable"): "Updating",
    ("Disabled", "enable"): "Enabling",
    ("Disabled", "delete"): "Deleting",
}
"""A mapping that is being deleted has no way back; what has no entry here cannot happen."""
RESTING: Final = ("Enabled", "Disabled")


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A mapping's parameters, as the API names them; parts of parameters have been checked against its model."""

    batch_size: int | None = None
    event_source_arn: str | None = None
    filter_criteria: dict[str, Any] | None = None
    kms_key_arn: str | None = msgspec.field(default=None, name="KMSKeyArn")
    metrics_config: dict[str, Any] | None = None
    logging_config: dict[str, Any] | None = None
    scaling_config: dict[str, Any] | None = None
    maximum_batching_window_in_seconds: int | None = None
    parallelization_factor: int | None = None
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    destination_config: dict[str, Any] | None = None
    maximum_record_age_in_seconds: int | None = None
    bisect_batch_on_function_error: bool | None = None
    maximum_retry_attempts: int | None = None
    tumbling_window_in_seconds: int | None = None
    topics: list[str] | None = None
    queues: list[str] | None = None
    source_access_configurations: list[dict[str, Any]] | None = None
    self_managed_event_source: dict[str, Any] | None = None
    function_response_types: list[str] | None = None
    amazon_managed_kafka_event_source_config: dict[str, Any] | None = None
    self_managed_kafka_event_source_config: dict[str, Any] | None = None
    document_db_event_source_config: dict[str, Any] | None = msgspec.field(
        default=None, name="DocumentDBEventSourceConfig"
    )
    provisioned_poller_config: dict[str, Any] | None = None

    @property
    def patterns(self) -> list[str]:
        """The patterns of its filters; a filter without one matches nothing and is refused."""
        return [one.get("Pattern") or "" for one in (self.filter_criteria or {}).get("Filters") or []]


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """An event source mapping as the store holds it."""

    uuid: str
    revision_id: str
    account: str
    region: str
    function_arn: str
    """With the qualifier it was asked for with, if any."""
    state: State
    enabled: bool
    """What it is to be when it has settled."""
    modified: float
    """Seconds since the epoch."""
    config: Config
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """The mapping's own ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:event-source-mapping:{self.uuid}"

    @property
    def kind(self) -> str:
        """What kind of source it has."""
        return kind_of(self.config)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about one kind of source."""

    defaults: Config
    most_records: int = 10_000
    allowed: frozenset[str]
    """Members of `Config` that make sense, beside those that always do."""
    positions: tuple[str, ...] = ()
    """Where reading may start; empty where there is no such thing."""
    reason: str = "USER_INITIATED"
    """What AWS calls the reason of a change of state."""


_ALWAYS: Final = frozenset({
    "batch_size", "event_source_arn", "filter_criteria", "maximum_batching_window_in_seconds", "metrics_config",
    "logging_config", "function_response_types",
})  # fmt: skip
_STREAM: Final = frozenset({
    "parallelization_factor", "starting_position", "starting_position_timestamp", "destination_config",
    "maximum_record_age_in_seconds", "bisect_batch_on_function_error", "maximum_retry_attempts",
    "tumbling_window_in_seconds",
})  # fmt: skip
_KAFKA: Final = frozenset({
    "topics", "source_access_configurations", "starting_position", "starting_position_timestamp", "destination_config",
    "provisioned_poller_config", "maximum_record_age_in_seconds", "maximum_retry_attempts",
    "bisect_batch_on_function_error",
})  # fmt: skip
_STREAM_DEFAULTS: Final = Config(
    batch_size=100,
    maximum_batching_window_in_seconds=0,
    parallelization_factor=1,
    destination_config={"OnFailure": {}},
    maximum_record_age_in_seconds=-1,
    bisect_batch_on_function_error=False,
    maximum_retry_attempts=-1,
    tumbling_window_in_seconds=0,
    function_response_types=[],
)
_ANY: Final = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")

KINDS: Final[dict[str, Kind]] = {
    "sqs": Kind(
        defaults=Config(batch_size=10, maximum_batching_window_in_seconds=0, function_response_types=[]),
        allowed=frozenset({"scaling_config", "provisioned_poller_config"}),
    ),
    "kinesis": Kind(defaults=_STREAM_DEFAULTS, allowed=_STREAM, positions=_ANY, reason="User action"),
    "dynamodb": Kind(
        defaults=_STREAM_DEFAULTS, allowed=_STREAM, positions=("TRIM_HORIZON", "LATEST"), reason="User action"
    ),
    "kafka": Kind(
        defaults=Config(batch_size=100, starting_position="TRIM_HORIZON"),
        allowed=_KAFKA
        | {
            "self_managed_event_source",
            "self_managed_kafka_event_source_config",
            "amazon_managed_kafka_event_source_config",
        },
        positions=_ANY,
    ),
    "mq": Kind(
        defaults=Config(batch_size=100, maximum_batching_window_in_seconds=0),
        allowed=frozenset({"queues", "source_access_configurations"}),
    ),
    "redis": Kind(  # a kind of ours, see `gateway/pollers/redis_names.py`
        defaults=Config(
            batch_size=10,
            maximum_batching_window_in_seconds=0,
            maximum_retry_attempts=-1,
            maximum_record_age_in_seconds=-1,
            destination_config={"OnFailure": {}},
            function_response_types=[],
        ),
        allowed=frozenset({
            "scaling_config", "destination_config", "starting_position", "starting_position_timestamp",
            "maximum_retry_attempts", "maximum_record_age_in_seconds",
        }),
        positions=_ANY,
    ),
    "rds": Kind(  # Amazon DocumentDB's clusters have ARNs of this service
        defaults=Config(batch_size=100, maximum_batching_window_in_seconds=0, starting_position="LATEST"),
        allowed=frozenset({
            "document_db_event_source_config", "source_access_configurations", "starting_position",
            "starting_position_timestamp",
        }),
        positions=_ANY,
    ),
}  # fmt: skip
_FIFO_RECORDS: Final = 10


def fired(state: State, event: Event) -> State:
    """The state after an event. Raises `ResourceConflict` for one that has no place there, as a change too soon."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise ResourceConflict(f"The event source mapping cannot be changed now: it is {state}.")
    return after


def kind_of(config: Config) -> str:
    """The kind of its source: a key of `KINDS`. Raises `InvalidParameterValue`."""
    if config.self_managed_event_source is not None:
        return "kafka"
    service = config.event_source_arn.split(":")[2] if config.event_source_arn else ""
    if service not in KINDS:
        raise InvalidParameterValue("Unrecognized event source.")
    return service


def _check_source(config: Config, name: str) -> None:
    if name != "redis":
        return
    source = redis_names.parse(config.event_source_arn or "")
    if source.kind == "list" and config.starting_position not in (None, "TRIM_HORIZON"):
        raise InvalidParameterValue(f"Unsupported starting position for arn type: {source.arn}")
    if source.kind == "list" and config.maximum_record_age_in_seconds not in (None, -1):
        raise _unsupported("MaximumRecordAgeInSeconds")  # elements of lists have no time


def on_failure(config: Config) -> str | None:
    """The ARN of what is told of records that are given up, if there is one."""
    arn = ((config.destination_config or {}).get("OnFailure") or {}).get("Destination")
    return str(arn) if arn else None


def with_defaults(config: Config) -> Config:
    """The parameters, with AWS's defaults for what is not given."""
    given = {name: value for name in Config.__struct_fields__ if (value := getattr(config, name)) is not None}
    return msgspec.structs.replace(KINDS[kind_of(config)].defaults, **given)


def check(config: Config) -> None:
    """Raise `InvalidParameterValue` or `ValidationFailed`, in AWS's words, for what does not fit its source."""
    if "OnSuccess" in (config.destination_config or {}):
        raise _unsupported("DestinationConfig")
    name = kind_of(config)
    kind = KINDS[name]
    if config.self_managed_event_source is not None and config.source_access_configurations is None:
        raise InvalidParameterValue("Required 'sourceAccessConfigurations' parameter is missing.")
    for field, encoded in zip(Config.__struct_fields__, Config.__struct_encode_fields__, strict=True):
        if getattr(config, field) is not None and field not in kind.allowed | _ALWAYS:
            raise _unsupported(encoded)
    if kind.positions:
        _check_position(config, kind, required=name in ("kinesis", "dynamodb"))
    _check_source(config, name)
    _check_batches(config, name)
    _check_required(config, name)
    _check_filters(config)


def _unsupported(member: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Unsupported {member} parameter for given event source mapping type.")


def _check_position(config: Config, kind: Kind, *, required: bool) -> None:
    position = config.starting_position
    if position is None and required:
        raise InvalidParameterValue(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if position is not None and position not in _ANY:
        raise ValidationFailed(
            f"1 validation error detected: Value '{position}' at 'startingPosition' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_ANY)}]"
        )
    if position is not None and position not in kind.positions:
        raise InvalidParameterValue(f"Unsupported starting position for arn type: {config.event_source_arn}")
    if (position == "AT_TIMESTAMP") != (config.starting_position_timestamp is not None):
        raise InvalidParameterValue("StartingPositionTimestamp goes with the starting position AT_TIMESTAMP alone.")


def _check_batches(config: Config, name: str) -> None:
    if name != "sqs":
        return
    if config.provisioned_poller_config and (config.scaling_config or {}).get("MaximumConcurrency"):
        raise InvalidParameterValue("ScalingConfig and ProvisionedPollerConfig exclude each other.")
    if config.batch_size is None:
        return
    window = config.maximum_batching_window_in_seconds or 0
    if (config.event_source_arn or "").endswith(".fifo"):
        if config.batch_size > _FIFO_RECORDS:
            raise InvalidParameterValue(f"A FIFO queue has batches of at most {_FIFO_RECORDS} records.")
        if window:
            raise InvalidParameterValue("Batching window is not supported for FIFO queues.")
    elif config.batch_size > 10 and not window:
        raise InvalidParameterValue(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )


def _check_required(config: Config, name: str) -> None:
    needed = {"kafka": "topics", "mq": "queues", "rds": "document_db_event_source_config"}.get(name)
    if needed is not None and getattr(config, needed) is None:
        encoded = dict(zip(Config.__struct_fields__, Config.__struct_encode_fields__, strict=True))[needed]
        raise InvalidParameterValue(f"Required '{encoded[0].lower()}{encoded[1:]}' parameter is missing.")


def _check_filters(config: Config) -> None:
    try:
        Filters(config.patterns)
    except TooManyFilters as error:
        raise InvalidParameterValue(f"{error}.") from error
    except PatternError as error:
        raise InvalidParameterValue("Invalid filter pattern definition.") from error
