"""Small things many tests of the gateway need."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.roles import Roles
from gateway.access.sessions import Sessions
from gateway.access.vault import Vault
from gateway.events.doorbell import Doorbell
from gateway.events.intake import Intake
from gateway.functions.artifacts import Artifacts
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import Registry
from gateway.link.invoker_link import InvokerLink
from gateway.queues.moves import Moves
from gateway.queues.queues import Queues
from gateway.services import Services
from gateway.uploads.objects import Objects
from samovar.access.sigv4 import Credentials
from samovar.clock import Clock
from samovar.errors import ServiceUnavailable
from samovar.function import FunctionVersion
from samovar.link.operations import InvokerIdentity, InvokerStatus, RefusedCall, RuntimeStatus, Standing
from samovar.settings import Settings

ROLE = "arn:aws:iam::123456789012:role/samovar"
SESSION_KEY = b"what functions' tokens are made with"
ROOT = Credentials("AKIAROOTROOTROOTROOT", "the secret of the root key in tests")
CODE = b"def handler(event, context):\n    return event\n"


def zip_of(files: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A deployment package with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)  # of one date, so of one digest
    return buffer.getvalue()


def creation(name: str = "hello", **members: Any) -> dict[str, Any]:
    """The body of a CreateFunction request."""
    package = base64.b64encode(zip_of({"app.py": CODE})).decode()
    given = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": package},
    }
    return {name: value for name, value in (given | members).items() if value is not None}


def record(name: str = "hello", **version: Any) -> FunctionRecord:
    """A function as the registry holds it."""
    given: dict[str, Any] = {
        "name": name,
        "account": "123456789012",
        "region": "us-east-1",
        "serial": 0,
        "revision_id": "",
        "runtime": "python3.11",
        "handler": "app.handler",
        "code_sha256": "0" * 64,
    }
    return FunctionRecord(version=FunctionVersion(**(given | version)))


def invoker_status() -> InvokerStatus:
    """What an invoker with two runtimes, one of them not installed, says of itself."""
    runtimes = [
        RuntimeStatus(name="python3.11", available=True, detail="python3.11"),
        RuntimeStatus(name="python3.12", available=True, detail="python3.12"),
        RuntimeStatus(name="nodejs20.x", available=False, detail="install nodejs 20 and restart"),
    ]
    return InvokerStatus(
        pid=7,
        uptime_s=1.5,
        isolation="sandbox",
        isolations=[],
        runtimes=runtimes,
        default_runtime="python3.11",
        environments=0,
        idle=0,
        busy=0,
        waiting=0,
        memory_budget_mb=1024,
        memory_reserved_mb=0,
        journal_pending=0,
    )


class RecordingLink:
    """A link to an invoker that notes what it is told, answers what it is asked, and can be away."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.away = False
        self.standing = Standing(in_force=True)
        self.refused: RefusedCall | None = None

    @property
    def is_connected(self) -> bool:
        """Unless it is away."""
        return not self.away

    async def operation(self, op: str, body: bytes = b"", timeout: float = 10.0) -> bytes:  # noqa: ASYNC109 - the link's
        """Note one operation."""
        if self.away:
            raise ServiceUnavailable("the invoker cannot be reached", retry_after=1.0)
        self.told.append((op, msgspec.json.decode(body) if body else None))
        status = invoker_status()
        identity = InvokerIdentity(pid=status.pid, isolation=status.isolation)
        answers: dict[str, Any] = {
            "settle": self.standing,
            "standing": self.standing,
            "status": status,
            "identity": identity,
            "environments": [],
            "refused": self.refused,
        }
        return msgspec.json.encode(answers[op]) if op in answers else b""

    def of(self, op: str) -> list[Any]:
        """The bodies of all operations of one kind; those that settle a version declare it."""
        if op == "declare":
            return [body["version"] if told == "settle" else body for told, body in self.told if told in (op, "settle")]
        return [body for told, body in self.told if told == op]


class NoBell(Doorbell):
    """Asks nobody."""

    def __init__(self) -> None:
        """It has no thread."""

    def ask(self, task: str, *calls: Sequence[str | int]) -> None:
        """Nothing."""


def services_of(settings: Settings, registry: Registry, link: RecordingLink, clock: Clock) -> Services:
    """What a gateway worker holds open, on a store and an invoker that a test has."""
    queues = Queues(registry.store.redis, clock, settings.account)
    return Services(
        settings=settings,
        clock=clock,
        redis=registry.store.redis,
        store=registry.store,
        registry=registry,
        keyring=Keyring(KeyStore(registry.store.redis), Vault(settings.data / "secrets.key"), ROOT),
        sessions=Sessions(SESSION_KEY, registry, Roles(settings.data / "roles"), settings.account, clock),
        artifacts=Artifacts(settings.code_dir, settings.max_code_bytes, settings.max_upload_bytes),
        link=cast(InvokerLink, link),
        doorbell=NoBell(),
        queues=queues,
        moves=Moves(queues, registry.store.redis, clock),
        intake=Intake(registry.store.redis, lambda lines: None, settings.max_event_bytes),
        objects=Objects(settings),
    )
