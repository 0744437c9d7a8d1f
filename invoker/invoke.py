"""One invocation, told in order: resolve, lease, run, meter, answer."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable

from invoker import faults
from invoker.environments.environment import Environment, InitFailed, RunResult
from invoker.environments.worker import EventHead
from invoker.logs import report
from invoker.logs.output import InvocationLog
from invoker.metering import Meter
from invoker.pool.lease import Lease, Refusal
from invoker.pool.pool import Pool
from invoker.pool.versions import Versions
from invoker.refused import RefusedCalls
from invoker.response_stream import ResponseStream
from invoker.upload import Event
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure, SamovarError, ServiceFailure, TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import LOG_TAIL_BYTES, AnswerHead, InvokeHead, Outcome, Reading, billed_ms

log = logging.getLogger("samovar.invoker")

Reply = Callable[[AnswerHead, bytes], None]
"""Takes the answer to a call, once. It does not raise."""


class Invocations:
    """Makes invocations. Holds no state of its own: versions, environments and readings have their owners."""

    def __init__(self, versions: Versions, pool: Pool, meter: Meter, clock: Clock) -> None:
        self.versions = versions
        self.pool = pool
        self.meter = meter
        self.clock = clock
        self.refused = RefusedCalls()

    def prepare(self, call: InvokeHead, event: Event, reply: Reply, stream: ResponseStream | None = None) -> Invocation:
        """An invocation that has not begun. With `stream`, its answer may come in parts before `reply` is told."""
        return Invocation(self, call, event, reply, stream)


class Invocation:
    """One invocation. Each step is called by what it waited for: a task would cost more than a small handler."""

    __slots__ = ("_at", "_began", "_call", "_event", "_lease", "_log", "_reply", "_started", "_stream")

    def __init__(
        self, at: Invocations, call: InvokeHead, event: Event, reply: Reply, stream: ResponseStream | None
    ) -> None:
        self._at = at
        self._call = call
        self._event = event
        self._reply = reply
        self._stream = stream
        self._lease: Lease | None = None
        self._log: InvocationLog
        self._started = 0.0
        self._began = 0.0

    def begin(self) -> None:
        """Ask for an environment. Function errors are answers; what keeps a call from running becomes a failure."""
        call = self._call
        try:
            version = self._at.versions.resolve(call.arn, call.version, call.serial)
            lay = self._lay if type(self._event) is bytes and self._stream is None else None
            self._lease = Lease(version, self._run, self._refused, lay)
            self._at.pool.request(self._lease)
        except SamovarError as error:
            self._refused(error)

    def withdraw(self) -> bool:
        """The caller went away: if true nothing of it runs and nobody is answered, else it has begun already."""
        return self._lease is not None and self._at.pool.withdraw(self._lease)

    def _lay(self, environment: Environment) -> int:
        """Have the event lie ready in an environment that is still busy: its number there, or 0."""
        event = self._event
        assert isinstance(event, bytes), "it said so"
        return environment.lay(_event_head(self._call, environment.version, 0.0), event)

    def _run(self, lease: Lease) -> None:
        """It has an environment now and runs to its end, as Lambda's do when a caller goes away."""
        try:
            self._give_event(lease)
        except Exception:  # noqa: BLE001 - logged and answered; the pool, which called, goes on
            self._failed(lease)

    def _give_event(self, lease: Lease) -> None:
        environment = lease.environment
        version = environment.version  # newer than the call's own when the function was changed while it waited
        begin = environment.log.begin if environment.slots is None else environment.log.join
        self._log = begin(self._call.request_id, keep_tail=self._call.tail)
        self._started, self._began = self._at.clock.epoch(), self._at.clock.monotonic()
        if lease.number:
            self._started, self._began = self._started + environment.ended - self._began, environment.ended
        self._log.lines(*report.start_lines(self._call.request_id, version, self._started))
        if lease.number:
            environment.go_on(lease.number, self._call.request_id, version.limits.timeout_s, self._ended)
            return
        head = _event_head(self._call, version, self._started)
        if self._stream is not None:
            self._stream.version = version.version
        environment.run(head, self._event, version.limits.timeout_s, self._ended, self._stream)

    def _ended(self, result: RunResult) -> None:
        lease = self._lease
        assert lease is not None, "only a leased environment runs anything"
        try:
            reading, init_output = self._account(lease, result)
        except Exception:  # noqa: BLE001 - logged and answered; who read the result goes on
            self._failed(lease)
        else:
            if result.rests:
                left_s = lease.environment.version.limits.timeout_s - lease.duration_s
                lease.environment.rest(
                    left_s, lambda worker_lost: self._at.pool.release(lease, worker_lost=worker_lost)
                )
            else:
                self._at.pool.release(lease, worker_lost=result.worker_lost)
            self._settle(reading, init_output, result.payload)

    def _failed(self, lease: Lease) -> None:
        """A fault of ours. The worker is in an unknown state."""
        log.exception("call %s failed unexpectedly", self._call.request_id)
        lease.environment.log.leave(self._call.request_id)
        lease.environment.ended = self._at.clock.monotonic()
        self._at.pool.release(lease, worker_lost=True)
        self._reply(FAULT, b"")

    def _account(self, lease: Lease, result: RunResult) -> tuple[Reading, bytes]:
        """The reading, also written to the log; and what initialisation printed, if the caller wants it."""
        # Answers that came at once came one after the other; nobody has seen when, so they share the time.
        lease.duration_s = (self._at.clock.monotonic() - self._began) / result.together
        lease.environment.ended = self._began + lease.duration_s
        reading = self._reading(lease, result)
        init_output = lease.environment.init_log.tail() if self._call.tail and lease.cold is not None else b""
        self._log.lines(*report.end_lines(reading, lease.environment.version, self._started + lease.duration_s))
        if lease.environment.slots is not None:
            lease.environment.log.leave(self._call.request_id)
        return reading, init_output

    def _reading(self, lease: Lease, result: RunResult) -> Reading:
        environment, cold = lease.environment, lease.cold
        cpu_us = environment.use_cpu(result.together) if result.cpu_us is None else result.cpu_us
        init_ms = cold.init_ms if cold is not None else 0.0
        version = environment.version
        return Reading(
            request_id=self._call.request_id,
            arn=environment.arn,
            version=version.version,
            trigger=self._call.trigger,
            started_ms=int(self._started * 1000),
            outcome=result.outcome,
            cold=cold.reason if cold is not None else None,
            queue_ms=lease.queue_ms,
            init_ms=init_ms,
            duration_ms=lease.duration_s * 1000,
            billed_ms=billed_ms(lease.duration_s * 1000, init_ms),
            memory_mb=version.limits.memory_mb,
            peak_mb=_megabytes(environment.peak_bytes),
            cpu_ms=cpu_us / 1000,
            attempt=self._call.attempt,
            environment=environment.id,
            isolation=environment.isolation,
            preparation=cold.preparation if cold is not None else None,
        )

    def _settle(self, reading: Reading, init_output: bytes, payload: bytes) -> None:
        """Make the reading safe, and only then let the answer go."""
        tail = None
        if self._call.tail:
            tail = base64.b64encode((init_output + self._log.tail())[-LOG_TAIL_BYTES:]).decode()
        answer = AnswerHead(outcome=reading.outcome, version=reading.version, log_tail=tail)

        def safe(failure: SamovarError | None) -> None:
            if failure is None:
                self._reply(answer, payload)
            else:
                self._reply(refusal(failure), b"")

        self._at.meter.record(reading, safe)

    def _refused(self, why: Refusal) -> None:
        if isinstance(why, InitFailed):
            self._answer_failed_init(why)
            return
        if isinstance(why, TooManyRequests | EnvironmentFailure):
            waited_s = self._at.clock.monotonic() - self._lease.since if self._lease and self._lease.since else 0.0
            self._at.refused.note(self._call, why, waited_s)
        self._reply(refusal(why), b"")

    def _answer_failed_init(self, failed: InitFailed) -> None:
        """The handler never ran; the caller gets the error its code failed with, metered as the initialisation."""
        environment = failed.environment
        assert environment is not None, "the factory says where an initialisation failed"
        version = environment.version
        reading = Reading(
            request_id=self._call.request_id,
            arn=version.arn,
            version=version.version,
            trigger=self._call.trigger,
            started_ms=int(self._at.clock.epoch() * 1000),
            outcome=failed.outcome,
            init_ms=failed.init_ms,
            duration_ms=0.0,
            billed_ms=billed_ms(0.0, failed.init_ms),
            memory_mb=version.limits.memory_mb,
            peak_mb=_megabytes(environment.peak_bytes),
            attempt=self._call.attempt,
            environment=environment.id,
            isolation=environment.isolation,
        )
        self._log = environment.log.begin(self._call.request_id, keep_tail=self._call.tail)
        now = self._at.clock.epoch()
        first, last = report.start_lines(self._call.request_id, version, now), report.end_lines(reading, version, now)
        self._log.lines(*first, *last)
        is_its_own = failed.outcome is Outcome.INIT_ERROR  # the function's words, not ours
        payload = failed.payload if is_its_own else faults.with_id(failed.payload, self._call.request_id)
        self._settle(reading, environment.init_log.tail(), payload)


def _event_head(call: InvokeHead, version: FunctionVersion, started: float) -> EventHead:
    """`started` is in epoch seconds; 0 for an event that lies ready, whose time has not begun."""
    context = base64.b64decode(call.client_context).decode() if call.client_context else None
    return EventHead(
        request_id=call.request_id,
        deadline_ms=int((started + version.limits.timeout_s) * 1000),
        arn=call.arn if call.qualifier is None else f"{call.arn}:{call.qualifier}",
        client_context=context,
        trace_id=call.trace_id,
        streaming=call.streaming,
    )


def refusal(error: SamovarError) -> AnswerHead:
    """The answer that carries a platform error across the link."""
    return AnswerHead(
        outcome=Outcome.ERROR,
        failure=type(error).__name__,
        message=error.message,
        retry_after=error.retry_after,
        reason=error.reason,
    )


FAULT = refusal(ServiceFailure("unexpected fault in the invoker; see its log"))
"""The answer where we are at fault."""


def _megabytes(size: int) -> int:
    return -(-size // (1024 * 1024))
