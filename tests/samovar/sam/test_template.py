"""Parameters, functions, conditions, Globals and the order of resources."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from samovar.errors import InvalidParameterValue
from samovar.sam.document import TemplateError, parse
from samovar.sam.parameters import overrides
from samovar.sam.template import Template

HEAD = """\
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Zones: {Type: CommaDelimitedList, Default: "a, b"}
  Size: {Type: Number, Default: 5, MaxValue: 10}
Mappings:
  Sizes: {dev: {memory: 128}, prod: {memory: 1024}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsSmall: !Not [!Condition IsProd]
  IsBoth: !And [!Condition IsProd, !Condition IsSmall]
  IsEither: !Or [!Condition IsProd, !Condition IsSmall]
"""
PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::StackName": "tea"}
KNOWN = {"Pot": {"": "pot-1", "Arn": "arn:pot", "Alias": "arn:pot:live"}}


def template(resources: str, head: str = HEAD, **given: str) -> Template:
    text = head + "Resources:\n" + textwrap.indent(textwrap.dedent(resources), "  ")
    return Template(parse(text, "t.yaml"), "t.yaml", given, PSEUDO)


def resolved(value: str, **given: str) -> Any:
    """What a value comes to as a property of a resource."""
    found = template(f"Cup:\n  Type: X\n  Properties:\n    Value: {value}", **given)
    found.resolver.resources = KNOWN
    return found.resolver.resolve(found.resources["Cup"].properties).plain().get("Value", "left out")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Zones", ["a", "b"]),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref AWS::NoValue", "left out"),
        ("!Ref Pot", "pot-1"),
        ("!Ref Pot.Alias", "arn:pot:live"),
        ("!GetAtt Pot.Arn", "arn:pot"),
        ("{'Fn::GetAtt': [Pot, Arn]}", "arn:pot"),
        ('!Sub "${Stage}-${Pot}-${Pot.Arn}-${AWS::AccountId}-${!Kept}"', "dev-pot-1-arn:pot-123456789012-${Kept}"),
        ('!Sub ["${Stage}-${Own}", {Own: !Ref Pot}]', "dev-pot-1"),
        ("!Join ['-', [a, !Ref Stage]]", "a-dev"),
        ("!Join ['+', !Ref Zones]", "a+b"),
        ("!Select [1, !Ref Zones]", "b"),
        ("!Split ['/', 'a/b']", ["a", "b"]),
        ("!FindInMap [Sizes, !Ref Stage, memory]", "128"),
        ("!Base64 hello", "aGVsbG8="),
        ("!If [IsProd, big, small]", "small"),
        ("!If [IsProd, big, !Ref AWS::NoValue]", "left out"),
        ("!If [IsEither, a, b]", "a"),
        ("!If [IsBoth, a, b]", "b"),
        ("[1, !Ref AWS::NoValue, 2]", ["1", "2"]),
    ],
)
def test_functions_are_replaced_by_what_they_stand_for(value: str, expected: object) -> None:
    assert resolved(value) == expected


def test_parameters_can_be_overridden() -> None:
    assert resolved("!If [IsProd, !FindInMap [Sizes, !Ref Stage, memory], 0]", Stage="prod") == "1024"
    assert resolved("!Ref Zones", Zones="x") == ["x"]
    assert overrides(["A=1 B='two words'", "ParameterKey=C,ParameterValue=a=b", "D="]) == {
        "A": "1", "B": "two words", "C": "a=b", "D": "",
    }  # fmt: skip
    with pytest.raises(InvalidParameterValue, match="NAME=VALUE"):
        overrides(["A"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("!Ref Stag", "t.yaml:17: there is no parameter or resource Stag; did you mean Stage?"),
        ("!GetAtt Pot.Arm", "t.yaml:17: Pot has no attribute Arm; did you mean Arn?"),
        ('!Sub "${Nobody}"', "no parameter or resource Nobody"),
        ("!Select [7, !Ref Zones]", "the list has 2 items"),
        ("!FindInMap [Sizes, test, memory]", "finds no test; there are dev, prod"),
        ("!If [IsTest, 1, 2]", "there is no condition IsTest"),
        ("!If [IsProd, 1]", "a list of 3 is wanted"),
        ("!Join ['-', a]", "a list is wanted"),
        ("{'Fn::Transform': {Name: x}}", "Fn::Transform is not supported"),
        ("!Equals [a, b]", "belongs into the section Conditions"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(value: str, says: str) -> None:
    with pytest.raises(TemplateError) as refused:
        resolved(value)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Stage": "test"}, "t.yaml:3: parameter Stage: 'test' is not allowed: it is one of dev, prod"),
        ({"Size": "eleven"}, "it is a number"),
        ({"Size": "11"}, "at most 10"),
        ({"Stag": "dev"}, "there is no parameter Stag; did you mean Stage?"),
    ],
)
def test_parameters_are_held_to_their_declaration(given: dict[str, str], says: str) -> None:
    with pytest.raises(TemplateError) as refused:
        template("Cup: {Type: X}", **given)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("resources", "head", "says"),
    [
        ("Cup: {Type: X}", "Ressources: {}\n", "t.yaml:1: the section Ressources is not supported; did you mean"),
        ("Cup: {Typ: X}", "", "t.yaml:2: Typ of resource Cup is not supported; did you mean Type?"),
        ("Cup: {Properties: {}}", "", "resource Cup has no Type"),
        ("Cup: {Type: X, DependsOn: Pott}\nPot: {Type: X}", "", "there is no resource Pott; did you mean Pot?"),
        ("F: {Type: 'AWS::Serverless::Function'}", "", "t.yaml:2: AWS::Serverless::Function needs `Transform"),
        ("F: {Type: X}", "Transform: AWS::Include\n", "AWS::Include is not supported"),
        ("F: {Type: X}", "Globals: {Functoin: {}}\n", "Globals for Functoin are not supported; did you mean Function?"),
        ("F: {Type: X}", "Globals: {Function: {FunctionName: a}}\n", "FunctionName belongs to one function"),
        ("F: {Type: X}", "Parameters: {P: {Type: Text}}\n", "t.yaml:1: Type: Invalid enum value 'Text'"),
        ("F: {Type: X}", "Parameters: {P: {Type: String}}\n", "parameter P has no default"),
        ("F: {Type: X}", "Conditions: {C: !Condition C}\n", ""),
    ],
)
def test_a_template_is_held_to_its_anatomy(resources: str, head: str, says: str) -> None:
    if not says:
        assert template(resources, head).resources.keys() == {"F"}  # nobody asks for the condition
        return
    with pytest.raises(TemplateError) as refused:
        template(resources, head)
    assert says in refused.value.message


def test_resources_come_behind_those_they_need() -> None:
    found = template(
        """\
        A: {Type: X, Properties: {B: !Sub "${B.Arn}"}}
        B: {Type: X, DependsOn: [C]}
        C: {Type: X, Properties: {D: !If [IsProd, !Ref A, !Ref D]}}
        D: {Type: X}
        Gone: {Type: X, Condition: IsProd}
        """
    )
    assert [resource.name for resource in found.ordered({})] == ["D", "C", "B", "A"]
    with pytest.raises(TemplateError, match="these resources wait for one another"):
        template("A: {Type: X, Properties: {B: !Ref B}}\nB: {Type: X, Properties: {A: !GetAtt A.Arn}}").ordered({})


def test_globals_are_merged_as_sam_does() -> None:
    head = """\
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Timeout: 5
    Layers: [a]
    Environment: {Variables: {A: 1, B: 1}}
"""
    found = template(
        """\
        F:
          Type: AWS::Serverless::Function
          Properties: {Timeout: 6, Layers: [b], Environment: {Variables: {B: 2}}}
        """,
        head,
    )
    assert found.resources["F"].properties.plain() == {
        "Timeout": "6", "Layers": ["a", "b"], "Environment": {"Variables": {"A": "1", "B": "2"}},
    }  # fmt: skip
