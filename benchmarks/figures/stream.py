"""How soon a part of a streamed answer is with its client, after the handler has yielded it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from benchmarks.lab import Function, Lab, Plan
from benchmarks.results import Measured
from benchmarks.statistics import median, percentile
from benchmarks.wrk import CannotMeasure
from tests.signing import Signing


def measure(plan: Plan) -> Iterator[Measured]:
    """One call after the other on a warm function, by its URL. Function and client have one host, and one clock."""
    with Lab.running(plan.isolation) as lab:
        function = lab.function("drip")
        host = _streaming_host(lab, function)
        reader = _Reader(lab.endpoint, host)
        reader.delays_ms()
        first: list[float] = []
        worst: list[float] = []
        for _ in range(plan.repeats):
            delays = [reader.delays_ms() for _ in range(plan.size(100, 20))]
            first.append(median([one[0] for one in delays]))
            worst.append(percentile([part for one in delays for part in one], 0.99))
        yield Measured(figure="stream.first-byte", isolation=plan.isolation, values=first)
        yield Measured(figure="stream.p99", isolation=plan.isolation, values=worst)


def _streaming_host(lab: Lab, function: Function) -> str:
    answer = httpx.post(
        f"{lab.endpoint}/2021-10-31/functions/{function.name}/url",
        json={"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"},
        auth=Signing(lab.key),
    )
    answer.raise_for_status()
    url: str = answer.json()["FunctionUrl"]
    return urlsplit(url).netloc


class _Reader:
    """A client that looks at the clock when a part is there."""

    def __init__(self, endpoint: str, host: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
        self._host = host

    def delays_ms(self) -> list[float]:
        """Of each part of one answer. Raises `CannotMeasure` when parts arrived together."""
        self._connection.request("GET", "/", headers={"Host": self._host})
        answer = self._connection.getresponse()
        delays = []
        while part := answer.read1():
            seen = time.time()
            if part.count(b"\n") != 1:
                raise CannotMeasure(f"parts of a streamed answer arrived as one: {part!r}")
            delays.append((seen - float(part)) * 1000)
        return delays
