"""What a handler finds and what its caller gets, in real environments: Lambda's contract, kept on every isolation."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest

from samovar.invocation import Outcome
from tests.end_to_end.lab import ROLE, RUNTIME, Function, Lab, lambda_client, zipped

pytestmark = pytest.mark.component("boto3")

REPORT = re.compile(
    r"REPORT RequestId: (?P<id>[0-9a-f-]{36})\tDuration: (?P<duration>\d+\.\d\d) ms"
    r"\tBilled Duration: (?P<billed>\d+) ms"
    r"\tMemory Size: (?P<size>\d+) MB\tMax Memory Used: (?P<used>\d+) MB(\tInit Duration: (?P<init>\d+\.\d\d) ms)?\t\n"
)
ARN = "arn:aws:lambda:us-east-1:123456789012:function"


@pytest.mark.parametrize(
    "event", [{"a": [1, {"b": None}]}, [1, "two", None], "text é 😀", 7, -1.5, True, False, None, {}, [], ""]
)
def test_every_kind_of_event_arrives_and_comes_back(anything: Function, event: Any) -> None:
    returned = anything.run("result = [type(event['given']).__name__, event['given']]", given=event)
    assert returned == [type(event).__name__, event]


def test_the_event_itself_may_be_of_any_type(lab: Lab) -> None:
    function = lab.deploy("def handler(event, context): return [type(event).__name__, event]")
    events: list[Any] = [{"a": 1}, [1, 2], "text", 3, 1.5, True, None]
    assert [function.value(event) for event in events] == [[type(event).__name__, event] for event in events]
    empty = lambda_client(lab.endpoint).invoke(FunctionName=function.name)
    assert json.loads(empty["Payload"].read()) == ["dict", {}]


def test_the_context(lab: Lab) -> None:
    function = lab.deploy(MemorySize=192, Timeout=7)
    lines = """
        names = ('function_name function_version invoked_function_arn memory_limit_in_mb aws_request_id '
                 'log_group_name log_stream_name tenant_id').split()
        result = {name: getattr(context, name) for name in names}
        result['left'] = context.get_remaining_time_in_millis()
        result['identity'] = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
        result['custom'] = context.client_context.custom if context.client_context else None
        context.log('raw, without a line end')
    """
    given = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    event = json.dumps({"run": "\n".join(line.strip() for line in lines.splitlines())})
    answer = lambda_client(lab.endpoint).invoke(
        FunctionName=function.name, Payload=event, ClientContext=given, LogType="Tail"
    )
    seen = json.loads(answer["Payload"].read())
    assert 6000 < seen.pop("left") <= 7000
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen.pop("log_stream_name"))
    assert seen == {
        "function_name": function.name,
        "function_version": "$LATEST",
        "invoked_function_arn": f"{ARN}:{function.name}",
        "memory_limit_in_mb": "192",
        "aws_request_id": answer["ResponseMetadata"]["RequestId"],
        "log_group_name": f"/aws/lambda/{function.name}",
        "tenant_id": None,
        "identity": [None, None],
        "custom": {"k": "v"},
    }
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "raw, without a line end" in base64.b64decode(answer["LogResult"]).decode()


def test_the_remaining_time_runs_down(anything: Function) -> None:
    lines = "import time\nbefore = context.get_remaining_time_in_millis()\ntime.sleep(0.2)\n"
    spent = anything.run(lines + "result = before - context.get_remaining_time_in_millis()")
    assert 195 <= spent < 1000


def test_the_environment_variables(lab: Lab) -> None:
    function = lab.deploy(Environment={"Variables": {"TABLE": "orders", "EMPTY": "", "PATH_": "/x:ü"}})
    seen = function.run("import os\nresult = dict(os.environ)")
    expected = {
        "TABLE": "orders", "EMPTY": "", "PATH_": "/x:ü", "_HANDLER": "app.handler", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}", "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime", "TZ": ":UTC", "LANG": "en_US.UTF-8",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    }  # fmt: skip
    assert {name: seen.get(name) for name in expected} == expected
    assert all(seen[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    assert not [name for name in seen if "SAMOVAR" in name or "REDIS" in name]


def test_the_place(anything: Function) -> None:
    lines = """
        import os, getpass, json
        def can_write(path):
            try:
                open(path + '/probe', 'w').close()
            except OSError:
                return False
            os.remove(path + '/probe')
            return True
        result = [os.getcwd(), can_write('/tmp'), [can_write(p) for p in ('/var/task', '/', '/etc', '/var/runtime')],
                  os.getuid() == 0, os.listdir('/var/task')]
    """
    assert anything.run(lines) == ["/var/task", True, [False] * 4, False, ["app.py"]]


def test_numbers_json_has_no_word_for(anything: Function) -> None:
    answered = anything.attempt("result = [float('nan'), float('inf')]")
    assert answered.payload == b"[NaN, Infinity]"
    decimal = anything.attempt("from decimal import Decimal\nresult = {'price': Decimal('10.50'), 'n': Decimal(3)}")
    assert decimal.payload == b'{"price": 10.50, "n": 3}'
    assert anything.run("result = None") is None


def test_what_is_printed_and_logged_belongs_to_the_invocation(lab: Lab, anything: Function) -> None:
    answered = anything.attempt("""
        import logging, subprocess, sys
        print('to stdout')
        print('to stderr', file=sys.stderr)
        logging.warning('careful: %s', 'hot')
        subprocess.run(['echo', 'from a child'])
        sys.stdout.write('no line end')
    """)
    lines = answered.log.splitlines()
    identity = answered.request_id
    assert lines[0].endswith(f"START RequestId: {identity} Version: $LATEST")
    assert {"to stdout", "to stderr", "from a child", "no line end"} <= set(lines)
    assert re.search(rf"\[WARNING\]\t\d{{4}}-\d\d-\d\dT[\d:]{{8}}\.\d{{3}}Z\t{identity}\tcareful: hot\n", answered.log)
    assert lines[-2] == f"END RequestId: {identity}"
    assert REPORT.fullmatch(lines[-1] + "\n")
    kept = list(lab.client.logs(anything.name, request_id=identity))
    assert [record.text for record in kept] == lines


def test_the_tail_is_the_last_4_kb(anything: Function) -> None:
    tail = anything.attempt("for n in range(2000): print('line', n)").log
    assert len(tail) <= 4096
    assert "line 1999\n" in tail
    assert "line 100\n" not in tail
    assert REPORT.search(tail)


def test_the_report_tells_the_truth(lab: Lab) -> None:
    function = lab.deploy(MemorySize=256)
    first = function.attempt("result = 1")
    report = REPORT.search(first.log)
    assert report
    assert float(report["init"]) > 0
    assert int(report["size"]) == 256
    assert 5 <= int(report["used"]) < 60
    before = int(report["used"])
    began = time.monotonic()
    second = function.attempt("import time\nheld = bytearray(60 * 1024 * 1024)\nheld[::4096] = b'x' * (60 * 256)\n"
                              "end = time.thread_time() + 0.3\nwhile time.thread_time() < end: pass")  # fmt: skip
    took = (time.monotonic() - began) * 1000
    report = REPORT.search(second.log)
    assert report
    assert report["id"] == second.request_id
    assert report["init"] is None
    assert 300 <= float(report["duration"]) <= took
    assert int(report["billed"]) == -(-float(report["duration"]) // 1)
    assert before + 55 <= int(report["used"]) < 256
    one, two = function.readings()
    assert (two.request_id, two.peak_mb, two.outcome) == (second.request_id, int(report["used"]), Outcome.OK)
    assert two.duration_ms == pytest.approx(float(report["duration"]), abs=0.01)
    assert two.cpu_ms > 250
    assert one.cpu_ms < two.cpu_ms
    assert (one.isolation, one.cold) == (lab.platform.isolation, "first-call")
    assert two.cold is None


def test_a_warm_environment_keeps_its_globals_and_its_tmp(lab: Lab) -> None:
    function = lab.deploy(
        """
        import os
        calls = []

        def handler(event, context):
            calls.append(event)
            seen = os.listdir("/tmp")
            open(f"/tmp/{event}", "w").close()
            return [len(calls), seen, os.getpid()]
        """
    )
    one, two = function.value("one"), function.value("two")
    assert (one[:2], two[:2]) == ([1, []], [2, ["one"]])
    assert one[2] == two[2]


def test_a_function_of_several_files_and_the_slash_of_lambda(lab: Lab) -> None:
    files = {"src/__init__.py": "", "src/app.py": "from src import other\ndef handler(event, context): return other.N",
             "src/other.py": "N = 42", "data.txt": "data"}  # fmt: skip
    configuration = {"FunctionName": "files", "Role": ROLE, "Runtime": RUNTIME, "Handler": "src/app.handler"}
    lab.client.create_function(configuration, zipped(files))
    assert Function(lab, "files").value() == 42
