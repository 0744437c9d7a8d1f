"""Why a call was cold, had to wait or was refused, and what would have avoided it: pure, of what is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from samovar.invocation import ColdReason, Outcome, Preparation, Reading
from samovar.link.operations import RefusedCall

Phase = Literal["queue", "start", "init", "run"]

_NOTICEABLE_MS: Final = 5.0
"""Below this, waiting for a free environment is nothing to explain."""
_MOST: Final = 0.5
"""A phase that takes more than this share of the wait dominates it."""
_SLOW_INIT_MS: Final = 100.0


class Spent(msgspec.Struct, frozen=True):
    """The milliseconds one phase of a call took."""

    phase: Phase
    ms: float
    what: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one invocation took the time it took before its handler ran."""

    request_id: str
    function: str
    version: str
    cold: bool
    reason: ColdReason | None
    """Why it was cold; `None` when it was warm, or when its initialisation failed."""
    summary: str
    """The reason in a sentence or two."""
    waited_ms: float
    """From the invoker taking the call until the handler could run."""
    spent: list[Spent]
    """In order; phases that took no time are left out."""
    advice: list[str]
    """What would have avoided or shortened the wait; empty when there was none to speak of."""


def explain(reading: Reading) -> Explanation:
    """The story of one reading."""
    spent = list(_phases(reading))
    failed_init = reading.cold is None and reading.init_ms > 0
    waited_ms = sum(one.ms for one in spent if one.phase != "run")
    return Explanation(
        request_id=reading.request_id,
        function=reading.arn.rpartition(":")[2],
        version=reading.version,
        cold=reading.cold is not None or failed_init,
        reason=reading.cold,
        summary=_failed_init(reading) if failed_init else _summary(reading),
        waited_ms=waited_ms,
        spent=spent,
        advice=[*_advice(reading), *_advice_on_phases(reading, spent, waited_ms)],
    )


def explain_refusal(call: RefusedCall) -> Explanation:
    """The story of a call that never ran."""
    name = call.arn.rpartition(":")[2]
    waited = f" after {_ms(call.waited_ms)}" if call.waited_ms >= _NOTICEABLE_MS else " at once"
    how = f"Throttled{waited} ({call.reason})" if call.reason else f"Refused{waited} ({call.failure})"
    spent = [Spent("queue", call.waited_ms, "waited for an environment")] if call.waited_ms > 0 else []
    return Explanation(
        request_id=call.request_id,
        function=name,
        version=call.version,
        cold=False,
        reason=None,
        summary=f"{how}: nothing of it ran. {call.message}",
        waited_ms=call.waited_ms,
        spent=spent,
        advice=list(_advice_on_refusal(name, call)),
    )


def _advice_on_refusal(name: str, call: RefusedCall) -> Iterator[str]:
    if call.reason is None:
        yield f"An environment that can be started: `samovar status` and `samovar logs {name}` say what was in its way."
        return
    if call.reason == "ReservedFunctionConcurrentInvocationLimitExceeded":
        yield (
            f"More environments at once: a greater `concurrency` in the function.toml of {name}, or "
            "`max_environments_per_function` where it reserves none. A shorter handler needs fewer."
        )
    else:
        yield (
            "Room for more calls at once, or a longer queue: `max_environments_per_function`, `memory_budget_mb`; "
            "`queue_timeout_s` and `queue_limit` say how long and how many calls may wait."
        )
    if call.retry_after_s is not None:
        again = _ms(call.retry_after_s * 1000)
        yield f"Coming again after {again}, as the answer said; asynchronous calls do so by themselves."


def _phases(reading: Reading) -> Iterator[Spent]:
    """A call may have joined a start that was under way: it waited for what was left, of which the end is certain."""
    waited = max(reading.queue_ms, reading.init_ms) if reading.cold is None else reading.queue_ms
    init = min(reading.init_ms, waited)
    start = min(reading.preparation.start_ms, waited - init) if reading.preparation else 0.0
    queue = waited - init - start
    whose = "before an environment was started for it" if reading.cold or reading.init_ms else "for a free environment"
    phases = (
        Spent("queue", queue, f"waited {whose}"),
        Spent("start", start, f"started an environment ({reading.isolation or 'unknown isolation'}) and its runtime"),
        Spent("init", init, "imported the function's code and ran what stands outside its handler"),
        Spent("run", reading.duration_ms, "ran the handler"),
    )
    return (one for one in phases if one.ms > 0)


def _summary(reading: Reading) -> str:
    if reading.cold is not None:
        return f"Cold. {_REASONS[reading.cold]}{_gone(reading)}"
    if reading.queue_ms >= _NOTICEABLE_MS:
        return (
            f"Warm, but it waited {_ms(reading.queue_ms)} for a free environment: all environments of the function "
            "were busy, and one of them was free before another could be started."
        )
    return "Warm: an environment was idle, and the call waited for nothing."


def _failed_init(reading: Reading) -> str:
    how = "timed out" if reading.outcome is Outcome.TIMEOUT else "failed"
    return f"Cold, and the initialisation {how}: the handler never ran."


_REASONS: Final = {
    ColdReason.FIRST_CALL: "It was the first call of this function since it was created or the invoker was started.",
    ColdReason.NEW_VERSION: "It was the first call since the function's code or configuration was changed.",
    ColdReason.SCALE_OUT: "All environments of the function were busy, so another one was started.",
    ColdReason.EXPIRED: "The function had not been called for so long that its environment was given up.",
    ColdReason.EVICTED: "Its idle environment had been stopped to make room for another function.",
    ColdReason.CRASH: "The last environment of the function had died, run out of memory, or could not be started.",
}


def _gone(reading: Reading) -> str:
    """When the environment that is missed was last used, if one is."""
    found = reading.preparation
    if found is not None and found.provisioned:
        return f" Of the {found.provisioned} environments that were to be ready, {_were(found.provisioned_ready)}."
    if found is None or found.idle_s is None or found.kept_s is None:
        return ""
    return (
        f" The one it could have used was last used {_time(found.idle_s)} before, and kept for {_time(found.kept_s)}."
    )


def _advice(reading: Reading) -> Iterator[str]:
    """By the reason."""
    name = reading.arn.rpartition(":")[2]
    if reading.cold is not None and reading.preparation is not None and reading.preparation.provisioned:
        yield from _advice_on_provisioned(name, reading.preparation)
        if reading.cold is not ColdReason.CRASH:
            return
    match reading.cold:
        case ColdReason.FIRST_CALL | ColdReason.NEW_VERSION:
            yield (
                f"Warm it up: call it once after a deployment or a restart, e.g. `samovar invoke {name}`, or have "
                "environments ready before it is called: `provisioned = 1` in its function.toml."
            )
        case ColdReason.SCALE_OUT if not _missed(reading):
            yield (
                "A cold start is the price of more calls at once than before; the environment stays for the next such "
                "burst. A shorter handler needs fewer environments; `provisioned` in function.toml keeps some ready."
            )
        case ColdReason.EXPIRED | ColdReason.SCALE_OUT:
            yield _keep_longer(reading.preparation)
        case ColdReason.EVICTED:
            yield (
                "More room: a greater `memory_budget_mb` (or `max_environments`), or smaller memory limits of the "
                f"functions; {name} reserves {reading.memory_mb} MB an environment and needed {reading.peak_mb} MB."
            )
        case ColdReason.CRASH:
            yield f"A function that does not crash: `samovar logs {name}` has its last words."
        case None if reading.init_ms > 0:
            yield f"Mend what stands outside the handler: `samovar logs {name} --request-id {reading.request_id}`."
        case None if reading.queue_ms >= _NOTICEABLE_MS:
            yield (
                "A shorter handler, or more environments at once: the function's `concurrency`, or "
                "`max_environments_per_function` when it sets none."
            )


def _were(ready: int) -> str:
    return "none was there" if ready == 0 else f"{ready} {'was' if ready == 1 else 'were'} there, and busy"


def _advice_on_provisioned(name: str, found: Preparation) -> Iterator[str]:
    """A call that was cold although there were to be environments ready."""
    if found.provisioned_ready < found.provisioned:
        yield (
            "All that are provisioned: they were being started, or could not be. `samovar status` says how many "
            f"{name} has now, and what is in their way."
        )
    else:
        yield (
            f"More provisioned environments: there were more calls at once than the {found.provisioned} that are "
            f"provisioned; `provisioned = {found.provisioned_ready + 1}` or more in its function.toml."
        )


def _missed(reading: Reading) -> bool:
    return reading.preparation is not None and reading.preparation.idle_s is not None


def _keep_longer(preparation: Preparation | None) -> str:
    how = "`idle_ttl_s`, or `keep_alive_min_s` where `keep_alive` is adaptive"
    if preparation is None or preparation.idle_s is None:
        return f"A longer keep-alive: {how}."
    return (
        f"A keep-alive of more than {math.ceil(preparation.idle_s)} s: {how}. An adaptive one outlasts pauses that "
        "recur by itself, if they are worth it: a cold start counts as much as `idle_ttl_s` of idle time."
    )


def _advice_on_phases(reading: Reading, spent: list[Spent], waited_ms: float) -> Iterator[str]:
    """By what took longest."""
    took = {one.phase: one.ms for one in spent}
    if reading.cold is None or waited_ms <= 0:
        return
    if took.get("init", 0.0) >= max(_SLOW_INIT_MS, _MOST * waited_ms):
        yield (
            f"A smaller import: initialisation took {_ms(took['init'])} of the {_ms(waited_ms)} it waited. "
            "`python -X importtime` shows which module; import late what few calls need."
        )
    if took.get("queue", 0.0) >= max(_NOTICEABLE_MS, _MOST * waited_ms):
        yield (
            f"More starts at once: {_ms(took['queue'])} passed before its environment was started. `max_starts` bounds "
            "them, by default to one a core; the function's limit and the memory budget do as well."
        )
    if reading.isolation == "docker" and took.get("start", 0.0) >= _MOST * waited_ms:
        yield f'A lighter box: starting the container took {_ms(took["start"])}; `isolation = "sandbox"` takes less.'


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _time(seconds: float) -> str:
    """A length of time as people say it."""
    for limit, unit, length in ((120, "s", 1.0), (2 * 3600, "min", 60.0), (2 * 86_400, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
