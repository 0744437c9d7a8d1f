"""The worker: loads a handler as AWS Lambda's Python runtime does, and answers events.

`bootstrap.py` has prepared the process (environment, output, search path) and hands over the order and the
connection. What a handler sees here (context, JSON, names of errors, log lines) is what AWS's Lambda developer
guide, "Building Lambda functions with Python", promises and AWS's runtime interface client for Python does.

Standard library only, Python 3.9 and later. The imports at the top are what every worker uses: the keeper
makes them once, before it forks.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtimes.python import samovar_mailbox as mailbox
    from runtimes.python import samovar_streaming as streaming
    from runtimes.python.bootstrap import Connection, Order
    from runtimes.python.samovar_errors import Fault, TooLarge, causes, describe, error_fields, trace_of
    from runtimes.python.samovar_snapshot import Snapshot

    Handler = Callable[[Any, "LambdaContext"], Any]
else:
    import samovar_mailbox as mailbox
    import samovar_streaming as streaming
    from samovar_errors import Fault, TooLarge, causes, describe, error_fields, trace_of

PROTOCOL = 1
CHUNK, HELLO, READY, EVENT, RESULT = 3, 10, 14, 15, 16
END, END_QUIET = 1, 3
LARGEST_FRAME = 128 * 1024
ERROR_TEXT_LIMIT = 256 * 1024
"""Characters kept of an exception's text and of its trace, so that an error always fits into an answer."""
INIT_ERROR_TEXT_LIMIT = 20 * 1024
"""The same for an error of initialisation, which has to fit into one frame: a character takes up to 6 bytes."""


class Fields:
    """An object whose `__slots__` are read from a mapping; what is missing there is `None`."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, values: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self) -> str:
        fields = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{fields}])"


class CognitoIdentity(Fields):
    """Who called, where Amazon Cognito vouches for it; Samovar never fills it in."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Fields):
    """The mobile application that called."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")


class ClientContext(Fields):
    """What the caller put into `X-Amz-Client-Context`."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, values: dict[str, Any]) -> None:
        client = values.get("client")
        super().__init__({**values, "client": Client(client) if isinstance(client, dict) else None})


class FunctionFacts:
    """What every invocation of a worker has in common."""

    def __init__(self) -> None:
        get = os.environ.get
        self.name = get("AWS_LAMBDA_FUNCTION_NAME")
        self.version = get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_mb = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group = get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream = get("AWS_LAMBDA_LOG_STREAM_NAME")


class LambdaContext:
    """The handler's second argument: "Using the Lambda context object" of the AWS Lambda developer guide."""

    def __init__(self, head: dict[str, Any], function: FunctionFacts) -> None:
        self.function_name = function.name
        self.function_version = function.version
        self.memory_limit_in_mb = function.memory_mb
        self.log_group_name = function.log_group
        self.log_stream_name = function.log_stream
        self.aws_request_id: str = head["request_id"]
        self.invoked_function_arn: str = head["arn"]
        self.tenant_id = None
        self.identity = CognitoIdentity({})
        self._deadline_ms: int = head["deadline_ms"] + head.get("taken_ms", 0)
        given = head.get("client_context")
        values = unmarshal(given, "Runtime.LambdaContextUnmarshalError", "parse Client Context JSON") if given else None
        self._w3c = values.pop("w3c", None) if isinstance(values, dict) else None
        self.client_context = ClientContext(values) if isinstance(values, dict) else None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is killed, never below 0."""
        return max(0, int(self._deadline_ms - time.time() * 1000))

    def w3c(self) -> dict[str, str]:
        """The W3C trace context the caller sent along in the client context."""
        given = self._w3c if isinstance(self._w3c, dict) else {}
        known = ("traceparent", "tracestate", "baggage")
        return {name: given[name] for name in known if isinstance(given.get(name), str)}

    def log(self, message: object) -> None:
        """Write to the function's log as it stands: no level, no line end."""
        write_log(str(message))

    def __repr__(self) -> str:
        fields = ",".join(f"{name}={value}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"LambdaContext([{fields}])"


def load_handler(name: str) -> Handler:
    """Import `module.function` as Lambda does; a `/` in the module's name is read as a dot."""
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        raise Fault(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        )
    path = module_name.replace("/", ".")
    if path.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        __import__(path)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", message, [where]) from error
    except ValueError as error:
        if str(error) != "Empty module name":
            raise
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    module = sys.modules[path]
    if not hasattr(module, function_name):
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")
    found: Any = getattr(module, function_name)
    if not callable(found):
        what = f"Handler '{function_name}' on module '{module_name}' is not callable: it is a {type(found).__name__}"
        raise Fault("Runtime.HandlerNotFound", what)
    handler: Handler = streaming.adapted(found)
    return handler


decode_plain = json.JSONDecoder().raw_decode


def unmarshal(text: bytes | str, fault: str = "Runtime.UnmarshalError", action: str = "unmarshal input") -> Any:
    """JSON as Python values; NaN and the infinities are taken as Python writes them."""
    try:
        if isinstance(text, bytes) and text.startswith(b'{"'):  # so its encoding need not be found out
            plain = text.decode("utf-8", "surrogatepass")  # as `json.loads` would
            value, end = decode_plain(plain)
            if end == len(plain):
                return value
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Fault(fault, f"Unable to {action}: {error}") from error


# AWS stopped escaping non-ASCII text with Python 3.12.
ENSURE_ASCII = sys.version_info < (3, 12)
encode_plain = json.JSONEncoder(ensure_ascii=ENSURE_ASCII).encode


def marshal(result: Any) -> bytes:
    """What a handler returned, as JSON. Raises `Fault` "Runtime.MarshalError"."""
    try:
        return encode_plain(result).encode()
    except (TypeError, ValueError, RecursionError):
        return marshal_special(result)  # it tells what is wrong, or knows how to write it


def marshal_special(result: Any) -> bytes:
    """As `marshal`, for results that plain JSON does not cover."""
    token = ""

    def default(value: Any) -> Any:
        """A `Decimal` keeps all its digits: it goes in as a marked string, whose quotes are removed afterwards."""
        nonlocal token
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            token = token or os.urandom(16).hex()
            return f"{token}{value}"
        hint = ""
        if hasattr(value, "cr_await"):
            value.close()
            hint = "; Lambda's Python runtime does not await an async handler: call asyncio.run() in a plain function"
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable{hint}")

    try:
        text = json.dumps(result, default=default, ensure_ascii=ENSURE_ASCII)
        if token:
            import re

            text = re.sub(f'"{token}([^"]*)"', r"\1", text)
        return text.encode()
    except Exception as error:  # the result's own methods run here and may raise anything
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {describe(error)}") from error


def write_log(text: str) -> None:
    """Append to the function's output, after all that was printed before."""
    flush_output()
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(1, data) :]


def flush_output() -> None:
    """Hand over what the handler has printed so far."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # the handler closed or replaced it: what it holds is not ours


class Log:
    """The root logger's output and the report of errors, as text or as JSON (`AWS_LAMBDA_LOG_FORMAT`)."""

    request_id = ""
    """Of the invocation that runs; empty during initialisation."""

    def __init__(self) -> None:
        self._as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        logging.Formatter.converter = time.gmtime
        handler = logging.StreamHandler(self)
        handler.terminator = ""
        handler.addFilter(self._mark)
        handler.setFormatter(
            json_formatter()
            if self._as_json
            else logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
            )
        )
        root = logging.getLogger()
        root.addHandler(handler)
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
        number = logging.getLevelName("DEBUG" if level == "TRACE" else level)
        if isinstance(number, int):
            root.setLevel(number)

    def write(self, text: str) -> None:
        """Take a formatted record of the root logger."""
        write_log(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def _mark(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        return True

    def error(self, error: BaseException, fields: dict[str, Any]) -> None:
        """Write down why an invocation or the initialisation failed."""
        if self._as_json:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            write_log(json.dumps({"timestamp": stamp, "level": "ERROR", **fields}) + "\n")
            return
        lines = [f"[ERROR] {fields['errorType']}" + (f": {fields['errorMessage']}" if fields["errorMessage"] else "")]
        lines += ["Traceback (most recent call last):", *"".join(fields["stackTrace"]).splitlines()]
        for cause in () if isinstance(error, Fault) else causes(error):
            words = describe(cause)[:ERROR_TEXT_LIMIT]
            lines += [f"Caused by {type(cause).__name__}: {words}", *"".join(trace_of(cause)).splitlines()]
        # Lambda indents with no-break spaces, which log viewers do not strip, and ends the lines of an entry with
        # carriage returns, so that it is one event of the log.
        record = "\r".join("\u00a0" * (len(line) - len(line.lstrip(" "))) + line.lstrip(" ") for line in lines)
        write_log(record.replace("\n", "\r") + "\n")


def json_formatter() -> logging.Formatter:
    """Log records as the JSON objects of Lambda's advanced logging controls."""
    standard = {*vars(logging.makeLogRecord({})), "aws_request_id", "taskName", "asctime", "message"}

    class JsonFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            as_is = isinstance(record.msg, dict) and not record.args
            fields: dict[str, Any] = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.msg if as_is else record.getMessage(),
                "logger": record.name,
                "requestId": record.__dict__["aws_request_id"],
            }
            if record.exc_info and record.exc_info[1]:
                fields["stackTrace"] = traceback.format_tb(record.exc_info[2])
                fields["errorType"] = type(record.exc_info[1]).__name__
                fields["errorMessage"] = describe(record.exc_info[1])
                fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
            extra = {name: value for name, value in vars(record).items() if name not in standard}
            return json.dumps({**extra, **fields}, ensure_ascii=False, default=str) + "\n"

    return JsonFormatter()


class Worker:
    """The process that has the handler loaded and answers events, one at a time."""

    def __init__(self, order: Order, connection: Connection, snapshot: Snapshot | None = None) -> None:
        self._order = order
        self._limit = order.max_response_bytes
        self._connection = connection
        self._snapshot = snapshot
        self._pid = os.getpid()
        self._function = FunctionFacts()
        self._traced = False
        self._mailbox: mailbox.Mailbox | None = None

    def run(self) -> None:
        """Load the handler, then answer events until the invoker is gone."""
        hello = b'{"role": "worker", "pid": %d, "protocol": %d, "mailbox": true}' % (self._pid, PROTOCOL)
        self._connection.send(HELLO, self._order.number, hello)
        log = Log()
        handler: Handler | None = None
        head: dict[str, Any] = {}
        body = b""
        try:
            os.chdir(os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd())
            handler = load_handler(self._order.handler)
            head = self._share()
        except SystemExit:
            raise  # the process ends, and the keeper tells how
        except BaseException as error:  # noqa: BLE001 - whatever the module raises is the answer
            handler = None
            head, body = self._failure(log, error, INIT_ERROR_TEXT_LIMIT)
        head["init_ms"] = round((time.monotonic() - self._order.started) * 1000, 3)
        self._send(READY, self._order.number, head, body)
        if handler is None:
            raise SystemExit(1)
        for number, given, event in self._connection.messages(EVENT):
            kind, head, body = self._answer(log, handler, number, given, event)
            self._send(kind, number, head, body)
        if self._connection.mailbox >= 0:
            self._mailbox = box = mailbox.Mailbox(self._connection)
            for number, given, event in box.messages():
                kind, head, body = self._answer(log, handler, number, given, event)
                self._send(kind, number, head, body)

    def _share(self) -> dict[str, Any]:
        """Let further workers be forked from this one: they go on here, too. What READY has to say about it."""
        if self._snapshot is None:
            return {}
        flush_output()
        why_not, self._connection = self._snapshot.take()
        self._pid = os.getpid()
        self._function = FunctionFacts()
        self._snapshot.run_restore_hooks()
        return {} if why_not is None else {"snapshot": why_not}

    def _answer(
        self, log: Log, handler: Handler, number: int, given: bytes, event: bytes
    ) -> tuple[int, dict[str, Any], bytes]:
        """Kind, head and body of what ends the answer to one event."""
        fields = unmarshal(given)
        log.request_id = fields["request_id"]
        self._set_trace(fields.get("trace_id"))
        output: streaming.Live | streaming.Collected | None = None
        try:
            value = unmarshal(event)
            result = handler(value, LambdaContext(fields, self._function))
            if type(result) in streaming.STREAMED:
                output = self._output(number, is_live=fields.get("streaming", False))
                streaming.stream(result, output, marshal)
                return output.ending(value)
            raw = isinstance(result, bytes)
            body = result if raw else marshal(result)
            if len(body) > self._limit:
                raise self._too_large()
            return RESULT, {"content_type": "application/unknown"} if raw else {}, body
        except SystemExit:
            raise  # the process ends, and the keeper tells how
        except BaseException as error:  # noqa: BLE001 - whatever the handler raises is the answer
            kind = CHUNK if output is not None and output.has_begun else RESULT
            return kind, *self._failure(log, error)

    def _output(self, number: int, *, is_live: bool) -> streaming.Live | streaming.Collected:
        """Where a handler's parts go."""
        if is_live:
            return streaming.Live(self._connection, number)
        return streaming.Collected(self._limit, self._too_large)

    def _too_large(self) -> Fault:
        return TooLarge(self._limit)

    def _set_trace(self, trace_id: str | None) -> None:
        if trace_id:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        elif self._traced:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        self._traced = bool(trace_id)

    def _failure(self, log: Log, error: BaseException, limit: int = ERROR_TEXT_LIMIT) -> tuple[dict[str, Any], bytes]:
        fields = error_fields(error, log.request_id, limit)
        log.error(error, fields)
        if isinstance(error, TooLarge):
            del fields["requestId"], fields["stackTrace"]
        return {"error": fields["errorType"]}, json.dumps(fields).encode()

    def _send(self, kind: int, stream: int, head: dict[str, Any], body: bytes) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a child the handler forked came back from it: only the worker itself may answer
        flush_output()
        told = json.dumps(head).encode() if head else b""
        if self._mailbox is None or len(body) > LARGEST_FRAME:
            self._connection.send(kind, stream, told, body)
        else:
            flags = END if self._mailbox.has_output_unread() else END_QUIET
            self._connection.send_frame(kind, stream, told, body, flags)
