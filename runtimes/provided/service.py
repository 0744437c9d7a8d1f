"""The worker itself: frames to the invoker on one side, HTTP for the function's programs on the other."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from . import extensions, runtime, telemetry
from .extensions import Extensions
from .framed import LANGUAGE_VARIABLE, FramedRuntime, start_of
from .printing import VARIABLE as PRINTING
from .printing import Printers
from .program import DIRECTORY_VARIABLE, CannotStart, Program, end_like, error_body, find, variables, watch_programs
from .runtime import Invocation, Outcome, RuntimeApi, State, new_trace, not_allowed
from .server import Flow, HttpConnection, Request, Response, Sink, failure
from .sharing import SharedRuntimeApi
from .streaming import StreamedResponse
from .telemetry import Telemetry, write_whole

if TYPE_CHECKING:
    from runtimes.python import bootstrap
else:
    import __main__ as bootstrap  # the file this process runs

HELLO, READY, EVENT, RESULT, SHUTDOWN, FLOW, OUTPUT, RESTED = 10, 14, 15, 16, 19, 20, 21, 22
HOST, PORT = "127.0.0.1", 9001
"""Where AWS has it. Where the network is the host's and somebody has that port, it is another one."""
CONCURRENCY_VARIABLE = "AWS_LAMBDA_MAX_CONCURRENCY"
_SPARE_BYTES = 1024 * 1024
"""Bodies are read so far over the limit before they are dropped, as all of them are refused alike."""
_MOMENT_S = 0.01
"""An answer waits that long for the runtime to ask for the next event, which nearly all do at once."""
_PROGRAM_GRACE_S = 0.3
"""Of the time to shut down, the part of the function's own program (AWS Lambda developer guide, "Shutdown phase")."""


def serve(order: bootstrap.Order) -> NoReturn:
    """Carry an order out."""
    asyncio.run(Service(order).run())
    sys.exit(0)


class Invoker(asyncio.Protocol):
    """The connection to the invoker."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._decoder = bootstrap.Decoder()
        self._incoming: dict[int, tuple[bytes, list[bytes]]] = {}
        """Number of each event of which more is to come → its head, and what there is of it."""

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        for kind, flags, stream, head, body in self._decoder.feed(data):
            if kind == SHUTDOWN:
                self._service.shut_down(json.loads(head)["reason"])
                continue
            if kind == FLOW:
                self._service.hold(stream, paused=json.loads(head)["paused"])
                continue
            if kind == EVENT:
                self._incoming[stream] = (head, [body])
            elif kind == bootstrap.CHUNK and stream in self._incoming:
                self._incoming[stream][1].append(body)
            else:
                continue
            if flags & bootstrap.END:
                first, parts = self._incoming.pop(stream)
                self._service.event(Invocation(stream, json.loads(first), b"".join(parts)))

    def pause_writing(self) -> None:
        """From asyncio: the invoker takes no more for now, and nor do we."""
        self._service.hold(None, paused=True)

    def resume_writing(self) -> None:
        """From asyncio."""
        self._service.hold(None, paused=False)

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio: the invoker is gone, or all it was to be told has been."""
        self._service.leave()


class Service:
    """See the module. One worker from its order to its end."""

    def __init__(self, order: bootstrap.Order) -> None:
        self._order = order
        self._invoker: asyncio.Transport
        self._environment = variables(order.environment)
        is_ours = LANGUAGE_VARIABLE in os.environ
        self._concurrency = 1 if is_ours else concurrency(self._environment)
        self._framed = FramedRuntime(self._first_words, self._finished, self._part) if is_ours else None
        """The function's runtime, where that is one of ours; a wrapper script may start another in its place."""
        self._runtime = RuntimeApi(self._first_words, self._finished, self._part, order.max_response_bytes, self._asked)
        self._printers: Printers | None = None
        self._is_short_handed = False
        """Whether one of the processes that share the events is gone; nobody starts another in its place."""
        account_id = json.loads(order.body).get("account_id", "")
        self._extensions = Extensions(
            self._environment, account_id, self._unusable, hears_events=self._concurrency == 1
        )
        self._telemetry = Telemetry(self._environment, order.started)
        self._program: Program | None = None
        self._running: dict[int, Invocation] = {}
        """The events that have not been answered, by number."""
        self._streams: dict[int, StreamedResponse] = {}
        """Those of which an answer is arriving in parts."""
        self._is_held = False
        """Whether the invoker takes no more of any."""
        self._begun: set[int] = set()
        """Those of which a part has been passed on."""
        self._due: tuple[Outcome, asyncio.TimerHandle] | None = None
        """An answer that waits for its moment."""
        self._is_ready = False
        self._code = 0
        """What this process is to end with."""
        self._end: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the program or the invoker is gone."""
        loop = asyncio.get_running_loop()
        path = os.path.join(self._order.socket_dir, "invoker.sock")
        self._invoker, _ = await loop.create_unix_connection(lambda: Invoker(self), path)
        self._send(HELLO, self._order.number, {"role": "worker", "pid": os.getpid(), "protocol": bootstrap.PROTOCOL})
        limit = self._order.max_response_bytes + _SPARE_BYTES
        server = await listen(lambda: HttpConnection(self._answer, limit, self._sink))
        host, port = server.sockets[0].getsockname()
        self._environment["AWS_LAMBDA_RUNTIME_API"] = f"{host}:{port}"
        if self._concurrency > 1:
            self._share()
        try:
            await self._start_programs()
        except CannotStart as reason:
            self._ready(reason.name, reason.body())
            return
        await server.serve_forever()

    def _share(self) -> None:
        """Let several events run at once."""
        self._runtime = shared = SharedRuntimeApi(
            self._first_words, self._finished, self._part, self._order.max_response_bytes
        )
        path = os.path.join(self._environment.get("TMPDIR", "/tmp"), ".samovar-output.sock")  # noqa: S108 - the function's own
        self._printers = printers = Printers(path, self._printed, self._one_process_ended)
        self._environment[PRINTING] = path
        shared.on_taken = lambda invocation, peer: printers.took(peer.pid, invocation.stream)

    def _printed(self, number: int | None, lines: bytes) -> None:
        if number is None or not self._is_ready:
            write_whole(1, lines + b"\n")
        else:
            self._send(OUTPUT, number, None, lines)
        for line in lines.split(b"\n"):
            self._telemetry.printed("function", line.decode(errors="replace"))

    def _one_process_ended(self, numbers: Iterable[int]) -> None:
        """What it had fails. The rest of the runtime goes when the events it has are answered."""
        self._is_short_handed = True
        for number in numbers:
            if (invocation := self._running.get(number)) is not None:
                self._finished(Outcome(invocation, "Runtime.ExitError", b"", ends=True))  # the invoker has the words

    async def _start_programs(self) -> None:
        """First the extensions, then the function's own. Raises `CannotStart`."""
        watch_programs()
        output = None
        if self._extensions.files:  # only they can want to read what is printed
            output = self._telemetry.capture("function")
            await self._extensions.start(self._telemetry.capture("extension"))
        directory = os.environ.get(DIRECTORY_VARIABLE) or self._environment["LAMBDA_TASK_ROOT"]
        self._telemetry.init_started()
        command, environment = await self._function()
        self._program = Program(command, environment, directory, output)
        self._program.on_end(self._program_ended)

    async def _function(self) -> tuple[list[str], Mapping[str, str]]:
        """What to start for the function. Raises `CannotStart`."""
        if self._framed is None:
            return find(self._environment), self._environment
        folder = await self._framed.listen(self._environment.get("TMPDIR", "/tmp"))  # noqa: S108 - the function's own
        return start_of(self._order, folder, self._environment)

    def event(self, invocation: Invocation) -> None:
        """The invoker sent one."""
        invocation.head.setdefault("trace_id", new_trace())
        self._running[invocation.stream] = invocation
        if self._extensions and self._concurrency == 1:
            self._spawn(self._hand_over(invocation))
        else:
            self._telemetry.started(invocation.head)
            self._offer(invocation)

    def _offer(self, invocation: Invocation) -> None:
        if self._framed is not None and self._framed.is_there:
            self._framed.offer(invocation)
        else:
            self._runtime.offer(invocation)

    def hold(self, stream: int | None, *, paused: bool) -> None:
        """Take no more of a streamed answer (of all of them: `None`), or go on."""
        if stream is None:
            self._is_held = paused
            if self._framed is not None:
                self._framed.hold(paused=paused)
        for number, answer in self._streams.items():
            if stream in (None, number):
                answer.flow.hold(paused=paused)

    async def _hand_over(self, invocation: Invocation) -> None:
        """An environment has one event at a time, also for the extensions."""
        await self._extensions.idle()
        self._telemetry.started(invocation.head)
        self._extensions.invoke(invocation.head)
        self._offer(invocation)

    def shut_down(self, reason: str) -> None:
        """Everything is to end."""
        if self._end is None:
            self._end = asyncio.create_task(self._shut_down(reason, 0))

    async def _shut_down(self, reason: str, code: int) -> None:
        self._tell_due()
        self._code = code
        grace_s = self._extensions.grace_s
        deadline_ms = int((time.time() + grace_s) * 1000)
        try:
            async with asyncio.timeout(grace_s):
                if self._program is not None:
                    self._program.terminate()
                    await self._program.ended_within(_PROGRAM_GRACE_S)
                self._telemetry.cut_off(reason)
                await self._telemetry.flush()
                await self._extensions.shut_down(reason, deadline_ms)
        except TimeoutError:
            pass  # the keeper kills what is left
        finally:
            self._invoker.close()  # when what has been said is on its way, `leave` is called

    def leave(self) -> None:
        """End this process; the keeper ends whatever is left of the others."""
        end_like(self._code)

    def _program_ended(self, code: int) -> None:
        if self._end is not None:
            return
        self._end = asyncio.create_task(self._follow(code))

    async def _follow(self, code: int) -> None:
        """End as the program did, which may have answered just before."""
        if self._framed is not None:
            await self._framed.read_out()
        self._telemetry.drain()
        await self._shut_down("FAILURE", code)

    async def _answer(self, request: Request) -> Response:
        answer: Response | None = None
        if request.path.startswith(runtime.PREFIX):
            if self._framed is not None and self._framed.is_there:
                return not_allowed(State.READY, State.READY)
            answer = await self._runtime.answer(request)
        elif request.path.startswith(extensions.PREFIX):
            answer = await self._extensions.answer(request)
        elif request.path.rstrip("/") in telemetry.PATHS and request.method == "PUT":
            answer = self._telemetry.subscribe(request, self._extensions.find(request))
        return answer or failure(404, "NotFound", f"there is no {request.method} {request.path} here")

    def _first_words(self, error: str | None, body: bytes) -> None:
        """The runtime asked for its first event, or has given up."""
        if self._framed is not None:
            self._framed.stop_listening()
        self._extensions.close()
        self._telemetry.init_done(error)
        if error is None and self._extensions:
            self._spawn(self._when_all_are_ready())
        else:
            self._ready(error, body)

    async def _when_all_are_ready(self) -> None:
        await self._extensions.idle()
        self._telemetry.extensions_ready(self._extensions.all)
        self._ready(None, b"")

    def _unusable(self, error_type: str, words: str) -> None:
        """An extension has failed, and with it the environment."""
        body = error_body(error_type, f"Error: {words}")
        self._telemetry.extensions_ready(self._extensions.failed, error_type)
        if not self._is_ready:
            self._ready(error_type, body)
        for invocation in list(self._running.values()):
            self._finished(Outcome(invocation, error_type, body, ends=True))
        self._end = self._end or asyncio.create_task(self._shut_down("FAILURE", 1))

    def _ready(self, error: str | None, body: bytes) -> None:
        if self._is_ready:
            return
        self._is_ready = True
        self._telemetry.drain()
        head: dict[str, Any] = {"init_ms": round((time.monotonic() - self._order.started) * 1000, 3)}
        if self._extensions:
            head["farewell_s"] = self._extensions.grace_s
        if self._concurrency > 1:
            head["concurrency"] = self._concurrency
        self._send(READY, self._order.number, head if error is None else {**head, "error": error}, body)

    def _sink(self, request: Request, flow: Flow) -> Sink | None:
        if not request.path.startswith(runtime.PREFIX):
            return None
        sink = self._runtime.sink(request, flow)
        if isinstance(sink, StreamedResponse):
            self._streams[sink.invocation.stream] = sink
            flow.hold(paused=self._is_held)
        return sink

    def _part(self, invocation: Invocation, part: bytes, content_type: str) -> None:
        """A streamed answer is arriving."""
        stream = invocation.stream
        self._telemetry.answering(invocation.request_id, len(part))
        if stream in self._begun:
            self._send(bootstrap.CHUNK, stream, None, part, end=0)
        else:
            self._begun.add(stream)
            self._send(RESULT, stream, {"streaming": True, "content_type": content_type}, part, end=0)

    def _finished(self, outcome: Outcome) -> None:
        stream = outcome.invocation.stream
        if self._running.pop(stream, None) is None:
            return  # it was given up when an extension failed
        if (streamed := self._streams.pop(stream, None)) is not None:
            streamed.flow.hold(paused=False)
        self._telemetry.drain()
        if self._printers is not None:
            self._printers.ended(stream)
        self._telemetry.done(outcome)
        if self._runtime.has_answered and not outcome.ends:
            self._due = outcome, asyncio.get_running_loop().call_later(_MOMENT_S, self._tell_due)
        else:
            self._tell(outcome)

    def _asked(self) -> None:
        """The runtime asks for the next event, so it can have one: until then it may end instead (`rests`)."""
        if self._due is not None:
            self._tell_due()
        else:
            self._spawn(self._rest())

    def _tell_due(self) -> None:
        if self._due is not None:
            (outcome, timer), self._due = self._due, None
            timer.cancel()
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        stream = outcome.invocation.stream
        head: dict[str, Any] = {} if outcome.error is None else {"error": outcome.error}
        if outcome.ends or self._is_short_handed:
            head["ends"] = True
        elif self._runtime.has_answered:
            head["rests"] = True
        elif self._concurrency == 1 and not self._extensions.are_idle:
            head["rests"] = True
            self._spawn(self._rest())
        kind = bootstrap.CHUNK if stream in self._begun else RESULT
        self._begun.discard(stream)
        self._send(kind, stream, head, outcome.body)

    async def _rest(self) -> None:
        """The caller has its answer; the environment takes the next event when all in it have ended their work."""
        await self._extensions.idle()
        self._send(RESTED, self._order.number, None)

    def _send(
        self, kind: int, stream: int, head: dict[str, Any] | None, body: bytes = b"", end: int = bootstrap.END
    ) -> None:
        for part in bootstrap.encode(kind, stream, json.dumps(head).encode() if head else b"", body, end):
            self._invoker.write(part)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def concurrency(environment: Mapping[str, str]) -> int:
    """How many events the program says it takes at once: the function's variable, or its image's."""
    given = environment.get(CONCURRENCY_VARIABLE, "")
    return max(1, int(given)) if given.isascii() and given.isdecimal() else 1


async def listen(make: Any) -> asyncio.Server:
    """A server on loopback, at the usual port if it is free."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(make, HOST, PORT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return await loop.create_server(make, HOST, 0)
