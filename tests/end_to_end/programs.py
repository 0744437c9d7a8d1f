"""The same function in every language and behind every client: it does one of a few things when asked."""

from __future__ import annotations

import io
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.components import CLIENTS
from tests.end_to_end.lab import ROLE, Function, Lab

JAVASCRIPT = """
    import fs from "node:fs";
    let calls = 0;

    export const handler = async (event, context) => {
      calls += 1;
      switch (event.do) {
        case "echo": return event;
        case "count": return calls;
        case "fail": throw new RangeError("no such thing");
        case "exit": process.exit(3);
        case "hang": await new Promise((resolve) => setTimeout(resolve, 60_000)); break;
        case "big": return "x".repeat(6_300_000);
        // In one system call: a process that goes on running at its limit has its own code paged out and in for long.
        case "eat": return fs.readSync(fs.openSync("/dev/zero"), Buffer.allocUnsafe(1 << 28));
        case "print": console.log("printed for", context.awsRequestId); return null;
        case "burn": for (const since = process.cpuUsage(); process.cpuUsage(since).user < 200_000; ); return null;
        case "keep": fs.writeFileSync("/tmp/kept", "x"); return null;
        case "kept": return fs.existsSync("/tmp/kept");
        case "variables": return process.env;
        case "place": return [process.cwd(), process.getuid(), fs.readdirSync("/var/task").length > 0];
        case "context": return {
          name: context.functionName, version: context.functionVersion, arn: context.invokedFunctionArn,
          memory: context.memoryLimitInMB, id: context.awsRequestId, group: context.logGroupName,
          left: context.getRemainingTimeInMillis(), custom: context.clientContext?.custom,
        };
      }
    };
"""
PYTHON = """
    import os, time
    calls = 0

    def handler(event, context):
        global calls
        calls += 1
        do = event["do"]
        if do == "echo": return event
        if do == "count": return calls
        if do == "fail": raise LookupError("no such thing")
        if do == "exit": os._exit(3)
        if do == "hang": time.sleep(60)
        if do == "big": return "x" * 6_300_000
        if do == "eat": open("/dev/zero", "rb", 0).readinto(bytearray(1 << 28))  # as above
        if do == "print": print("printed for", context.aws_request_id)
        if do == "burn":
            end = time.process_time() + 0.2
            while time.process_time() < end: pass
        if do == "keep": open("/tmp/kept", "w").close()
        if do == "kept": return os.path.exists("/tmp/kept")
        if do == "variables": return dict(os.environ)
        if do == "place": return [os.getcwd(), os.getuid(), len(os.listdir("/var/task")) > 0]
        if do == "context":
            return {"name": context.function_name, "version": context.function_version,
                    "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
                    "id": context.aws_request_id, "group": context.log_group_name,
                    "left": context.get_remaining_time_in_millis(),
                    "custom": context.client_context and context.client_context.custom}
"""
CURL = """
    #!/bin/sh
    # As in the developer guide's tutorial: one event after another, by curl, in a shell that is bash on Amazon Linux.
    set -euo pipefail
    api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
    if [ "${INIT:-}" = error ]; then
        curl -sS -o /dev/null -X POST -H 'Lambda-Runtime-Function-Error-Type: Runtime.NoLuck' \\
            -d '{"errorMessage": "no luck", "errorType": "NoLuck"}' "$api/init/error"
        exit 1
    fi
    while true; do
        event="$(curl -sS -L -D /tmp/headers "$api/invocation/next")"
        id="$(grep -Fi lambda-runtime-aws-request-id /tmp/headers | tr -d '[:space:]' | cut -d: -f2)"
        case "$event" in
            *fail*) curl -sS -o /dev/null -X POST -H 'Lambda-Runtime-Function-Error-Type: Function.Sad' \\
                -d '{"errorMessage": "sad", "errorType": "Sad"}' "$api/invocation/$id/error" ;;
            *) echo "handled by $_HANDLER"
               curl -sS -o /dev/null -X POST -d "{\\"got\\": $event}" "$api/invocation/$id/response" ;;
        esac
        [[ -z "${ONCE:-}" ]] || exit 0
    done
"""


class Flavour(NamedTuple):
    """One way to run the function."""

    runtime: str
    handler: str
    error: str
    """What its language calls the error it fails with."""


FLAVOURS = {
    "nodejs20.x": Flavour("nodejs20.x", "index.handler", "RangeError"),
    "nodejs22.x": Flavour("nodejs22.x", "index.handler", "RangeError"),
    "awslambdaric": Flavour("provided.al2023", "app.handler", "LookupError"),
    "aws-lambda-ric": Flavour("provided.al2", "index.handler", "RangeError"),
}
"""Our own runtime for Node.js, and AWS's clients as a function ships them, which nobody has changed."""


def archive(files: Mapping[str, str | bytes], *, executable: str = "bootstrap") -> bytes:
    """A deployment package, with one file in it that can be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name == executable else 0o100644) << 16
            package.writestr(entry, textwrap.dedent(content).lstrip() if isinstance(content, str) else content)
    return packed.getvalue()


def files_of(flavour: str) -> dict[str, str | bytes]:
    """What the function is made of."""
    if flavour == "awslambdaric":
        bootstrap = (
            '#!/bin/sh\nexport PYTHONPATH="$LAMBDA_TASK_ROOT"\nexec /usr/bin/python3 -m awslambdaric "$_HANDLER"\n'
        )
        return {"bootstrap": bootstrap, "app.py": PYTHON, **_tree(CLIENTS / "python", "")}
    if flavour == "aws-lambda-ric":
        ric = "node_modules/aws-lambda-ric"
        node = "/usr/local/lib/nodejs/node-v22/bin/node"
        bootstrap = f'#!/bin/sh\nexec {node} "$LAMBDA_TASK_ROOT/{ric}/index.mjs" "$_HANDLER"\n'
        modules = CLIENTS / "node" / "node_modules"
        client = {f"{ric}/{name}": (modules / "aws-lambda-ric" / name).read_bytes()
                  for name in ("index.mjs", "package.json", "rapid-client.node")}  # fmt: skip
        return {
            "bootstrap": bootstrap,
            "index.mjs": JAVASCRIPT,
            **client,
            **_tree(modules / "@aws", "node_modules/@aws"),
        }
    return {"index.mjs": JAVASCRIPT}


def _tree(folder: Path, place: str) -> dict[str, bytes]:
    return {
        str(Path(place) / path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def deploy(lab: Lab, name: str, flavour: str, **parameters: Any) -> Function:
    """The function that does what it is asked, under a name of its own."""
    known = FLAVOURS[flavour]
    return deploy_files(lab, name, files_of(flavour), Runtime=known.runtime, Handler=known.handler, **parameters)


def deploy_files(lab: Lab, name: str, files: Mapping[str, str | bytes], **parameters: Any) -> Function:
    """A function made of these files."""
    usual = {"FunctionName": name, "Role": ROLE, "Timeout": 10, "MemorySize": 192}
    lab.client.create_function(usual | parameters, archive(files))
    return Function(lab, name)
