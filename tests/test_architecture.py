"""The shape of the house: which way imports point, how large things may get, what may be leaned on."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("samovar", "gateway", "invoker", "runtimes")
OURS = {*PRODUCT, "functions", "benchmarks", "tests"}

FORBIDDEN = {
    "samovar": {"gateway", "invoker", "runtimes", "functions"},
    "gateway": {"invoker", "runtimes", "functions"},
    "invoker": {"gateway", "functions"},
    "runtimes": OURS - {"runtimes"},
    "functions": OURS,
}
"""Folder → what nothing in it may import. Nothing of the product imports tests or benchmarks either."""

PURE = (
    "invoker/pool/policy.py",
    "invoker/pool/keepalive.py",
    "invoker/environments/lifecycle.py",
    "gateway/http/event.py",
    "gateway/http/answer.py",
    "gateway/mappings/mapping.py",
    "gateway/pollers/patterns.py",
    "gateway/pollers/filters.py",
    "gateway/pollers/batching.py",
    "gateway/pollers/outcome.py",
    "samovar/link/wire.py",
)
IMPURE = {"asyncio", "docker", "redis", "socket", "subprocess", "threading"}
TIME = {"time", "datetime"}
FORMATS_TIME = "gateway/http/event.py"
"""Writes a moment it is given as text: it calls `time.gmtime` with an argument and reads no clock."""

MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 80
MOST_FUNCTIONS = 0.9
MOST_FUNCTION_LINES = 35
MAX_PARAMETERS = 6


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> Iterator[str]:
    """The dotted names a file imports, inside functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def packages_imported(*paths: Path) -> set[str]:
    return {name.partition(".")[0] for path in paths for name in imports_of(path)}


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_one_way(folder: str) -> None:
    forbidden = FORBIDDEN[folder] | {"tests", "benchmarks"}
    wrong = {name_of(path): found for path in sources(folder) if (found := packages_imported(path) & forbidden)}
    assert not wrong


CARRIED_ALONG = {"runtimes/provided": {"h11", "samovar_node"}}
"""What is carried into environments beside the standard library."""


@pytest.mark.parametrize("folder", ["runtimes/python", "runtimes/node", "runtimes/provided", "functions/hello-python"])
def test_what_runs_inside_an_environment_depends_on_nothing(folder: str) -> None:
    siblings = {path.stem for path in sources(folder)} | {"runtimes"}  # for types, which are not looked at inside
    siblings.add("__main__")  # the sibling that was started
    siblings |= CARRIED_ALONG.get(folder, set())
    for path in sources(folder):
        assert packages_imported(path) <= sys.stdlib_module_names | siblings, name_of(path)


@pytest.mark.parametrize("name", PURE)
def test_pure_files_do_nothing_but_think(name: str) -> None:
    forbidden = IMPURE | (set() if name == FORMATS_TIME else TIME)
    assert not packages_imported(ROOT / name) & forbidden


def test_no_pure_file_reads_a_clock() -> None:
    calls = [
        ast.unparse(node)
        for node in ast.walk(tree_of(ROOT / FORMATS_TIME))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("time.")
    ]
    assert calls == ["time.gmtime(second)"]


@pytest.mark.parametrize("folder", sorted(OURS - {"benchmarks"}))
def test_files_and_functions_stay_small(folder: str) -> None:
    for path in sources(folder):
        length = len(path.read_text().splitlines())
        assert length <= MAX_FILE_LINES, f"{name_of(path)} has {length} lines"
        for function in functions_of(path):
            assert lines_of(function) <= MAX_FUNCTION_LINES, f"{name_of(path)}: {function.name}"


@pytest.mark.parametrize("folder", [*PRODUCT, "tests"])
def test_nearly_all_functions_fit_on_a_screen(folder: str) -> None:
    lengths = sorted(lines_of(function) for path in sources(folder) for function in functions_of(path))
    assert lengths[int(MOST_FUNCTIONS * len(lengths))] <= MOST_FUNCTION_LINES


@pytest.mark.parametrize("folder", PRODUCT)
def test_functions_take_few_arguments(folder: str) -> None:
    """A command's parameters are its options, so the commands are let off."""
    for path in sources(folder):
        if path.is_relative_to(ROOT / "samovar" / "cli"):
            continue
        for function in functions_of(path):
            given = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            given += [argument.arg for argument in function.args.kwonlyargs]
            count = len(given) - (given[:1] in (["self"], ["cls"]))
            assert count <= MAX_PARAMETERS, f"{name_of(path)}: {function.name}"


def test_settings_are_read_in_one_place() -> None:
    """Elsewhere the environment is handed on, or asked for what is not ours."""
    read = re.compile(r"environ\w*(\.get\(|\[)f?[\"']SAMOVAR_|getenv")
    found = [name_of(path) for path in sources("samovar", "gateway", "invoker") if read.search(path.read_text())]
    assert not found


def test_tests_use_the_real_thing() -> None:
    mocks = [name_of(path) for path in sources("tests") if {"unittest", "mock"} & packages_imported(path)]
    assert not mocks


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two test files of one name would shadow each other."""
    folders = {path.parent for path in sources("tests")}
    assert not [name_of(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {normal(re.split(r"[\s\[<>=!~;]", line)[0]) for line in lines}


def normal(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def distributions_of(modules: set[str]) -> dict[str, set[str]]:
    """Each module that is neither ours nor Python's, with the distributions it may come from."""
    known = packages_distributions()
    foreign = modules - OURS - sys.stdlib_module_names
    return {module: {normal(name) for name in known.get(module, [])} for module in foreign}


@pytest.mark.parametrize(("folders", "extras"), [(("samovar", "gateway", "invoker"), ()), (("tests",), ("dev",))])
def test_every_import_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]) -> None:
    own = {path.stem for path in sources("runtimes/python")}  # tests of the runtime import it as it is run
    needed = distributions_of(packages_imported(*sources(*folders)) - own)
    missing = {module: names for module, names in needed.items() if not names & declared(*extras)}
    assert not missing


def test_every_dependency_is_used() -> None:
    """By an import, or by its name: uvicorn is told `loop="uvloop"`, and has a module for `httptools`."""
    files = sources("samovar", "gateway", "invoker")
    used = {name for names in distributions_of(packages_imported(*files)).values() for name in names}
    named = {word for path in files for name in imports_of(path) for word in re.split(r"[._]", name)}
    named |= {
        normal(node.value)
        for path in files
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert declared() <= used | named
