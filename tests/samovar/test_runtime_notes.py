"""What a deploy says of a function whose runtime is not on this host."""

from __future__ import annotations

import msgspec
import pytest

from samovar.deploy.deployment import note_on_runtime
from samovar.link.operations import RuntimeStatus
from tests.gateway.builders import invoker_status

ADVICE = "install it"
INVOKER = msgspec.structs.replace(
    invoker_status(),
    runtimes=[
        RuntimeStatus(name="python3.11", available=True, detail="/usr/bin/python3.11"),
        RuntimeStatus(name="python3.14", available=True, detail="image", missing=ADVICE),
    ],
)


@pytest.mark.parametrize(
    ("runtime", "isolation", "note"),
    [
        ("python3.14", "sandbox", f"its calls will fail in isolation sandbox: {ADVICE}"),
        ("python3.14", "none", f"its calls will fail in isolation none: {ADVICE}"),
        ("python3.14", None, f"its calls will fail in isolation sandbox: {ADVICE}"),
        ("python3.14", "docker", None),
        ("python3.11", None, None),
        ("unheard.of", None, None),
    ],
)
def test_it_is_told_where_the_function_cannot_run_and_nowhere_else(
    runtime: str, isolation: str | None, note: str | None
) -> None:
    assert note_on_runtime(runtime, isolation, INVOKER) == note


def test_where_the_platform_isolates_by_docker_nothing_is_missing() -> None:
    docker = msgspec.structs.replace(INVOKER, isolation="docker")
    assert note_on_runtime("python3.14", None, docker) is None
