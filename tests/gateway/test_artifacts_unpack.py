"""Unpacking what strangers send: everything that could lead out of the folder, lie or explode is refused."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.functions import unpack as unpacking
from gateway.functions.unpack import unpack
from samovar.errors import CallerError, InvalidParameterValue, InvalidZipFile
from tests.gateway.builders import zip_of

MB = 1024 * 1024
Entry = tuple[str, bytes, int]


def crafted(*entries: Entry, edit: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> bytes:
    """A zip of (name, content, mode), with names exactly as given."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # about names that are there twice, on purpose
        for name, content, mode in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.create_system = 3
            info.external_attr = mode << 16
            edit(info)
            archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> Entry:
    return name, content, stat.S_IFREG | mode


def link(name: str, target: str) -> Entry:
    return name, target.encode(), stat.S_IFLNK | 0o777


def tree(root: Path) -> dict[str, str]:
    """Path → content or link target of everything below a folder."""
    return {
        str(path.relative_to(root)): f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_files_folders_and_links_inside_are_kept(tmp_path: Path) -> None:
    package = crafted(
        ("empty/", b"", stat.S_IFDIR | 0o755),
        file("./a/../b".replace("../", "")),
        file("lib/libz.so.1", b"code"),
        link("lib/libz.so", "libz.so.1"),
        link("bin/tool", "../lib/libz.so"),
        link("dangling", "not-there"),
    )
    unpack(package, tmp_path, MB)
    assert tree(tmp_path) == {
        "a/b": "x",
        "lib/libz.so.1": "code",
        "lib/libz.so": "-> libz.so.1",
        "bin/tool": "-> ../lib/libz.so",
        "dangling": "-> not-there",
    }
    assert (tmp_path / "empty").is_dir()
    assert (tmp_path / "bin" / "tool").read_text() == "code"


def test_executables_stay_executable_and_everybody_can_read(tmp_path: Path) -> None:
    unpack(crafted(file("run", mode=0o700), file("secret", mode=0o600), file("odd", mode=0o6777)), tmp_path, MB)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"run": 0o555, "secret": 0o444, "odd": 0o555}


def test_times_are_kept(tmp_path: Path) -> None:
    def dated(info: zipfile.ZipInfo) -> None:
        info.date_time = (2024, 2, 29, 12, 30, 10)

    unpack(crafted(file("a"), edit=dated), tmp_path, MB)
    assert (tmp_path / "a").stat().st_mtime == 1709209810


UNSAFE: dict[str, tuple[Entry, ...]] = {
    "absolute": (file("/etc/passwd"),),
    "drive": (file("C:/windows"),),
    "parent": (file("../up"),),
    "hidden parent": (file("a/b/../../../up"),),
    "backslash": (file("a\\b"),),
    "backslash parent": (file("..\\up"),),
    "empty name": (file("."),),
    "long name": (file("n" * 256),),
    "long path": (file("/".join(["d" * 200] * 6)),),
    "twice": (file("a"), file("a")),
    "twice, written differently": (file("a/b"), file("a/./b")),
    "file and folder": (file("a"), file("a/b")),
    "folder and file": (file("a/b"), file("a")),
    "link and file": (link("a", "b"), file("a")),
    "file behind a link": (link("a", "b"), file("b/c"), file("a/d")),
    "link behind a link": (file("b/c"), link("a", "b"), link("a/d", "c")),
    "absolute link": (link("a", "/etc/passwd"), file("b")),
    "link out": (link("a", "../.."), file("b")),
    "link out through a link": (file("d/f"), link("d/l", ".."), link("m", "d/l/../..")),
    "empty link": (link("a", ""), file("b")),
    "long link": (link("a", "x/" * 600), file("b")),
    "device": (("a", b"", stat.S_IFCHR | 0o666),),
    "pipe": (("a", b"", stat.S_IFIFO | 0o666),),
    "socket": (("a", b"", stat.S_IFSOCK | 0o666),),
    "a file that says it is a folder": (("a", b"x", stat.S_IFDIR | 0o755), file("b")),
}


@pytest.mark.parametrize("entries", UNSAFE.values(), ids=UNSAFE.keys())
def test_unsafe_packages_are_refused(tmp_path: Path, entries: tuple[Entry, ...]) -> None:
    package = crafted(*entries)
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(InvalidZipFile, match="cannot be unpacked safely"):
        unpack(package, inside, MB)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


def test_names_that_differ_only_in_case_are_two_files_where_the_disk_says_so(tmp_path: Path) -> None:
    unpack(crafted(file("README", b"1"), file("readme", b"2")), tmp_path, MB)
    assert tree(tmp_path) == {"README": "1", "readme": "2"}


def patched(package: bytes, offset: int, value: bytes, *, central: bool = True) -> bytes:
    """The package with bytes of the first entry's header overwritten, in the central directory or before the data."""
    start = package.index(b"PK\x01\x02" if central else b"PK\x03\x04")
    changed = bytearray(package)
    changed[start + offset : start + offset + len(value)] = value
    return bytes(changed)


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    package = patched(zip_of({"a": b"x"}), 8, struct.pack("<H", 1))
    with pytest.raises(InvalidZipFile, match="encrypted"):
        unpack(package, tmp_path, MB)


def test_methods_whose_output_cannot_be_bounded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidZipFile, match="DEFLATE"):
        unpack(zip_of({"a": bytes(1000)}, compression=zipfile.ZIP_BZIP2), tmp_path, MB)


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="Unzipped size must be smaller than 1048576 bytes"):
        unpack(zip_of({f"{n}": bytes(MB // 4) for n in range(4)}), tmp_path, MB)
    assert list(tmp_path.iterdir()) == []


def test_a_size_no_compression_reaches_is_a_lie(tmp_path: Path) -> None:
    package = patched(zip_of({"a": b"x"}), 24, struct.pack("<I", 500_000))
    with pytest.raises(InvalidZipFile, match="cannot hold the 500000 it declares"):
        unpack(package, tmp_path, MB)


def test_a_declared_size_that_is_too_small_does_not_get_more_out(tmp_path: Path) -> None:
    package = patched(zip_of({"a": bytes(5000)}), 24, struct.pack("<I", 10))
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        unpack(package, tmp_path, MB)


def test_damaged_content_is_noticed(tmp_path: Path) -> None:
    package = bytearray(zip_of({"a": b"hello" * 100}, compression=zipfile.ZIP_STORED))
    package[60] ^= 0xFF
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        unpack(bytes(package), tmp_path, MB)


def test_too_many_entries_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 3)
    with pytest.raises(InvalidZipFile, match="more than 3 entries"):
        unpack(zip_of({f"{n}": b"" for n in range(4)}), tmp_path, MB)


component = st.sampled_from(["a", "b", "..", ".", "", "a\\b", "C:", "\0", "é", " "]) | st.text(max_size=5)
paths = st.lists(component, max_size=5).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "..", ".", "l"]), max_size=6).map("/".join)
anything = st.tuples(paths, st.just(b"x"), st.just(stat.S_IFREG | 0o644)) | st.tuples(
    paths, targets.map(str.encode), st.just(stat.S_IFLNK | 0o777)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(anything, min_size=1, max_size=6, unique_by=lambda entry: entry[0]))
@example(entries=[link("a/l", ".."), link("b", "a/l/.."), file("c")])
def test_whatever_the_paths_nothing_is_outside_and_no_link_leads_there(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    outside = tmp_path_factory.mktemp("out")
    inside = outside / "inside"
    inside.mkdir()
    try:
        package = crafted(*entries)
    except (ValueError, UnicodeEncodeError, struct.error):
        return  # not even a zip can say that
    try:
        unpack(package, inside, MB)
    except CallerError:
        assert os.listdir(outside) == ["inside"]
        return
    assert os.listdir(outside) == ["inside"]
    root = os.path.realpath(inside)
    for path in inside.rglob("*"):
        assert os.path.commonpath([root, os.path.realpath(path)]) == root


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), value=st.integers(0, 255))
def test_whatever_byte_is_changed_the_answer_is_files_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    package = bytearray(zip_of({"app.py": b"def handler(): pass\n" * 3, "lib/x": b"y"}))
    package[at % len(package)] = value
    target = tmp_path_factory.mktemp("fuzz")
    try:
        unpack(bytes(package), target, MB)
    except CallerError:
        return
    assert any(target.iterdir())
