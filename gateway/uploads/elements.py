"""Elements of S3's XML, whatever namespace a client or a server writes them in. Pure."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

MALFORMED: Final = "The XML you provided was not well-formed or did not validate against our published schema"


def local_name(element: Element) -> str:
    """Its name without the namespace."""
    return str(element.tag).rpartition("}")[2]


def text_of(element: Element, name: str) -> str:
    """The text of the first child of that name, as it stands; empty if there is none."""
    return next((each.text or "" for each in element if local_name(each) == name), "")
