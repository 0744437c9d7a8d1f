"""Functions that fail, in real environments: the caller learns what happened, and the next call works."""

from __future__ import annotations

import json
import time

import pytest

from samovar.errors import ValidationFailed
from samovar.invocation import MAX_RESPONSE_BYTES, Outcome
from tests.end_to_end.lab import Function, Lab

FINE = "def handler(event, context): return 'fine'"


@pytest.mark.parametrize(
    ("source", "handler", "error", "message"),
    [
        (FINE, "absent.handler", "Runtime.ImportModuleError", "Unable to import module 'absent'"),
        (FINE, "app.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'app'"),
        (FINE, "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"),
        ("import nothing_like_it", "app.handler", "Runtime.ImportModuleError", "No module named 'nothing_like_it'"),
        ("def handler(event, context:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("raise KeyError('no table')", "app.handler", "KeyError", "'no table'"),
        ("import sys; sys.exit(3)", "app.handler", "Runtime.ExitError", "exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", "app.handler", "Runtime.ExitError", "segmentation fault"),
    ],
    ids=["no module", "no handler", "no dot", "import", "syntax", "module raises", "module exits", "module crashes"],
)
def test_code_that_cannot_be_loaded(lab: Lab, source: str, handler: str, error: str, message: str) -> None:
    function = lab.deploy(source, Handler=handler)
    for _ in range(2):
        answered = function.invoke()
        told = json.loads(answered.payload)
        assert told["errorType"] == error
        assert message in told["errorMessage"]
        if error == "Runtime.ExitError":
            assert told["errorMessage"].startswith(f"RequestId: {answered.request_id} Error: ")
    readings = function.readings()
    assert {reading.outcome for reading in readings} <= {Outcome.INIT_ERROR, Outcome.EXIT}
    assert all(0 < reading.peak_mb < reading.memory_mb for reading in readings)
    lab.client.update_configuration(function.name, {"Handler": "app.handler"})
    function.update(FINE)
    assert function.value() == "fine"


def test_an_initialisation_that_takes_too_long(lab: Lab) -> None:
    function = lab.deploy("import time; time.sleep(60)", Timeout=1)
    began = time.monotonic()
    told = function.error()
    assert time.monotonic() - began < 30
    assert told["errorType"] == "Sandbox.Timedout"
    assert "timed out after 5.00 seconds" in told["errorMessage"]
    assert [reading.outcome for reading in function.readings()] == [Outcome.TIMEOUT]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("result = {'key': b'bytes'}", "bytes is not JSON serializable"),
        ("result = {1, 2}", "set is not JSON serializable"),
        ("result = []; result.append(result)", "Circular reference"),
        ("result = object()", "object is not JSON serializable"),
        ("result = {(1, 2): 3}", "keys must be str"),
        ("async def later(): pass\nresult = later()", "does not await"),
    ],
    ids=["bytes", "set", "circular", "object", "tuple key", "coroutine"],
)
def test_a_result_that_is_no_json(anything: Function, lines: str, said: str) -> None:
    answered = anything.attempt(lines)
    assert answered.function_error == "Unhandled"
    told = json.loads(answered.payload)
    assert told["errorType"] == "Runtime.MarshalError"
    assert said in told["errorMessage"]
    assert told["requestId"] == answered.request_id
    assert anything.run("result = 'next'") == "next"


def test_a_result_that_is_too_large(anything: Function) -> None:
    answered = anything.attempt(f"result = 'x' * {MAX_RESPONSE_BYTES}")
    assert answered.function_error == "Unhandled"
    assert json.loads(answered.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert f"({MAX_RESPONSE_BYTES} bytes)" in json.loads(answered.payload)["errorMessage"]
    assert len(anything.run(f"result = 'x' * ({MAX_RESPONSE_BYTES} - 2)")) == MAX_RESPONSE_BYTES - 2
    assert anything.readings()[-2].outcome is Outcome.TOO_LARGE


def test_an_exception_comes_with_its_trace(lab: Lab) -> None:
    function = lab.deploy(
        """
        class OutOfStock(Exception): pass

        def look_up(order): raise OutOfStock(f"no {order}")

        def handler(event, context): look_up(event)
        """
    )
    answered = function.invoke("teapot")
    told = json.loads(answered.payload)
    assert (told["errorType"], told["errorMessage"]) == ("OutOfStock", "no teapot")
    assert told["requestId"] == answered.request_id
    assert [entry.split(", in ")[1].split("\n")[0] for entry in told["stackTrace"]] == ["handler", "look_up"]
    assert "/var/task/app.py" in told["stackTrace"][0]
    assert "[ERROR] OutOfStock: no teapot" in answered.log


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(7)", "Runtime exited with error: exit status 7"),
        ("os._exit(9)", "Runtime exited with error: exit status 9"),
        ("import ctypes; ctypes.string_at(0)", "signal: segmentation fault"),
        ("os.kill(os.getpid(), 9)", "signal: killed"),
    ],
    ids=["exit 0", "exit 7", "_exit", "segfault", "kill itself"],
)
def test_a_process_that_ends(lab: Lab, lines: str, words: str) -> None:
    function = lab.deploy()
    function.run("import os, sys\nprint('last words', flush=True)\nopen('/tmp/kept', 'w').close()")
    answered = function.attempt(f"import os, sys\nprint('last words', flush=True)\n{lines}")
    assert answered.function_error == "Unhandled"
    told = json.loads(answered.payload)
    assert told["errorType"] == "Runtime.ExitError"
    assert words in told["errorMessage"]
    assert answered.request_id in told["errorMessage"]
    assert "last words" in answered.log
    assert function.run("result = 'next'") == "next"
    assert function.readings()[1].outcome is Outcome.EXIT


def test_a_process_that_kills_its_keeper(lab: Lab) -> None:
    """A container's first process cannot be killed from inside it; in a sandbox the keeper is the second one."""
    function = lab.deploy()
    answered = function.attempt("import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(1)\nresult = 'alive'")
    if lab.platform.isolation == "docker":
        assert json.loads(answered.payload) == "alive"
    else:
        assert json.loads(answered.payload)["errorType"] == "Runtime.ExitError"
        assert function.readings()[0].outcome is Outcome.EXIT
    assert function.run("result = 'next'") == "next"


def test_a_timeout_costs_the_process_and_keeps_tmp(lab: Lab) -> None:
    function = lab.deploy(Timeout=1)
    before = function.run("import os\nopen('/tmp/kept', 'w').write('kept')\nos.seen = True\nresult = os.getpid()")
    began = time.monotonic()
    answered = function.attempt("print('begun', flush=True)\nwhile True: pass")
    assert 0.9 < time.monotonic() - began < 5
    told = json.loads(answered.payload)
    assert told["errorType"] == "Sandbox.Timedout"
    assert told["errorMessage"] == f"RequestId: {answered.request_id} Error: Task timed out after 1.00 seconds"
    assert "begun" in answered.log
    assert "Task timed out after 1.0" in answered.log
    after = function.run("import os\nresult = [open('/tmp/kept').read(), hasattr(os, 'seen'), os.getpid()]")
    assert after[:2] == ["kept", False]
    assert after[2] != before
    assert len(function.environments()) == 1
    assert [reading.outcome for reading in function.readings()] == [Outcome.OK, Outcome.TIMEOUT, Outcome.OK]


def test_more_memory_than_there_is(lab: Lab) -> None:
    function = lab.deploy(MemorySize=128)
    answered = function.attempt("held = bytearray(400 * 1024 * 1024)\nfor n in range(0, len(held), 4096): held[n] = 1")
    told = json.loads(answered.payload)
    assert told["errorType"] == "Runtime.OutOfMemory"
    assert "128 MB" in told["errorMessage"]
    assert function.run("result = 'next'") == "next"
    assert function.readings()[0].outcome is Outcome.OUT_OF_MEMORY


def test_files_in_tmp_that_take_all_memory_hurt_no_later_call(lab: Lab) -> None:
    function = lab.deploy(MemorySize=128)
    filled = function.attempt("with open('/tmp/big', 'wb') as file:\n  while True: file.write(bytes(1 << 20))")
    assert json.loads(filled.payload)["errorType"] == "Runtime.OutOfMemory"
    assert function.run("held = b'x' * (60 * 1024 * 1024)\nresult = len(held)") == 60 * 1024 * 1024


def test_a_fork_bomb_hurts_only_itself(lab: Lab, anything: Function) -> None:
    function = lab.deploy(Timeout=2)
    answered = function.attempt("import os, time\nwhile True:\n  os.fork()\n  time.sleep(0.01)")
    assert answered.function_error == "Unhandled"
    assert anything.run("result = 'well'") == "well"
    assert function.run("result = 'again'") == "again"


@pytest.mark.parametrize("handler", ["with space.handler", "x" * 129, ""])
def test_a_handler_name_that_cannot_be(lab: Lab, handler: str) -> None:
    with pytest.raises(ValidationFailed, match="handler"):
        lab.deploy(FINE, Handler=handler)
