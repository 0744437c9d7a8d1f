"""One box under one policy, event by event, with the invoker's own pure functions deciding."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.keepalive.trace import Function
from invoker.pool import keepalive, policy
from invoker.pool.keepalive import IdleTimes, KeepAlive

_NO_LIMIT = 10**9


class Rule(NamedTuple):
    """A policy."""

    name: str
    keep: KeepAlive
    greedy_dual: bool = False
    """Which environment makes room: the one of least worth, or the longest idle one."""
    memory_mb: int = _NO_LIMIT


class Result(NamedTuple):
    """What a policy came to."""

    rule: str
    calls: int
    cold: int
    refused: int
    """Calls for which no room could be made."""
    evicted: int
    idle_gb_s: float
    """Memory limits of idle environments times the time they were idle."""
    cold_s: float
    """Time calls waited for cold starts."""
    cold_of_functions: tuple[float, ...]
    """Each function's share of cold calls, ascending."""

    @property
    def cold_share(self) -> float:
        """Of all calls."""
        return self.cold / self.calls if self.calls else 0.0

    @property
    def third_quartile(self) -> float:
        """The share of cold calls that three functions in four do not exceed; the paper's measure."""
        return self.cold_of_functions[len(self.cold_of_functions) * 3 // 4] if self.cold_of_functions else 0.0


@dataclass(slots=True, eq=False)
class _Environment:
    id: str
    shelf: _Shelf
    idle_since: float = 0.0
    clock: float = 0.0


@dataclass(slots=True, eq=False)
class _Shelf:
    """As `invoker/pool/shelf.py`, without calls that wait."""

    function: Function
    keep_s: float
    idle: list[_Environment] = field(default_factory=list)
    departed: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    times: IdleTimes = field(default_factory=IdleTimes)
    live: int = 0
    uses: int = 0
    calls: int = 0
    cold: int = 0


class Simulation:
    """See the module. Use it once."""

    def __init__(self, functions: Sequence[Function], rule: Rule) -> None:
        self._rule = rule
        self._shelves = [_Shelf(one, keepalive.window(IdleTimes(), rule.keep)) for one in functions]
        self._numbers = itertools.count()
        self._ends: list[tuple[float, int, _Environment]] = []
        self._due: list[tuple[float, int, _Environment, float]] = []
        self._clock = 0.0
        self._live = self._reserved_mb = 0
        self._refused = self._evicted = 0
        self._idle_mb_s = self._cold_s = 0.0

    def run(self, horizon: float) -> Result:
        """Let all calls arrive that come within `horizon` seconds."""
        calls = heapq.merge(*(_calls(shelf, number) for number, shelf in enumerate(self._shelves)))
        for now, number, duration in calls:
            self._pass_time(now)
            self._call(self._shelves[number], now, duration)
        self._pass_time(horizon)
        for shelf in self._shelves:
            for one in shelf.idle:
                self._idle_mb_s += (horizon - one.idle_since) * shelf.function.memory_mb
        called = [shelf for shelf in self._shelves if shelf.calls]
        return Result(
            rule=self._rule.name,
            calls=sum(shelf.calls for shelf in called),
            cold=sum(shelf.cold for shelf in called),
            refused=self._refused,
            evicted=self._evicted,
            idle_gb_s=self._idle_mb_s / 1024,
            cold_s=self._cold_s,
            cold_of_functions=tuple(sorted(shelf.cold / shelf.calls for shelf in called)),
        )

    def _pass_time(self, now: float) -> None:
        """Let calls end and keep-alives run out, in order."""
        while True:
            ends = self._ends[0][0] if self._ends else now + 1
            due = self._due[0][0] if self._due else now + 1
            if min(ends, due) > now:
                return
            if ends <= due:
                self._end(heapq.heappop(self._ends)[2], ends)
            else:
                _, _, environment, idle_since = heapq.heappop(self._due)
                if environment.idle_since == idle_since and environment in environment.shelf.idle:
                    self._ring(environment, due)

    def _call(self, shelf: _Shelf, now: float, duration: float) -> None:
        shelf.calls += 1
        if shelf.idle:
            environment = shelf.idle.pop()
            self._note(shelf, now - environment.idle_since)
            self._idle_mb_s += (now - environment.idle_since) * shelf.function.memory_mb
        else:
            shelf.cold += 1
            if shelf.departed:
                self._note(shelf, now - shelf.departed.pop())
            if not self._make_room(shelf, now):
                self._refused += 1
                return
            environment = _Environment(str(next(self._numbers)), shelf)
            shelf.live += 1
            self._live += 1
            self._reserved_mb += shelf.function.memory_mb
            self._cold_s += shelf.function.start_s
            duration += shelf.function.start_s
        heapq.heappush(self._ends, (now + duration, next(self._numbers), environment))

    def _note(self, shelf: _Shelf, idle_s: float) -> None:
        if idle_s > self._rule.keep.sure_s:
            shelf.times = keepalive.noted(shelf.times, idle_s)
            shelf.keep_s = keepalive.window(shelf.times, self._rule.keep)

    def _end(self, environment: _Environment, now: float) -> None:
        shelf = environment.shelf
        shelf.uses += 1
        environment.idle_since, environment.clock = now, self._clock
        shelf.idle.append(environment)
        heapq.heappush(self._due, (now + shelf.keep_s, next(self._numbers), environment, now))

    def _ring(self, environment: _Environment, now: float) -> None:
        """A keep-alive is over, unless it has become longer meanwhile."""
        due, again = policy.expired([self._view(environment)], now)
        if due:
            self._stop(environment, now)
        elif again is not None:
            heapq.heappush(self._due, (again, next(self._numbers), environment, environment.idle_since))

    def _make_room(self, shelf: _Shelf, now: float) -> bool:
        decision = self._decide(shelf)
        if isinstance(decision, policy.Evict):
            views = {one.id: (one, self._view(one)) for other in self._shelves for one in other.idle}
            self._clock = keepalive.clock_after(self._clock, (views[gone][1].priority for gone in decision.ids))
            for gone in decision.ids:
                self._evicted += 1
                self._stop(views[gone][0], now)
            decision = self._decide(shelf)
        return isinstance(decision, policy.Start)

    def _decide(self, shelf: _Shelf) -> policy.ScaleDecision:
        demand = policy.Demand(
            waiting=1, oldest_wait_s=0.0, starting=0, usable=shelf.live, held=0, function_live=shelf.live,
            function_limit=_NO_LIMIT, memory_mb=shelf.function.memory_mb, mean_duration_s=None, mean_start_s=None,
            queue_limit=1, queue_timeout_s=1.0,
        )  # fmt: skip
        box = policy.Host(
            cores=1, starting=0, max_starts=1, live=self._live, max_live=_NO_LIMIT,
            memory_reserved_mb=self._reserved_mb, memory_budget_mb=self._rule.memory_mb,
        )  # fmt: skip
        idle = []
        if self._rule.memory_mb - self._reserved_mb < shelf.function.memory_mb:
            idle = [self._view(one) for other in self._shelves if other is not shelf for one in other.idle]
        return policy.scale(demand, box, idle)

    def _stop(self, environment: _Environment, now: float) -> None:
        shelf = environment.shelf
        shelf.idle.remove(environment)
        shelf.departed.append(environment.idle_since)
        shelf.live -= 1
        if not shelf.live:
            shelf.uses = 0
        self._live -= 1
        self._reserved_mb -= shelf.function.memory_mb
        self._idle_mb_s += (now - environment.idle_since) * shelf.function.memory_mb

    def _view(self, one: _Environment) -> policy.IdleEnvironment:
        function = one.shelf.function
        worth = one.idle_since
        if self._rule.greedy_dual:
            worth = keepalive.priority(one.clock, one.shelf.uses, function.start_s, function.memory_mb)
        return policy.IdleEnvironment(one.id, one.idle_since, function.memory_mb, one.shelf.keep_s, worth)


def _calls(shelf: _Shelf, number: int) -> list[tuple[float, int, float]]:
    function = shelf.function
    return [(now, number, took) for now, took in zip(function.arrivals, function.durations, strict=True)]
