"""Bring a function on the platform to what its manifest and package say, changing only what differs."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from samovar.answers import Configuration, Function, Provisioned
from samovar.clients import schedules as scheduling
from samovar.clients.platform import Client, Progress
from samovar.deploy.manifest import MANAGED_TAGS, Manifest
from samovar.deploy.mappings import bring_about
from samovar.errors import InvalidParameterValue, ResourceNotFound, ServiceFailure, ServiceUnavailable
from samovar.link.operations import InvokerStatus
from samovar.upload_triggers import UploadTriggers

SETTLE_TIMEOUT_S = 120.0
"""How long a function may stay Pending or an update InProgress."""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """A finished deploy."""

    name: str
    arn: str
    runtime: str
    code_sha256: str
    """Hex digits; the first twelve name the version to people."""
    changed: list[str]
    """`function` when it is new, else what differed.

    That is one of code, configuration, tags, concurrency, provisioned, schedules, triggers, uploads and url.
    """
    url: str | None
    """Where the function answers HTTP; `None` when its manifest says so."""
    function_url: str | None
    provisioned: Provisioned | None = None
    """The environments it keeps ready; `None` when it asks for none."""
    notes: list[str] = []
    """What keeps it from running here, though it is deployed, and what of its package may surprise."""


def choose_runtime(wanted: str | None, invoker: InvokerStatus) -> str:
    """The runtime a manifest names, or the platform's own. Raises `InvalidParameterValue` if it cannot run there."""
    name = wanted or invoker.default_runtime
    available = [runtime.name for runtime in invoker.runtimes if runtime.available]
    if name in available:
        return name
    detail = next(
        (runtime.detail for runtime in invoker.runtimes if runtime.name == name), "there is none of that name"
    )
    raise InvalidParameterValue(
        f"runtime {name} cannot be used: {detail}; available are {', '.join(sorted(available)) or 'none'}"
    )


def note_on_runtime(runtime: str, isolation: str | None, invoker: InvokerStatus) -> str | None:
    """What a function of that runtime lacks in its isolation (`None`: the platform's own), and how it gets it."""
    where = isolation or invoker.isolation
    missing = next((one.missing for one in invoker.runtimes if one.name == runtime), "")
    if where == "docker" or not missing:
        return None
    return f"its calls will fail in isolation {where}: {missing}"


def deploy(client: Client, manifest: Manifest, runtime: str, code: bytes, progress: Progress | None = None) -> Deployed:
    """Create or update the function, and wait until it serves what was deployed.

    The code goes first: when the platform refuses it, nothing has changed. Raises what the API answers with.
    """
    wanted = manifest.configuration(runtime)
    current, is_new = _present(client, manifest, wanted, code, progress)
    changed = ["function"] if is_new else []
    if current.configuration.code_hash != hashlib.sha256(code).hexdigest():
        client.update_code(manifest.name, code, progress)
        settle(client, manifest.name)
        changed.append("code")
    if differs(wanted, current.configuration):
        members = {name: value for name, value in wanted.items() if name != "FunctionName"}
        client.update_configuration(manifest.name, members)
        changed.append("configuration")
    if _tag(client, current, manifest.tags()):
        changed.append("tags")
    if _reserve(client, current, manifest.concurrency):
        changed.append("concurrency")
    provisioned, provisions_changed = _provision(client, manifest)
    if provisions_changed and not is_new:
        changed.append("provisioned")
    if scheduling.bring_about(client, manifest.name, manifest.named_schedules()) and not is_new:
        changed.append("schedules")
    triggers = manifest.triggers.sources()
    if bring_about(client, current.configuration.function_arn, triggers) and not is_new:
        changed.append("triggers")
    if _notify(client, manifest) and not is_new:
        changed.append("uploads")
    function_url, url_changed = _url(client, manifest)
    if url_changed and not is_new:
        changed.append("url")
    deployed = _deployed(client, manifest, changed, function_url)
    return msgspec.structs.replace(deployed, provisioned=provisioned if provisioned.provisions else None)


def _present(
    client: Client, manifest: Manifest, wanted: dict[str, Any], code: bytes, progress: Progress | None
) -> tuple[Function, bool]:
    """The function as the platform has it, made if it had none; and whether it was made."""
    try:
        current, is_new = client.get_function(manifest.name), False
    except ResourceNotFound:
        client.create_function({**wanted, "Tags": manifest.tags()}, code, progress)
        current, is_new = client.get_function(manifest.name), True
    settle(client, manifest.name)
    return current, is_new


def _deployed(client: Client, manifest: Manifest, changed: list[str], function_url: str | None) -> Deployed:
    configuration = settle(client, manifest.name)
    return Deployed(
        name=manifest.name,
        arn=configuration.function_arn,
        runtime=configuration.runtime,
        code_sha256=configuration.code_hash,
        changed=changed,
        url=f"{client.endpoint}/fn/{manifest.name}/" if manifest.url else None,
        function_url=function_url,
    )


def differs(wanted: dict[str, Any], current: Configuration) -> bool:
    """Whether a function's configuration is not what a manifest wants."""
    present = {
        "Runtime": current.runtime,
        "Handler": current.handler,
        "MemorySize": current.memory_size,
        "Timeout": current.timeout,
        "Description": current.description,
        "EphemeralStorage": {"Size": current.ephemeral_storage.size},
        "Environment": {"Variables": current.environment.variables},
    }
    return any(wanted[name] != value for name, value in present.items())


def settle(client: Client, name: str) -> Configuration:
    """Wait until the function is Active and its last update done.

    Raises `ServiceFailure` with the platform's reason if it failed, `ServiceUnavailable` at the deadline.
    """
    waiting = Retrying(
        stop=stop_after_delay(SETTLE_TIMEOUT_S),
        wait=wait_exponential(multiplier=0.02, max=1.0),
        retry=retry_if_result(_unsettled),
    )
    try:
        configuration = waiting(client.get_configuration, name)
    except RetryError as error:
        raise ServiceUnavailable(f"{name} is not ready after {SETTLE_TIMEOUT_S:.0f} s") from error
    if configuration.state == "Failed":
        raise ServiceFailure(f"{name} could not be created: {configuration.state_reason}")
    if configuration.last_update_status == "Failed":
        reason = configuration.last_update_status_reason
        raise ServiceFailure(f"{name} could not be updated, its former version keeps serving: {reason}")
    return configuration


def _unsettled(configuration: Configuration) -> bool:
    return configuration.state == "Pending" or configuration.last_update_status == "InProgress"


def _tag(client: Client, current: Function, wanted: dict[str, str]) -> bool:
    """Set and remove the tags a manifest decides about; others are not ours to touch."""
    present = {name: value for name, value in current.tags.items() if name in MANAGED_TAGS}
    if present == wanted:
        return False
    arn = current.configuration.function_arn
    if obsolete := sorted(present.keys() - wanted.keys()):
        client.untag(arn, obsolete)
    if wanted:
        client.tag(arn, wanted)
    return True


def _reserve(client: Client, current: Function, wanted: int | None) -> bool:
    if current.reserved == wanted:
        return False
    if wanted is None:
        client.delete_concurrency(current.configuration.function_name)
    else:
        client.put_concurrency(current.configuration.function_name, wanted)
    return True


def _provision(client: Client, manifest: Manifest) -> tuple[Provisioned, bool]:
    """Have the function keep ready what its manifest says; what it has, and whether that was a change."""
    present, wanted = client.get_provisioned(manifest.name), manifest.provisions()
    if present.provisions == wanted:
        return present, False
    return client.put_provisioned(manifest.name, wanted), True


def _notify(client: Client, manifest: Manifest) -> bool:
    """Have the uploads of the manifest start the function, and no others; whether that was a change."""
    wanted = UploadTriggers(triggers=manifest.triggers.upload)
    if client.uploads(manifest.name) == wanted:
        return False
    client.uploads(manifest.name, wanted)
    return True


def _url(client: Client, manifest: Manifest) -> tuple[str | None, bool]:
    """Give the function a URL or take it away; return it, and whether that was a change."""
    try:
        present = client.get_url(manifest.name)
    except ResourceNotFound:
        return (client.create_url(manifest.name).function_url, True) if manifest.url else (None, False)
    if manifest.url:
        return present.function_url, False
    client.delete_url(manifest.name)
    return None, True
