"""What Python environments find at `/var/runtime`: from the SDK that is installed here, and without one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from invoker.environments import kits, runtimes
from invoker.isolation.docker_images import image_tag
from samovar.errors import EnvironmentFailure

OWN = runtimes.default_runtime()


def test_a_kit_is_the_runtime_and_the_sdk_that_is_installed(tmp_path: Path) -> None:
    runtime = runtimes.runtime(OWN)
    equipped = kits.Kits(tmp_path / "kits").equip(runtime)
    assert equipped.folder.parent == tmp_path / "kits"
    assert equipped.bootstrap.read_bytes() == runtime.bootstrap.read_bytes()
    assert equipped.dockerfile.read_bytes() == runtime.dockerfile.read_bytes()
    names = "boto3, botocore, s3transfer, jmespath, dateutil, six, urllib3"
    lines = f"import {names}; print(boto3.__version__); boto3.client('lambda', region_name='us-east-1')"
    command = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        "-c",
        f"import sys; sys.path.append({str(equipped.folder)!r}); {lines}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (version("boto3"), "")


def test_everybody_may_read_a_kit(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = kits.Kits(tmp_path / "kits").equip(runtimes.runtime(OWN)).folder
    finally:
        os.umask(before)
    for path in [folder, *folder.rglob("*")]:
        wanted = 0o005 if path.is_dir() else 0o004
        assert path.stat().st_mode & wanted == wanted, path


def test_a_kit_is_made_once_and_compiled(tmp_path: Path) -> None:
    runtime = runtimes.runtime(OWN)
    first = kits.Kits(tmp_path)
    folder = first.equip(runtime, sys.executable).folder
    made = folder.stat().st_ino
    own = {path.name for path in runtime.folder.glob("*.py")} - {"__init__.py"}
    ready = {path.name.partition(".")[0] + ".py" for path in (folder / "__pycache__").iterdir()}
    assert own <= ready, "its own files are compiled before anybody starts with it"
    compiled = folder / "boto3" / "__pycache__" / f"session.{sys.implementation.cache_tag}.pyc"
    deadline = time.monotonic() + 60
    while not compiled.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.close()
    assert kits.Kits(tmp_path).equip(runtime).folder.stat().st_ino == made


def test_what_a_former_samovar_made_is_removed(tmp_path: Path) -> None:
    other = tmp_path / "python3.8-0123456789abcdef"
    for folder in (tmp_path / f"{OWN}-0123456789abcdef", other):
        folder.mkdir()
    kept = kits.Kits(tmp_path).equip(runtimes.runtime(OWN)).folder
    assert {path.name for path in tmp_path.iterdir()} == {kept.name, other.name}


def test_without_a_network_an_old_python_has_its_runtime_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    with caplog.at_level(logging.WARNING):
        equipped = kits.Kits(tmp_path / "kits").equip(runtimes.runtime("python3.9"))
    assert equipped.bootstrap.is_file()
    assert not (equipped.folder / "boto3").exists()
    assert "functions of python3.9 find no boto3 unless they bring it" in caplog.text
    assert runtimes.runtime("python3.9").sdk in caplog.text


def test_other_languages_have_no_kit(tmp_path: Path) -> None:
    for name in ("nodejs22.x", "provided.al2023"):
        assert kits.Kits(tmp_path).equip(runtimes.runtime(name)) is runtimes.runtime(name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "kits").write_text("a file")
    with pytest.raises(EnvironmentFailure, match=f"the files of {OWN} cannot be written: .*kits"):
        kits.Kits(tmp_path / "kits").equip(runtimes.runtime(OWN))


def test_an_image_is_another_with_another_sdk(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    (folder / "boto3").mkdir(parents=True)
    metadata = folder / "boto3-1.0.0.dist-info"
    metadata.mkdir()
    tag = image_tag("samovar/python", folder, "base")
    (folder / "__pycache__").mkdir()
    assert image_tag("samovar/python", folder, "base") == tag
    metadata.rename(folder / "boto3-1.0.1.dist-info")
    assert image_tag("samovar/python", folder, "base") != tag


def test_the_catalog_pins_what_old_pythons_get() -> None:
    pinned = {name: entry.sdk for name, entry in runtimes.catalog().items() if entry.sdk}
    assert set(pinned) == {"python3.9", "python3.10"}
    assert all("==" in sdk for sdk in pinned.values())
