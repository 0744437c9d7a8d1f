"""Resource policies: the document AWS makes of single permissions, and what it allows. Pure.

Sources: AWS Lambda API reference, AddPermission and AddLayerVersionPermission; AWS IAM user guide, "Policy evaluation
logic" and "IAM JSON policy elements".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from samovar.errors import InvalidParameterValue, PolicyLengthExceeded, ResourceConflict, ResourceNotFound

Statement = Mapping[str, Any]
"""One statement of a policy, member by member as IAM names them."""
Statements = tuple[dict[str, Any], ...]

MAX_POLICY_BYTES: Final = 20_480
_OPERATORS: Final = frozenset({"StringEquals", "ArnEquals", "StringLike", "ArnLike", "Bool"})
"""Of conditions, those that can hold here."""
_ACCOUNT: Final = re.compile(r"\d{12}")
_SERVICE: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazon(aws)?\.com(\.cn)?")
_PRINCIPAL_ARN: Final = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as far as a policy looks at it."""

    account: str | None = None
    arn: str | None = None
    service: str | None = None
    """Such as `s3.amazonaws.com`, when a service asks on somebody's behalf."""
    context: Mapping[str, str] = {}
    """Condition keys and their values, such as `AWS:SourceArn`; keys are compared without regard to case."""


def principal(text: str) -> str | dict[str, str]:
    """A principal as the document has it. Raises `InvalidParameterValue`."""
    if text == "*":
        return text
    if _ACCOUNT.fullmatch(text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if _PRINCIPAL_ARN.fullmatch(text):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")


def statement(
    sid: str, who: str, action: str, resource: str, condition: Mapping[str, Mapping[str, str | None]]
) -> dict[str, Any]:
    """A statement that allows; of `condition`, operators and keys without a value are left out."""
    made: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": principal(who),
        "Action": action,
        "Resource": resource,
    }
    given = {operator: {k: v for k, v in keys.items() if v is not None} for operator, keys in condition.items()}
    if any(given.values()):
        made["Condition"] = {operator: keys for operator, keys in given.items() if keys}
    return made


def parsed(text: str) -> Statements:
    """The statements of a policy document. Raises `InvalidParameterValue` for what is none or cannot be judged."""
    try:
        read = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameterValue(f"The policy is no JSON document: {error}") from error
    found = read.get("Statement") if isinstance(read, dict) else None
    statements = [found] if isinstance(found, dict) else found
    if not isinstance(statements, list) or not statements or not all(map(_is_statement, statements)):
        raise InvalidParameterValue(
            "The policy must have a Statement, or a list of them, each with Effect (Allow or Deny), Principal, Action "
            "and Resource"
        )
    unknown = {operator for one in statements if one["Effect"] == "Deny" for operator in one.get("Condition", {})}
    if unknown - _OPERATORS:
        raise InvalidParameterValue(
            f"Condition operators {', '.join(sorted(unknown - _OPERATORS))} are not offered by Samovar in a statement "
            f"that denies, which would never hold: use {', '.join(sorted(_OPERATORS))}"
        )
    sids = [one["Sid"] for one in statements if "Sid" in one]
    if len(sids) != len(set(sids)):
        raise InvalidParameterValue("The Sid of each statement of a policy must be its own")
    return tuple(statements)


def _is_statement(found: object) -> bool:
    conditions = found.get("Condition", {}) if isinstance(found, dict) else None
    return (
        isinstance(found, dict)
        and isinstance(conditions, dict)
        and found.get("Effect") in ("Allow", "Deny")
        and (found.get("Principal") == "*" or isinstance(found.get("Principal"), dict))
        and all(_listed(found.get(member)) for member in ("Action", "Resource"))
        and set(found) <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        and all(isinstance(keys, dict) for keys in conditions.values())
    )


def document(statements: Sequence[Statement]) -> str:
    """The policy as AWS writes it."""
    return written({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})


def written(value: object) -> str:
    """JSON text."""
    return msgspec.json.encode(value).decode()


def with_statement(statements: Statements, added: dict[str, Any]) -> Statements:
    """The policy with one more statement. Raises `ResourceConflict` for an id that is taken, `PolicyLengthExceeded`."""
    sid = added["Sid"]
    if any(found.get("Sid") == sid for found in statements):
        raise ResourceConflict(
            f"The statement id ({sid}) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        )
    longer = (*statements, added)
    size = len(document(longer).encode())
    if size > MAX_POLICY_BYTES:
        raise PolicyLengthExceeded(f"The final policy size ({size}) is bigger than the limit ({MAX_POLICY_BYTES}).")
    return longer


def without_statement(statements: Statements, sid: str) -> Statements:
    """The policy without a statement. Raises `ResourceNotFound`."""
    if not statements:
        raise ResourceNotFound("No policy is associated with the given resource.")
    left = tuple(found for found in statements if found.get("Sid") != sid)
    if len(left) == len(statements):
        raise ResourceNotFound(f"Statement {sid} is not found in resource policy.")
    return left


def allows(statements: Sequence[Statement], caller: Caller, action: str, resource: str) -> bool:
    """Whether some statement of the policy lets a caller do something."""
    return any(found.get("Effect") == "Allow" and _applies(found, caller, action, resource) for found in statements)


def denies(statements: Sequence[Statement], caller: Caller, action: str, resource: str) -> bool:
    """Whether some statement of the policy keeps a caller from something, whatever allows it."""
    return any(found.get("Effect") == "Deny" and _applies(found, caller, action, resource) for found in statements)


def _applies(found: Statement, caller: Caller, action: str, resource: str) -> bool:
    return (
        _means(found.get("Principal"), caller)
        and any(fnmatchcase(action.lower(), wanted.lower()) for wanted in _listed(found.get("Action")))
        and any(fnmatchcase(resource, _escaped(wanted)) for wanted in _listed(found.get("Resource")))
        and all(
            _holds(operator, key, _listed(values), caller.context)
            for operator, keys in found.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _means(who: object, caller: Caller) -> bool:
    if who == "*":
        return True
    if not isinstance(who, Mapping):
        return False
    if caller.service is not None and caller.service in _listed(who.get("Service")):
        return True
    return any(_is_principal(wanted, caller) for wanted in _listed(who.get("AWS")))


def _is_principal(wanted: str, caller: Caller) -> bool:
    if wanted == "*":
        return True
    if wanted == caller.arn:
        return True
    return caller.account is not None and wanted in (caller.account, f"arn:aws:iam::{caller.account}:root")


def _holds(operator: str, key: str, values: Collection[str], context: Mapping[str, str]) -> bool:
    """Whether one condition holds. A key that the call does not have fails it, and so does an unknown operator."""
    given = next((value for name, value in context.items() if name.lower() == key.lower()), None)
    if given is None:
        return False
    if operator in ("StringEquals", "ArnEquals"):
        return given in values
    if operator in ("StringLike", "ArnLike"):
        return any(fnmatchcase(given, _escaped(wanted)) for wanted in values)
    if operator == "Bool":
        return given.lower() in {wanted.lower() for wanted in values}
    return False


def _escaped(pattern: str) -> str:
    """IAM knows `*` and `?` alone; brackets are letters."""
    return pattern.replace("[", "[[]")


def _listed(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return (str(value).lower(),)
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
