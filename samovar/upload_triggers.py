"""Uploads that start a function, as its manifest says them and as the platform keeps them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

EVERY: Final = ("s3:ObjectCreated:*",)
MAX_TRIGGERS: Final = 20


class UploadTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of objects in one bucket."""

    bucket: Annotated[str, Meta(min_length=3, max_length=63)]
    """Made if there is none."""
    events: Annotated[tuple[str, ...], Meta(min_length=1)] = EVERY
    """In S3's words, such as `s3:ObjectRemoved:*`."""
    prefix: str = ""
    """How keys must begin."""
    suffix: str = ""
    """How keys must end."""


class UploadTriggers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All there are of one function."""

    triggers: Annotated[tuple[UploadTrigger, ...], Meta(max_length=MAX_TRIGGERS)] = ()
