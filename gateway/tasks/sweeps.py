"""What is removed when nobody needs it any more: code, readings, logs. Each sweep may run at any time, and again."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import redis.asyncio

from gateway.functions.artifacts import Artifacts
from gateway.functions.layers import Layers
from gateway.functions.qualified_store import QualifiedStore
from gateway.functions.store import Store
from samovar import usage
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs


async def sweep_code(store: Store, artifacts: Artifacts) -> list[str]:
    """Remove code and layers that no function and no version of one names; the digests removed.

    Young ones are left alone, see `collect`.
    """
    qualified = QualifiedStore(store.redis)
    used = await Layers(store.redis).digests()
    for record in await store.all():
        used |= {record.version.code_sha256, record.version.layers_sha256, *await qualified.code_digests(record.arn)}
    return await artifacts.collect(used)


async def trim_readings(client: redis.asyncio.Redis, before_ms: int) -> int:
    """Take readings older than `before_ms` off the functions' indexes; how many. The readings expire by themselves."""
    commands: Any = client  # redis-py declares answers as unions with plain values
    removed = 0
    async for key in commands.scan_iter(match=usage.readings_key("*"), count=500, _type="zset"):
        removed += await commands.zremrangebyscore(key, "-inf", f"({before_ms}")
    return removed


async def sweep_logs(store: Store, logs_dir: Path, before: float) -> list[str]:
    """Remove log folders of functions that are gone and wrote nothing since `before` (epoch s); the functions' names.

    A week after a function was deleted, somebody may still ask why; a year after, nobody does. Groups that somebody
    made or gave a retention are left to that.
    """
    versions = [record.version for record in await store.all()]
    existing = {logs.folder_of(logs_dir, one.region, one.logging.folder_of(one.name)) for one in versions}
    forgotten = list(_forgotten(logs_dir, existing, before))
    for folder in forgotten:
        shutil.rmtree(folder, ignore_errors=True)  # the next sweep takes what is left
    return [folder.name for folder in forgotten]


def _forgotten(logs_dir: Path, existing: Collection[Path], before: float) -> Iterator[Path]:
    for path in logs_dir.glob("*/*"):
        group = log_groups.read(path)
        if group is not None and group.is_explicit:
            continue
        written = [logs.segment_path(path, number).stat().st_mtime for number in logs.segments(path)]
        if path not in existing and max(written, default=path.stat().st_mtime) < before:
            yield path
