"""What goes into a package. The oracle for ignore rules is git itself."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samovar.answers import PackageLimits
from samovar.deploy.package import PackageError, collect, pack
from samovar.errors import CodeStorageExceeded

LIMITS = PackageLimits(packed=50 * 2**20, unpacked=250 * 2**20)


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    first = tree(tmp_path / "a", {"app.py": "x = 1", "lib/b.py": "", "lib/a.py": ""})
    second = tree(tmp_path / "b", {"lib/a.py": "", "lib/b.py": "", "app.py": "x = 1"})
    os.utime(second / "app.py", (1, 1))
    (second / "app.py").chmod(0o600)
    assert pack(collect(first), LIMITS) == pack(collect(second), LIMITS)


def test_files_keep_their_bytes_and_whether_they_can_be_executed(tmp_path: Path) -> None:
    tree(tmp_path, {"run.sh": "#!/bin/sh\n", "data.txt": "tea" * 1000})
    (tmp_path / "run.sh").chmod(0o750)
    (tmp_path / "data.txt").chmod(0o600)
    archive = zipfile.ZipFile(io.BytesIO(pack(collect(tmp_path), LIMITS)))
    modes = {entry.filename: stat.filemode(entry.external_attr >> 16) for entry in archive.infolist()}
    assert modes == {"data.txt": "-rw-r--r--", "run.sh": "-rwxr-xr-x"}
    assert archive.read("data.txt") == b"tea" * 1000


def test_what_no_function_needs_stays_out(tmp_path: Path) -> None:
    names = [
        "function.toml",
        ".git/HEAD",
        ".venv/x",
        "lib/__pycache__/a.pyc",
        ".samovar/y",
        ".gitignore",
        "sub/.samovarignore",
    ]
    tree(tmp_path, dict.fromkeys(names, "") | {"app.py": "", "sub/function.toml": "", ".env": ""})
    assert list(collect(tmp_path)) == [".env", "app.py", "sub/function.toml"]


def test_samovarignore_has_the_last_word(tmp_path: Path) -> None:
    tree(tmp_path, {".gitignore": "build/\n*.log\n", ".samovarignore": "!build/\ntests\n"})
    tree(tmp_path, dict.fromkeys(["build/out.js", "a.log", "tests/t.py", "lib/tests/t.py", "app.py"], ""))
    assert list(collect(tmp_path)) == ["app.py", "build/out.js"]


def test_an_installed_package_is_taken_whole(tmp_path: Path) -> None:
    tree(tmp_path, {"idna/.gitignore": "*", "idna/__pycache__/core.pyc": "", "idna/core.py": ""})
    assert list(collect(tmp_path, ignoring=False)) == ["idna/.gitignore", "idna/__pycache__/core.pyc", "idna/core.py"]


def test_links_inside_the_folder_become_what_they_point_to(tmp_path: Path) -> None:
    tree(tmp_path, {"lib/a.py": "A"})
    (tmp_path / "again").symlink_to("lib")
    (tmp_path / "b.py").symlink_to("lib/a.py")
    sources = collect(tmp_path)
    assert list(sources) == ["again/a.py", "b.py", "lib/a.py"]
    assert zipfile.ZipFile(io.BytesIO(pack(sources, LIMITS))).read("b.py") == b"A"


@pytest.mark.parametrize(
    ("target", "says"),
    [("/etc", "leads out of the folder"), ("../x", "leads out"), ("nowhere", "leads nowhere"), (".", "it is in")],
)
def test_other_links_are_refused_by_name(tmp_path: Path, target: str, says: str) -> None:
    folder = tree(tmp_path / "f", {"app.py": ""})
    (tmp_path / "x").mkdir()
    (folder / "link").symlink_to(target)
    with pytest.raises(PackageError, match=f"the link link.*{says}"):
        collect(folder)
    (folder / ".samovarignore").write_text("link\n")
    assert list(collect(folder)) == ["app.py"]


def test_links_that_lead_round_in_circles_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, {"a/x": "", "b/y": ""})
    (tmp_path / "a/to_b").symlink_to("../b")
    (tmp_path / "b/to_a").symlink_to("../a")
    with pytest.raises(PackageError, match="leads to a folder it is in"):
        collect(tmp_path)


def test_a_pipe_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackageError, match="pipe is neither a file nor a folder"):
        collect(tmp_path)


@pytest.mark.parametrize(
    ("limits", "how"),
    [
        (PackageLimits(packed=50 * 2**20, unpacked=2**20), "unpacked"),
        (PackageLimits(packed=2**10, unpacked=250 * 2**20), "packed"),
    ],
)
def test_a_package_over_the_limit_lists_its_biggest_files(tmp_path: Path, limits: PackageLimits, how: str) -> None:
    (tmp_path / "model.bin").write_bytes(os.urandom(3 * 2**20))
    tree(tmp_path, {"app.py": "x"})
    with pytest.raises(CodeStorageExceeded) as raised:
        pack(collect(tmp_path), limits)
    assert f"3.0 MB {how}" in raised.value.message
    assert raised.value.message.splitlines()[1].split() == ["3.0", "MB", "model.bin"]


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    pack(
        collect(tree(tmp_path, {"a": "xx", "b": "yyy"})),
        LIMITS,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(2, 5), (5, 5)]


NAME = st.sampled_from(["a", "b", "c.py", "d.log", "e f"])
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)
SEGMENT = st.sampled_from(["a", "b", "c.py", "*.log", "*", "**", "?", "[ab]", "[!a]", "e f", "e\\ f", "*.py"])
PATTERN = st.builds(
    lambda negated, anchor, segments, folder: negated + anchor + "/".join(segments) + folder,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " "]),
)
RULES = st.lists(PATTERN | st.sampled_from(["", "# a", "\\#a"]), max_size=4).map("\n".join)


@settings(max_examples=60, deadline=None)
@example(paths=["a/a/a"], rules={"": "a/a\n!/a"})  # a folder taken back in says nothing about what is in it
@example(paths=["a/b", "a/c.py"], rules={"": "a/**\n!a/b"})  # all that is in a folder is not the folder
@example(paths=["a/b"], rules={"": "*\n!a"})
@example(paths=["a/b/c.py"], rules={"": "!a/\n/a/b", "a": "!b/"})
@given(paths=st.lists(PATH, min_size=1, max_size=8), rules=st.dictionaries(st.sampled_from(["", "a", "a/b"]), RULES))
def test_ignore_files_mean_what_git_makes_of_them(paths: list[str], rules: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in paths:
            _write_if_free(root, path)
        for folder, text in rules.items():
            if (root / folder).is_dir():
                (root / folder / ".gitignore").write_text(text)
        assert list(collect(root)) == kept_by_git(root)


def _write_if_free(root: Path, path: str) -> None:
    target = root / path
    if target.exists() or any(parent.is_file() for parent in target.parents):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()


def kept_by_git(root: Path) -> list[str]:
    """The files git would add, in a repository made for the question."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(root / ".git"), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=environment)
    command = ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
    shutil.rmtree(root / ".git")
    return sorted(name for name in listed.split("\0") if name and not name.endswith(".gitignore"))


def test_a_name_that_is_not_text_is_refused_before_anything_is_packed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"b\xff")).write_text("x")
    with pytest.raises(PackageError, match="not UTF-8 text; rename it"):
        collect(tmp_path)
