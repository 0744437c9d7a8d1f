"""The comparison of keep-alive policies: its trace has the shape it claims, its figures add up, and who wins."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.keepalive.__main__ import TTLS_S, document, keep, on_the_curve, rules
from benchmarks.keepalive.simulation import Result, Rule, Simulation
from benchmarks.keepalive.trace import DAY_S, Function, Shape, generate, statistics

TINY = Shape(functions=20, days=0.5, seed=7)
HORIZON_S = TINY.days * DAY_S


@pytest.fixture(scope="module")
def trace() -> list[Function]:
    return generate(TINY)


def run(functions: list[Function], rule: Rule) -> Result:
    return Simulation(functions, rule).run(HORIZON_S)


def timer(pause_s: float, calls: int, memory_mb: int = 1024) -> Function:
    arrivals = tuple(n * pause_s for n in range(calls))
    return Function(memory_mb, 0.0, arrivals, (0.0,) * calls)


def test_the_same_shape_is_the_same_trace(trace: list[Function]) -> None:
    assert generate(TINY) == trace


def test_the_usual_trace_has_the_published_shape() -> None:
    shape = Shape(functions=100, days=1.0)
    for one in statistics(generate(shape), shape):
        assert one.generated == pytest.approx(one.published, abs=0.15), one.name


@pytest.mark.parametrize(
    ("ttl_s", "cold", "idle_gb_s"),
    [pytest.param(50.0, 10, 500.0, id="too short"), pytest.param(100.5, 1, 9 * 100.0 + 100.5, id="long enough")],
)
def test_a_timer_is_simulated_to_the_second(ttl_s: float, cold: int, idle_gb_s: float) -> None:
    result = run([timer(100.0, 10)], Rule("ttl", keep(ttl_s, adaptive=False)))
    assert (result.calls, result.cold, result.refused) == (10, cold, 0)
    assert result.idle_gb_s == pytest.approx(idle_gb_s)


def test_a_box_without_room_evicts_and_never_exceeds_its_memory() -> None:
    functions = [timer(100.0, 10), timer(130.0, 10)]
    for greedy_dual in (False, True):
        result = run(functions, Rule("short", keep(600.0, adaptive=False), greedy_dual, 1024))
        assert result.evicted > 0
        assert result.idle_gb_s <= HORIZON_S
    refused = run([timer(100.0, 10, memory_mb=2048)], Rule("none", keep(600.0, adaptive=False), False, 1024))
    assert (refused.refused, refused.idle_gb_s) == (10, 0.0)


def test_a_longer_ttl_has_fewer_cold_calls_and_wastes_more(trace: list[Function]) -> None:
    results = [run(trace, Rule(f"{ttl_s}", keep(ttl_s, adaptive=False))) for ttl_s in TTLS_S]
    assert [one.cold for one in results] == sorted((one.cold for one in results), reverse=True)
    assert [one.idle_gb_s for one in results] == sorted(one.idle_gb_s for one in results)
    assert len({one.calls for one in results}) == 1


def test_the_adaptive_keep_alive_lies_below_the_curve_of_plain_ttls(trace: list[Function]) -> None:
    plain = [run(trace, Rule(f"{ttl_s}", keep(ttl_s, adaptive=False))) for ttl_s in TTLS_S]
    adaptive = run(trace, Rule("adaptive", keep(600.0, adaptive=True)))
    assert adaptive.cold_share < on_the_curve(plain, adaptive.idle_gb_s)


def test_the_curve_is_a_line_between_two_ttls() -> None:
    low = Result("a", 100, 20, 0, 0, 10.0, 0.0, ())
    high = Result("b", 100, 10, 0, 0, 30.0, 0.0, ())
    assert [on_the_curve([high, low], waste) for waste in (5.0, 20.0, 99.0)] == pytest.approx([0.2, 0.15, 0.1])


def test_the_figures_can_be_written(trace: list[Function]) -> None:
    ample, short = rules(4096)
    results = [run(trace, ample[0])], [run(trace, short[0])]
    written = msgspec.json.decode(msgspec.json.encode(document(TINY, statistics(trace, TINY), *results)))
    assert written["memory_to_spare"][0]["rule"] == "TTL 60 s"
    assert written["trace"] == {"functions": 20, "days": 0.5, "seed": 7}
