"""What makes a run of the suite count as whole, and how processes share it."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.components import COMPONENTS, COMPONENTS_KEY, ComponentTable
from tests.sharing import share_of

CI = {"SAMOVAR_REQUIRE_COMPONENTS": "1", "CI": "true"}


def report(used: str, outcome: Literal["passed", "failed", "skipped"] = "passed") -> pytest.TestReport:
    where = ("tests/test_any.py", 1, "test_any")
    return pytest.TestReport("tests/test_any.py::test_any", where, {}, outcome, None, "call", [], 0.1, 0, 1,
                             [(COMPONENTS_KEY, used)])  # fmt: skip


def test_a_run_is_whole_when_a_test_has_passed_against_every_component() -> None:
    table = ComponentTable(CI)
    everything, last = list(COMPONENTS)[:-1], list(COMPONENTS)[-1]
    table.pytest_runtest_logreport(report(",".join(everything)))
    table.pytest_runtest_logreport(report(last, "failed"))
    assert table.faults() == [f"no test ran against {last}"]
    table.pytest_runtest_logreport(report(last))
    assert table.faults() == []


def test_skips_are_faults_in_ci_alone() -> None:
    for environ, faults in ((CI, ["1 tests were skipped; none may be in CI"]), (CI | {"CI": ""}, [])):
        table = ComponentTable(environ)
        table.pytest_runtest_logreport(report(",".join(COMPONENTS)))
        table.pytest_runtest_logreport(report("", "skipped"))
        assert table.faults() == faults


def test_a_part_of_the_suite_may_leave_components_out() -> None:
    assert ComponentTable({}).faults() == []


@pytest.mark.parametrize(
    ("test", "share"),
    [
        ("test_sets_and_gets", ""),
        ("test_a_name[docker]", "[docker]"),
        ("test_a_name[sandbox-nodejs20.x]", "[sandbox]"),
        ("test_a_name[nodejs20.x-docker+runsc]", "[docker]"),
        ("test_in_docker", ""),
        ("test_a_name[dockers]", ""),
    ],
)
def test_a_process_is_given_a_module_and_isolation_at_a_time(test: str, share: str) -> None:
    assert share_of(f"tests/end_to_end/test_chaos.py::{test}") == f"tests/end_to_end/test_chaos.py{share}"
