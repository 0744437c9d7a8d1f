"""One invocation, told in order: resolve, lease, run, meter, answer."""

from __future__ import annotations

import base64
from collections.abc import Callable

from invoker import report
from invoker.environment import InitFailed
from invoker.lease import Lease
from invoker.metering import Meter
from invoker.output import InvocationLog
from invoker.pool import Pool
from invoker.versions import Versions
from invoker.worker import EventHead
from samovar.clock import Clock
from samovar.errors import SamovarError
from samovar.function import FunctionVersion
from samovar.invocation import LOG_TAIL_BYTES, AnswerHead, InvokeHead, Outcome, Reading, billed_ms


class Invocations:
    """Runs invocations. Holds no state of its own: versions, environments and readings have their owners."""

    def __init__(self, versions: Versions, pool: Pool, meter: Meter, clock: Clock) -> None:
        self._versions = versions
        self._pool = pool
        self._meter = meter
        self._clock = clock

    async def invoke(
        self, call: InvokeHead, event: bytes, began: Callable[[], None] = lambda: None
    ) -> tuple[AnswerHead, bytes]:
        """Run one event. Function errors are answers; what keeps a call from running becomes a failure.

        `began` is called when the call has an environment: from then on it is not to be cancelled.
        """
        try:
            version = self._versions.resolve(call.arn, call.version, call.serial)
            async with self._pool.lease(version) as lease:
                began()
                return await self._run(call, event, lease)
        except InitFailed as failed:
            return await self._answer_failed_init(call, failed)
        except SamovarError as error:
            return refusal(error), b""

    async def _run(self, call: InvokeHead, event: bytes, lease: Lease) -> tuple[AnswerHead, bytes]:
        environment = lease.environment
        version = environment.version  # newer than the call's own when the function was changed while it waited
        log = environment.log.begin(call.request_id)
        log.lines(report.start_line(call.request_id, version.version))
        started, began = self._clock.epoch(), self._clock.monotonic()
        result = await environment.run(self._event_head(call, version, started), event, version.limits.timeout_s)
        lease.duration_s = self._clock.monotonic() - began
        lease.worker_lost = result.worker_lost
        cpu_us = environment.use_cpu()
        cold = lease.cold
        init_ms = cold.init_ms if cold is not None else 0.0
        reading = Reading(
            request_id=call.request_id,
            arn=environment.arn,
            version=version.version,
            trigger=call.trigger,
            started_ms=int(started * 1000),
            outcome=result.outcome,
            cold=cold.reason if cold is not None else None,
            queue_ms=lease.queue_ms,
            init_ms=init_ms,
            duration_ms=lease.duration_s * 1000,
            billed_ms=billed_ms(lease.duration_s * 1000, init_ms),
            memory_mb=version.limits.memory_mb,
            peak_mb=_megabytes(environment.peak_bytes),
            cpu_ms=cpu_us / 1000,
            environment=environment.id,
            isolation=environment.isolation,
            preparation=cold.preparation if cold is not None else None,
        )
        before_handler = environment.init_log.tail() if cold is not None else b""
        return await self._settle(call, reading, log, before_handler), result.payload

    @staticmethod
    def _event_head(call: InvokeHead, version: FunctionVersion, started: float) -> EventHead:
        context = base64.b64decode(call.client_context).decode() if call.client_context else None
        return EventHead(
            request_id=call.request_id,
            deadline_ms=int((started + version.limits.timeout_s) * 1000),
            arn=call.arn if call.version == version.version else f"{call.arn}:{call.version}",
            client_context=context,
            trace_id=call.trace_id,
        )

    async def _settle(self, call: InvokeHead, reading: Reading, log: InvocationLog, init_output: bytes) -> AnswerHead:
        """Write the last log lines, make the reading safe, and only then let the answer go."""
        log.lines(*report.end_lines(reading))
        try:
            self._meter.record(reading)
        except OSError:
            await self._meter.record_without_disk(reading)
        tail = None
        if call.tail:
            tail = base64.b64encode((init_output + log.tail())[-LOG_TAIL_BYTES:]).decode()
        return AnswerHead(outcome=reading.outcome, version=reading.version, log_tail=tail)

    async def _answer_failed_init(self, call: InvokeHead, failed: InitFailed) -> tuple[AnswerHead, bytes]:
        """The handler never ran; the caller gets the error its code failed with, metered as the initialisation."""
        environment = failed.environment
        assert environment is not None, "the factory says where an initialisation failed"
        version = environment.version
        log = environment.log.begin(call.request_id)
        log.lines(report.start_line(call.request_id, version.version))
        reading = Reading(
            request_id=call.request_id,
            arn=version.arn,
            version=version.version,
            trigger=call.trigger,
            started_ms=int(self._clock.epoch() * 1000),
            outcome=failed.outcome,
            init_ms=failed.init_ms,
            duration_ms=0.0,
            billed_ms=billed_ms(0.0, failed.init_ms),
            memory_mb=version.limits.memory_mb,
            peak_mb=_megabytes(environment.peak_bytes),
            environment=environment.id,
            isolation=environment.isolation,
        )
        try:
            return await self._settle(call, reading, log, environment.init_log.tail()), failed.payload
        except SamovarError as error:
            return refusal(error), b""


def refusal(error: SamovarError) -> AnswerHead:
    """The answer that carries a platform error across the link."""
    return AnswerHead(
        outcome=Outcome.ERROR,
        failure=type(error).__name__,
        message=error.message,
        retry_after=error.retry_after,
        reason=error.reason,
    )


def _megabytes(size: int) -> int:
    return -(-size // (1024 * 1024))
