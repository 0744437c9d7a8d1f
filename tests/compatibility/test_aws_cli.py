"""The `aws` command against a whole platform: a function made, called and looked at from a shell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.aws import RUNTIME, SANDBOX, package
from tests.gateway.builders import ROLE
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("aws cli", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]
AWS = Path(sys.executable).parent / "aws"
COMMAND_TAKES_S = 60.0


def test_a_function_is_made_called_and_deleted_from_a_shell(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "tea.zip").write_bytes(package('def handler(event, context): return {"poured": event["cups"]}'))
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL_LAMBDA": platform.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(platform.data_dir / "credentials"),
        "AWS_PROFILE": "samovar",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def aws(*arguments: str, status: int = 0) -> Any:
        done = subprocess.run(
            [AWS, "lambda", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=COMMAND_TAKES_S,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    named = ("--function-name", "tea")
    what = ("--runtime", RUNTIME, "--role", ROLE, "--handler", "app.handler", "--zip-file", "fileb://tea.zip")
    assert aws("create-function", *named, *what)["FunctionName"] == "tea"
    aws("wait", "function-active-v2", *named)
    called = aws("invoke", *named, "--payload", '{"cups": 2}', "out.json")
    assert called == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads((tmp_path / "out.json").read_text()) == {"poured": 2}
    assert aws("get-function", *named)["Configuration"]["State"] == "Active"
    assert aws("publish-version", *named, "--description", "the first")["Version"] == "1"
    (tmp_path / "tea.zip").write_bytes(package('def handler(event, context): return "empty"'))
    assert aws("update-function-code", *named, "--zip-file", "fileb://tea.zip", "--publish")["Version"] == "2"
    weights = ("--routing-config", "AdditionalVersionWeights={2=0.5}")
    alias = aws("create-alias", *named, "--name", "live", "--function-version", "1", *weights)
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    aws("update-alias", *named, "--name", "live", "--routing-config", "AdditionalVersionWeights={}")
    assert aws("invoke", *named, "--qualifier", "live", "out.json")["ExecutedVersion"] == "1"
    versions = aws("list-versions-by-function", *named, "--query", "Versions[].Version")
    assert versions == ["$LATEST", "1", "2"]
    assert "following aliases reference it: [live]" in aws("delete-function", *named, "--qualifier", "1", status=255)
    assert aws("get-account-settings")["AccountUsage"]["FunctionCount"] == 1
    aws("delete-function", *named)
    assert "(ResourceNotFoundException)" in aws("get-function", *named, status=255)
