"""What operations take is what AWS's model of SQS says."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest

from gateway.lambda_api import model
from gateway.queues.api import requests
from gateway.queues.api.operations import OPERATIONS

KINDS = {"string": str, "integer": int, "boolean": bool, "blob": bytes}


def test_every_operation_of_the_model_is_offered() -> None:
    assert OPERATIONS.keys() == model.operations("sqs").keys()


def matches(kind: object, name: str) -> bool:
    """Whether a type of ours is what a shape of the model says."""
    shape = model.shape(name, "sqs")
    if shape.type == "structure":
        return isinstance(kind, type) and issubclass(kind, requests.Request) and agrees(kind, shape)
    if shape.type == "list":
        assert shape.member is not None
        return typing.get_origin(kind) is list and matches(typing.get_args(kind)[0], shape.member.shape)
    if shape.type == "map":
        assert shape.value is not None
        key, *value = typing.get_args(kind)
        return key is str and matches(value[0], shape.value.shape)
    return kind is KINDS[shape.type]


def agrees(kind: type[requests.Request], shape: model.Shape) -> bool:
    """Whether a record has the members of a structure, with their types."""
    hints = typing.get_type_hints(kind)
    fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(kind)}
    assert fields.keys() == shape.members.keys(), kind
    return all(matches(without_none(fields[name]), member.shape) for name, member in shape.members.items())


def without_none(hint: object) -> object:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        [hint] = [one for one in typing.get_args(hint) if one is not type(None)]
    return hint


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_request_has_the_members_of_the_model(name: str) -> None:
    stated = model.operations("sqs")[name].input
    assert stated is not None
    assert agrees(OPERATIONS[name].request, model.shape(stated, "sqs"))
