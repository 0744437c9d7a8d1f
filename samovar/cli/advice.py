"""What to do about a function's failure, where its message alone does not say it.

Pure: it reads a failure as the function reported it. A function on AWS fails in the same words for other reasons; here
one setting or one line of a file is nearly always what is missing.
"""

from __future__ import annotations

import re
from typing import Final

from samovar.answers import FunctionFailure

_NETWORK: Final = (
    'a function has no network unless it asks for one: `network = "bridge"` in function.toml lets it out. '
    "Other functions, queues and buckets of this platform are reached without, through boto3 or AWS_ENDPOINT_URL"
)
_BY_MESSAGE: Final = (
    (
        # What libc and Node.js say where there is neither a name server nor a route.
        re.compile(
            r"Temporary failure in name resolution|Name or service not known|Network is unreachable"
            r"|getaddrinfo E(AI_AGAIN|NOTFOUND)|\bENETUNREACH\b|NameResolutionError|^fetch failed$"
        ),
        _NETWORK,
    ),
    (re.compile(r"Read-only file system|\bEROFS\b"), "a function may write below /tmp alone; its code is read-only"),
    (
        re.compile(r"No module named '(?P<name>[^'.]+)"),
        "if {name} is a package, name it in requirements.txt beside function.toml; the next deploy installs it",
    ),
    (
        re.compile(r"Cannot find (module|package) '(?P<name>[^'./][^']*)'"),
        "if {name} is a package, install it into node_modules in the function's folder, and deploy again",
    ),
    (
        re.compile(r"is not JSON serializable"),
        "a handler returns what JSON can say: dict, list, str, numbers, bool and None; convert the rest",
    ),
    (re.compile(r"Task timed out after"), "`timeout` in function.toml gives it more seconds"),
)
"""What a message holds → what helps. The first that fits counts."""
_ENVIRON: Final = re.compile(r'(<frozen os>|/os\.py)", line \d+, in __getitem__')
"""Where a KeyError comes from that `os.environ` raised."""


def on_failure(failure: FunctionFailure) -> str | None:
    """One sentence on what would mend it; `None` when the failure speaks for itself."""
    for pattern, advice in _BY_MESSAGE:
        if found := pattern.search(failure.error_message):
            return advice.format(**found.groupdict())
    if failure.error_type == "KeyError" and _ENVIRON.search("".join(failure.stack_trace[-1:])):
        return "variables of a function stand below [environment] in its function.toml"
    return None
