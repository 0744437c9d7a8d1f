"""Our own runtimes where extensions are beside them, or a wrapper script is around them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invoker.environments import node
from samovar.link import wire
from tests.runtimes.carried import Runtime, keeper
from tests.runtimes.conftest import PYTHON
from tests.runtimes.peer import BOOTSTRAP, Peer, Worker

PYTHON_HANDLER = """
import http.client, json, os, sys, time
where = os.environ["AWS_LAMBDA_RUNTIME_API"]
open("address", "w").write(where + "\\n")
SEEN = sorted(os.environ)
print("loaded")
def handler(event, context):
    if event == "stream":
        return parts()
    if event == "break":
        return broken()
    if event == "exit":
        os._exit(3)
    if event == "fail":
        raise LookupError("no such thing")
    if event == "next":
        connection = http.client.HTTPConnection(where)
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        return connection.getresponse().status
    print("given", context.aws_request_id)
    return {"event": event, "flags": dict(sys._xoptions), "wrapped": os.environ.get("WRAPPED"), "argv": sys.argv[1:]}
def seen(event, context):
    return SEEN
def parts():
    yield "one"
    yield "two"
def broken():
    yield "one"
    raise KeyError("two")
"""
NODE_HANDLER = """
import fs from "node:fs";
fs.writeFileSync("address", process.env.AWS_LAMBDA_RUNTIME_API + "\\n");
console.log("loaded");
export const handler = async (event, context) => {
  if (event === "exit") process.exit(3);
  if (event === "fail") throw new RangeError("no such thing");
  console.log("given", context.awsRequestId);
  return { event, wrapped: process.env.WRAPPED, left: context.getRemainingTimeInMillis() > 0 };
};
"""
needs_node = pytest.mark.skipif(node.find("22") is None, reason="there is no Node.js 22")
LANGUAGES = ["python", pytest.param("nodejs", marks=[needs_node, pytest.mark.component("node")])]


@contextmanager
def beside(folder: Path, language: str) -> Iterator[Peer]:
    """A carried keeper that starts our own runtime for that language as a program."""
    if language == "python":
        command = [PYTHON, "-S", str(BOOTSTRAP)]
    else:
        found = node.find("22")
        assert found is not None
        command = [found.executable, str(BOOTSTRAP.parent.parent / "node" / "bootstrap.mjs")]
    variables = {"SAMOVAR_LANGUAGE": language, "SAMOVAR_COMMAND": json.dumps(command)}
    with keeper(folder, "provided", **variables) as peer:
        yield peer


def write(folder: Path, language: str) -> None:
    (folder / "app.py").write_text(PYTHON_HANDLER)
    (folder / "index.mjs").write_text(NODE_HANDLER)


def start(peer: Peer, folder: Path, language: str, **variables: str) -> Worker:
    write(folder, language)
    handler = "app.handler" if language == "python" else "index.handler"
    return peer.start(handler, folder, {"_HANDLER": handler, "TMPDIR": str(folder), **variables})


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def peer(socket_dir: Path, language: str) -> Iterator[Peer]:
    with beside(socket_dir, language) as started:
        yield started


def test_a_handler_is_loaded_and_answers(peer: Peer, tmp_path: Path, language: str) -> None:
    worker = start(peer, tmp_path, language)
    assert "loaded\n" in worker.log()
    for number in (1, 2):
        assert worker.call("a").json()["event"] == "a"
        assert f"given request-{number}\n" in worker.log()
    big = "x" * 6_000_000
    assert worker.call(big).json()["event"] == big


def test_the_folder_for_temporary_files_is_left_empty(peer: Peer, tmp_path: Path, language: str) -> None:
    start(peer, tmp_path, language)
    assert not [name for name in os.listdir(tmp_path) if "samovar" in name]


def test_an_error_is_the_languages_own(peer: Peer, tmp_path: Path, language: str) -> None:
    result = start(peer, tmp_path, language).call("fail")
    assert result.head == {"error": "LookupError" if language == "python" else "RangeError"}
    assert result.json()["errorMessage"] == "no such thing"


def test_the_worker_ends_as_the_runtime_does(peer: Peer, tmp_path: Path, language: str) -> None:
    start(peer, tmp_path, language).send(b'"exit"')
    assert peer.exited().head == {"status": 3}


def test_a_module_that_cannot_be_loaded_is_an_error_of_initialisation(
    peer: Peer, tmp_path: Path, language: str
) -> None:
    worker = peer.spawn("nowhere.handler", tmp_path, {"_HANDLER": "nowhere.handler", "TMPDIR": str(tmp_path)})
    assert worker.wait_ready().head["error"] == "Runtime.ImportModuleError"
    assert peer.exited().head == {"status": 1}


def test_a_wrapper_script_starts_the_runtime_with_more_before_its_last_argument(
    peer: Peer, tmp_path: Path, language: str
) -> None:
    wrapper = tmp_path / "wrapper"
    more = "-X samovar" if language == "python" else "--no-warnings"
    script = f'export WRAPPED=yes\nargs=("$@")\nexec "${{args[@]:0:$#-1}}" {more} "${{args[@]: -1}}"\n'
    wrapper.write_text(f"#!/bin/bash\n{script}")
    wrapper.chmod(0o755)
    seen = start(peer, tmp_path, language, AWS_LAMBDA_EXEC_WRAPPER=str(wrapper)).call(1).json()
    assert seen["wrapped"] == "yes"
    if language == "python":
        assert (seen["flags"], seen["argv"]) == ({"samovar": True}, [])


def test_a_wrapper_script_may_name_another_handler(socket_dir: Path, tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport _HANDLER=app.seen\nexec "$@"\n')
    wrapper.chmod(0o755)
    with beside(socket_dir, "python") as peer:
        seen = start(peer, tmp_path, "python", AWS_LAMBDA_EXEC_WRAPPER=str(wrapper)).call().json()
    assert not [name for name in seen if name.startswith("SAMOVAR")]
    assert {"_HANDLER", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"} <= set(seen)


def test_a_wrapper_script_that_is_not_there_is_told(socket_dir: Path, tmp_path: Path) -> None:
    write(tmp_path, "python")
    with beside(socket_dir, "python") as peer:
        variables = {"TMPDIR": str(tmp_path), "AWS_LAMBDA_EXEC_WRAPPER": "/opt/nowhere"}
        worker = peer.spawn("app.handler", tmp_path, variables)
        assert peer.exited().head == {"status": 127}
        assert "/opt/nowhere" in worker.last_words()


def test_a_wrapper_script_may_start_a_program_that_speaks_the_runtime_api(socket_dir: Path, tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "$AWS_LAMBDA_RUNTIME_API" > {tmp_path}/address\nexec sleep 1000\n')
    wrapper.chmod(0o755)
    with beside(socket_dir, "python") as peer:
        variables = {"TMPDIR": str(tmp_path), "AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)}
        worker = peer.spawn("app.handler", tmp_path, variables)
        program = Runtime(worker, tmp_path)
        program.begin("GET", "/invocation/next")
        worker.wait_ready()
        worker.send(b"1")
        assert program.read().body == b"1"
        program.ask("POST", "/invocation/request-1/response", b"done")
        result = worker.receive()
        program.close()
    assert result is not None
    assert result.body == b"done"


@pytest.fixture
def python(socket_dir: Path, tmp_path: Path) -> Iterator[Worker]:
    with beside(socket_dir, "python") as peer:
        yield start(peer, tmp_path, "python")


def test_the_functions_own_code_cannot_take_the_runtimes_place(python: Worker) -> None:
    assert python.call("next").json() == 403


def test_parts_are_passed_on_and_so_is_an_error_after_them(python: Worker) -> None:
    for event, error in (("stream", ""), ("break", "KeyError")):
        python.send(json.dumps(event).encode(), streaming=True)
        frames = [python.receive_frame()]
        while not frames[-1].ends_message:
            frames.append(python.receive_frame())
        assert json.loads(frames[0].head)["streaming"] is True
        said = b"".join(frame.body for frame in frames if not frame.head or frame.kind == wire.RESULT)
        assert said == (b"one" if error else b"onetwo")
        assert (json.loads(frames[-1].head)["error"] if error else "") == error


def test_an_extension_beside_it_holds_the_next_event_back(socket_dir: Path, tmp_path: Path) -> None:
    """The handler's own thread plays an internal extension's part: the test does, from outside."""
    write(tmp_path, "python")
    app = PYTHON_HANDLER + "\nwhile not os.path.exists('go'): time.sleep(0.001)\n"
    (tmp_path / "app.py").write_text(app)
    with beside(socket_dir, "python") as peer:
        worker = peer.spawn("app.handler", tmp_path, {"TMPDIR": str(tmp_path)})
        extension = Runtime(worker, tmp_path)
        body = b'{"events": ["INVOKE"]}'
        said = extension.ask("POST", "/2020-01-01/extension/register", body, Lambda_Extension_Name="inside")
        who = {"Lambda_Extension_Identifier": said.headers["Lambda-Extension-Identifier"]}
        extension.begin("GET", "/2020-01-01/extension/event/next", None, **who)
        (tmp_path / "go").touch()
        assert worker.wait_ready().head["farewell_s"] == 0.5
        worker.send(b"1")
        assert extension.read().json()["requestId"] == "request-1"
        result = worker.receive()
        assert result is not None
        assert result.head == {"rests": True}
        extension.begin("GET", "/2020-01-01/extension/event/next", None, **who)
        rested = worker.receive()
        assert rested is not None
        assert (rested.kind, rested.stream) == (wire.RESTED, 1)
        extension.close()
