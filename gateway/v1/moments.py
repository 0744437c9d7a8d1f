"""Moments in query parameters."""

from __future__ import annotations

from datetime import UTC, datetime

from samovar.errors import InvalidParameterValue


def epoch_seconds(text: str | None, default: float) -> float:
    """Epoch seconds from a number of them or from ISO 8601 (UTC unless it says otherwise).

    Raises `InvalidParameterValue`.
    """
    if text is None or not text.strip():
        return default
    try:
        return _finite(float(text))
    except ValueError:
        pass  # no number: then it must be a date
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidParameterValue(
            f"{text!r} is no moment: give epoch seconds or ISO 8601, e.g. 2026-11-23T05:45:11Z"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _finite(seconds: float) -> float:
    if not 0 <= seconds < 1e11:
        raise InvalidParameterValue(f"{seconds:g} is not within the range of epoch seconds; are these milliseconds?")
    return seconds
