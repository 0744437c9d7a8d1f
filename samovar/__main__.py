"""`samovar`, and `python -m samovar`: the command line from its first moment on."""

from __future__ import annotations

import signal


def main() -> None:
    """Entry point of the command `samovar`.

    While the commands are loaded there is nothing to undo: Ctrl-C then ends the process as it ends any other program.
    Where whoever started it has Ctrl-C ignored, it stays so.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from samovar import cli

    signal.signal(signal.SIGINT, handler)
    cli.main()


if __name__ == "__main__":
    main()
