"""Requirements installed by the real uv, from a package index and from folders made here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from samovar.deploy.build import BuildFailed, cache_key, install, is_local, read_all

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Talk(list[str]):
    """What a build said."""

    def __call__(self, line: str) -> None:
        self.append(line)


def function(folder: Path, requirements: str) -> Path:
    """A folder with these requirements."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text(requirements)
    return folder


def build(folder: Path, runtime: str = RUNTIME, *, fresh: bool = False) -> tuple[Path | None, Talk]:
    talk = Talk()
    return install(folder, runtime, cache=folder.parent / "cache", report=talk, fresh=fresh), talk


def test_requirements_are_installed_once(tmp_path: Path) -> None:
    folder = function(tmp_path / "f", "idna==3.10\n")
    site, talk = build(folder)
    assert site is not None
    assert (site / "idna/core.py").is_file()
    assert any("idna" in line for line in talk)
    again, talk = build(folder)
    assert (again, talk) == (site, [])


def test_what_was_installed_imports_without_its_sources_being_compiled_again(tmp_path: Path) -> None:
    site, _ = build(function(tmp_path / "f", "idna==3.10\n"))
    assert site is not None
    pyc = Path(importlib.util.cache_from_source(str(site / "idna/core.py")))
    assert int.from_bytes(pyc.read_bytes()[4:8], "little") == 0b01, "hash-based and unchecked"
    code = "import idna, sys; print(idna.encode('tee.de').decode())"
    command = [sys.executable, "-I", "-B", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "tee.de\n"


def test_fresh_builds_anew(tmp_path: Path) -> None:
    folder = function(tmp_path / "f", "idna==3.10\n")
    first, _ = build(folder)
    assert first is not None
    (first / "marker").touch()
    second, _ = build(folder, fresh=True)
    assert second == first
    assert not (first / "marker").exists()


def test_no_requirements_need_no_build(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    assert build(tmp_path / "g") == (None, [])
    assert build(function(tmp_path / "f", "# nothing\n\n")) == (None, [])
    assert build(function(tmp_path / "f", "idna"), "nodejs20.x") == (None, [])


@pytest.mark.parametrize(
    ("requirements", "says"),
    [
        ("idna==3.10\nidna==3.9\n", "unsatisfiable"),
        ("idna===\n", "Couldn't parse requirement"),
        ("-r more.txt\n", "more.txt cannot be read"),
        ("./nowhere\n", "nowhere"),
    ],
)
def test_a_build_that_fails_says_why_in_uvs_words_and_leaves_nothing(
    tmp_path: Path, requirements: str, says: str
) -> None:
    with pytest.raises(BuildFailed) as raised:
        build(function(tmp_path / "f", requirements))
    assert says in raised.value.message
    cache = tmp_path / "cache"
    assert [path.name for path in cache.glob("*") if path.suffix != ".lock"] == [] if cache.exists() else True


def test_a_local_package_is_installed_as_it_is_now(tmp_path: Path) -> None:
    library = tmp_path / "f/lib"
    library.mkdir(parents=True)
    (library / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "cups"\nversion = "1"\n[tool.setuptools]\npy-modules = ["cups"]\n'
    )
    folder = function(tmp_path / "f", "./lib\n")
    for content in ("size = 1\n", "size = 22\n"):
        (library / "cups.py").write_text(content)
        site, _ = build(folder)
        assert site is not None
        assert (site / "cups.py").read_text() == content


def test_two_builds_of_the_same_take_turns(tmp_path: Path) -> None:
    folder = function(tmp_path / "f", "idna==3.10\n")
    results: list[tuple[Path | None, Talk]] = []
    threads = [threading.Thread(target=lambda: results.append(build(folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({site for site, _ in results}) == 1
    assert sum(bool(talk) for _, talk in results) == 1, "one builds, the others find what it built"


def test_the_key_changes_with_everything_that_is_read(tmp_path: Path) -> None:
    folder = function(tmp_path, "-r a.txt\n--constraint=b.txt\nidna\n")
    (tmp_path / "a.txt").write_text("six\n")
    (tmp_path / "b.txt").write_text("six<2\n")

    def key(runtime: str = RUNTIME) -> str:
        return cache_key(dict(read_all(folder / "requirements.txt")), runtime, folder)

    keys = [key(), key("python3.9")]
    for name in ("a.txt", "b.txt", "requirements.txt"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# more\n")
        keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("line", "local"),
    [("idna", False), ("-e .", True), ("./lib", True), ("/srv/lib", True), ("cups @ file:///srv/cups", True)],
)
def test_requirements_of_this_machine_are_known(tmp_path: Path, line: str, local: bool) -> None:
    assert is_local({tmp_path: line}) == local
