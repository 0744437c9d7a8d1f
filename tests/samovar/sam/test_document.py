"""Templates as they are written: YAML, JSON, short forms, and the lines of what is wrong."""

from __future__ import annotations

import textwrap

import pytest

from samovar.sam.document import Node, TemplateError, parse


def read(text: str) -> Node:
    return parse(textwrap.dedent(text), "template.yaml")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A: !Ref B", {"A": {"Ref": "B"}}),
        ("A: !GetAtt B.Arn", {"A": {"Fn::GetAtt": ["B", "Arn"]}}),
        ("A: !GetAtt [B, Arn]", {"A": {"Fn::GetAtt": ["B", "Arn"]}}),
        ('A: !Sub "${B}-x"', {"A": {"Fn::Sub": "${B}-x"}}),
        ("A: !Join ['', [a, !Ref B]]", {"A": {"Fn::Join": ["", ["a", {"Ref": "B"}]]}}),
        ("A: 2010-09-09", {"A": "2010-09-09"}),
        ("A: 007", {"A": "007"}),
        ("A: 1.10", {"A": "1.10"}),
        ("A: yes", {"A": "true"}),
        ("A: 'yes'", {"A": "yes"}),
        ("A: ~", {"A": None}),
        ("A:", {"A": None}),
        ("A: &x {B: 1}\nC: *x", {"A": {"B": "1"}, "C": {"B": "1"}}),
        ('{\n\t"A": {"Fn::Sub": "x"}\n}', {"A": {"Fn::Sub": "x"}}),
    ],
)
def test_values_stay_as_they_are_written(text: str, plain: object) -> None:
    assert parse(text, "template").plain() == plain


def test_everything_knows_its_line() -> None:
    root = read("""\
        A:
          - x
          - B: !Ref C
        D: 1
        """)
    a = root.members()["A"]
    assert isinstance(a.value, list)
    assert [a.line, a.value[0].line, a.value[1].members()["B"].line, root.members()["D"].line] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A: 1\nA: 2", "template.yaml:2: A is given twice"),
        ("A: !Reff B", "template.yaml:1: !Reff is not supported; did you mean Ref?"),
        ("A: !ImportValue B", "!ImportValue is not supported; there are "),
        ("A: [1", "template.yaml:1: "),
        ("A:\n  - b\n c: 1", "template.yaml:3: "),
        ("- a", "holds no object"),
        ("", "holds no object"),
        ("a: b: c", "template.yaml:1: mapping values are not allowed"),
        ("A: &x [*x]", "too large, or endless"),
        ("[" * 1000, "no YAML"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, says: str) -> None:
    with pytest.raises(TemplateError) as refused:
        read(text)
    assert says in refused.value.message


def test_aliases_cannot_blow_up() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    with pytest.raises(TemplateError, match="too large"):
        read(text)
