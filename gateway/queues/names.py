"""How queues are called: names, ARNs, URLs (Amazon SQS developer guide, "Queue and message identifiers"). Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.queues.errors import InvalidParameter

FIFO_SUFFIX: Final = ".fifo"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo")
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>[A-Za-z0-9_-]{1,80}(?:\.fifo)?)"
)
_PATH: Final = re.compile(r"/?(?:(?P<account>\d{12})/)?(?P<name>[A-Za-z0-9_-]{1,80}(?:\.fifo)?)")


class QueueArn(NamedTuple):
    """The parts of a queue's ARN."""

    region: str
    account: str
    name: str

    def __str__(self) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"

    @property
    def is_fifo(self) -> bool:
        """Whether it is a FIFO queue, which its name says."""
        return self.name.endswith(FIFO_SUFFIX)

    @classmethod
    def parse(cls, text: str) -> QueueArn | None:
        """The parts of an ARN, or `None` if it is no queue's."""
        match = _ARN.fullmatch(text)
        return None if match is None else cls(match["region"], match["account"], match["name"])


def check_name(name: str, *, fifo: bool) -> None:
    """Raise `InvalidParameter` for a name no queue of this kind may have."""
    if fifo and _FIFO_NAME.fullmatch(name) is None:
        raise InvalidParameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
            "must end with .fifo suffix and be 1 to 80 in length"
        )
    if not fifo and _NAME.fullmatch(name) is None:
        raise InvalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")


def in_path(path: str) -> tuple[str | None, str] | None:
    """Account, where it is given, and name of the queue that the path of a URL names; `None` if it names none."""
    match = _PATH.fullmatch(path)
    return None if match is None else (match["account"], match["name"])


def in_url(url: str) -> tuple[str | None, str] | None:
    """As `in_path`, of a whole URL. Some clients put a queue's name in the place of its URL, which AWS takes, too."""
    try:
        return in_path(urlsplit(url).path)
    except ValueError:  # brackets in the host that enclose no address
        return None
