"""The command behind `make chaos`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.end_to_end.storm.storm import storm


def main() -> int:
    """Blow for so long, once for each seed. Answers with 1 when something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, action="append", help="may be given several times")
    parser.add_argument("--isolation", default="sandbox")
    parser.add_argument("--keep", type=Path, help="where to copy the data directory of a storm that lost something")
    options = parser.parse_args()
    for seed in options.seed or [int(time.time())]:
        _say(f"seed {seed}")
        try:
            storm(options.minutes * 60, seed, _say, options.isolation, options.keep)
        except AssertionError as wrong:
            _say(str(wrong))
            return 1
        _say("nothing lost, nothing doubled")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
