"""Whether a package holds the handler its function names, as far as that can be seen without running it.

What is wrong here would fail with the first call, in its log; whoever deploys is told at once instead.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping

from samovar.deploy.package import Source
from samovar.errors import CallerError

_NODE_SUFFIXES = (".js", ".mjs", ".cjs")
_MAKES_NAMES = frozenset({"exec", "globals", "setattr", "vars"})
"""A module that calls these, or has `__getattr__`, may hold names that its text does not show."""


class HandlerError(CallerError):
    """A package does not hold the handler its function names; the message says what is missing, or where it breaks."""


def check(handler: str, runtime: str, environment: Mapping[str, str], sources: Mapping[str, Source]) -> None:
    """Look for a handler among the files of a package, by their names in it.

    Says nothing against what only running it would tell: modules from elsewhere, names that are made at import.
    Raises `HandlerError`.
    """
    path, dot, name = handler.rpartition(".")
    if runtime.startswith("python") and "PYTHONPATH" not in environment:
        _check_dot(handler, dot)
        _check_python(handler, path.replace(".", "/"), name, runtime.removeprefix("python"), sources)
    elif runtime.startswith("nodejs") and "NODE_PATH" not in environment:
        _check_dot(handler, dot)
        # In a file's name dots may stand, in a function's, too: `src/app.one.two` is `one.two` of `src/app`.
        folder, slash, last = handler.rpartition("/")
        module = folder + slash + last.partition(".")[0]
        if not any(module + suffix in sources or path + suffix in sources for suffix in _NODE_SUFFIXES):
            raise HandlerError(f"handler {handler!r}: the package has no file {module}.js, .mjs or .cjs")


def _check_dot(handler: str, dot: str) -> None:
    if not dot:
        raise HandlerError(f"handler {handler!r} names no function; write FILE.FUNCTION, such as app.handler")


def _check_python(handler: str, path: str, name: str, version: str, sources: Mapping[str, Source]) -> None:
    found = next((each for each in (f"{path}/__init__.py", f"{path}.py") if each in sources), None)
    if found is None:
        # A folder without __init__.py, an extension and bytecode are modules, too; they cannot be looked into.
        if any(each.startswith(f"{path}/") or _may_be_module(each, path) for each in sources):
            return
        if any(f"{path}{suffix}" in sources for suffix in _NODE_SUFFIXES):
            raise HandlerError(
                f"handler {handler!r}: the package has no file {path}.py, but one of that name for Node.js: "
                'write runtime = "nodejs22.x" in function.toml'
            )
        raise HandlerError(
            f"handler {handler!r}: the package has no file {path}.py (what .gitignore and .samovarignore name "
            "is left out)"
        )
    if tuple(int(part) for part in version.split(".")) > sys.version_info[:2]:
        return  # it may have syntax that is not known here
    try:
        module = ast.parse(sources[found].path.read_bytes())
    except SyntaxError as error:
        raise HandlerError(f"{found}:{error.lineno}: {error.msg}: {(error.text or '').strip()}") from error
    except (OSError, ValueError) as error:
        raise HandlerError(f"{found} cannot be read: {error}") from error
    bound = {*_bound(module.body), *(each for node in ast.walk(module) for each in _declared_global(node))}
    if not bound & {name, "*", "__getattr__"}:
        raise HandlerError(f"handler {handler!r}: there is no {name} in {found}")


def _may_be_module(name: str, path: str) -> bool:
    return name.startswith(f"{path}.") and name.endswith((".so", ".pyc"))


def _bound(statements: list[ast.stmt]) -> Iterator[str]:
    """Names that running these statements may bind in their module; `*` when that cannot be told."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0]) for alias in statement.names)
        else:
            yield from _bound_below(statement)


def _declared_global(node: ast.AST) -> list[str]:
    return node.names if isinstance(node, ast.Global) else []


def _bound_below(node: ast.AST) -> Iterator[str]:
    """As above for all that is neither a definition nor an import: assignments, branches, loops."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _bound([child])
        elif isinstance(child, ast.Name):
            if child.id in _MAKES_NAMES:
                yield "*"
            elif isinstance(child.ctx, ast.Store):
                yield child.id
        else:
            yield from _bound_below(child)
