"""Queues from a shell, and as the broker of an application that runs on Celery's own SQS transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.sqs import attributes_of
from tests.signing import key_for

TAKES_S = 60.0
BIN = Path(sys.executable).parent


def runner(program: str, environment: dict[str, str]) -> Callable[..., Any]:
    """A function that runs a command, and gives its output: JSON where it is some."""

    def run(*arguments: str, status: int = 0, given: str = "") -> Any:
        done = subprocess.run(
            [BIN / program, *arguments],
            env={"PATH": "/usr/bin:/bin"} | environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=TAKES_S,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        if status:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout.strip()

    return run


@pytest.fixture
def environment(endpoint: str, tmp_path: Path) -> dict[str, str]:
    """What clients find the platform and its key by."""
    key = key_for(endpoint)
    return {
        "HOME": str(tmp_path),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SAMOVAR_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }


@pytest.mark.component("aws cli")
def test_the_aws_command(sqs: Any, environment: dict[str, str]) -> None:
    aws = partial(runner("aws", environment), "--endpoint-url", environment["SAMOVAR_ENDPOINT"])
    url = aws("sqs", "create-queue", "--queue-name", "tea", "--attributes", "VisibilityTimeout=5")["QueueUrl"]
    sent = aws("sqs", "send-message", "--queue-url", url, "--message-body", "green")
    received = aws("sqs", "receive-message", "--queue-url", url, "--attribute-names", "All", "--wait-time-seconds", "5")
    [message] = received["Messages"]
    assert (message["Body"], message["MessageId"]) == ("green", sent["MessageId"])
    aws("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    assert aws("sqs", "list-queues")["QueueUrls"] == [url]
    assert "NonExistentQueue" in aws("sqs", "get-queue-url", "--queue-name", "coffee", status=255)


def test_the_samovar_command(sqs: Any, environment: dict[str, str]) -> None:
    samovar = runner("samovar", environment)
    samovar("queues", "create", "dead")
    url = samovar("queues", "create", "tea", "--dead-letter-queue", "dead", "--max-receives", "1")
    samovar("queues", "create", "ledger.fifo", "--attribute", "ContentBasedDeduplication=true")
    samovar("queues", "send", "tea", "green")
    samovar("queues", "send", "tea", "-", given="black\n")
    samovar("queues", "send", "ledger.fifo", "first", "--group", "g")
    assert "MessageGroupId" in samovar("queues", "send", "ledger.fifo", "first", status=2)
    listed = samovar("queues", "ls").splitlines()
    assert [line.split() for line in listed[1:]] == [
        ["dead", "0", "0", "0", "-"],
        ["ledger.fifo", "1", "0", "0", "-"],
        ["tea", "2", "0", "0", "dead"],
    ]
    assert samovar("queues", "receive", "tea", "--keep") == "green"
    assert samovar("queues", "receive", "tea", "-n", "10") == "black", "green was received too often"
    assert attributes_of(sqs, url, "ApproximateNumberOfMessages") == {"ApproximateNumberOfMessages": "0"}
    assert samovar("queues", "redrive", "dead") == "1 moved"
    [message] = samovar("queues", "receive", "tea", "--json")
    assert message["Body"] == "green"
    samovar("queues", "send", "tea", "more")
    samovar("queues", "purge", "tea")
    assert samovar("queues", "receive", "tea") == ""
    samovar("queues", "delete", "tea")
    assert "fault" in samovar("queues", "receive", "tea", status=2)


@pytest.mark.component("celery")
def test_celery_on_its_own_sqs_transport(sqs: Any, endpoint: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """An application whose worker and callers know nothing of Samovar but an address and a key."""
    (tmp_path / "kitchen.py").write_text(
        "import os, pathlib\n"
        "from celery import Celery\n"
        "from kombu.utils.url import safequote\n"
        "key, secret = os.environ['AWS_ACCESS_KEY_ID'], safequote(os.environ['AWS_SECRET_ACCESS_KEY'])\n"
        f"app = Celery('kitchen', broker=f'sqs://{{key}}:{{secret}}@{endpoint.removeprefix('http://')}//')\n"
        "app.conf.update(broker_transport_options={'region': 'us-east-1', 'is_secure': False, 'wait_time_seconds': 2,\n"
        "                'polling_interval': 0.1}, task_default_queue='kitchen', worker_enable_remote_control=False)\n"
        "@app.task\n"
        "def brew(number):\n"
        f"    (pathlib.Path({str(tmp_path)!r}) / f'cup-{{number}}').touch()\n"
    )
    given = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)} | {
        name: value for name, value in environment.items() if name != "PYTHONPATH"
    }
    code = "from kitchen import brew; [brew.delay(number) for number in range(5)]"
    subprocess.run([sys.executable, "-c", code], env=given, timeout=TAKES_S, check=True)
    command = [sys.executable, "-m", "celery", "-A", "kitchen", "worker", "--pool", "solo", "--without-mingle"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL, stderr=log)
    try:
        deadline = time.monotonic() + TAKES_S
        while len(list(tmp_path.glob("cup-*"))) < 5:
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            time.sleep(0.05)
    finally:
        worker.terminate()
        worker.wait(TAKES_S)
