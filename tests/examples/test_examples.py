"""Every folder in `functions/` is deployed and called as its README says, over every real isolation."""

from __future__ import annotations

import io
import json
import tomllib
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from PIL import Image

from tests.compatibility.sqs import client_of
from tests.examples import photographs
from tests.examples.matching import differences
from tests.platform import ROOT, Platform
from tests.signing import key_for

FUNCTIONS = ROOT / "functions"
EXAMPLES = sorted(path.name for path in FUNCTIONS.iterdir() if path.is_dir())
BELONGS = {"README.md", "function.toml", "event.json", "expected.json"}


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, platform: Platform) -> Path:
    """The folder of an example that has been deployed."""
    return deploy(platform, request.param)


@cache
def deploy(platform: Platform, name: str) -> Path:
    """Deploy an example, once on each platform, with the queues it works on."""
    folder = FUNCTIONS / name
    for queue in tomllib.loads((folder / "function.toml").read_text()).get("triggers", {}).get("queue", []):
        client_of(platform.endpoint).create_queue(QueueName=queue["queue"])
    deployed = json.loads(platform.cli("deploy", folder, "--json").stdout)
    assert deployed["url"] == f"{platform.endpoint}/fn/{name}/"
    return folder


def post(platform: Platform, name: str, body: bytes, **query: Any) -> httpx.Response:
    return httpx.post(f"{platform.endpoint}/fn/{name}/", content=body, params=query, timeout=60)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_complete(name: str) -> None:
    folder = FUNCTIONS / name
    assert BELONGS.issubset(path.name for path in folder.iterdir())
    manifest = tomllib.loads((folder / "function.toml").read_text())
    assert manifest["name"] == name
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {name}\n")
    assert f"samovar deploy functions/{name}\n" in readme
    assert f"samovar invoke {name} --event functions/{name}/event.json\n" in readme


def test_an_example_answers_as_expected(platform: Platform, example: Path) -> None:
    called = platform.cli("invoke", example.name, "--event", example / "event.json")
    assert "REPORT RequestId: " in called.stderr
    assert differences(json.loads(called.stdout), json.loads((example / "expected.json").read_text())) == []
    environments = json.loads(platform.cli("ps", "--json").stdout)
    isolations = {view["isolation"] for view in environments if view["arn"].endswith(f":{example.name}")}
    assert isolations == {platform.isolation}


def test_the_seed_answers_http(platform: Platform) -> None:
    deploy(platform, "hello-python")
    answer = httpx.get(f"{platform.endpoint}/fn/hello-python/", timeout=60)
    assert (answer.status_code, answer.text) == (200, '"Hello from Lambda!"')


def test_words_are_counted_over_http(platform: Platform) -> None:
    deploy(platform, "word-count")
    counted = post(platform, "word-count", b"To be, or not to be", top=2).json()
    assert counted["most_common"] == [{"word": "be", "count": 2}, {"word": "to", "count": 2}]
    assert post(platform, "word-count", b"\xff").status_code == 400


@pytest.mark.parametrize("name", photographs.NAMES)
def test_a_photograph_becomes_a_thumbnail_over_http(platform: Platform, name: str) -> None:
    deploy(platform, "thumbnail")
    picture = photographs.photograph(name)
    answer = post(platform, "thumbnail", picture, width=160, height=160)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.content)) as small, Image.open(io.BytesIO(picture)) as large:
        assert small.format == "JPEG"
        assert small.size == (160, round(160 * large.height / large.width))
        small.load()
        assert alike(small, large)


def alike(small: Image.Image, large: Image.Image) -> bool:
    """Whether two pictures show the same: their colours, on a grid of 8 by 8, are close."""
    grids = [image.convert("RGB").resize((8, 8), Image.Resampling.BOX).tobytes() for image in (small, large)]
    return all(abs(one - other) < 16 for one, other in zip(*grids, strict=True))


def test_what_is_no_photograph_is_refused_over_http(platform: Platform) -> None:
    deploy(platform, "thumbnail")
    answer = post(platform, "thumbnail", b"no picture")
    assert answer.status_code == 400
    assert answer.json() == {"error": "these 10 bytes are no picture that Pillow knows"}


def test_a_table_becomes_a_report_over_http(platform: Platform) -> None:
    deploy(platform, "report")
    answer = post(platform, "report", b"team,points\nred,1\nblue,5\nred,4\n", group_by="team")
    assert answer.json()["groups"]["red"]["points"]["mean"] == 2.5


def test_the_nightly_report_is_scheduled_and_goes_to_a_queue(platform: Platform) -> None:
    deploy(platform, "nightly-report")
    (scheduled,) = json.loads(platform.cli("schedule", "ls", "--json").stdout)
    due = datetime.fromisoformat(scheduled["next"][0]).astimezone(ZoneInfo("Europe/Berlin"))
    assert (scheduled["name"], scheduled["catch_up"]) == ("nightly-report", "last")
    assert (due.hour, due.minute) == (3, 0)
    key = key_for(platform.endpoint)
    account = boto3.Session(key.key_id, key.secret, region_name="us-east-1")
    queues = account.client("sqs", endpoint_url=platform.endpoint)
    functions = account.client("lambda", endpoint_url=platform.endpoint)
    url = queues.create_queue(QueueName="reports")["QueueUrl"]
    functions.put_function_event_invoke_config(
        FunctionName="nightly-report",
        DestinationConfig={"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:123456789012:reports"}},
    )
    started = json.loads(platform.cli("schedule", "run", "nightly-report", "--json").stdout)["request_id"]
    (message,) = _received(queues, url)
    record = json.loads(message["Body"])
    assert record["requestContext"]["requestId"] == started
    assert record["requestContext"]["condition"] == "Success"
    assert record["requestPayload"]["resources"] == [scheduled["arn"]]
    day = datetime.fromisoformat(record["requestPayload"]["time"]).date() - timedelta(days=1)
    assert record["responsePayload"]["day"] == day.isoformat()


def _received(queues: Any, url: str) -> list[dict[str, Any]]:
    """What comes out of a queue first, within a minute."""
    for _ in range(6):
        found = queues.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", [])
        if found:
            return list(found)
    raise AssertionError("nothing came")
