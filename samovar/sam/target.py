"""Where a stack is deployed: one platform, reached by AWS's own client, which each AWS service's API has in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import msgspec
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import (  # type: ignore[import-untyped]  # it ships no types
    BotoCoreError,
    ClientError,
    ParamValidationError,
)

from samovar.clients.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from samovar.clients.platform import Client
from samovar.errors import SamovarError, ServiceUnavailable, by_aws_name
from samovar.sam.document import TemplateError

NOT_THERE: Final = frozenset({"UnknownOperationException", "UnknownOperation", "InvalidAction"})
"""What a service answers that the platform does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One platform, as one stack sees it."""

    client: Client
    stack: str
    path: str
    """The template, as errors call it."""
    folder: Path
    """What `CodeUri` and the like are relative to."""
    account: str
    package: Callable[[Path, str], bytes]
    """The deployment package of a folder for a runtime, its requirements installed."""
    say: Callable[[str], None]
    _clients: dict[str, Any] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def of(cls, client: Client, package: Callable[[Path, str], bytes], say: Callable[[str], None]) -> Iterator[Target]:
        """A platform, without a stack yet; its connections are closed in the end."""
        target = cls(
            client=client, stack="", path="", folder=Path(), account=client.account(), package=package, say=say
        )
        try:
            yield target
        finally:
            for one in target._clients.values():
                one.close()

    @property
    def region(self) -> str:
        """The region everything is made in: the access key's."""
        return self.client.region

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def aws(self, service: str) -> Any:
        """botocore's client of a service; it has no types, its model checks what it is given."""
        if service not in self._clients:
            key = self.client.key
            self._clients[service] = botocore.session.get_session().create_client(
                service,
                endpoint_url=self.client.endpoint,
                region_name=self.region,
                aws_access_key_id=key.key_id if key else "none",
                aws_secret_access_key=key.secret if key else "none",
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=ANSWER_TIMEOUT_S,
                    retries={"total_max_attempts": 2},
                    s3={"addressing_style": "path"},
                    proxies={},
                ),
            )
        return self._clients[service]

    @contextmanager
    def at(self, line: int | None, name: str) -> Iterator[None]:
        """Say of every refusal inside which resource it is about; without a line, one that a template had once."""
        place = f"{self.path}: {name}" if line is None else f"{self.path}:{line}: {name}"
        try:
            yield
        except TemplateError:
            raise
        except ClientError as error:
            raise translated(error, place) from error
        except ParamValidationError as error:
            detail = " ".join(str(error).partition("\n")[2].split())
            raise TemplateError(f"{place}: {detail}") from error
        except BotoCoreError as error:
            raise ServiceUnavailable(f"{place}: {error}") from error
        except SamovarError as error:
            raise type(error)(f"{place}: {error.message}", retry_after=error.retry_after) from error


def translated(error: Any, place: str) -> SamovarError:
    """The error a refusal of an AWS service stands for."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in NOT_THERE:
        return TemplateError(f"{place} needs a part this Samovar does not have: {message}")
    return by_aws_name(code, status)(f"{place}: {message or code}")


def is_missing(error: Any) -> bool:
    """Whether a refusal says that something is not there."""
    code = error.response["Error"]["Code"]
    return "NotFound" in code or "NonExistent" in code or "NoSuch" in code or "DoesNotExist" in code or code == "404"


def given(record: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Some members of a record in AWS's spelling, without those that were not given."""
    plain = msgspec.to_builtins(record)
    return {name: _kept(plain[name]) for name in names if plain.get(name) is not None}


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kept(item) for name, item in value.items() if item is not None}
    return [_kept(item) for item in value] if isinstance(value, list) else value
