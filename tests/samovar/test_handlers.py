"""What a deploy sees of a handler that cannot be found, before anybody calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from samovar.deploy import handlers
from samovar.deploy.handlers import HandlerError
from samovar.deploy.package import collect

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def check(
    folder: Path,
    files: dict[str, str],
    handler: str,
    runtime: str = RUNTIME,
    environment: dict[str, str] | None = None,
) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    handlers.check(handler, runtime, environment or {}, collect(folder))


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.py": "def handler(event, context): ..."}, "app.handler"),
        ({"app.py": "async def handler(event, context): yield 1"}, "app.handler"),
        ({"src/app.py": "handler = print"}, "src/app.handler"),
        ({"src/app.py": "handler = print"}, "src.app.handler"),
        ({"app/__init__.py": "from json import loads as handler"}, "app.handler"),
        ({"app.py": "from handlers import *"}, "app.anything"),
        ({"app.py": "try:\n    import handler\nexcept ImportError as e:\n    handler = None"}, "app.handler"),
        ({"app.py": "if 1:\n    with open('x') as handler: ..."}, "app.handler"),
        ({"app.py": "one, (handler, *rest) = 1, (2, 3)"}, "app.handler"),
        ({"app.py": "globals()['handler'] = print"}, "app.handler"),
        ({"app.py": "def __getattr__(name): return print"}, "app.handler"),
        ({"app.py": "def make():\n    global handler\n    handler = print\nmake()"}, "app.handler"),
        ({"app.cpython-311-x86_64-linux-gnu.so": ""}, "app.handler"),
    ],
)
def test_a_handler_that_may_be_there_is_let_pass(tmp_path: Path, files: dict[str, str], handler: str) -> None:
    check(tmp_path, files, handler)


@pytest.mark.parametrize(
    ("files", "handler", "said"),
    [
        ({"app.py": "def handle(event, context): ..."}, "app.handler", "there is no handler in app.py"),
        ({"app.py": "class A:\n    def handler(self): ..."}, "app.handler", "there is no handler in app.py"),
        ({"app.py": "def f():\n    handler = 1"}, "app.handler", "there is no handler in app.py"),
        ({"app.py": "x = 1\ndef (\n"}, "app.handler", "app.py:2: invalid syntax: def ("),
        ({"main.py": ""}, "app.handler", "the package has no file app.py"),
        ({"app.txt": ""}, "app.handler", "the package has no file app.py"),
        ({"app.mjs": ""}, "app.handler", 'runtime = "nodejs22.x"'),
        ({"app.py": "", ".gitignore": "app.py"}, "app.handler", ".gitignore"),
        ({"app.py": ""}, "handler", "names no function"),
        ({"app.py": "\0"}, "app.handler", "app.py"),
    ],
)
def test_one_that_cannot_be_there_is_told(tmp_path: Path, files: dict[str, str], handler: str, said: str) -> None:
    with pytest.raises(HandlerError) as refused:
        check(tmp_path, files, handler)
    assert said in refused.value.message


def test_what_cannot_be_judged_here_is_not(tmp_path: Path) -> None:
    check(tmp_path, {"app.py": "not python at all ("}, "app.handler", "python3.99")
    check(tmp_path, {}, "elsewhere.handler", environment={"PYTHONPATH": "/opt/shared"})
    check(tmp_path, {}, "anything", "provided.al2023")


def test_modules_of_node(tmp_path: Path) -> None:
    check(tmp_path, {"src/app.mjs": ""}, "src/app.handler", "nodejs22.x")
    check(tmp_path, {"index.js": ""}, "index.part.handler", "nodejs22.x")
    with pytest.raises(HandlerError, match=r"no file index2\.js, \.mjs or \.cjs"):
        check(tmp_path, {}, "index2.handler", "nodejs20.x")
    with pytest.raises(HandlerError, match="names no function"):
        check(tmp_path, {}, "index", "nodejs20.x")
