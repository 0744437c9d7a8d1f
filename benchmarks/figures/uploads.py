"""How soon an uploaded object starts its function, and how fast a large one goes through the gateway.

The time to start is counted from before the request to upload is sent, so it has the whole PUT in it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from benchmarks.lab import Function, Lab, Plan, interleaved
from benchmarks.results import Measured
from benchmarks.statistics import percentile
from benchmarks.wrk import CannotMeasure
from samovar import s3
from samovar.access.sigv4 import S3, UNSIGNED_PAYLOAD, Signed, sign_stated
from samovar.clients.buckets import Buckets
from samovar.settings import Settings
from samovar.upload_triggers import UploadTrigger, UploadTriggers

_BUCKET: Final = "benchmark"
_SMALL: Final = 1024
_LARGE_MB: Final = 64
_PIECE: Final = 1 << 20
_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 60.0


def measure(plan: Plan) -> Iterator[Measured]:
    """Small objects one at a time, then large ones that nobody hears of."""
    with Lab.running(plan.isolation) as lab, tempfile.TemporaryDirectory() as folder:
        function = lab.warm("nothing")
        trigger = UploadTrigger(bucket=_BUCKET, prefix="small/")
        lab.client.uploads(function.name, UploadTriggers(triggers=(trigger,)))
        small, large = Path(folder) / "small", Path(folder) / "large"
        small.write_bytes(os.urandom(_SMALL))
        large.write_bytes(os.urandom(_LARGE_MB << 20))
        with Buckets(lab.endpoint, lab.key) as buckets:
            waits = list(_waits(lab, function, buckets, small, plan.size(100, 20)))
            detail = {"p99_ms": percentile(waits, 0.99)}
            middle = [percentile(waits, 0.5)]
            yield Measured(figure="uploads.start-p50", isolation=plan.isolation, values=middle, detail=detail)
            direct = partial(_straight, lab, large)
            rates, references = interleaved(plan.repeats, partial(_rate, buckets, large), direct)
            yield Measured(figure="uploads.through", isolation=plan.isolation, values=rates, references=references)


def _waits(lab: Lab, function: Function, buckets: Buckets, file: Path, count: int) -> Iterator[float]:
    """Milliseconds from the request to the handler's beginning. The first upload warms the way and is left out."""
    last = ""
    for number in range(count + 1):
        time.sleep(_PAUSE_S)
        began = time.time() * 1000
        buckets.upload(file, _BUCKET, f"small/{number}", "application/octet-stream", None)
        deadline = time.monotonic() + _PATIENCE_S
        while (found := lab.client.invocations(function.name, limit=1)[0]).request_id == last or not last:
            if not last and found.started_ms > began:
                break
            if time.monotonic() > deadline:
                raise CannotMeasure("an upload started nothing")
            time.sleep(0.005)
        last = found.request_id
        if number:
            yield found.started_ms - began


def _rate(buckets: Buckets, file: Path) -> float:
    """MB of 2**20 bytes per second."""
    began = time.monotonic()
    buckets.upload(file, _BUCKET, "large", "application/octet-stream", None)
    return _LARGE_MB / (time.monotonic() - began)


def _straight(lab: Lab, file: Path) -> float:
    """The same file put by the same HTTP client to the S3 server itself."""
    server = s3.find(Settings(data_dir=str(lab.platform.data_dir)))
    assert server is not None
    url = httpx.URL(f"{server.endpoint}/{_BUCKET}/straight")
    signed = Signed("PUT", url.raw_path, b"", {b"host": url.netloc})
    headers = {
        **sign_stated(signed, UNSIGNED_PAYLOAD, server.key, time.time(), S3),
        "content-length": str(file.stat().st_size),
    }
    with file.open("rb") as opened:
        pieces = iter(partial(opened.read, _PIECE), b"")
        began = time.monotonic()
        httpx.put(url, content=pieces, headers=headers, timeout=_PATIENCE_S).raise_for_status()
        return _LARGE_MB / (time.monotonic() - began)
