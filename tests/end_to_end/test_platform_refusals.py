"""Starts that must be refused, each with what is wrong, and without leaving anything behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.platform_box import PlatformBox, platform_box, samovar

NOBODY = "65534"


@pytest.fixture
def box() -> Iterator[PlatformBox]:
    with platform_box() as box:
        yield box


@pytest.mark.parametrize("detach", [[], ["--detach"]], ids=["foreground", "detached"])
def test_a_port_in_use(box: PlatformBox, detach: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = samovar("up", *detach, "--data-dir", str(box.folder), "--port", str(port))
    assert refused.returncode == 3
    assert f"port {port} of 127.0.0.1 is in use by" in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert "--port" in refused.stderr
    box.assert_nothing_left()


def test_a_bad_setting_is_named(box: PlatformBox) -> None:
    refused = samovar("up", "--data-dir", str(box.folder), SAMOVAR_GATEWAY_WORKERS="many")
    assert refused.returncode == 2
    assert "setting gateway_workers = 'many' is not allowed: a whole number from 1 to 64" in refused.stderr
    assert not box.folder.exists()


def test_a_bad_setting_in_the_file_is_named(box: PlatformBox, tmp_path: Path) -> None:
    file = tmp_path / "samovar.toml"
    file.write_text("isolation = 'vm'\n")
    refused = samovar("up", "--data-dir", str(box.folder), "--config", str(file))
    assert refused.returncode == 2
    assert "setting isolation = 'vm' is not allowed: one of auto, docker, sandbox, none" in refused.stderr


def test_an_external_store_that_is_gone(box: PlatformBox) -> None:
    refused = samovar("up", "--data-dir", str(box.folder), "--port", "0", "--redis-url", "redis://:pw@127.0.0.1:1/0")
    assert refused.returncode == 3
    assert "the store redis://:***@127.0.0.1:1/0 did not answer within 15 s" in refused.stderr
    box.assert_nothing_left()


def test_a_data_directory_one_may_not_write(box: PlatformBox) -> None:
    box.folder.mkdir(mode=0o755)
    box.folder.parent.chmod(0o755)
    prefix = () if os.geteuid() else ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
    if not prefix:
        box.folder.chmod(0o555)
    refused = samovar("up", "--detach", "--data-dir", str(box.folder), prefix=prefix, HOME="/nonexistent")
    assert refused.returncode == 3
    assert f"data directory {box.folder} cannot be used by user id {os.geteuid() or NOBODY}" in refused.stderr
    assert "--data-dir" in refused.stderr
