"""`python -m invoker`: one invoker, configured by `SAMOVAR_*` variables."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from invoker.app import serve
from samovar import settings as samovar_settings
from samovar.errors import StartRefused
from samovar.process import descriptors

EX_CONFIG = 78
"""sysexits(3): a restart would not help; the last line on stderr says what to change."""


def main() -> int:
    """Run until told to stop; answers with the exit status."""
    try:
        settings = samovar_settings.load(os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
        descriptors.raise_limit()
        uvloop.run(serve(settings))
    except StartRefused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
