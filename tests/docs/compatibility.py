"""Makes docs/compatibility.md: every operation of AWS's model, whether it is offered, and the test that calls it.

What is offered comes from the routes of the control API. What a test calls is read in its source: boto3's methods are
the operations' names in another spelling, also where the test calls them by a helper of its module or of `aws.py`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import msgspec
from botocore import xform_name
from fastapi.routing import APIRoute

from gateway.lambda_api.models import (
    CodeSource,
    ConfigurationRequest,
    CreateFunctionRequest,
    PublishVersionRequest,
    UpdateFunctionCodeRequest,
)
from gateway.lambda_api.resources import NOTES, ROUTERS, WARM
from gateway.lambda_api.unoffered import WHY_NOT, why_not
from gateway.lambda_api.validation import INSTEAD
from tests.platform import ROOT

PAGE: Final = ROOT / "docs" / "compatibility.md"
TESTS: Final = ROOT / "tests" / "compatibility"
_INTRODUCTION: Final = """\
Samovar's control API is AWS Lambda's. This is every operation of the API model that botocore ships, whether Samovar
offers it, and a test that calls it with boto3. An operation that is not offered answers with an error that AWS's
clients know, as a rule `InvalidParameterValueException`, which says so."""


REQUESTS: Final[dict[str, type[msgspec.Struct]]] = {
    "CreateFunction": CreateFunctionRequest,
    "FunctionCode": CodeSource,
    "UpdateFunctionCode": UpdateFunctionCodeRequest,
    "UpdateFunctionConfiguration": ConfigurationRequest,
    "PublishVersion": PublishVersionRequest,
}
"""The requests that make and change functions, and what reads them."""
KEPT: Final = {
    "TracingConfig": "kept and told: there is no X-Ray to send to",
    "Architectures": "obeyed: the host's own",
    "Role": "obeyed: its name says what the function may do here",
}
"""What is not as simple as it sounds."""
_ON_PURPOSE: Final = """\
## Where answers differ from AWS's on purpose

What AWS answers has been compared with what Samovar answers, operation by operation
([0042](decisions/0042-answers-beyond-the-model.md)). Where the two differ, this is why:

- **An update in progress has no `LastUpdateStatusReasonCode`.** AWS answers `Creating`, which its own model does not
  have among the codes of updates.
- **Updates do not get in each other's way.** A function is active, and an update in force, when the next request asks,
  as a rule; AWS refuses a second update while the first is in progress, with `ResourceConflictException`. Name a
  `RevisionId` to have the later one refused.
- **A call beyond the reserved concurrency waits** for as long as `queue_timeout_s` says before it is throttled; with
  nothing reserved it is throttled at once. Nothing has to stay unreserved: AWS keeps 100.
- **Any well-formed role is taken**, of whatever account, and need not exist.
- **`AWS_LAMBDA_INITIALIZATION_TYPE` is `snap-start`** in an environment that was forked from an initialised one
  ([0012](decisions/0012-snapshot-processes.md)), whether `SnapStart` was asked for or not.
  `OptimizationStatus` is `On` for every version that was published with it, also where the host cannot fork; the first
  environment is initialised when it is first needed, not when the version is published.
- **A runtime that AWS has and Samovar has not** is refused with the list of those that are here. Who names one that
  AWS does not have either hears AWS's list.
- **Function URLs are `http`** and have a port, which is in the `host` header of events; these say nothing of TLS."""
_MEMBERS: Final = "## Members of requests\n\nEvery member of the requests that make and change functions."


class Fate(NamedTuple):
    """What becomes of one member of a request."""

    request: str
    member: str
    told: str
    """Empty where nobody reads it."""


class Operation(NamedTuple):
    """One row of the table."""

    name: str
    offered: bool
    note: str
    tested_by: str | None
    """`FILE::TEST`."""


def in_the_model() -> list[str]:
    """The names of all operations of AWS's model, as botocore itself reads it."""
    return sorted(botocore.session.get_session().get_service_model("lambda").operation_names)


def offered() -> set[str]:
    """The operations that something carries out."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return ({route.name for route in routes} | set(WARM)) - set(WHY_NOT)


def operations() -> list[Operation]:
    """All rows, in the order of the names."""
    there, tests = offered(), calls()
    return [
        Operation(name, name in there, NOTES.get(name, "") if name in there else why_not(name), _best(name, tests))
        for name in in_the_model()
    ]


def page() -> str:
    """The whole page."""
    rows = operations()
    count = sum(row.offered for row in rows)
    members = "| request | member | what becomes of it |\n|---|---|---|\n" + "\n".join(map(_member_row, fates()))
    table = "| operation | offered | tested by |\n|---|---|---|\n" + "\n".join(map(_row, rows))
    return (
        "\n\n".join(
            [
                "# Compatibility",
                _MADE,
                _INTRODUCTION,
                f"{count} of {len(rows)} operations are offered.",
                table,
                _ON_PURPOSE,
                _MEMBERS,
                members,
                "",
            ]
        ).rstrip("\n")
        + "\n"
    )


def calls() -> Mapping[str, Counter[str]]:
    """How often each test of `TESTS` calls each method of the client: `FILE::TEST` → method → times."""
    shared = _functions(TESTS / "aws.py")
    found: dict[str, Counter[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        own = shared | _functions(path)
        for name, body in own.items():
            if name.startswith("test_") and name not in shared:
                found[f"{path.relative_to(ROOT)}::{name}"] = _mentioned(body, own, {name})
    return found


def fates() -> list[Fate]:
    """What becomes of each member of the requests that make and change functions."""
    model = botocore.session.get_session().get_service_model("lambda")
    shapes = {name: model.operation_model(name).input_shape for name in REQUESTS if name != "FunctionCode"}
    shapes["FunctionCode"] = model.shape_for("FunctionCode")
    return [_fate(name, member, REQUESTS[name]) for name in REQUESTS for member in shapes[name].members]


def _fate(request: str, member: str, record: type[msgspec.Struct]) -> Fate:
    """`FunctionName` is in no record: it is in the path, as a rule."""
    names = {field.encode_name: field.name for field in msgspec.structs.fields(record)}
    if member not in names:
        return Fate(request, member, "obeyed" if member == "FunctionName" else "")
    refused = INSTEAD.get(names[member])
    if refused is None:
        return Fate(request, member, KEPT.get(member, "obeyed"))
    return Fate(request, member, f"refused where it asks for something: {refused}")


def _member_row(fate: Fate) -> str:
    return f"| `{fate.request}` | `{fate.member}` | {fate.told} |"


def callers(operation: str, tests: Mapping[str, Counter[str]]) -> list[str]:
    """The tests that call an operation."""
    return [test for test, methods in tests.items() if methods[xform_name(operation)]]


def _best(operation: str, tests: Mapping[str, Counter[str]]) -> str | None:
    """The first test that calls an operation, in the file that does so most often."""
    method = xform_name(operation)
    by_file: dict[str, int] = {}
    for test, methods in tests.items():
        file = test.partition("::")[0]
        by_file[file] = by_file.get(file, 0) + methods[method]
    most = max(by_file, key=lambda file: by_file[file])
    return next((test for test in callers(operation, tests) if test.startswith(most)), None)


@cache
def _functions(path: Path) -> dict[str, ast.AST]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _mentioned(body: ast.AST, functions: Mapping[str, ast.AST], seen: set[str]) -> Counter[str]:
    """The names a function uses: attributes, texts (which is how paginators are named), and those of its helpers."""
    found: Counter[str] = Counter()
    for node in ast.walk(body):
        if isinstance(node, ast.Attribute):
            found[node.attr] += 1
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found[node.value] += 1
        for name in _called(node):
            if name in functions and name not in seen:
                found.update(set(_mentioned(functions[name], functions, seen | {name})))
    return found


def _called(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Name | ast.Attribute):
            yield called.id if isinstance(called, ast.Name) else called.attr


def said(row: Operation) -> str:
    """What the page says of an operation before it names the test."""
    offered = "yes" if row.offered else "no"
    return f"| `{row.name}` | {f'{offered}: {row.note}' if row.note else offered} | "


def _row(row: Operation) -> str:
    return f"{said(row)}{'' if row.tested_by is None else f'`{row.tested_by}`'} |"


_MADE: Final = "<!-- Written by `python -m tests.docs.reference`; a test fails when it is not current. -->"
