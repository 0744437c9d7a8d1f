"""What is said beside a function's failure, in the words of Python 3.11 and Node.js 22."""

from __future__ import annotations

import pytest

from samovar.answers import FunctionFailure
from samovar.cli.advice import on_failure


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", 'network = "bridge"'),
        ("[Errno 101] Network is unreachable", 'network = "bridge"'),
        ("getaddrinfo EAI_AGAIN example.com", 'network = "bridge"'),
        ("fetch failed", 'network = "bridge"'),
        ("[Errno 30] Read-only file system: '/var/task/x'", "/tmp"),
        ("EROFS: read-only file system, open '/var/task/x'", "/tmp"),
        ("Unable to import module 'app': No module named 'requests'", "requests is a package"),
        ("No module named 'google.cloud'", "google is a package"),
        ("Cannot find package 'left-pad' imported from /var/task/app.mjs", "left-pad is a package"),
        ("Unable to marshal response: Object of type set is not JSON serializable", "dict, list, str"),
        ("2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds", "`timeout`"),
    ],
)
def test_a_failure_that_a_setting_mends_names_the_setting(message: str, names: str) -> None:
    assert names in (on_failure(FunctionFailure(error_message=message)) or "")


def test_a_variable_that_is_not_set_is_told_from_any_other_key() -> None:
    def failed(line: str) -> str | None:
        return on_failure(FunctionFailure(error_message="'X'", error_type="KeyError", stack_trace=["app.py", line]))

    assert "[environment]" in (failed('  File "<frozen os>", line 679, in __getitem__\n') or "")
    assert "[environment]" in (failed('  File "/usr/lib/python3.9/os.py", line 679, in __getitem__\n') or "")
    assert failed('  File "/var/task/app.py", line 3, in handler\n') is None


@pytest.mark.parametrize("message", ["", "division by zero", "Cannot find module './own.js'", "no such file"])
def test_a_failure_that_speaks_for_itself_is_left_alone(message: str) -> None:
    assert on_failure(FunctionFailure(error_message=message)) is None
