"""A platform in memory that speaks enough of the API for the CLI, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from typer.testing import Result

from samovar.explanation import explain
from samovar.invocation import Reading

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
PAGE_SIZE = 2
Run = Callable[..., Result]
"""Runs `samovar` with these words, in this process."""


@dataclass
class FakeFunction:
    """One function: its configuration as the API prints it, and what belongs to it."""

    configuration: dict[str, Any]
    code: bytes
    tags: dict[str, str]
    url: str | None = None
    reserved: int | None = None
    provisions: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)

    def files(self) -> list[str]:
        """The names in the package."""
        return zipfile.ZipFile(io.BytesIO(self.code)).namelist()


class FakePlatform:
    """Functions that echo their event, or fail when the event says so. `calls` lists what was asked."""

    def __init__(self) -> None:
        self.source_mappings: list[dict[str, Any]] = []
        self.functions: dict[str, FakeFunction] = {}
        self.calls: list[str] = []
        self.refuse_code: str | None = None
        self.refusal: Response | None = None
        self.well = True
        self.package_limits = {"packed": 50 * 2**20, "unpacked": 250 * 2**20}
        self.usage: dict[str, Any] = {}
        self.environments: list[dict[str, Any]] = []
        self.schedules: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """The API."""
        f, one = "/2015-03-31/functions", "/2015-03-31/functions/{name}"
        routes = [
            Route(f, self.create, methods=["POST"]),
            Route(f + "/", self.listing),
            Route(one, self.get),
            Route(one, self.delete, methods=["DELETE"]),
            Route(one + "/configuration", self.get_configuration),
            Route(one + "/configuration", self.put_configuration, methods=["PUT"]),
            Route(one + "/code", self.put_code, methods=["PUT"]),
            Route(one + "/invocations", self.invoke, methods=["POST"]),
            Route("/2015-03-31/event-source-mappings/", self.mappings, methods=["GET"]),
            Route("/2021-10-31/functions/{name}/url", self.url, methods=["GET", "POST", "DELETE"]),
            Route("/2017-10-31/functions/{name}/concurrency", self.concurrency, methods=["PUT", "DELETE"]),
            Route("/samovar/v1/functions/{name}/provisioned", self.provisioned, methods=["GET", "PUT"]),
            Route("/samovar/v1/schedules", self.list_schedules),
            Route("/samovar/v1/schedules/{name}", self.schedule, methods=["PUT", "DELETE"]),
            Route("/samovar/v1/functions/{name}/uploads", self.uploads, methods=["GET", "PUT"]),
            Route("/2017-03-31/tags/{arn:path}", self.tags, methods=["POST", "DELETE"]),
            Route("/samovar/v1/status", self.status),
            Route("/samovar/v1/health", self.health),
            Route("/samovar/v1/invocations/{name}", self.reading),
            Route("/samovar/v1/invocations/{name}/why", self.why),
            Route("/samovar/v1/functions/{name}/invocations", self.readings),
            Route("/samovar/v1/environments", self.list_environments),
            Route("/samovar/v1/functions/{name}/logs", self.logs),
            Route("/samovar/v1/functions/{name}/usage", self.get_usage),
            Route("/samovar/v1/usage", self.get_usage),
        ]
        return Starlette(routes=routes, exception_handlers={KeyError: self.not_found})

    def changes(self) -> list[str]:
        """The calls that changed something, without reads."""
        return [call for call in self.calls if not call.startswith("GET")]

    async def not_found(self, request: Request, error: Exception) -> Response:
        return refusal(404, "ResourceNotFoundException", f"Function not found: {ARN}{request.path_params.get('name')}")

    def one(self, request: Request) -> FakeFunction:
        self.calls.append(f"{request.method} {request.url.path}")
        return self.functions[request.path_params["name"]]

    async def create(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append("POST create")
        if self.refusal:
            return self.refusal
        code, name = base64.b64decode(body.pop("Code")["ZipFile"]), body["FunctionName"]
        tags = body.pop("Tags", {})
        configuration = {**body, **described(code), "FunctionArn": ARN + name, "State": "Active"}
        self.functions[name] = FakeFunction(configuration, code, tags)
        return JSONResponse(configuration, 201)

    async def listing(self, request: Request) -> Response:
        names = sorted(self.functions)
        start = int(request.query_params.get("Marker", "0"))
        page: dict[str, Any] = {"Functions": [self.functions[n].configuration for n in names[start:][:PAGE_SIZE]]}
        if start + PAGE_SIZE < len(names):
            page["NextMarker"] = str(start + PAGE_SIZE)
        self.calls.append(f"GET list {start}")
        return JSONResponse(page)

    async def get(self, request: Request) -> Response:
        function = self.one(request)
        answer: dict[str, Any] = {"Configuration": function.configuration, "Tags": function.tags}
        if function.reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return JSONResponse(answer)

    async def get_configuration(self, request: Request) -> Response:
        return JSONResponse(self.one(request).configuration)

    async def put_configuration(self, request: Request) -> Response:
        function = self.one(request)
        function.configuration |= await request.json()
        return JSONResponse(function.configuration)

    async def put_code(self, request: Request) -> Response:
        function = self.one(request)
        if self.refuse_code:
            return refusal(400, "InvalidZipFileException", self.refuse_code)
        function.code = base64.b64decode((await request.json())["ZipFile"])
        function.configuration |= described(function.code)
        return JSONResponse(function.configuration)

    async def delete(self, request: Request) -> Response:
        self.one(request)
        del self.functions[request.path_params["name"]]
        return Response(status_code=204)

    async def mappings(self, request: Request) -> Response:
        """What the test says there is."""
        return JSONResponse({"EventSourceMappings": self.source_mappings})

    async def url(self, request: Request) -> Response:
        function = self.one(request)
        if request.method == "POST":
            function.url = "http://abc.lambda-url.us-east-1.localhost:9000/"
        if function.url is None:
            return refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
        if request.method == "DELETE":
            function.url = None
            return Response(status_code=204)
        return JSONResponse({"FunctionUrl": function.url, "AuthType": "NONE"})

    async def concurrency(self, request: Request) -> Response:
        function = self.one(request)
        if request.method == "DELETE":
            function.reserved = None
            return Response(status_code=204)
        function.reserved = (await request.json())["ReservedConcurrentExecutions"]
        return JSONResponse({"ReservedConcurrentExecutions": function.reserved})

    async def list_schedules(self, request: Request) -> Response:
        """GET /samovar/v1/schedules."""
        return JSONResponse(list(self.schedules.values()))

    async def schedule(self, request: Request) -> Response:
        """PUT and DELETE /samovar/v1/schedules/{name}."""
        name = request.path_params["name"]
        if request.method == "DELETE":
            del self.schedules[name]
            return Response(status_code=204)
        wanted = await request.json()
        arn = f"arn:aws:scheduler:us-east-1:123456789012:schedule/default/{name}"
        usual = {"timezone": "UTC", "enabled": True}
        said = {"name": name, "group": "default", "arn": arn, "target": f"{ARN}{wanted['target']}"}
        self.schedules[name] = {**usual, **wanted, **said}
        return JSONResponse(self.schedules[name])

    async def provisioned(self, request: Request) -> Response:
        function = self.one(request)
        if request.method == "PUT":
            function.provisions = (await request.json())["provisions"]
        wanted = max((one["count"] for one in function.provisions), default=0)
        return JSONResponse({"provisions": function.provisions, "wanted": wanted, "ready": 0})

    async def uploads(self, request: Request) -> Response:
        function = self.one(request)
        if request.method == "PUT":
            function.uploads = (await request.json())["triggers"]
        return JSONResponse({"triggers": function.uploads})

    async def tags(self, request: Request) -> Response:
        self.calls.append(f"{request.method} tags")
        tags = self.functions[request.path_params["arn"].removeprefix(ARN)].tags
        if request.method == "POST":
            tags |= (await request.json())["Tags"]
        for name in request.query_params.getlist("tagKeys"):
            del tags[name]
        return Response(status_code=204)

    async def invoke(self, request: Request) -> Response:
        function = self.one(request)
        if self.refusal:
            return self.refusal
        body = await request.body()
        headers = {"x-amzn-RequestId": "11111111-2222-4333-8444-555555555555", "X-Amz-Executed-Version": "$LATEST"}
        if request.headers["x-amz-log-type"] == "Tail":
            report = "REPORT RequestId: 1\tDuration: 1.00 ms\n"
            headers["X-Amz-Log-Result"] = base64.b64encode(report.encode()).decode()
        function.log.append({"epoch_ms": 1_700_000_000_123, "request_id": "r1", "stream": "s", "text": "called"})
        if b"fail" in body:
            headers["X-Amz-Function-Error"] = "Unhandled"
            error = {
                "errorMessage": "no such cup",
                "errorType": "KeyError",
                "stackTrace": ['  File "app.py", line 3\n'],
            }
            return JSONResponse(error, headers=headers)
        return Response(body, headers=headers)

    async def status(self, request: Request) -> Response:
        runtimes = [
            {"name": "python3.9", "available": True, "detail": ""},
            {"name": "python3.11", "available": True, "detail": ""},
            {"name": "python3.13", "available": False, "detail": "no interpreter"},
            {"name": "nodejs20.x", "available": True, "detail": ""},
        ]
        return JSONResponse(status_document(runtimes) | {"package_limits": self.package_limits})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok" if self.well else "degraded"}, 200 if self.well else 503)

    async def reading(self, request: Request) -> Response:
        return JSONResponse(reading(request.path_params["name"]))

    async def why(self, request: Request) -> Response:
        request_id = request.path_params["name"]
        if request_id == "unknown":
            return refusal(404, "ResourceNotFoundException", "No invocation unknown is known: no call of this id")
        cold = reading(request_id) | {"cold": "expired", "queue_ms": 60.0, "init_ms": 20.0}
        cold["preparation"] = {"start_ms": 40.0, "idle_s": 840.0, "kept_s": 600.0}
        return Response(msgspec.json.encode(explain(msgspec.convert(cold, Reading))))

    async def readings(self, request: Request) -> Response:
        self.one(request)
        return JSONResponse([reading(f"r{number}") for number in range(int(request.query_params["limit"]))])

    async def list_environments(self, request: Request) -> Response:
        return JSONResponse(self.environments)

    async def logs(self, request: Request) -> Response:
        function = self.one(request)
        self.calls.append(f"GET logs {json.dumps(dict(request.query_params), sort_keys=True)}")
        return StreamingResponse(iter([json.dumps(record) + "\n" for record in function.log]))

    async def get_usage(self, request: Request) -> Response:
        if "name" in request.path_params:
            self.one(request)
        return JSONResponse(self.usage)


def described(code: bytes) -> dict[str, Any]:
    """The members of a configuration that tell about the code."""
    digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
    return {"CodeSha256": digest, "CodeSize": len(code), "LastModified": "2026-01-02T03:04:05.678+0000"}


def reading(request_id: str) -> dict[str, Any]:
    """One meter reading."""
    what = {"request_id": request_id, "arn": ARN + "tea", "version": "$LATEST", "trigger": "invoke", "outcome": "ok"}
    return what | {"started_ms": 1, "duration_ms": 1.5, "billed_ms": 2, "memory_mb": 128, "peak_mb": 36}


def status_document(runtimes: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer of `/samovar/v1/status`."""
    counts = dict.fromkeys(
        ("pid", "uptime_s", "environments", "idle", "busy", "waiting", "journal_pending"), 0
    ) | dict.fromkeys(("memory_budget_mb", "memory_reserved_mb"), 0)
    invoker = {"isolation": "sandbox", "isolations": [], "runtimes": runtimes, "default_runtime": "python3.11"}
    worker = {"version": "0", "pid": 1, "uptime_s": 1.0, "functions": 0, "following": True}
    limits = {"package_limits": {"packed": 1024, "unpacked": 1024}}
    told = {"store": {"available": True, "detail": "version 8"}, "invoker_detail": "pid 1, sandbox"}
    return worker | limits | told | {"invoker": invoker | counts}


def refusal(status: int, name: str, message: str, **headers: str) -> Response:
    """An error in AWS's form."""
    kind = "User" if status < 500 else "Service"
    return JSONResponse(
        {"Type": kind, "Message": message, "message": message}, status, {"x-amzn-ErrorType": f"{name}:", **headers}
    )


@contextmanager
def serving(platform: FakePlatform) -> Iterator[str]:
    """The platform's address while it is served."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(platform.app(), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
