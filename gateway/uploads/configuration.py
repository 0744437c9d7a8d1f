"""A bucket's rules as the XML of `NotificationConfiguration`, there and back. Pure.

Element names are S3's, some of them older than the names SDKs use: `CloudFunction` is a function's ARN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from gateway.uploads.elements import MALFORMED, local_name, text_of
from gateway.uploads.refusals import InvalidArgument, MalformedXml
from gateway.uploads.rules import Rule
from samovar.names import random_hex

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_TARGETS: Final = {"CloudFunctionConfiguration": "CloudFunction", "QueueConfiguration": "Queue"}
_NOT_OFFERED: Final = {
    "TopicConfiguration": "topics (SNS)",
    "EventBridgeConfiguration": "EventBridge",
}


def parse(body: bytes) -> list[Rule]:
    """The rules of a document. Raises `MalformedXml`, and `InvalidArgument` for destinations Samovar does not have."""
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MalformedXml(MALFORMED) from error
    if local_name(root) != "NotificationConfiguration":
        raise MalformedXml(MALFORMED)
    return list(_rules(root))


def _rules(root: Element) -> Iterator[Rule]:
    for element in root:
        kind = local_name(element)
        if kind in _NOT_OFFERED:
            raise InvalidArgument(f"Notifications to {_NOT_OFFERED[kind]} are not offered; name functions or queues")
        if kind not in _TARGETS:
            raise MalformedXml(MALFORMED)
        arn = text_of(element, _TARGETS[kind]).strip()
        if not arn:
            raise MalformedXml(MALFORMED)
        filters = dict(_filters(element))
        yield Rule(
            id=text_of(element, "Id").strip() or f"samovar-{random_hex(12)}",
            arn=arn,
            events=tuple((each.text or "").strip() for each in element if local_name(each) == "Event"),
            prefix=filters.get("prefix", ""),
            suffix=filters.get("suffix", ""),
            empty=tuple(name for name, value in filters.items() if not value),
        )


def _filters(element: Element) -> Iterator[tuple[str, str]]:
    seen = set()
    for rule in element.iter():
        if local_name(rule) != "FilterRule":
            continue
        name, value = (
            text_of(rule, "Name").strip().lower(),
            text_of(rule, "Value"),
        )
        if name not in ("prefix", "suffix"):
            raise InvalidArgument("filter rule name must be either prefix or suffix")
        if name in seen:
            raise InvalidArgument(f"Cannot specify more than one {name} rule in a filter.")
        seen.add(name)
        yield name, value


def render(rules: Sequence[Rule]) -> bytes:
    """The document that says these rules."""
    root = Element("NotificationConfiguration", xmlns=NAMESPACE)
    for rule in rules:
        kind = "CloudFunctionConfiguration" if rule.is_for_function else "QueueConfiguration"
        element = SubElement(root, kind)
        SubElement(element, "Id").text = rule.id
        SubElement(element, _TARGETS[kind]).text = rule.arn
        for event in rule.events:
            SubElement(element, "Event").text = event
        if rule.prefix or rule.suffix or rule.empty:
            key = SubElement(SubElement(element, "Filter"), "S3Key")
            for name, value in (("Prefix", rule.prefix), ("Suffix", rule.suffix)):
                if value or name.lower() in rule.empty:
                    part = SubElement(key, "FilterRule")
                    SubElement(part, "Name").text = name
                    SubElement(part, "Value").text = value
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(tostring(root))
