"""What the AWS CDK writes into every template beside what an app asks for, and where it says its code is. No I/O.

AWS CDK developer guide, "Bootstrapping": a stack checks by a rule and a parameter that its account was prepared, and
assets lie in a bucket of that account. There is nothing to prepare here, and the assets lie beside the template:
"Asset metadata" in the AWS SAM developer guide, "Locally testing AWS CDK applications", says where.
"""

from __future__ import annotations

from typing import Final

from samovar.sam.document import Node

_CHECK: Final = "CheckBootstrapVersion"
_VERSION: Final = "BootstrapVersion"
_FROM_STORE: Final = "AWS::SSM::Parameter::Value<String>"
_OF_THE_TOOL: Final = "AWS::CDK::Metadata"
"""Which constructs an app uses, for AWS's statistics."""
_ASSET_PATH, _ASSET_PROPERTY = "aws:asset:path", "aws:asset:property"


def without_toolkit(root: Node) -> Node:
    """The template with its assets in place, and without what only the CDK's own tools have a use for."""
    sections = {name: _kept(name, section) for name, section in root.members().items()}
    return Node(root.line, {name: node for name, node in sections.items() if name != "Rules" or node.members()})


def _kept(name: str, section: Node) -> Node:
    if name not in ("Parameters", "Resources", "Rules") or not section.members():
        return section
    members = section.members().items()
    return Node(section.line, {key: _with_asset(node) for key, node in members if not _is_the_tools(name, key, node)})


def _is_the_tools(section: str, name: str, node: Node) -> bool:
    if section == "Rules":
        return name == _CHECK
    kind = node.members().get("Type")
    if section == "Parameters":
        return name == _VERSION and kind is not None and kind.value == _FROM_STORE
    return kind is not None and kind.value == _OF_THE_TOOL


def _with_asset(node: Node) -> Node:
    """A resource whose code is a folder or a package beside the template, if its metadata say so."""
    members = node.members()
    metadata = members.get("Metadata", node).members()
    path, place = (metadata.get(name) for name in (_ASSET_PATH, _ASSET_PROPERTY))
    properties = members.get("Properties")
    if path is None or place is None or properties is None or place.value not in properties.members():
        return node
    located = Node(properties.line, {**properties.members(), str(place.value): path})
    return Node(node.line, {**members, "Properties": located})
