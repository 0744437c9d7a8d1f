"""The catalog of runtimes and the search for interpreters."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoker import runtimes
from samovar.errors import EnvironmentFailure, InvalidParameterValue

HERE = "python{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget what was found, before and after a test that changes where interpreters are."""
    for cached in (runtimes.find_interpreter, runtimes._ask):
        cached.cache_clear()
    yield
    for cached in (runtimes.find_interpreter, runtimes._ask):
        cached.cache_clear()


def test_the_catalog_lists_python_3_9_to_3_14() -> None:
    assert list(runtimes.catalog()) == [f"python3.{minor}" for minor in range(9, 15)]


@pytest.mark.parametrize("name", list(runtimes.catalog()))
def test_an_entry_names_what_an_environment_needs(name: str) -> None:
    entry = runtimes.runtime(name)
    assert (entry.name, entry.language, entry.image) == (name, "python", f"samovar/{name}")
    assert entry.base_image == f"python:{name.removeprefix('python')}-slim-bookworm"
    assert entry.bootstrap.parent == entry.folder
    assert entry.bootstrap.is_file()
    assert entry.dockerfile.is_file()


def test_the_image_holds_every_file_of_the_runtime() -> None:
    entry = runtimes.runtime("python3.11")
    copied = entry.dockerfile.read_text()
    own = [path.name for path in entry.folder.glob("*.py") if path.name != "__init__.py"]
    assert own
    assert all(name in copied for name in own)


def test_an_unknown_runtime_is_refused_as_aws_does() -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        runtimes.runtime("cobol85")
    assert caught.value.message == (
        "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        "[python3.9, python3.10, python3.11, python3.12, python3.13, python3.14] or be a valid ARN"
    )


def test_the_interpreter_found_is_the_real_one() -> None:
    found = runtimes.require_interpreter(HERE)
    assert found.executable == os.path.realpath(found.executable)
    assert found.version.startswith(HERE.removeprefix("python") + ".")
    assert stat.S_ISREG(os.stat(found.executable).st_mode)
    assert "shims" not in found.executable
    assert ".venv" not in found.executable
    said = subprocess.check_output([found.executable, "-I", "-c", "import sys; print(sys.prefix)"], text=True).strip()
    assert said.startswith(("/usr", *found.mounts))


def test_a_shim_is_asked_for_what_is_behind_it(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runtimes.require_interpreter(HERE)
    shim = tmp_path / HERE
    shim.write_text(f'#!/bin/sh\nexec "{real.executable}" "$@"\n')
    shim.chmod(0o755)
    runtimes.find_interpreter.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert runtimes.require_interpreter(HERE).executable == real.executable


def test_a_candidate_of_the_wrong_version_or_that_fails_is_passed_over(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar, broken = tmp_path / "python3.14", tmp_path / "python3.13"
    liar.write_text(f'#!/bin/sh\nexec "{runtimes.require_interpreter(HERE).executable}" "$@"\n')
    broken.write_text("#!/bin/sh\nexit 127\n")
    for path in (liar, broken):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("python3.14", "python3.13"):
        found = runtimes.find_interpreter(name)
        assert found is None or found.version.startswith(name.removeprefix("python") + ".")


def test_a_runtime_without_interpreter_says_how_to_get_one(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "_candidates", lambda names: iter(()))
    assert runtimes.find_interpreter("python3.14") is None
    with pytest.raises(EnvironmentFailure, match=r"uv python install 3\.14.*isolation docker"):
        runtimes.require_interpreter("python3.14")


@pytest.mark.parametrize(
    ("executable", "prefixes", "mounts"),
    [
        ("/usr/bin/python3.11", ["/usr", "/usr"], ()),
        ("/usr/local/bin/python3.12", ["/usr/local", "/usr/local"], ()),
        ("/home/a/3.9/bin/python3.9", ["/home/a/3.9", "/home/a/3.9"], ("/home/a/3.9",)),
        ("/opt/bin/python3", ["/srv/lib", "/srv/lib64"], ("/srv/lib", "/srv/lib64", "/opt/bin")),
    ],
)
def test_only_folders_outside_usr_need_mounting(executable: str, prefixes: list[str], mounts: tuple[str, ...]) -> None:
    assert runtimes._mounts(executable, prefixes) == mounts
