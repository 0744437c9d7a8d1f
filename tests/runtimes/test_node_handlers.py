"""The Node.js worker: what handlers may be and do, what comes of it, and how errors are told.

What is expected was compared with AWS's own client for Node.js 20 and 22 (`aws-lambda-ric` 3.3.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invoker.environments import node
from tests.runtimes.carried import keeper
from tests.runtimes.peer import BOOTSTRAP, Message, Peer, Worker

pytestmark = [
    pytest.mark.skipif(node.find("22") is None, reason="there is no Node.js 22"),
    pytest.mark.component("node"),
]

LATER = "const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));\n"
ANY = """
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.handler = (event, context, callback) => eval(event.run);
"""
"""A handler of three arguments that does as it is told."""


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    found = node.find("22")
    assert found is not None
    command = [found.executable, str(BOOTSTRAP.parent.parent / "node" / "bootstrap.mjs")]
    with keeper(socket_dir, "samovar_node", SAMOVAR_COMMAND=json.dumps(command)) as started:
        yield started


def spawn(peer: Peer, folder: Path, files: dict[str, str], handler: str = "index.handler", **variables: str) -> Worker:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return peer.spawn(handler, folder, variables)


def run(peer: Peer, folder: Path, *lines: str, **variables: str) -> list[Message]:
    """What comes of each of these, in one environment."""
    worker = spawn(peer, folder, {"index.js": ANY}, **variables)
    assert "error" not in worker.wait_ready().head
    return [worker.call({"run": each}) for each in lines]


def told(message: Message) -> dict[str, Any]:
    error: dict[str, Any] = message.json()
    assert message.head["error"] == error["errorType"]
    return error


def test_every_way_to_answer(peer: Peer, tmp_path: Path) -> None:
    expected: dict[str, object] = {
        "(async () => ({ a: [1, 'é'] }))()": {"a": [1, "é"]},
        "(async () => {})()": None,
        "({ then(resolve) { resolve(5) } })": 5,
        "callback(null, { a: 1 })": {"a": 1},
        "callback()": None,
        "callback(null, 1), callback(null, 2)": 1,
        "setTimeout(() => callback(null, 'late'), 30)": "late",
        "context.done(null, { d: 1 })": {"d": 1},
        "context.succeed('s')": "s",
        "'returned, and no promise'": None,
        "(async () => ({ d: new Date(0), n: NaN, u: undefined, m: new Map([[1, 2]]) }))()": {
            "d": "1970-01-01T00:00:00.000Z", "n": None, "m": {},
        },
    }  # fmt: skip
    answers = run(peer, tmp_path, *expected)
    assert [message.head for message in answers] == [{}] * len(expected)
    assert [message.json() for message in answers] == list(expected.values())


@pytest.mark.parametrize("waits", [True, False])
def test_a_callback_waits_for_the_event_loop_unless_told_not_to(peer: Peer, tmp_path: Path, waits: bool) -> None:
    lines = f"""
        context.callbackWaitsForEmptyEventLoop = {str(waits).lower()};
        setTimeout(() => console.log("the timer"), 200);
        callback(null, "answer");
    """
    worker = spawn(peer, tmp_path, {"index.js": ANY})
    worker.wait_ready()
    assert worker.call({"run": lines}).json() == "answer"
    assert ("the timer" in worker.log()) is waits


def test_errors_have_the_shape_of_awss_runtime(peer: Peer, tmp_path: Path) -> None:
    expected = {
        "(async () => { throw new RangeError('r') })()": ("RangeError", "r"),
        "(() => { throw new TypeError('t') })()": ("TypeError", "t"),
        "callback(new SyntaxError('s'))": ("SyntaxError", "s"),
        "callback('text')": ("string", "text"),
        "callback({ a: 1 })": ("object", "[object Object]"),
        "context.done(new Error('d'))": ("Error", "d"),
        "context.fail(new Error('f'))": ("Error", "f"),
        "context.fail()": ("string", "handled"),
        "Promise.reject('rejected')": ("string", "rejected"),
        "Promise.reject(42)": ("number", "42"),
        "Promise.reject(null)": ("string", "handled"),
        "Promise.reject()": ("string", "handled"),
        "Promise.reject({ errorType: 'X', errorMessage: 'Y' })": ("object", "[object Object]"),
        "(async () => ({ n: 1n }))()": ("Error", "Unable to stringify response body"),
        "(async () => { const a = {}; a.a = a; return a })()": ("Error", "Unable to stringify response body"),
    }
    answers = [told(message) for message in run(peer, tmp_path, *expected)]
    assert [(error["errorType"], error["errorMessage"]) for error in answers] == list(expected.values())
    assert [list(error) for error in answers] == [["errorType", "errorMessage", "trace"]] * len(expected)
    assert answers[0]["trace"][0] == "RangeError: r"
    assert "index.js" in answers[0]["trace"][1]
    assert answers[3]["trace"] == []


def test_what_is_thrown_is_logged_as_an_error_with_what_caused_it(peer: Peer, tmp_path: Path) -> None:
    worker = spawn(peer, tmp_path, {"index.js": ANY})
    worker.wait_ready()
    worker.call({"run": "Promise.reject('a string')"})
    record = worker.log()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z\trequest-1\tERROR\tInvoke Error \t", record)
    logged = json.loads(record.split("\t")[4])
    assert (logged["errorType"], logged["errorMessage"], logged["stack"][0]) == ("Error", "a string", "Error: a string")
    lines = "Promise.reject(Object.assign(new Error('m', { cause: new Error('c') }), { code: 'E1', extra: { a: 1 } }))"
    worker.call({"run": lines})
    logged = json.loads(worker.log().split("\t")[4])
    assert (logged["code"], logged["extra"], logged["cause"]["errorMessage"]) == ("E1", {"a": 1}, "c")


@pytest.mark.parametrize(
    ("lines", "error", "status"),
    [
        ("Promise.reject('no error'), undefined", "Runtime.UnhandledPromiseRejection", 128),
        ("Promise.reject(new Error('u')), undefined", "Runtime.UnhandledPromiseRejection", 128),
        ("setTimeout(() => { throw new RangeError('later') }, 10)", "RangeError", 129),
    ],
)
def test_what_nobody_caught_is_the_answer_and_the_end(
    peer: Peer, tmp_path: Path, lines: str, error: str, status: int
) -> None:
    (message,) = run(peer, tmp_path, lines)
    assert message.head == {"error": error, "ends": True}
    assert message.json()["errorType"] == error
    assert peer.exited().head == {"status": status}


def test_a_process_that_exits_says_nothing(peer: Peer, tmp_path: Path) -> None:
    worker = spawn(peer, tmp_path, {"index.js": ANY})
    worker.wait_ready()
    worker.send(json.dumps({"run": "process.exit(7)"}).encode())
    assert worker.receive() is None
    assert peer.exited().head == {"status": 7}


@pytest.mark.parametrize(
    ("files", "handler", "result"),
    [
        ({"index.mjs": "const x = await Promise.resolve(5); export const handler = async () => x"}, "index.handler", 5),
        (
            {"index.js": "export const handler = async () => 1", "package.json": '{"type": "module"}'},
            "index.handler",
            1,
        ),
        ({"index.cjs": "exports.handler = async () => 'cjs'"}, "index.handler", "cjs"),
        ({"index.js": "exports.handler = async () => 'js'", "index.mjs": "no module"}, "index.handler", "js"),
        ({"index.cjs": "no module", "index.mjs": "export const handler = async () => 'mjs'"}, "index.handler", "mjs"),
        ({"index.mjs": "export default async () => 'default'"}, "index.default", "default"),
        ({"src/a/index.js": "exports.x = { y: async () => 'nested' }"}, "src/a/index.x.y", "nested"),
        ({"node_modules/foo/index.js": "exports.handler = async () => 'package'"}, "foo.handler", "package"),
    ],
    ids=["await", "type", "cjs", "js first", "mjs before cjs", "default", "nested", "package"],
)
def test_modules_are_found_and_loaded(
    peer: Peer, tmp_path: Path, files: dict[str, str], handler: str, result: object
) -> None:
    worker = spawn(peer, tmp_path, files, handler)
    assert "error" not in worker.wait_ready().head
    assert worker.call().json() == result


LOADED = "exports.handler = async () => 1;"
SYNTAX = "SyntaxError: Unexpected token '=>'"
NOWHERE = "Error: Cannot find module '{}'\nRequire stack:\n{}- /var/runtime/index.mjs"


@pytest.mark.parametrize(
    ("files", "handler", "error", "message"),
    [
        ({}, "absent.handler", "Runtime.ImportModuleError", NOWHERE.format("absent", "")),
        (
            {"index.js": "require('nothing')"},
            "index.handler",
            "Runtime.ImportModuleError",
            NOWHERE.format("nothing", "- {task}/index.js\n"),
        ),
        (
            {"index.mjs": "import 'nothing'"},
            "index.handler",
            "Error",
            "Cannot find package 'nothing' imported from {task}/index.mjs",
        ),
        ({"index.js": "async(=>1"}, "index.handler", "Runtime.UserCodeSyntaxError", SYNTAX),
        ({"index.js": LOADED}, "index.absent", "Runtime.HandlerNotFound", "index.absent is undefined or not exported"),
        ({"index.js": "exports.handler = 5"}, "index.handler", "Runtime.HandlerNotFound",
         "index.handler is not a function"),
        ({"index.js": LOADED}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.js": "throw new RangeError('at load')"}, "index.handler", "RangeError", "at load"),
        ({"index.js": "throw 'a string'"}, "index.handler", "string", "a string"),
        ({"index.mjs": "await Promise.reject(new Error('awaited'))"}, "index.handler", "Error", "awaited"),
        (
            {"index.js": "Promise.reject(new Error('forgotten'));" + LOADED},
            "index.handler",
            "Runtime.UnhandledPromiseRejection",
            "Error: forgotten",
        ),
    ],
    ids=["absent", "require", "import", "syntax", "no handler", "no function", "no dot", "throws", "string", "rejects",
         "unhandled"],
)  # fmt: skip
def test_a_module_that_cannot_be_used(
    peer: Peer, tmp_path: Path, files: dict[str, str], handler: str, error: str, message: str
) -> None:
    worker = spawn(peer, tmp_path, files, handler)
    ready = worker.wait_ready()
    shown = ready.json()
    expected = message.replace("{task}", str(tmp_path))
    assert (ready.head["error"], shown["errorType"], shown["errorMessage"]) == (error, error, expected)
    if error.startswith("Runtime."):
        assert shown["trace"][0] == f"{error}: {expected}".splitlines()[0]
    if error == "Runtime.UserCodeSyntaxError":
        assert f"{tmp_path}/index.js:1" in shown["trace"]
    assert peer.exited().head in ({"status": 1}, {"status": 128})
    assert "\tERROR\t" in worker.last_words()


def test_consoles_have_levels_and_lambdas_form(peer: Peer, tmp_path: Path) -> None:
    lines = """
        console.log("a %s %d", 1, 2, { x: 1 }); console.info("i"); console.warn("w"); console.error("e");
        console.debug("d"); console.trace("t"); console.log("two\\nlines"); console.log(); console.table([[1]]);
        console.log({ a: { b: { c: { d: 1 } } } }); process.stdout.write("raw\\n"); callback();
    """
    worker = spawn(peer, tmp_path, {"index.js": ANY})
    worker.wait_ready()
    worker.call({"run": lines})
    records = [line.split("\t") for line in worker.log().split("\n")]
    words = [fields[2:] if len(fields) == 4 else fields for fields in records if fields != [""]]
    table = words.pop(8)
    assert words == [
        ["INFO", "a 1 2 { x: 1 }"], ["INFO", "i"], ["WARN", "w"], ["ERROR", "e"], ["DEBUG", "d"], ["TRACE", "t"],
        ["INFO", "two\rlines"], ["INFO", "undefined"], ["INFO", "{ a: { b: { c: [Object] } } }"], ["raw"],
    ]  # fmt: skip
    assert table[0] == "INFO"
    assert "(index)" in table[1]
    assert {fields[1] for fields in records if len(fields) == 4} == {"request-1"}


def test_json_logs_obey_the_level_and_carry_errors(peer: Peer, tmp_path: Path) -> None:
    lines = "console.debug('d'); console.warn({ a: 1 }); console.error('bad', new RangeError('r')); callback();"
    worker = spawn(peer, tmp_path, {"index.js": ANY}, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")
    worker.wait_ready()
    worker.call({"run": lines})
    first, second = (json.loads(line) for line in worker.log().splitlines())
    assert (first["level"], first["requestId"], first["message"]) == ("WARN", "request-1", {"a": 1})
    assert (second["level"], second["errorType"], second["errorMessage"]) == ("ERROR", "RangeError", "r")
    assert second["message"].startswith("bad RangeError: r")


STREAM = LATER + "exports.handler = awslambda.streamifyResponse(async (event, out, context) => eval(event));"


def test_streams_take_text_bytes_and_objects_and_tell_errors(peer: Peer, tmp_path: Path) -> None:
    worker = spawn(peer, tmp_path, {"index.js": STREAM})
    worker.wait_ready()
    lines = (
        "out.setContentType('text/plain'); out.write('a'); out.write(Buffer.from('b')); out.write({ c: 1 }); out.end()"
    )
    message = worker.call(lines, streaming=True)
    assert (message.head["content_type"], message.body) == ("text/plain", b'ab{"c":1}')
    assert worker.call(lines).body == b'ab{"c":1}'
    worker.send(
        json.dumps("out.write('a'); later(20).then(() => { throw new RangeError('r') })").encode(), streaming=True
    )
    parts = [worker.receive_frame()]
    while not parts[-1].ends_message:
        parts.append(worker.receive_frame())
    assert parts[0].body == b"a"
    assert json.loads(parts[-1].head) == {"error": "RangeError"}
    assert json.loads(parts[-1].body)["errorMessage"] == "r"
