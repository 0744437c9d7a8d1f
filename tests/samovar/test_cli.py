"""The commands against a platform in memory: what they print where, what they change, how they exit."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.samovar.fake_platform import ARN, FakePlatform, Run, refusal


def test_invoke_prints_the_result_on_stdout_and_the_log_on_stderr(run: Run, deployed: Path) -> None:
    result = run("invoke", "orders", "--data", '{"a": 1}')
    assert result.exit_code == 0
    assert result.stdout == '{"a": 1}\n'
    assert result.stderr.startswith("REPORT RequestId")


@pytest.mark.parametrize("source", ["-", "event.json"])
def test_invoke_reads_the_event_from_a_file_or_stdin(run: Run, deployed: Path, source: str) -> None:
    Path("event.json").write_text("[1, null]")
    assert run("invoke", "orders", "--event", source, "--no-tail", stdin="[1, null]").output == "[1, null]\n"


def test_invoke_without_an_event_sends_an_empty_object(run: Run, deployed: Path) -> None:
    assert run("invoke", "orders").stdout == "{}\n"


def test_a_function_error_exits_1_and_shows_its_stack(run: Run, deployed: Path) -> None:
    result = run("invoke", "orders", "--data", '"fail"')
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith('  File "app.py", line 3\nKeyError: no such cup\n')


def test_invoke_json_is_one_document(run: Run, deployed: Path) -> None:
    result = run("invoke", "orders", "--data", '"fail"', "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["functionError"], document["payload"]["errorType"]) == (
        1,
        "Unhandled",
        "KeyError",
    )


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b'{"a": 1,\n "b": }', "line 2, column 7"),
        (b"", "line 1, column 1"),
        (b"[NaN]", "NaN"),
        (b'"\xff"', "UTF-8"),
    ],
)
def test_an_event_that_is_not_json_is_never_sent(
    run: Run, deployed: Path, platform: FakePlatform, event: bytes, says: str
) -> None:
    Path("event.json").write_bytes(event)
    result = run("invoke", "orders", "--event", "event.json")
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr
    assert platform.calls == []


def test_an_unknown_function_is_told_once_with_the_next_step(run: Run) -> None:
    result = run("invoke", "nope")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: Function not found: {ARN}nope",
        "fault: what was asked for, not the platform",
        "next:  list what there is: `samovar functions`, or `ls` of queues, buckets, schedule, keys and others",
    ]


def test_a_throttled_call_says_when_to_come_back(run: Run, deployed: Path, platform: FakePlatform) -> None:
    platform.refusal = refusal(429, "TooManyRequestsException", "Rate Exceeded.", **{"Retry-After": "7"})
    result = run("invoke", "orders")
    assert (result.exit_code, "try again in 7 s" in result.stderr) == (2, True)


def test_a_platform_failure_exits_3(run: Run, deployed: Path, platform: FakePlatform) -> None:
    platform.refusal = refusal(502, "ServiceException", "no environment could be started")
    result = run("invoke", "orders")
    assert result.exit_code == 3
    assert "fault: the platform or its host, not your function" in result.stderr


def test_a_platform_that_is_not_there_exits_3(run: Run) -> None:
    result = run("ps", "--endpoint", "http://127.0.0.1:9")
    assert result.exit_code == 3
    assert "no Samovar answers at http://127.0.0.1:9; start it with `samovar up`" in result.stderr


def test_logs_print_time_and_text(run: Run, deployed: Path, platform: FakePlatform) -> None:
    run("invoke", "orders")
    result = run("logs", "orders", "--since", "10m", "--request-id", "r1", "-n", "5")
    assert result.stdout == "2023-11-14T22:13:20.123Z called\n"
    query = json.loads(platform.calls[-1].removeprefix("GET logs "))
    assert (query["request_id"], query["limit"]) == ("r1", "5")
    assert json.loads(run("logs", "orders", "--json").stdout)["text"] == "called"


def test_a_followed_log_that_the_platform_ends_is_its_fault(run: Run, deployed: Path) -> None:
    run("invoke", "orders")
    result = run("logs", "orders", "--follow")
    assert (result.exit_code, result.stdout.endswith(" called\n")) == (3, True)
    assert "the platform ended the log" in result.stderr


@pytest.mark.parametrize("since", ["10", "soon", "-5m", "0"])
def test_a_bad_duration_is_a_usage_error(run: Run, since: str) -> None:
    result = run("logs", "orders", "--since", since)
    assert (result.exit_code, "1h30m" in result.stderr or "longer" in result.stderr) == (2, True)


def test_functions_lists_every_page(run: Run, deployed: Path, platform: FakePlatform) -> None:
    for name in ("b", "c", "d", "e"):
        platform.functions[name] = platform.functions["orders"]
    assert len(json.loads(run("functions", "--json").stdout)) == 5
    assert run("functions").stdout.splitlines()[0].split()[:2] == ["FUNCTION", "VERSION"]
    assert platform.calls[:3] == ["GET list 0", "GET list 2", "GET list 4"]


def test_ps_shows_environments(run: Run, platform: FakePlatform) -> None:
    platform.environments = [environment()]
    assert run("ps").stdout.splitlines()[1].split() == [
        "orders", "$LATEST", "idle", "docker", "2h", "8s", "41", "36/128",
    ]  # fmt: skip
    assert json.loads(run("ps", "--json").stdout)[0]["invocations"] == 41


def environment() -> dict[str, Any]:
    return {
        "id": "00", "arn": ARN + "orders", "version": "$LATEST", "serial": 1, "isolation": "docker", "state": "IDLE",
        "age_s": 7200.0, "idle_s": 8.4, "invocations": 41, "memory_mb": 128, "peak_mb": 36,
    }  # fmt: skip


def test_usage_shows_sums_and_draws_them_over_time(run: Run, deployed: Path, platform: FakePlatform) -> None:
    platform.usage = usage([span(0, 30, 0), span(3540, 10, 2)])
    lines = run("usage", "orders").stdout.splitlines()
    assert lines[1].split() == ["orders", "40", "2", "5.0%", "1.2", "9.0", "0.500"]
    drawn = [line for line in lines[4:] if "█" in line]
    assert [line.split()[1] for line in drawn] == ["30", "10"]
    assert drawn[0].count("█") == 3 * drawn[1].count("█") + 1, "the bars are to scale"
    document = json.loads(run("usage", "orders", "--json").stdout)
    assert (document["total"]["invocations"], len(document["series"])) == (40, 2)


def test_usage_of_all_functions_has_a_line_each(run: Run, platform: FakePlatform) -> None:
    platform.usage = usage([span(0, 30, 0)]) | {"functions": {"b": span(0, 10, 0), "a": span(0, 20, 0)}}
    assert [line.split()[:2] for line in run("usage").stdout.splitlines()[1:4]] == [
        ["a", "20"],
        ["b", "10"],
        ["all", "30"],
    ]


def test_usage_without_invocations_says_so(run: Run, platform: FakePlatform) -> None:
    platform.usage = usage([]) | {"complete": False}
    result = run("usage", "--since", "10m")
    assert "no invocation in the last 10m" in result.stderr
    assert "not counted yet" in result.stderr


def span(start: int, invocations: int, errors: int) -> dict[str, Any]:
    sums = {"p50_ms": 1.2, "p90_ms": 3.0, "p99_ms": 9.0, "gb_seconds": 0.5, "outcomes": {}, "cold_reasons": {}}
    sums |= dict.fromkeys(("billed_ms", "duration_ms", "init_ms", "queue_ms", "cpu_ms"), 0)
    return {"start": start, "invocations": invocations, "errors": errors, "cold": errors, **sums}


def usage(series: list[dict[str, Any]]) -> dict[str, Any]:
    total = span(0, sum(each["invocations"] for each in series), sum(each["errors"] for each in series))
    window = {"since": 0, "until": 3600, "resolution": "m", "complete": True}
    return window | {"total": total, "series": series, "functions": {}}


def test_delete_asks_and_deletes(run: Run, deployed: Path, platform: FakePlatform) -> None:
    result = run("delete", "orders")
    assert (result.exit_code, "--yes" in result.stderr) == (2, True), "nobody to ask here"
    assert "orders" in platform.functions
    said = json.loads(run("delete", "orders", "--yes", "--json").stdout)
    assert said == {"name": "orders", "deleted": True, "schedulesLeft": []}
    assert platform.functions == {}


def test_delete_names_the_schedules_that_are_left_with_nothing_to_start(run: Run, deployed: Path) -> None:
    assert run("schedule", "add", "nightly", "rate(1 day)", "orders").exit_code == 0
    assert "samovar schedule rm nightly" in run("delete", "orders", "--yes").stdout


@pytest.mark.parametrize(
    "command",
    ["deploy", "invoke", "logs", "ps", "functions", "usage", "delete", "init"],
)
def test_every_command_offers_json(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert (result.exit_code, "--json" in result.stdout) == (0, True)


def test_a_terminal_of_another_encoding_gets_substitutes(
    deployed: Path, platform: FakePlatform, served: tuple[FakePlatform, str]
) -> None:
    platform.usage = usage([span(0, 30, 0)])
    words = [sys.executable, "-m", "samovar", "usage", "orders"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "SAMOVAR_ENDPOINT": served[1]}
    drawn = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (r"\u2588" in drawn.stdout, drawn.stderr) == (True, ""), "a bar"


def test_a_narrow_terminal_cuts_no_name(deployed: Path, served: tuple[FakePlatform, str]) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "samovar", "functions"]
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm", "SAMOVAR_ENDPOINT": served[1]}
    with open(ours, "rb", buffering=0) as terminal, open(theirs, "wb") as end:
        subprocess.run(words, env=environment, stdout=end, check=True)
        shown = terminal.read(65536).decode()
    assert ("python3.11" in shown, "…" in shown) == (True, False)


def test_start_imports_nothing_heavy() -> None:
    heavy = "httpx", "rich", "filelock", "uv", "pathspec", "redis", "docker", "uvicorn", "asyncio"
    code = f"import sys, samovar.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_why_tells_the_reason_the_phases_and_the_remedy(run: Run) -> None:
    result = run("why", "r7")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "tea:$LATEST  r7"
    assert "last used 14 min before, and kept for 10 min" in result.stdout
    assert [line.split()[:2] for line in lines if line.startswith(("start", "init", "run"))] == [
        ["start", "40.0"], ["init", "20.0"], ["run", "1.5"],
    ]  # fmt: skip
    assert "- A keep-alive of more than 840 s" in result.stdout


def test_why_as_json_is_the_explanation(run: Run) -> None:
    told = json.loads(run("why", "r7", "--json").stdout)
    assert (told["request_id"], told["cold"], told["reason"], told["waited_ms"]) == ("r7", True, "expired", 60.0)


def test_why_of_an_unknown_call_is_the_callers_fault(run: Run) -> None:
    result = run("why", "unknown")
    assert (result.exit_code, "No invocation unknown is known" in result.stderr) == (2, True)


def test_mappings_are_listed_with_what_came_of_their_last_batch(run: Run, platform: FakePlatform) -> None:
    assert "no function works on a queue" in run("mappings", "ls").stderr
    queue = {"UUID": "u-1", "EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:orders", "FunctionArn": ARN + "shop"}
    platform.source_mappings = [queue | {"State": "Enabled", "BatchSize": 10, "LastProcessingResult": "OK"}]
    lines = run("mappings", "ls").stdout.splitlines()
    assert lines[1].split() == ["shop", "sqs:orders", "Enabled", "10", "OK", "u-1"]
    [shown] = json.loads(run("mappings", "ls", "--json").stdout)
    assert shown["EventSourceArn"] == queue["EventSourceArn"]
