"""Which region a request means. Every region is a namespace of its own, as on AWS; an account is the platform's.

AWS has an endpoint a region. Here all share one, and what tells them apart is the scope each request is signed for:
`Credential=KEY/20261123/eu-central-1/lambda/aws4_request` (AWS Signature Version 4). A request that is not signed
means the platform's own region. Whether a signature is right is nobody's business here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from samovar.errors import AccessDenied, ResourceNotFound
from samovar.names import FunctionReference

_REGION: Final = re.compile(r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d")
"""As regions are written in ARNs (AWS's API model, `FunctionName`)."""
_IN_HEADER: Final = b"Credential="
_IN_QUERY: Final = b"X-Amz-Credential="


def region_of(headers: Mapping[bytes, bytes], query: bytes, default: str) -> str:
    """The region a request is signed for, or `default` when it is not signed or for no region there could be."""
    authorization = headers.get(b"authorization")
    if authorization is not None:
        _, found, rest = authorization.partition(_IN_HEADER)
        return _region(rest.partition(b",")[0].split(b"/")[-3:-2], default) if found else default
    if _IN_QUERY in query:
        credential = unquote(query.partition(_IN_QUERY)[2].partition(b"&")[0].decode("latin-1"))
        return _region(credential.encode("latin-1", "replace").split(b"/")[-3:-2], default)
    return default


def check_reachable(reference: FunctionReference, account: str, region: str) -> None:
    """Raise `ResourceNotFound` or `AccessDenied` for a function of another region or account than the request's."""
    if reference.region not in (None, region):
        raise ResourceNotFound(f"Functions from '{reference.region}' are not reachable in this region ('{region}')")
    if reference.account not in (None, account):
        raise AccessDenied(
            f"Functions of account {reference.account} are not reachable: this Samovar has account {account}"
        )


def _region(scope: list[bytes], default: str) -> str:
    return _known(scope[0], default) if scope else default


@lru_cache(maxsize=64)
def _known(region: bytes, default: str) -> str:
    text = region.decode("latin-1")
    return text if _REGION.fullmatch(text) else default
