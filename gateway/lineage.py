"""How often a function is in the chain of calls that an event comes from, and where such a chain is cut. Pure.

The count travels where AWS has it: in the `Lineage` of the trace header (AWS Lambda developer guide, "Use Lambda
recursive loop detection to prevent infinite loops"), which SDKs inside a function send along with what they ask for,
and queues keep with a message as `AWSTraceHeader`. AWS does not say how it writes it; here it is `Lineage=` and, for
each function of the chain, eight hex digits that stand for its ARN, a colon, and how often it was called.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal

from samovar.errors import RecursiveInvocation
from samovar.names import random_hex

MOST: Final = 16
"""Times a function may be in one chain; AWS says "approximately 16 times"."""
_MOST_FUNCTIONS: Final = 32
"""Functions a chain tells of; of a longer one the newest are kept, so that the header has an end."""
_MOST_DIGITS: Final = 4
_MOST_TRACE: Final = 512
"""Characters of a trace that are passed on beside the lineage."""
_FIELD: Final = "Lineage="


def begun(root: str, arn: str) -> str:
    """The trace of an event that comes from no function, as the called one is to see it."""
    return f"{root};{_FIELD}{_mark(arn)}:1"


def new_root(epoch: float) -> str:
    """A trace of its own (AWS X-Ray developer guide, "Tracing header")."""
    return f"Root=1-{int(epoch):08x}-{random_hex(12)}"


def followed(trace: str, arn: str) -> str:
    """The trace of an event that came with one, as the called function is to see it: the function is added.

    `arn` is the function's unqualified one: a loop does not end because it goes through an alias.
    """
    before, found, rest = trace.partition(_FIELD)
    lineage, _, after = rest.partition(";") if found else ("", "", "")
    mark, count, kept = _mark(arn), 1, []
    for entry in lineage.split("|")[-_MOST_FUNCTIONS:]:
        name, _, told = entry.strip().partition(":")
        if not told.isdecimal() or len(told) > _MOST_DIGITS:
            continue
        if name == mark:
            count = int(told) + 1
        else:
            kept.append(f"{name[:16]}:{told}")
    others = ";".join(part.strip("; ") for part in (before, after) if part.strip("; "))[:_MOST_TRACE]
    path = "|".join([*kept, f"{mark}:{count}"])
    return f"{others};{_FIELD}{path}" if others else f"{_FIELD}{path}"


def root(trace: str) -> str:
    """A trace without its lineage, as clients are told it."""
    return trace.partition(f";{_FIELD}")[0]


def times(trace: str | None, arn: str) -> int:
    """How often a function has been called in the chain that a trace tells of."""
    _, found, rest = (trace or "").partition(_FIELD)
    for entry in rest.partition(";")[0].split("|") if found else ():
        name, _, count = entry.partition(":")
        if name == _mark(arn) and count.isdecimal():
            return int(count)
    return 0


def check(trace: str | None, arn: str, loops: Literal["Allow", "Terminate"]) -> None:
    """Raise `RecursiveInvocation` when a call is one too many of its chain, and its function does not allow that."""
    if loops == "Terminate" and times(trace, arn) > MOST:
        raise RecursiveInvocation(
            "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped "
            f"your function's invocation: {arn} was called {MOST} times in one chain of calls. If that is meant, "
            "PutFunctionRecursionConfig with RecursiveLoop=Allow lets it go on."
        )


@lru_cache(maxsize=4096)
def _mark(arn: str) -> str:
    return sha256(arn.encode()).hexdigest()[:8]
