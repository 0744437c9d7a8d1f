"""Templates taken apart without a platform."""

from __future__ import annotations

import textwrap
from pathlib import Path

from samovar.access.sigv4 import Credentials
from samovar.clients.platform import Client
from samovar.sam.document import parse
from samovar.sam.expand import Expander
from samovar.sam.expanding import Expanded
from samovar.sam.item import Item
from samovar.sam.target import Target
from samovar.sam.template import Template

HEAD = "Transform: AWS::Serverless-2016-10-31\nResources:\n"


def expanded(resources: str, folder: Path = Path(), head: str = "") -> list[Item]:
    """The items of all resources, none of which refers to another."""
    return [item for one in _all(resources, folder, head) for item in one.items]


def noted(resources: str) -> list[str]:
    """What is told of all resources."""
    return [note for one in _all(resources, Path(), "") for note in one.notes]


def _all(resources: str, folder: Path, head: str) -> list[Expanded]:
    found = Template(parse(head + HEAD + textwrap.indent(resources, "  "), "t.yaml"), "t.yaml", {}, {})
    with Client("http://127.0.0.1:1", Credentials("AKIA", "secret")) as client:
        target = Target(
            client=client,
            stack="tea",
            path="t.yaml",
            folder=folder,
            account="123456789012",
            package=lambda *_: b"",
            say=lambda _: None,
        )
        expander = Expander(target, found.shared())
        expander.implicit()
        return [
            expander.expand(resource, found.resolver.resolve(resource.properties)) for resource in found.ordered({})
        ]
