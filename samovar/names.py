"""ARNs, request ids and function names: how things are called (lambda-facts §1, §8, §9)."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from functools import lru_cache
from typing import NamedTuple

from samovar.errors import InvalidParameterValue, ValidationFailed

LATEST = "$LATEST"

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REFERENCE = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)
REFERENCE_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
"""AWS's own pattern for a function's name with a qualifier, quoted in its validation message."""
_MAX_NAME_LENGTH = 64


class FunctionReference(NamedTuple):
    """What a caller may write for a function: name, `name:qualifier`, partial or full ARN."""

    name: str
    qualifier: str | None = None
    account: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, text: str) -> FunctionReference:
        """Read any of the accepted forms.

        Raises `ValidationFailed` for other forms, with AWS's message. A name may be too long for any function there is:
        only who makes one is told so, by `check_new_name`.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValidationFailed(
                f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: {REFERENCE_PATTERN}"
            )
        return cls(match["name"], match["qualifier"], match["account"], match["region"])

    @property
    def arn(self) -> str:
        """The unqualified ARN, of a reference whose account and region are known."""
        assert self.account is not None, "a name alone is in no account"
        assert self.region is not None, "a name alone is in no region"
        return function_arn(self.account, self.region, self.name)


def check_new_name(name: str) -> None:
    """Raise `InvalidParameterValue`, with AWS's message, for a name that is too long for a function."""
    if len(name) > _MAX_NAME_LENGTH:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            f"constraint: Member must have length less than or equal to {_MAX_NAME_LENGTH}"
        )


@lru_cache(maxsize=4096)
def function_arn(account: str, region: str, name: str, qualifier: str | None = None) -> str:
    """The ARN of a function, or of one of its versions or aliases when `qualifier` is given."""
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    return f"{arn}:{qualifier}" if qualifier else arn


def runtime_version_arn(region: str, runtime: str) -> str:
    """What AWS calls the version of a runtime that a function runs on. Here it is the host's, and always the same."""
    return f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(runtime.encode()).hexdigest()}"


def split_arn(arn: str) -> tuple[str, str | None]:
    """The unqualified ARN of a function and the qualifier, of an ARN that may have one."""
    parts = arn.split(":", 7)
    return ":".join(parts[:7]), parts[7] if len(parts) == 8 else None


_POOL_BYTES = 4096
_pool = memoryview(b"")
"""Random bytes of the kernel that have not been used; asking for a few at a time costs more than all they are for."""


def random_hex(size: int) -> str:
    """So many unpredictable bytes as hex digits. Not for processes that fork: a child would repeat them."""
    global _pool
    if len(_pool) < size:
        _pool = memoryview(os.urandom(_POOL_BYTES))
    taken, _pool = _pool[:size], _pool[size:]
    return taken.hex()


def new_request_id() -> str:
    """A random UUID (version 4) in text form.

    Written out because `uuid.uuid4()` builds an object per call and this runs once per invocation.
    """
    text = random_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def new_url_id() -> str:
    """An identifier for a function URL: 32 lower-case letters and digits, valid as a DNS label."""
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(32))
