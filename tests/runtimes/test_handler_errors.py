"""Handlers and modules that fail: every failure has Lambda's name and shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from samovar.link import wire
from tests.runtimes.conftest import Launch
from tests.runtimes.peer import Message, Peer, Worker

Code = Callable[[str], Path]


def failed_start(peer: Peer, handler: str, folder: Path) -> tuple[Message, Worker]:
    """The READY of a worker that cannot start; asserts that the worker then ends with status 1."""
    worker = peer.spawn(handler, folder)
    ready = worker.wait_ready()
    exited = peer.exited()
    assert (exited.stream, exited.head) == (worker.number, {"status": 1})
    assert ready.head["init_ms"] > 0
    return ready, worker


def test_an_exception_is_answered_with_the_functions_own_frames(launch: Launch, tmp_path: Path) -> None:
    worker = launch(
        "def handler(event, context):\n    return inner()\ndef inner():\n    raise KeyError('no such id')\n"
    )
    message = worker.call()
    assert message.head == {"error": "KeyError"}
    assert message.json() == {
        "errorMessage": "'no such id'",
        "errorType": "KeyError",
        "requestId": "request-1",
        "stackTrace": [
            f'  File "{tmp_path}/app.py", line 2, in handler\n    return inner()\n',
            f"  File \"{tmp_path}/app.py\", line 4, in inner\n    raise KeyError('no such id')\n",
        ],
    }
    assert worker.log() == (
        "[ERROR] KeyError: 'no such id'\rTraceback (most recent call last):\r"
        f'\u00a0\u00a0File "{tmp_path}/app.py", line 2, in handler\r\u00a0\u00a0\u00a0\u00a0return inner()\r'
        f'\u00a0\u00a0File "{tmp_path}/app.py", line 4, in inner\r'
        "\u00a0\u00a0\u00a0\u00a0raise KeyError('no such id')\n"
    )
    assert worker.call().json()["requestId"] == "request-2", "the worker serves on"


def test_the_log_tells_what_led_to_an_exception(launch: Launch) -> None:
    worker = launch(
        "def handler(event, context):\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError as error: raise ValueError('outer') from error\n"
    )
    error = worker.call().json()
    assert (error["errorType"], error["errorMessage"], len(error["stackTrace"])) == ("ValueError", "outer", 1)
    assert "Caused by ZeroDivisionError: division by zero\r" in worker.log()


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "class Mute(Exception):\n  def __str__(self): raise RuntimeError('no')\ndef handler(e, c): raise Mute()",
            "Mute",
            "<exception str() failed>",
        ),
        ("class Own(BaseException): pass\ndef handler(e, c): raise Own('base')", "Own", "base"),
        ("def handler(e, c): raise KeyboardInterrupt()", "KeyboardInterrupt", ""),
        ("def handler(e, c): return handler(e, c)", "RecursionError", None),
        ("def handler(e, c): raise ValueError('\\ud800 ž')", "ValueError", "\ud800 ž"),
        ("def handler(): pass", "TypeError", None),
        ("def handler(e, c): raise ValueError('x' * 20_000_000)", "ValueError", "x" * 256 * 1024),
        (
            "def handler(e, c): e = []; e.append(e); raise e[0]",
            "TypeError",
            "exceptions must derive from BaseException",
        ),
    ],
    ids=["str-raises", "base-exception", "keyboard", "recursion", "surrogate", "signature", "huge-text", "not-one"],
)
def test_odd_exceptions_are_answered_too(launch: Launch, text: str, kind: str, message: str | None) -> None:
    worker = launch(text)
    for _ in range(2):
        error = worker.call().json()
        assert error["errorType"] == kind
        assert message is None or error["errorMessage"] == message


@pytest.mark.parametrize(
    ("handler", "text", "kind", "message"),
    [
        ("nothere.handler", "", "Runtime.ImportModuleError", "Unable to import module 'nothere': No module named"),
        ("app.handler", "import nope_x", "Runtime.ImportModuleError", "Unable to import module 'app': No module named"),
        ("app.handler", "", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("app.handler", "handler = 3", "Runtime.HandlerNotFound", "Handler 'handler' on module 'app' is not callable"),
        ("app", "", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack"),
        ("sys.exit", "", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("app.handler", "def f(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "),
        ("app.handler", "raise ValueError('at import')", "ValueError", "at import"),
        ("app.handler", "raise KeyboardInterrupt('at import')", "KeyboardInterrupt", "at import"),
        ("..handler", "", "Runtime.ImportModuleError", "Unable to import module '.'"),
    ],
)
def test_a_module_that_cannot_be_used(peer: Peer, code: Code, handler: str, text: str, kind: str, message: str) -> None:
    ready, worker = failed_start(peer, handler, code(text))
    assert ready.head["error"] == kind
    error = ready.json()
    assert (error["errorType"], error["requestId"]) == (kind, "")
    assert error["errorMessage"].startswith(message)
    assert worker.last_words().startswith(f"[ERROR] {kind}: {message}")


def test_an_error_at_import_shows_the_functions_frames_only(peer: Peer, code: Code, tmp_path: Path) -> None:
    ready, _ = failed_start(peer, "app.handler", code("x = 1\nraise ValueError('at import')"))
    (frame,) = ready.json()["stackTrace"]
    assert frame == f"  File \"{tmp_path}/app.py\", line 2, in <module>\n    raise ValueError('at import')\n"


def test_the_largest_error_at_import_fits_into_one_frame(peer: Peer, code: Code) -> None:
    long_line = "(f if n else g)(n - 1)" + "  # ž" * 500
    text = f"def f(n):\n    {long_line}\ndef g(n): raise ValueError('ž' * 10**7)\nf(900)"
    ready, _ = failed_start(peer, "app.handler", code(text))
    error = ready.json()
    assert len(ready.body) <= wire.CHUNK_SIZE
    assert error["errorMessage"] == "ž" * 20 * 1024
    assert "raise ValueError" in error["stackTrace"][-1]


def test_a_syntax_error_says_where(peer: Peer, code: Code, tmp_path: Path) -> None:
    ready, _ = failed_start(peer, "app.handler", code("x = 1\ndef f(:\n"))
    assert ready.json()["stackTrace"] == [f'  File "{tmp_path}/app.py" Line 2\n    def f(:\n']


@pytest.mark.parametrize("handler", ["pkg/sub/app.handler", "pkg.sub.app.handler"])
def test_nested_packages_and_slashes(peer: Peer, tmp_path: Path, handler: str) -> None:
    folder = tmp_path / "pkg" / "sub"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("def handler(event, context): return __name__")
    assert peer.start(handler, tmp_path).call().json() == "pkg.sub.app"


@pytest.mark.parametrize(
    ("text", "how", "words"),
    [
        ("import sys; sys.exit(3)", {"status": 3}, ""),
        ("import sys; sys.exit('giving up')", {"status": 1}, "giving up\n"),
        ("import os; os._exit(4)", {"status": 4}, ""),
        ("import os; os.abort()", {"signal": 6}, ""),
        ("import ctypes; ctypes.string_at(0)", {"signal": 11}, ""),
    ],
    ids=["exit", "exit-text", "_exit", "abort", "segfault"],
)
@pytest.mark.parametrize("when", ["import", "call"])
def test_a_process_that_ends_is_reported_by_the_keeper(
    peer: Peer, code: Code, when: str, text: str, how: dict[str, int], words: str
) -> None:
    said = f"print('before', flush=True); {text}"
    if when == "import":
        worker = peer.spawn("app.handler", code(said))
        assert worker.receive() is None
    else:
        worker = peer.start("app.handler", code(f"def handler(event, context):\n    {said}"))
        worker.send(b"1")
        assert worker.receive() is None
    exited = peer.exited()
    assert (exited.kind, exited.stream, exited.head) == (wire.EXITED, worker.number, how)
    assert worker.last_words() == "before\n" + words
    assert peer.start("app.other", code("def other(event, context): return 'served'")).call().json() == "served"
