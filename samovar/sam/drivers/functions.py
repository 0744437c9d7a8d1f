"""Functions: code, configuration, tags, reserved concurrency, and the routes that lead to them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.clients import stacks as stack_client
from samovar.deploy.deployment import settle
from samovar.errors import ResourceNotFound
from samovar.sam.code import Code, in_request, package_of
from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing
from samovar.stack import Route

_ABSENT: Final[dict[str, Any]] = {
    "Description": "",
    "EphemeralStorage": {"Size": 512},
    "Environment": {"Variables": {}},
    "Layers": [],
    "TracingConfig": {"Mode": "PassThrough"},
}
"""What a function has that says nothing of it: so what a template no longer says is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionWanted:
    """A function as a template has it."""

    configuration: dict[str, Any]
    """Members that CreateFunction and UpdateFunctionConfiguration have in common."""
    at_creation: dict[str, Any]
    """Members that only CreateFunction has."""
    code: Code
    tags: dict[str, str]
    reserved: int | None
    recursive_loop: str
    routes: tuple[Route, ...]


class FunctionDriver:
    """`AWS::Lambda::Function`."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: FunctionWanted = item.wanted
        aws, configuration = target.aws("lambda"), wanted.configuration
        name = configuration["FunctionName"]
        runtime, handler = configuration.get("Runtime", ""), configuration.get("Handler", "")
        target.say(f"{item.name}: packing")
        package = package_of(wanted.code, runtime, handler, target)
        target.say(f"{item.name}: deploying")
        changed: list[str] = []
        current = _present(aws, name)
        if current is None:
            code = in_request(wanted.code, package)
            aws.create_function(**configuration, **wanted.at_creation, Code=code, Tags=wanted.tags)
            changed.append("created")
        else:
            changed += self._update(target, current, wanted, package)
        if current is None:
            settle(target.client, name)
        changed += self._attach(target, name, wanted, is_new=current is None)
        arn = target.arn("lambda", f"function:{name}")
        return Applied(physical_id=name, changed=changed, attributes={"": name, "Arn": arn})

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        try:
            target.client.delete_function(physical_id)
        except ResourceNotFound:
            return

    def _update(
        self, target: Target, current: dict[str, Any], wanted: FunctionWanted, package: bytes | None
    ) -> list[str]:
        aws, name, changed = target.aws("lambda"), wanted.configuration["FunctionName"], []
        if _is_other_code(current, wanted.code, package):
            code = in_request(wanted.code, package)
            answered = aws.update_function_code(FunctionName=name, **code)
            settle(target.client, name)
            if answered["CodeSha256"] != current["Configuration"]["CodeSha256"]:
                changed.append("code")
        whole = {**_ABSENT, **wanted.configuration}
        if _differs(whole, current["Configuration"]):
            aws.update_function_configuration(**whole)
            settle(target.client, name)
            changed.append("configuration")
        present = current.get("Tags", {})
        if present != wanted.tags:
            arn = current["Configuration"]["FunctionArn"]
            if obsolete := sorted(present.keys() - wanted.tags.keys()):
                aws.untag_resource(Resource=arn, TagKeys=obsolete)
            if wanted.tags:
                aws.tag_resource(Resource=arn, Tags=wanted.tags)
            changed.append("tags")
        return changed

    def _attach(self, target: Target, name: str, wanted: FunctionWanted, *, is_new: bool) -> list[str]:
        """What is attached to a function beside its configuration."""
        aws, changed = target.aws("lambda"), []
        reserved = aws.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        if reserved != wanted.reserved:
            if wanted.reserved is None:
                aws.delete_function_concurrency(FunctionName=name)
            else:
                aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=wanted.reserved)
            changed.append("concurrency")
        if aws.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] != wanted.recursive_loop:
            aws.put_function_recursion_config(FunctionName=name, RecursiveLoop=wanted.recursive_loop)
            changed.append("recursion")
        if stack_client.get_routes(target.client, name) != wanted.routes:
            stack_client.put_routes(target.client, name, wanted.routes)
            changed.append("routes")
        return [] if is_new else changed


def _present(aws: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = aws.get_function(FunctionName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return found


def _is_other_code(current: dict[str, Any], code: Code, package: bytes | None) -> bool:
    if package is None:
        return code.image is None or current["Code"].get("ImageUri") != code.image
    return bool(current["Configuration"]["CodeSha256"] != base64.b64encode(hashlib.sha256(package).digest()).decode())


def _differs(wanted: dict[str, Any], current: dict[str, Any]) -> bool:
    present = {
        **_ABSENT,
        **current,
        "Layers": [layer["Arn"] for layer in current.get("Layers", [])],
        "ImageConfig": current.get("ImageConfigResponse", {}).get("ImageConfig"),
    }
    return any(_plain(value) != _plain(present.get(name)) for name, value in wanted.items())


def _plain(value: Any) -> Any:
    """Members that are absent and members that are empty are the same to Lambda."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item not in (None, "", [], {})} or None
    return value
