"""Layers one over the other."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.functions.artifacts import Artifacts
from samovar.errors import ServiceFailure
from tests.gateway.builders import zip_of

MB = 1024 * 1024


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "code", max_unpacked=MB, max_packed=MB)


async def layers(artifacts: Artifacts, *packages: dict[str, bytes]) -> list[str]:
    return [(await artifacts.add(zip_of(files))).sha256 for files in packages]


async def test_later_layers_lie_over_earlier_ones_and_folders_are_merged(artifacts: Artifacts) -> None:
    digests = await layers(
        artifacts,
        {"python/a.py": b"first", "python/both.py": b"first", "lib/x.so": b"first"},
        {"python/both.py": b"second", "bin/tool": b"second"},
    )
    folder = artifacts.folder(await artifacts.combine(digests))
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "python/a.py": b"first",
        "python/both.py": b"second",
        "lib/x.so": b"first",
        "bin/tool": b"second",
    }
    assert all(not path.stat().st_mode & 0o222 for path in [folder, *folder.rglob("*")])
    other_way = await artifacts.combine(digests[::-1])
    assert (artifacts.folder(other_way) / "python" / "both.py").read_bytes() == b"first"


async def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(artifacts: Artifacts) -> None:
    digests = await layers(artifacts, {"a/b": b"1", "c": b"2"}, {"a": b"3", "c/d": b"4"})
    folder = artifacts.folder(await artifacts.combine(digests))
    assert (folder / "a").read_bytes() == b"3"
    assert (folder / "c" / "d").read_bytes() == b"4"


async def test_files_are_shared_with_the_layers_and_outlive_them(artifacts: Artifacts) -> None:
    digests = await layers(artifacts, {"a": b"1"}, {"b": b"2"})
    combined = await artifacts.combine(digests)
    assert (artifacts.folder(combined) / "a").samefile(artifacts.folder(digests[0]) / "a")
    assert sorted(await artifacts.collect({combined}, grace_s=-1)) == sorted(digests)
    assert (artifacts.folder(combined) / "a").read_bytes() == b"1"
    assert stat.S_IMODE((artifacts.folder(combined) / "a").stat().st_mode) == 0o444


async def test_what_no_function_names_is_collected(artifacts: Artifacts) -> None:
    digests = await layers(artifacts, {"a": b"1"}, {"b": b"2"})
    combined = await artifacts.combine(digests)
    assert await artifacts.collect(digests, grace_s=-1) == [combined]
    assert not artifacts.folder(combined).exists()


async def test_one_layer_is_its_own_folder_and_none_has_none(artifacts: Artifacts) -> None:
    [only] = await layers(artifacts, {"a": b"1"})
    assert (await artifacts.combine([only]), await artifacts.combine([])) == (only, "")
    assert await artifacts.unpacked_size([only, only]) == 2


async def test_a_layer_that_is_not_there_is_named(artifacts: Artifacts) -> None:
    await layers(artifacts, {"a": b"1"})
    with pytest.raises(ServiceFailure, match="ffff"):
        await artifacts.combine(["f" * 64])
