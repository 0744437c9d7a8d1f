"""The logs of several functions, shown together as they come."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self, TextIO

from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_when_event_set, wait_fixed
from tenacity.nap import sleep_using_event

from samovar.clients.platform import Client
from samovar.errors import SamovarError

_PAUSE_S = 0.5
"""Before a log is asked for again that ended, because the platform is being started anew."""


class Tails:
    """A context manager; inside it, what functions write is shown."""

    def __init__(self, endpoint: str, out: TextIO) -> None:
        self._endpoint = endpoint
        self._out = out
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended.set()  # threads that still wait for a line end with the process, and write no more

    def follow(self, names: list[str]) -> None:
        """Show what these functions write from now on, too."""
        for name in names:
            if name not in self._threads:
                thread = threading.Thread(target=self._tail, args=(name,), name=f"log of {name}", daemon=True)
                self._threads[name] = thread
                thread.start()

    def _tail(self, name: str) -> None:
        newest = [round(time.time() * 1000)]
        again = Retrying(
            retry=retry_if_result(lambda _: not self._ended.is_set()) | retry_if_exception_type(SamovarError),
            stop=stop_when_event_set(self._ended),
            wait=wait_fixed(_PAUSE_S),
            sleep=sleep_using_event(self._ended),
            retry_error_callback=lambda _: None,
        )
        with Client(self._endpoint) as client:
            again(self._show, client, name, newest)

    def _show(self, client: Client, name: str, newest: list[int]) -> None:
        """Show a log until it ends."""
        for record in client.logs(name, follow=True, since=newest[0]):
            newest[0] = record.epoch_ms + 1
            with self._lock:
                if self._ended.is_set():
                    return
                prefix = f"{name}  " if len(self._threads) > 1 else ""
                self._out.write(f"{prefix}{record.text}\n")
                self._out.flush()
