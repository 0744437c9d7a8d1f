"""AWS's query protocol, as SQS spoke it before and still does: forms in, XML out (Smithy, "AWS query protocol").

The names of lists and maps on the wire are those of AWS SQS's API reference of that time; everything else follows from
the shapes of AWS's model.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import msgspec

from gateway.access.refusals import query_code
from gateway.http.rendering import Response
from gateway.lambda_api import model
from gateway.queues.api import query_json
from gateway.queues.api.call import Answer
from gateway.queues.api.operations import Operation
from gateway.queues.api.requests import Request
from gateway.queues.errors import MalformedRequest, NoAction, QueueDoesNotExist, SqsError
from samovar.errors import SamovarError

_NAMESPACE: Final = "http://queue.amazonaws.com/doc/2012-11-05/"
_MOST_FIELDS: Final = 10_000
_SINGULAR: Final = {
    "AttributeNames": "AttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "Attributes": "Attribute",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "Tags": "Tag",
    "tags": "Tag",
    "TagKeys": "TagKey",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "StringListValues": "StringListValue",
    "BinaryListValues": "BinaryListValue",
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Messages": "Message",
    "Failed": "BatchResultErrorEntry",
    "Results": "ListMessageMoveTasksResultEntry",
}
"""What one item of a list or a map is called on the wire."""
_TAGS: Final = ("Tags", "tags")
Tree = dict[str, Any]
"""Fields of a form, split at their dots: text, or further trees."""


def fields_of(query: bytes, body: bytes) -> dict[str, str]:
    """The fields of a request, in its query or its body. Raises `MalformedRequest`."""
    try:
        text = (query + b"&" + body).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise MalformedRequest(f"The request is no form of at most {_MOST_FIELDS} fields: {error}") from error
    return dict(pairs)


def decode(operation: Operation, fields: dict[str, str]) -> Request:
    """A request. Raises `MalformedRequest`."""
    stated = model.operations("sqs")[operation.name].input
    assert stated is not None, "every operation of SQS takes something"
    given = _structure(model.shape(stated, "sqs"), _tree(fields))
    try:
        return msgspec.convert(given, operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedRequest(str(error)) from error


def answer(operation: str, found: Answer | None, request_id: str, *, as_json: bool = False) -> Response:
    """An answer; operations without results have none in it."""
    if as_json:
        return query_json.answer(operation, found, request_id)
    result = "" if found is None else _element(f"{operation}Result", found, operation)
    body = (
        f'<?xml version="1.0"?><{operation}Response xmlns="{_NAMESPACE}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(200, _headers(request_id), body.encode())


def refusal(error: SamovarError, request_id: str, *, as_json: bool = False) -> Response:
    """An error. To what names no action, SQS says nothing but that."""
    if isinstance(error, NoAction):
        return Response(error.status, _headers(request_id), b"<UnknownOperationException/>\n")
    code = error.code if isinstance(error, SqsError) else query_code(error)
    message = error.message
    if isinstance(error, QueueDoesNotExist):
        message = "The specified queue does not exist for this wsdl version."
    kind = "Sender" if error.fault == "User" else "Receiver"
    if as_json:
        return query_json.refusal(error.status, code, message, kind, request_id)
    body = (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{_NAMESPACE}"><Error>'
        f"<Type>{kind}</Type><Code>{code}</Code>"
        f"<Message>{_text(message)}</Message><Detail/></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(error.status, _headers(request_id), body.encode("utf-8", "xmlcharrefreplace"))


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"text/xml"), (b"x-amzn-requestid", request_id.encode())]


def _tree(fields: dict[str, str]) -> Tree:
    tree: Tree = {}
    for name, value in fields.items():
        place = tree
        *path, last = name.split(".")
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise MalformedRequest(f"{name} is given beside a field it is a part of")
        place[last] = value
    return tree


def _structure(shape: model.Shape, tree: Tree) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        kind = model.shape(member.shape, "sqs")
        for wire in (name, _SINGULAR.get(name), kind.member.shape if kind.member else None):
            if wire is not None and wire in tree:
                found[name] = _value(kind, tree[wire], name)
                break
    return found


def _value(kind: model.Shape, given: Any, name: str) -> Any:
    if kind.type not in ("structure", "list", "map"):
        return given
    if not isinstance(given, dict):
        if given == "":  # how some clients send an empty list
            return [] if kind.type == "list" else {}
        raise MalformedRequest(f"{name} is a {kind.type}, whose parts are fields of their own")
    if kind.type == "structure":
        return _structure(kind, given)
    return _list(kind, given, name) if kind.type == "list" else _map(kind, given, name)


def _list(kind: model.Shape, given: Tree, name: str) -> list[Any]:
    assert kind.member is not None, "lists have members"
    item = model.shape(kind.member.shape, "sqs")
    return [_value(item, one, name) for one in _numbered(given, name)]


def _map(kind: model.Shape, given: Tree, name: str) -> dict[str, Any]:
    assert kind.value is not None, "maps have values"
    item = model.shape(kind.value.shape, "sqs")
    key = "Key" if name in _TAGS else "Name"
    found = {}
    for one in _numbered(given, name):
        if not isinstance(one, dict) or not isinstance(one.get(key), str):
            raise MalformedRequest(f"{name} needs a {key} with each Value")
        found[one[key]] = _value(item, one.get("Value", ""), name)
    return found


def _numbered(given: Tree, name: str) -> list[Any]:
    """The items of a list in their order; `member` may stand between its name and the numbers."""
    nested = given.get("member")
    items = nested if isinstance(nested, dict) else given
    if not all(number.isascii() and number.isdigit() for number in items):
        raise MalformedRequest(f"the items of {name} have numbers")
    return [items[number] for number in sorted(items, key=int)]


def _written(found: Answer, operation: str) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, list):
            wire = f"{operation}ResultEntry" if name == "Successful" else _SINGULAR[name]
            yield from (_element(wire, one, operation) for one in value)
        elif isinstance(value, dict) and name in _SINGULAR:
            wire, key = _SINGULAR[name], "Key" if name in _TAGS else "Name"
            for one, what in value.items():
                yield f"<{wire}><{key}>{_text(one)}</{key}>{_element('Value', what, operation)}</{wire}>"
        else:
            yield _element(name, value, operation)


def _element(name: str, value: Any, operation: str) -> str:
    if isinstance(value, dict):
        content = "".join(_written(value, operation))
    elif isinstance(value, bytes):
        content = b64encode(value).decode()
    elif isinstance(value, bool):
        content = "true" if value else "false"
    else:
        content = _text(str(value))
    return f"<{name}>{content}</{name}>" if content else f"<{name}/>"


def _text(text: str) -> str:
    """Text in XML; parsers would take a bare carriage return for a line's end."""
    return escape(text, {"\r": "&#xD;"})
