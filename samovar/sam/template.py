"""The sections of a template: which resources it wants, in what order, with Globals and conditions applied. No I/O.

AWS SAM developer guide, "AWS SAM template anatomy" and "Globals section".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from samovar.sam import parameters
from samovar.sam.document import Node, TemplateError, nearest
from samovar.sam.intrinsics import Resolver, function_of, references

TRANSFORM: Final = "AWS::Serverless-2016-10-31"
EXTENSIONS: Final = "AWS::LanguageExtensions"
"""With this, AWS has `Fn::Length` and `Fn::ToJsonString`; here they are there without."""
_SECTIONS: Final = (
    "AWSTemplateFormatVersion", "Conditions", "Description", "Globals", "Mappings", "Metadata", "Outputs",
    "Parameters", "Resources", "Transform",
)  # fmt: skip
_GLOBALS: Final = {
    "Function": "AWS::Serverless::Function",
    "HttpApi": "AWS::Serverless::HttpApi",
    "Api": "AWS::Serverless::Api",
    "LayerVersion": "AWS::Serverless::LayerVersion",
}
_NEVER_GLOBAL: Final = frozenset({"FunctionName", "Events", "FunctionUrlConfig", "ImageUri", "InlineCode", "Role"})
"""Members of a function; what belongs to one function cannot be said of all."""
_ATTRIBUTES: Final = (
    "Condition", "DeletionPolicy", "DependsOn", "Description", "Metadata", "Properties", "Type", "UpdateReplacePolicy",
)  # fmt: skip
_DELETION: Final = ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot")
_EMPTY: Final = Node(1, {})


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a template, its functions not yet resolved."""

    name: str
    """Its logical id."""
    type: str
    line: int
    properties: Node
    after: frozenset[str]
    """The resources it refers to or names in `DependsOn`."""
    retain: bool = False
    """Whether it stays when it is no longer wanted."""


class Template:
    """A template with its parameters. Every method raises `TemplateError` with the line."""

    def __init__(self, root: Node, path: str, given: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        """`given` are overridden parameters, `pseudo` what `AWS::Region` and the like stand for."""
        self.path = path
        self._root = root
        sections = root.members()
        for name, node in sections.items():
            if name not in _SECTIONS:
                raise self._error(node.line, f"the section {name} is not supported; {nearest(name, _SECTIONS)}")
        declared = sections.get("Parameters", _EMPTY)
        values = parameters.values(declared, given, path) | dict(pseudo)
        mappings, conditions = sections.get("Mappings", _EMPTY), sections.get("Conditions", _EMPTY)
        self.resolver = Resolver(path, values, mappings, conditions)
        self._shared = self._globals()
        self.resources = {resource.name: resource for resource in self._resources()}
        self._check_transform()

    def ordered(self, generated: Mapping[str, str]) -> list[Resource]:
        """The resources, each behind those it needs. `generated`: name of what SAM adds → resource it comes from.

        A name that is nothing's is no matter here: whoever resolves it knows the line.
        """
        graph = {
            resource.name: {generated.get(name, name) for name in resource.after} - {resource.name}
            for resource in self.resources.values()
        }
        try:
            names = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            line = self.resources[error.args[1][0]].line
            raise self._error(line, f"these resources wait for one another: {circle}") from error
        return [self.resources[name] for name in names if name in self.resources]

    def shared(self) -> dict[str, Node]:
        """What `Globals` say of each type, resolved as far as they need no resource."""
        return {
            kind: self.resolver.resolve(node)
            for kind, node in self._shared.items()
            if kind != "AWS::Serverless::Function"
        }

    def outputs(self) -> dict[str, str]:
        """The outputs, when everything is known that they refer to."""
        found: dict[str, str] = {}
        for name, node in self._root.members().get("Outputs", _EMPTY).members().items():
            members = node.members()
            if "Condition" in members and not self.resolver.holds(str(members["Condition"].value), node.line):
                continue
            if "Value" not in members:
                raise self._error(node.line, f"the output {name} has no Value")
            found[name] = self.resolver.text(members["Value"])
        return found

    def _resources(self) -> Iterator[Resource]:
        section = self._root.members().get("Resources")
        if section is None or not section.members():
            raise self._error(self._root.line, "there are no Resources")
        for name, node in section.members().items():
            for attribute, value in node.members().items():
                if attribute not in _ATTRIBUTES:
                    hint = nearest(attribute, _ATTRIBUTES)
                    raise self._error(value.line, f"{attribute} of resource {name} is not supported; {hint}")
            resource = self._resource(name, node)
            if resource is not None:
                yield resource

    def _resource(self, name: str, node: Node) -> Resource | None:
        """The resource; `None` when its condition does not hold."""
        members = node.members()
        kind = members.get("Type")
        if kind is None or not isinstance(kind.value, str):
            raise self._error(node.line, f"resource {name} has no Type")
        if "Condition" in members and not self.resolver.holds(str(members["Condition"].value), node.line):
            return None
        properties = members.get("Properties", Node(node.line, {}))
        if kind.value in self._shared:
            properties = merged(self._shared[kind.value], properties)
        needed = frozenset(self._needed(properties, members))
        return Resource(name, kind.value, node.line, properties, needed, self._retains(members))

    def _retains(self, members: Mapping[str, Node]) -> bool:
        said = members.get("DeletionPolicy")
        if said is None:
            return False
        policy = self.resolver.text(said)
        if policy not in _DELETION:
            raise self._error(said.line, f"DeletionPolicy {policy} is not supported; {nearest(policy, _DELETION)}")
        if policy == "Snapshot":
            raise self._error(said.line, "DeletionPolicy Snapshot is not supported: nothing here has snapshots; Retain")
        return policy != "Delete"

    def _needed(self, properties: Node, members: Mapping[str, Node]) -> Iterator[str]:
        depends = members.get("DependsOn", Node(1, [])).plain()
        there = self._root.members()["Resources"].members()
        for name in [depends] if isinstance(depends, str) else depends or []:
            if name not in there and not any(name.startswith(other) for other in self._functions()):
                hint = nearest(name, there)
                raise self._error(members["DependsOn"].line, f"DependsOn: there is no resource {name}; {hint}")
            yield name
        given = self._root.members().get("Parameters", _EMPTY).members()
        for name in references(_chosen(properties, self.resolver)):
            if "::" not in name and name not in given:
                yield name

    def _functions(self) -> Iterator[str]:
        """The resources of which SAM makes others, whose names begin with theirs."""
        for name, node in self._root.members()["Resources"].members().items():
            kind = node.members().get("Type")
            if kind is not None and kind.value == "AWS::Serverless::Function":
                yield name

    def _globals(self) -> dict[str, Node]:
        section = self._root.members().get("Globals", _EMPTY)
        for name, node in section.members().items():
            if name not in _GLOBALS:
                raise self._error(node.line, f"Globals for {name} are not supported; {nearest(name, _GLOBALS)}")
            for member, value in node.members().items():
                if name == "Function" and member in _NEVER_GLOBAL:
                    raise self._error(value.line, f"{member} belongs to one function and cannot stand in Globals")
        return {_GLOBALS[name]: node for name, node in section.members().items()}

    def _check_transform(self) -> None:
        node = self._root.members().get("Transform", Node(1, []))
        given = node.plain()
        transforms = [given] if isinstance(given, str) else given or []
        for transform in transforms:
            if transform not in (TRANSFORM, EXTENSIONS):
                raise self._error(node.line, f"the transform {transform} is not supported; there is {TRANSFORM}")
        serverless = [found for found in self.resources.values() if found.type.startswith("AWS::Serverless::")]
        if serverless and TRANSFORM not in transforms:
            raise self._error(serverless[0].line, f"{serverless[0].type} needs `Transform: {TRANSFORM}`")

    def _error(self, line: int, problem: str) -> TemplateError:
        return TemplateError(f"{self.path}:{line}: {problem}")


def merged(shared: Node, own: Node) -> Node:
    """Globals with a resource's own: objects member by member, lists one behind the other, else the own one."""
    if isinstance(shared.value, list) and isinstance(own.value, list):
        return Node(own.line, [*shared.value, *own.value])
    if function_of(shared) is not None or function_of(own) is not None:
        return own
    if isinstance(shared.value, dict) and isinstance(own.value, dict):
        both = {name: merged(shared.value[name], own.value[name]) for name in shared.value.keys() & own.value.keys()}
        return Node(own.line, {**shared.value, **own.value, **both})
    return own


def _chosen(node: Node, resolver: Resolver) -> Node:
    """The node with every `Fn::If` replaced by the branch that counts: the other one's references do not."""
    if function_of(node) == "Fn::If":
        argument = node.members()["Fn::If"].value
        if isinstance(argument, list) and len(argument) == 3:
            name = resolver.text(argument[0])
            return _chosen(argument[1] if resolver.holds(name, node.line) else argument[2], resolver)
    if isinstance(node.value, list):
        return Node(node.line, [_chosen(item, resolver) for item in node.value])
    if isinstance(node.value, dict):
        return Node(node.line, {name: _chosen(item, resolver) for name, item in node.value.items()})
    return node
