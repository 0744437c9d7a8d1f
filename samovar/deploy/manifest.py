"""`function.toml`: what a folder says about the function in it."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from samovar.deploy.triggers import Triggers
from samovar.errors import CallerError, InvalidParameterValue
from samovar.function import (
    MAX_HANDLER_LENGTH,
    MAX_MEMORY_MB,
    MAX_TIMEOUT_S,
    MAX_TMP_MB,
    MIN_MEMORY_MB,
    MIN_TIMEOUT_S,
    MIN_TMP_MB,
    Network,
    OciRuntime,
    check_environment,
)
from samovar.provisioning import MAX_PROVISIONED, Provision, check_provisions
from samovar.schedules import NamedWish, PutSchedule

FILE_NAME = "function.toml"
TAG_PREFIX = "samovar:"
HTTP_TAG = "samovar:http"
PLACEMENT_TAGS = {"isolation": "samovar:isolation", "network": "samovar:network", "oci_runtime": "samovar:oci-runtime"}
"""Lambda's API has no member for these, so they travel as tags."""
MANAGED_TAGS = frozenset({HTTP_TAG, *PLACEMENT_TAGS.values()})
_ROLE = "arn:aws:iam::000000000000:role/samovar"
"""CreateFunction requires a role; Samovar gives it no meaning."""


class ManifestError(CallerError):
    """A function.toml cannot be used as it is; the message names file, line, key and what is allowed."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A function as its folder describes it. Each description says what the key takes."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="text of 1 to 64 letters, digits, - and _")]
    handler: Annotated[
        str,
        Meta(pattern=r"^\S+$", max_length=MAX_HANDLER_LENGTH, description='text such as "app.handler", without blanks'),
    ]
    runtime: Annotated[str, Meta(min_length=1, description='text such as "python3.11"')] | None = None
    """`None` takes the platform's default, the Python it runs on itself."""
    memory: Annotated[
        int,
        Meta(
            ge=MIN_MEMORY_MB, le=MAX_MEMORY_MB, description=f"a whole number of MB, {MIN_MEMORY_MB} to {MAX_MEMORY_MB}"
        ),
    ] = 128
    timeout: Annotated[
        int,
        Meta(ge=MIN_TIMEOUT_S, le=MAX_TIMEOUT_S, description=f"whole seconds, {MIN_TIMEOUT_S} to {MAX_TIMEOUT_S}"),
    ] = 3
    tmp: Annotated[
        int, Meta(ge=MIN_TMP_MB, le=MAX_TMP_MB, description=f"a whole number of MB, {MIN_TMP_MB} to {MAX_TMP_MB}")
    ] = 512
    description: Annotated[str, Meta(max_length=256, description="text of at most 256 characters")] = ""
    environment: Annotated[
        dict[str, str], Meta(description='a table of NAME = "text" (numbers and booleans in quotes, too)')
    ] = {}
    isolation: (
        Annotated[
            Literal["docker", "sandbox"],
            Meta(
                description='"docker" or "sandbox" (running without isolation is the operator\'s decision, '
                "made by starting the platform with `--isolation none`)"
            ),
        ]
        | None
    ) = None
    network: Annotated[Network, Meta(description='"none", "bridge" or "host"')] | None = None
    oci_runtime: Annotated[OciRuntime, Meta(description='"runc", "runsc" or "kata"')] | None = None
    url: Annotated[bool, Meta(description="true or false")] = True
    concurrency: Annotated[int, Meta(ge=0, description="a whole number from 0: the environments reserved")] | None = (
        None
    )

    provisioned: Annotated[
        int | tuple[Provision, ...],
        Meta(
            description=f"a whole number up to {MAX_PROVISIONED}, or tables [[provisioned]] with count and, for "
            'windows, start and end (cron expressions such as "0 8 * * mon-fri") and timezone (such as "Europe/Berlin")'
        ),
    ] = 0

    schedules: Annotated[
        tuple[NamedWish, ...],
        Meta(
            max_length=20,
            description='tables [[schedules]] with expression ("rate(5 minutes)", "cron(0 6 ? * MON-FRI *)" or '
            '"at(2027-01-01T00:00:00)") and, if wanted, name, timezone (such as "Europe/Berlin"), input, window '
            "(minutes), catch_up, enabled, dead_letter and description",
        ),
    ] = ()

    triggers: Annotated[
        Triggers,
        Meta(
            description="tables [[triggers.queue]] with queue (a name or an ARN) or [[triggers.redis]] with key and "
            "kind (stream or list), each with batch_size, window (seconds), report_failures, filters (event patterns), "
            "maximum_concurrency and enabled; or [[triggers.upload]] with bucket, events, prefix and suffix"
        ),
    ] = Triggers()

    def named_schedules(self) -> dict[str, PutSchedule]:
        """Its schedules by their names, as the platform takes them."""
        named = {}
        for number, wish in enumerate(self.schedules, start=1):
            given = msgspec.structs.asdict(wish)
            name = given.pop("name") or (self.name if number == 1 else f"{self.name[:60]}-{number}")
            named[name] = PutSchedule(**given, target=self.name, of_function=self.name)
        return named

    def provisions(self) -> tuple[Provision, ...]:
        """The environments it keeps ready. Raises `InvalidParameterValue`."""
        return _provisions(self.provisioned)

    def configuration(self, runtime: str) -> dict[str, Any]:
        """The members both CreateFunction and UpdateFunctionConfiguration take."""
        return {
            "FunctionName": self.name,
            "Role": _ROLE,
            "Runtime": runtime,
            "Handler": self.handler,
            "MemorySize": self.memory,
            "Timeout": self.timeout,
            "Description": self.description,
            "EphemeralStorage": {"Size": self.tmp},
            "Environment": {"Variables": self.environment},
        }

    def tags(self) -> dict[str, str]:
        """What the API has no member for."""
        chosen = {tag: getattr(self, key) for key, tag in PLACEMENT_TAGS.items()}
        tags = {tag: value for tag, value in chosen.items() if value is not None}
        return tags if self.url else tags | {HTTP_TAG: "off"}


def load(folder: Path) -> Manifest:
    """Read `folder/function.toml`. Raises `ManifestError`."""
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin with a mark
    except FileNotFoundError as error:
        raise ManifestError(_missing(folder)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    return parse(text, str(path))


def _missing(folder: Path) -> str:
    """What to do about a folder without a manifest: often it is the one above that was meant."""
    if not folder.is_dir():
        return f"there is no folder {folder}; `samovar init NAME` makes one that can be deployed"
    below = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    if below:
        return f"there is no {FILE_NAME} in {folder}, but in folders below it: `samovar deploy {below[0]}` deploys one"
    return f"there is no {FILE_NAME} in {folder}; `samovar init NAME` makes a folder that can be deployed"


def parse(text: str, path: str = FILE_NAME) -> Manifest:
    """Read a manifest; `path` is how errors call it."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path} is not valid TOML: {error}") from error
    for key, value in values.items():
        _check(key, value, _place(text, path, key))
    for key in ("name", "handler"):
        if key not in values:
            raise ManifestError(f"{path}: `{key}` is missing; it takes {_allowed(key)}")
    return msgspec.convert(values, Manifest)


def _check(key: str, value: object, place: str) -> None:
    """Look at one key alone, so that the error can name it."""
    if key not in Manifest.__struct_fields__:
        raise ManifestError(f"{place}: there is no key `{key}`; the keys are {', '.join(Manifest.__struct_fields__)}")
    try:
        converted = msgspec.convert(value, _types()[key])
        if key == "environment":
            check_environment(converted)
        elif key == "schedules":
            _check_names(converted)
        elif key == "provisioned":
            check_provisions(_provisions(converted))
    except msgspec.ValidationError as error:
        raise ManifestError(f"{place}: `{key}` = {_shown(value)} is not allowed; it takes {_allowed(key)}") from error
    except InvalidParameterValue as error:
        raise ManifestError(f"{place}: `{key}`: {error.message}") from error


def _check_names(schedules: tuple[NamedWish, ...]) -> None:
    names = [one.name for one in schedules if one.name is not None]
    if len(set(names)) != len(names):
        raise InvalidParameterValue("two schedules have the same name")


def _provisions(value: int | tuple[Provision, ...]) -> tuple[Provision, ...]:
    if isinstance(value, tuple):
        return value
    return (Provision(count=value),) if value else ()


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Manifest, include_extras=True)


def _allowed(key: str) -> str:
    kind = _types()[key]
    for candidate in (kind, *get_args(kind)):
        for item in getattr(candidate, "__metadata__", ()):
            if isinstance(item, Meta) and item.description:
                return item.description
    raise AssertionError(f"{key} has no description")


def _shown(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _place(text: str, path: str, key: str) -> str:
    """`path:line` of a top-level key. TOML readers keep no positions, so this looks for the line that sets it."""
    setting = re.compile(rf"""\s*(?:\[\[?\s*)?(["']?){re.escape(key)}\1\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if setting.match(line):
            return f"{path}:{number}"
    return path
