"""What CloudFormation computes in a template: `Ref`, `Fn::Sub`, `Fn::GetAtt`, conditions and the like. No I/O.

CloudFormation user guide, "Intrinsic function reference" and "Pseudo parameters reference".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from samovar.sam.document import Node, TemplateError, nearest

NO_VALUE: Final = Node(0, "AWS::NoValue")
"""What `Ref: AWS::NoValue` becomes: whoever holds it leaves it out."""
_VARIABLE: Final = re.compile(r"\$\{(?P<kept>!?)(?P<name>[^{}]*)\}")
_CONDITIONS: Final = ("Condition", "Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or")

Known = Mapping[str, Mapping[str, str]]
"""Resource → its attributes; the empty name is what `Ref` gives."""


class Resolver:
    """Replaces functions by what they stand for. Every method raises `TemplateError` with the line."""

    def __init__(self, path: str, values: Mapping[str, str | list[str]], mappings: Node, conditions: Node) -> None:
        """`values` are the parameters', and the pseudo parameters'."""
        self._path = path
        self._values = values
        self._mappings = mappings
        self._conditions = conditions
        self._deciding: list[str] = []
        self.resources: Known = {}
        """What is known of resources; grows while they are deployed."""
        self.refused: set[str] = set()
        """Resources that are refused: what others say of them is no mistake of theirs."""

    def resolve(self, node: Node) -> Node:
        """The node without functions; `NO_VALUE` when it is to be left out."""
        if isinstance(node.value, list):
            items = [self.resolve(item) for item in node.value]
            return Node(node.line, [item for item in items if item is not NO_VALUE])
        if not isinstance(node.value, dict):
            return node
        name = function_of(node)
        if name is not None:
            return self._called(name, node.value[name], node.line)
        members = {key: self.resolve(item) for key, item in node.value.items()}
        return Node(node.line, {key: item for key, item in members.items() if item is not NO_VALUE})

    def text(self, node: Node) -> str:
        """What must be text in the end."""
        value = self.resolve(node).value
        if not isinstance(value, str):
            raise self._error(node.line, "this must be text")
        return value

    def holds(self, name: str, line: int) -> bool:
        """Whether a condition of the template holds."""
        condition = self._conditions.members().get(name)
        if condition is None:
            raise self._error(line, f"there is no condition {name}; {nearest(name, self._conditions.members())}")
        if name in self._deciding:
            raise self._error(condition.line, f"condition {name} depends on itself")
        self._deciding.append(name)
        try:
            return self._decide(condition)
        finally:
            self._deciding.pop()

    def _called(self, name: str, argument: Node, line: int) -> Node:
        if name == "Ref":
            return self._ref(self.text(argument), line)
        if name == "Fn::GetAtt":
            resource, attribute = (self.text(item) for item in self._listed(argument, 2))
            return Node(line, self._attribute(resource, attribute, line))
        if name == "Fn::Sub":
            return Node(line, self._sub(argument))
        if name == "Fn::If":
            condition, yes, no = self._listed(argument, 3)
            return self.resolve(yes if self.holds(self.text(condition), line) else no)
        if name in _CONDITIONS:
            raise self._error(line, f"{name} belongs into the section Conditions")
        return self._computed(name, argument, line)

    def _computed(self, name: str, argument: Node, line: int) -> Node:
        if name == "Fn::Join":
            separator, items = self._listed(argument, 2)
            return Node(line, self.text(separator).join(self.text(item) for item in self._list(items)))
        if name == "Fn::Split":
            separator, source = self._listed(argument, 2)
            return Node(line, [Node(line, part) for part in self.text(source).split(self.text(separator))])
        if name == "Fn::Select":
            index, items = self._listed(argument, 2)
            there, wanted = self._list(items), self.text(index)
            if not wanted.isdigit() or int(wanted) >= len(there):
                raise self._error(line, f"the list has {len(there)} items, counted from 0; there is no {wanted}")
            return self.resolve(there[int(wanted)])
        if name == "Fn::FindInMap":
            return self._found_in_map([self.text(item) for item in self._listed(argument, 3)], line)
        if name == "Fn::Base64":
            return Node(line, base64.b64encode(self.text(argument).encode()).decode())
        if name == "Fn::Length":
            return Node(line, str(len(self._list(argument))))
        if name == "Fn::ToJsonString":
            return Node(line, json.dumps(self.resolve(argument).plain()))
        raise self._error(line, f"{name} is not supported")

    def _ref(self, name: str, line: int) -> Node:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._values:
            value = self._values[name]
            return Node(line, [Node(line, item) for item in value] if isinstance(value, list) else value)
        resource, _, attribute = name.partition(".")
        return Node(line, self._attribute(resource, attribute, line))

    def _attribute(self, resource: str, attribute: str, line: int) -> str:
        if resource in self.refused:
            return f"{resource}.{attribute}"
        if resource not in self.resources:
            known = nearest(resource, [*self.resources, *self._values])
            raise self._error(line, f"there is no parameter or resource {resource}; {known}")
        there = self.resources[resource]
        if attribute not in there:
            known = nearest(attribute, [name for name in there if name])
            raise self._error(line, f"{resource} has no attribute {attribute}; {known}")
        return there[attribute]

    def _sub(self, argument: Node) -> str:
        own: dict[str, str] = {}
        source = argument
        if isinstance(argument.value, list):
            source, given = self._listed(argument, 2)
            own = {name: self.text(item) for name, item in given.members().items()}
        if not isinstance(source.value, str):
            raise self._error(source.line, "Fn::Sub takes text, or a list of text and an object")

        def replaced(match: re.Match[str]) -> str:
            name = match["name"].strip()
            if match["kept"]:
                return "${" + match["name"] + "}"
            if name in own:
                return own[name]
            found = self._ref(name, argument.line).value
            if not isinstance(found, str):
                raise self._error(argument.line, f"${{{name}}} is no text")
            return found

        return _VARIABLE.sub(replaced, source.value)

    def _found_in_map(self, names: list[str], line: int) -> Node:
        found = self._mappings
        for name in names:
            if name not in found.members():
                raise self._error(line, f"Fn::FindInMap finds no {name}; {nearest(name, found.members())}")
            found = found.members()[name]
        return Node(line, found.value)

    def _decide(self, node: Node) -> bool:
        name = function_of(node)
        if name is None or name not in _CONDITIONS:
            raise self._error(node.line, f"a condition is one of {', '.join(_CONDITIONS)}")
        argument = node.members()[name]
        if name == "Condition":
            return self.holds(self.text(argument), node.line)
        if name == "Fn::Equals":
            left, right = (self.resolve(item).plain() for item in self._listed(argument, 2))
            return bool(left == right)
        if name == "Fn::Not":
            return not self._decide(self._listed(argument, 1)[0])
        decided = [self._decide(item) for item in self._list(argument)]
        return all(decided) if name == "Fn::And" else any(decided)

    def _listed(self, node: Node, length: int) -> list[Node]:
        if not isinstance(node.value, list) or len(node.value) != length:
            raise self._error(node.line, f"a list of {length} is wanted here")
        return node.value

    def _list(self, node: Node) -> list[Node]:
        found = self.resolve(node).value if function_of(node) is not None else node.value
        if not isinstance(found, list):
            raise self._error(node.line, "a list is wanted here")
        return found

    def _error(self, line: int, problem: str) -> TemplateError:
        return TemplateError(f"{self._path}:{line}: {problem}")


def function_of(node: Node) -> str | None:
    """The function a node calls, if it calls one."""
    if isinstance(node.value, dict) and len(node.value) == 1:
        (name,) = node.value
        if name in ("Ref", "Condition") and isinstance(node.value[name].value, str):
            return name
        if name.startswith("Fn::"):
            return name
    return None


def references(node: Node) -> Iterator[str]:
    """The resources and parameters a node refers to, by name."""
    for inner in node.walk():
        name = function_of(inner)
        if name in ("Ref", "Fn::GetAtt", "Fn::Sub"):
            for text in _named(inner.members()[name], name):
                yield text.partition(".")[0]


def _named(argument: Node, function: str) -> Iterator[str]:
    value = argument.value
    if function == "Fn::Sub":
        source = value[0].value if isinstance(value, list) and value else value
        own = value[1].members() if isinstance(value, list) and len(value) > 1 else {}
        if isinstance(source, str):
            names = (match["name"].strip() for match in _VARIABLE.finditer(source) if not match["kept"])
            yield from (name for name in names if name not in own)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and isinstance(value[0].value, str):
        yield value[0].value
