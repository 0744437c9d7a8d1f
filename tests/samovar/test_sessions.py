"""The credentials of environments: made by one process, verified by another, and by nobody changed between."""

from __future__ import annotations

import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.access import sessions
from samovar.access.sessions import MAX_TOKEN, Session
from tests.invoker.building import version

KEY = b"k" * 32


def test_what_is_issued_is_verified_with_the_same_secret() -> None:
    made = sessions.issue(KEY, version(name="orders", region="eu-west-1", born=7))
    assert (len(made.key_id), made.key_id[:4], len(made.secret)) == (20, "ASIA", 40)
    assert sessions.verified(KEY, made.token) == (
        Session(made.key_id, "eu-west-1", "orders", "$LATEST", 7),
        made.secret,
    )


def test_two_environments_have_nothing_in_common() -> None:
    one, other = sessions.issue(KEY, version()), sessions.issue(KEY, version())
    assert not set(one) & set(other)


def test_a_token_of_another_installation_is_none() -> None:
    assert sessions.verified(b"x" * 32, sessions.issue(KEY, version()).token) is None


@given(st.integers(min_value=0, max_value=10**6), st.integers(min_value=1, max_value=255))
def test_a_token_of_which_one_byte_is_changed_is_none(place: int, change: int) -> None:
    raw = bytearray(urlsafe_b64decode(sessions.issue(KEY, version()).token))
    raw[place % len(raw)] ^= change
    assert sessions.verified(KEY, urlsafe_b64encode(bytes(raw)).decode()) is None


@pytest.mark.parametrize("token", ["", "a", "ä", "A" * (MAX_TOKEN + 4), "session", "=" * 40, "\x00"])
def test_nonsense_is_none(token: str) -> None:
    assert sessions.verified(KEY, token) is None


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secrets.key"
    key = sessions.key_of(path)
    assert sessions.key_of(path) == key != path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
