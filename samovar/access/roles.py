"""Access keys: what a role lets its holder do, and how keys are shown.

A key has one role; an operation needs one permission. Which operation needs which is a table of the gateway.
"""

from __future__ import annotations

import re
import secrets
import string
from typing import Final, Literal

import msgspec

Role = Literal["admin", "deploy", "invoke", "read"]
Permission = Role
"""What an operation needs is named as the least role that has it."""

ROLES: Final[tuple[Role, ...]] = ("admin", "deploy", "invoke", "read")
GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    "admin": frozenset({"admin", "deploy", "invoke", "read"}),
    "deploy": frozenset({"deploy", "invoke", "read"}),
    "invoke": frozenset({"invoke"}),
    "read": frozenset({"read"}),
}
KEY_ID: Final = re.compile(r"\w{4,128}", re.ASCII)
"""AWS's pattern, but for its least length of 16: what people import from other emulators is shorter."""
SECRET: Final = re.compile(r"[!-~]{4,128}")
KEY_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
"""AWS's pattern for names of users, which is what a key's name becomes in ARNs."""
_ID_ALPHABET: Final = string.ascii_uppercase + "234567"
# Of AWS's alphabet without + and /, which whoever writes a secret into an address, such as a broker's, has to escape.
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown; its secret is shown once, by whoever creates it."""

    key_id: str
    name: str
    role: Role
    functions: tuple[str, ...] = ()
    """The functions it may invoke; with none, all of them."""
    created: str = ""
    """ISO 8601."""
    root: bool = False
    """Whether it is the one of the credentials file, which is replaced there and not revoked."""

    def may(self, permission: Permission) -> bool:
        """Whether its role has a permission."""
        return permission in GRANTS[self.role]

    def may_invoke(self, function: str) -> bool:
        """Whether it may invoke a function of this name."""
        return self.may("invoke") and (not self.functions or function in self.functions)

    def arn(self, account: str) -> str:
        """Who it is, as AWS writes it."""
        return f"arn:aws:iam::{account}:" + ("root" if self.root else f"user/{self.name}")

    def user_id(self, account: str) -> str:
        """Its identity's unique id, as AWS forms them."""
        return account if self.root else f"AIDA{self.key_id.removeprefix('AKIA')}"


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made, with its secret: the only time it is told."""

    key: AccessKey
    secret: str


def new_key_id() -> str:
    """As AWS's: 20 characters."""
    return "AKIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))


def new_secret() -> str:
    """As long as AWS's: 40 characters, 238 random bits."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))
