"""What a function.toml may say, and what is said about one that says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from samovar.deploy.manifest import ManifestError, load, parse
from samovar.provisioning import Provision

LEAST = 'name = "tea"\nhandler = "app.handler"\n'


def test_the_least_manifest_has_lambdas_defaults() -> None:
    manifest = parse(LEAST)
    assert (manifest.memory, manifest.timeout, manifest.tmp) == (128, 3, 512)
    assert (manifest.runtime, manifest.concurrency, manifest.url) == (None, None, True)
    assert manifest.tags() == {}


def test_every_key_reaches_the_api() -> None:
    manifest = parse(
        LEAST + 'memory = 256\ntimeout = 9\ntmp = 1024\ndescription = "brews"\nisolation = "docker"\n'
        'network = "bridge"\noci_runtime = "runsc"\nurl = false\nconcurrency = 3\n[environment]\nPOT = "big"\n'
    )
    parameters = manifest.configuration("python3.11")
    del parameters["Role"]
    assert parameters == {
        "FunctionName": "tea",
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "MemorySize": 256,
        "Timeout": 9,
        "Description": "brews",
        "EphemeralStorage": {"Size": 1024},
        "Environment": {"Variables": {"POT": "big"}},
    }
    assert manifest.tags() == {
        "samovar:isolation": "docker",
        "samovar:network": "bridge",
        "samovar:oci-runtime": "runsc",
        "samovar:http": "off",
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("memory = 64", "function.toml:3: `memory` = 64 is not allowed; it takes a whole number of MB, 128 to 10240"),
        ('timeout = "10"', 'function.toml:3: `timeout` = "10" is not allowed; it takes whole seconds, 1 to 900'),
        ("timeout = true", "function.toml:3: `timeout` = true"),
        ('isolation = "fake"', '"docker" or "sandbox"'),
        ('isolation = "none"', "the operator's decision, made by starting the platform with `--isolation none`"),
        ('network = "vpn"', '"none", "bridge" or "host"'),
        ("concurrency = -1", "a whole number from 0"),
        ("[environment]\nPORT = 80", 'function.toml:3: `environment` = {"PORT":80}'),
        ('environment.AWS_REGION = "x"', "function.toml:3: `environment`: Lambda was unable"),
        ("memroy = 128", "function.toml:3: there is no key `memroy`; the keys are name, handler, runtime, memory"),
        ("[layers]", "function.toml:3: there is no key `layers`"),
        ("provisioned = -1", "function.toml:3: `provisioned`: provisioned count = -1"),
        ("provisioned = 1.5", "it takes a whole number up to 1000, or tables [[provisioned]] with count"),
        ("[[provisioned]]\ncount = 2\nuntil = 6", "function.toml:3: `provisioned` = "),
        ('[[provisioned]]\ncount = 2\nstart = "8:00"\nend = "0 6 * * *"', "start = '8:00' is no cron expression"),
        ('[[schedules]]\ntimezone = "UTC"', "function.toml:3: `schedules` = "),
        (
            '[[schedules]]\nexpression = "rate(1 day)"\ncatch_up = "some"',
            "it takes tables [[schedules]] with expression",
        ),
        ('[[schedules]]\nexpression = "x"\nname = "a"\n' * 2, "two schedules have the same name"),
        ("memory = ", "is not valid TOML"),
    ],
)
def test_a_bad_value_is_told_with_file_line_key_and_what_is_allowed(line: str, says: str) -> None:
    with pytest.raises(ManifestError) as raised:
        parse(LEAST + line)
    assert says in raised.value.message


def test_schedules_have_names_of_their_function_unless_they_have_their_own() -> None:
    tables = '[[schedules]]\nexpression = "rate(1 day)"\n[[schedules]]\nname = "own"\nexpression = "rate(2 days)"\n'
    named = parse(LEAST + tables + '[[schedules]]\nexpression = "rate(3 days)"\nwindow = 5').named_schedules()
    assert {name: wish.expression for name, wish in named.items()} == {
        "tea": "rate(1 day)",
        "own": "rate(2 days)",
        "tea-3": "rate(3 days)",
    }
    assert {(wish.target, wish.of_function) for wish in named.values()} == {("tea", "tea")}
    assert named["tea-3"].window == 5


def test_environments_are_provisioned_by_number_or_in_windows() -> None:
    window = (
        '[[provisioned]]\ncount = 3\nstart = "0 8 * * mon-fri"\nend = "0 18 * * mon-fri"\ntimezone = "Asia/Tokyo"\n'
    )
    assert parse(LEAST).provisions() == parse(LEAST + "provisioned = 0").provisions() == ()
    assert parse(LEAST + "provisioned = 2").provisions() == (Provision(count=2),)
    assert parse(LEAST + window + "[[provisioned]]\ncount = 1").provisions() == (
        Provision(count=3, start="0 8 * * mon-fri", end="0 18 * * mon-fri", timezone="Asia/Tokyo"),
        Provision(count=1),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "tea"', "`handler` is missing; it takes text such as"),
        ('handler = "a.b"', "`name` is missing"),
        ('name = "a b"\nhandler = "a.b"', "1 to 64 letters"),
        ('name = "tea"\nhandler = "a .b"', "without blanks"),
    ],
)
def test_name_and_handler_are_required(text: str, says: str) -> None:
    with pytest.raises(ManifestError, match=r"function\.toml") as raised:
        parse(text)
    assert says in raised.value.message


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "function.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path)
