"""Which rules a bucket can have, which of them a change meets, and the XML that says them."""

from __future__ import annotations

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest

from gateway.uploads import configuration
from gateway.uploads.refusals import InvalidArgument, MalformedXml
from gateway.uploads.rules import EVENTS, MAX_RULES, Rule, check

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:thumbnail"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:uploads"


def rule(
    number: int = 1, events: tuple[str, ...] = ("s3:ObjectCreated:*",), prefix: str = "", suffix: str = ""
) -> Rule:
    return Rule(id=f"rule-{number}", arn=FUNCTION, events=events, prefix=prefix, suffix=suffix)


@pytest.mark.parametrize(
    ("given", "event", "key", "met"),
    [
        (rule(), "ObjectCreated:Put", "a", True),
        (rule(), "ObjectRemoved:Delete", "a", False),
        (rule(events=("s3:ObjectCreated:Copy",)), "ObjectCreated:Put", "a", False),
        (rule(events=("s3:ObjectCreated:Copy", "s3:ObjectRemoved:*")), "ObjectRemoved:DeleteMarkerCreated", "a", True),
        (rule(prefix="in/"), "ObjectCreated:Put", "in/a.jpg", True),
        (rule(prefix="in/"), "ObjectCreated:Put", "out/in/a.jpg", False),
        (rule(prefix="in/", suffix=".jpg"), "ObjectCreated:Put", "in/a.JPG", False),
        (rule(prefix="in/a", suffix="a.jpg"), "ObjectCreated:Put", "in/a.jpg", True),
        (rule(events=("s3:ObjectTagging:*",)), "ObjectTagging:Delete", "a", True),
        (rule(events=("s3:ObjectAcl:Put",)), "ObjectAcl:Put", "a", True),
    ],
)
def test_a_rule_is_met_by_event_prefix_and_suffix(given: Rule, event: str, key: str, met: bool) -> None:
    assert given.is_met(event, key) is met


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([rule(1), rule(1, prefix="x")], "Same ID"),
        ([rule(events=())], "at least one event"),
        ([rule(events=("s3:ObjectCreated",))], "is not supported"),
        ([rule(events=("s3:ObjectAcl:*",))], "is not supported"),
        ([rule(1, ("s3:ObjectTagging:Put",)), rule(2, ("s3:ObjectTagging:*",))], "overlapping suffixes"),
        ([rule(1, prefix="in/"), rule(2, prefix="in/a")], "overlapping suffixes"),
        ([rule(1, suffix=".jpg"), rule(2, prefix="in/")], "overlapping suffixes"),
        ([rule(1), rule(2, events=("s3:ObjectCreated:Post",))], "overlapping suffixes"),
        ([rule(n, prefix=f"{n:04}") for n in range(MAX_RULES + 1)], "at most 100"),
    ],
)
def test_what_s3_refuses_is_refused(rules: list[Rule], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        check(rules)


def test_rules_side_by_side_are_fine() -> None:
    check(
        [
            rule(1, suffix=".jpg"),
            rule(2, suffix=".png"),
            rule(3, ("s3:ObjectRemoved:*",)),
            rule(4, prefix="z", suffix="f"),
        ]
    )


def test_every_event_that_s3_has_a_name_for_may_be_asked_for() -> None:
    named = set(botocore.session.get_session().get_service_model("s3").shape_for("Event").enum)
    assert len(named) > 30
    assert named == EVENTS
    check([rule(events=tuple(named))])


@pytest.mark.parametrize("name", ["Prefix", "Suffix"])
def test_a_filter_of_no_characters_is_said_again(name: str) -> None:
    text = configuration.render([rule(prefix="p", suffix="s")])
    stated = text.replace(
        f"<Name>{name}</Name><Value>{name[0].lower()}<".encode(), f"<Name>{name}</Name><Value><".encode()
    )
    assert stated != text
    [parsed] = configuration.parse(stated)
    assert parsed.is_met("ObjectCreated:Put", "p-s")
    assert configuration.parse(configuration.render([parsed])) == [parsed]
    assert parsed.empty == (name.lower(),)


def test_a_document_says_the_rules_it_was_made_from() -> None:
    rules = [
        rule(1, ("s3:ObjectCreated:Put", "s3:ObjectRemoved:*"), "in & out/", ".jpg"),
        Rule(id="to queue", arn=QUEUE, events=("s3:ObjectCreated:*",)),
    ]
    assert configuration.parse(configuration.render(rules)) == rules
    assert configuration.parse(configuration.render([])) == []


def test_a_rule_without_a_name_gets_one() -> None:
    text = configuration.render([rule()]).replace(b"<Id>rule-1</Id>", b"")
    first, second = configuration.parse(text), configuration.parse(text)
    assert first[0].id
    assert first[0].id != second[0].id


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><NotificationConfiguration>&a;</NotificationConfiguration>'


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<a/>", b"<NotificationConfiguration><Nothing/></NotificationConfiguration>", BOMB]
)
def test_what_is_no_configuration_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        configuration.parse(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"CloudFunctionConfiguration", b"TopicConfiguration"), "topics"),
        ((b"<Name>Prefix</Name>", b"<Name>infix</Name>"), "either prefix or suffix"),
        ((b"<Name>Suffix</Name>", b"<Name>prefix</Name>"), "more than one prefix"),
    ],
)
def test_what_is_not_offered_is_said(change: tuple[bytes, bytes], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        configuration.parse(configuration.render([rule(prefix="a", suffix="b")]).replace(*change))
