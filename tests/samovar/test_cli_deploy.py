"""`samovar init` and `samovar deploy` against a platform in memory: what they change, and what they say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.samovar.fake_platform import FakePlatform, Run


def edit(folder: Path, line: str) -> None:
    """Put a line at the top of a manifest, where top-level keys stand."""
    path = folder / "function.toml"
    path.write_text(f"{line}\n{path.read_text()}")


def test_init_makes_a_folder_that_can_be_deployed(run: Run, orders: Path) -> None:
    names = sorted(path.name for path in orders.iterdir())
    assert names == [".samovarignore", "README.md", "app.py", "event.json", "function.toml"]
    assert "@NAME@" not in "".join(path.read_text() for path in orders.iterdir())
    result = run("deploy", "orders")
    assert result.exit_code == 0, result.stderr


def test_init_never_overwrites(run: Run, orders: Path) -> None:
    result = run("init", "orders")
    assert result.exit_code == 2
    assert "not empty" in result.stderr


@pytest.mark.parametrize(("arguments", "says"), [(("a b",), "function name"), (("a", "-t", "cobol"), "python")])
def test_init_says_what_it_does_not_take(run: Run, arguments: tuple[str, ...], says: str) -> None:
    result = run("init", *arguments)
    assert (result.exit_code, says in result.stderr) == (2, True)


def test_deploy_prints_name_version_and_url(run: Run, orders: Path, platform: FakePlatform) -> None:
    result = run("deploy", "orders")
    function = platform.functions["orders"]
    assert result.stdout.startswith("orders is deployed\n")
    assert "/fn/orders/" in result.stdout
    assert function.files() == ["app.py"]
    assert function.configuration["Runtime"] == "python3.11", "the platform's default"
    assert function.configuration["Environment"] == {"Variables": {"GREETING": "Hello"}}
    assert function.url is not None


def test_deploy_asks_the_platform_how_large_a_package_may_be(run: Run, orders: Path, platform: FakePlatform) -> None:
    (orders / "model.bin").write_bytes(bytes(4096))
    platform.package_limits = {"packed": 2**20, "unpacked": 4096}
    result = run("deploy", "orders")
    assert (result.exit_code, platform.functions) == (2, {})
    assert "unpacked" in result.stderr
    platform.package_limits = {"packed": 2**20, "unpacked": 2**20}
    assert run("deploy", "orders").exit_code == 0


def test_deploying_again_changes_nothing_and_says_so(run: Run, deployed: Path, platform: FakePlatform) -> None:
    result = run("deploy", "orders")
    assert "orders is unchanged" in result.stdout
    assert platform.changes() == []


def test_deploy_changes_only_what_differs(run: Run, deployed: Path, platform: FakePlatform) -> None:
    (deployed / "app.py").write_text("def handler(event, context): return 1\n")
    edit(deployed, "concurrency = 2\nnetwork = 'bridge'")
    assert json.loads(run("deploy", "orders", "--json").stdout)["changed"] == ["code", "tags", "concurrency"]
    assert platform.functions["orders"].tags == {"samovar:network": "bridge"}
    assert platform.functions["orders"].reserved == 2


def test_uploads_are_deployed_and_taken_back(run: Run, deployed: Path, platform: FakePlatform) -> None:
    before = (deployed / "function.toml").read_text()
    (deployed / "function.toml").write_text(before + '[[triggers.upload]]\nbucket = "photos"\nprefix = "in/"\n')
    assert "orders is updated: uploads" in run("deploy", "orders").stdout
    (trigger,) = platform.functions["orders"].uploads
    assert (trigger["bucket"], trigger["prefix"], trigger["events"]) == ("photos", "in/", ["s3:ObjectCreated:*"])
    assert "orders is unchanged" in run("deploy", "orders").stdout
    (deployed / "function.toml").write_text(before)
    assert "orders is updated: uploads" in run("deploy", "orders").stdout
    assert platform.functions["orders"].uploads == []


def test_provisioned_environments_are_deployed_printed_and_taken_back(
    run: Run, deployed: Path, platform: FakePlatform
) -> None:
    before = (deployed / "function.toml").read_text()
    (deployed / "function.toml").write_text(
        before + '[[provisioned]]\ncount = 3\nstart = "0 8 * * mon-fri"\nend = "0 18 * * mon-fri"\n'
    )
    result = run("deploy", "orders")
    assert "orders is updated: provisioned" in result.stdout
    assert "  ready    0 of 3 provisioned now\n           3 from 0 8 * * mon-fri to 0 18" in result.stdout
    (window,) = platform.functions["orders"].provisions
    assert (window["count"], window["start"]) == (3, "0 8 * * mon-fri")
    assert "orders is unchanged" in run("deploy", "orders").stdout
    (deployed / "function.toml").write_text(before)
    assert "provisioned now" not in run("deploy", "orders").stdout
    assert platform.functions["orders"].provisions == []


def test_schedules_are_deployed_changed_and_taken_back(run: Run, deployed: Path, platform: FakePlatform) -> None:
    before = (deployed / "function.toml").read_text()
    platform.schedules["others"] = {"name": "others", "group": "default", "arn": "", "expression": "rate(1 day)",
                                    "timezone": "UTC", "target": "", "enabled": True}  # fmt: skip
    nightly = '[[schedules]]\nexpression = "cron(0 3 * * ? *)"\ntimezone = "Europe/Berlin"\ninput = {all = true}\n'
    (deployed / "function.toml").write_text(before + nightly + '[[schedules]]\nexpression = "rate(5 minutes)"\n')
    assert "orders is updated: schedules" in run("deploy", "orders").stdout
    assert platform.schedules.keys() == {"others", "orders", "orders-2"}
    assert platform.schedules["orders"]["input"] == {"all": True}
    assert "orders is unchanged" in run("deploy", "orders").stdout
    (deployed / "function.toml").write_text(before + nightly.replace("0 3", "0 4"))
    assert "orders is updated: schedules" in run("deploy", "orders").stdout
    assert platform.schedules.keys() == {"others", "orders"}
    assert platform.schedules["orders"]["expression"] == "cron(0 4 * * ? *)"
    run("delete", "orders", "--yes")
    assert platform.schedules.keys() == {"others"}


def test_what_a_manifest_no_longer_says_is_taken_back(run: Run, orders: Path, platform: FakePlatform) -> None:
    before = (orders / "function.toml").read_text()
    edit(orders, "concurrency = 2\nisolation = 'docker'\nurl = false")
    run("deploy", "orders")
    function = platform.functions["orders"]
    assert (function.tags, function.url) == ({"samovar:isolation": "docker", "samovar:http": "off"}, None)
    function.tags["team"] = "tea"
    (orders / "function.toml").write_text(before)
    changed = json.loads(run("deploy", "orders", "--json").stdout)["changed"]
    assert changed == ["tags", "concurrency", "url"]
    assert (function.tags, function.reserved, bool(function.url)) == ({"team": "tea"}, None, True)


def test_code_that_is_refused_leaves_everything_as_it_was(run: Run, deployed: Path, platform: FakePlatform) -> None:
    before = dict(platform.functions["orders"].configuration)
    platform.refuse_code = "No space left on device"
    (deployed / "app.py").write_text("handler = print\n")
    (deployed / "function.toml").write_text("name = 'orders'\nhandler = 'app.handler'\n")
    result = run("deploy", "orders")
    assert (result.exit_code, "No space left" in result.stderr) == (2, True)
    assert platform.functions["orders"].configuration == before


@pytest.mark.parametrize(
    ("runtime", "says"), [("python3.13", "cannot be used: no interpreter"), ("cobol85", "nodejs20.x, python3.11")]
)
def test_deploy_names_the_runtimes_there_are(run: Run, orders: Path, runtime: str, says: str) -> None:
    edit(orders, f"runtime = '{runtime}'")
    result = run("deploy", "orders")
    assert (result.exit_code, says in result.stderr) == (2, True)


def test_deploy_without_a_manifest_says_how_to_get_one(run: Run) -> None:
    result = run("deploy")
    assert result.exit_code == 2
    assert "there is no function.toml" in result.stderr
    assert "samovar init" in result.stderr


def test_deploy_finds_the_function_one_folder_further(run: Run, orders: Path) -> None:
    result = run("deploy", ".")
    assert (result.exit_code, "`samovar deploy orders` deploys one" in result.stderr) == (2, True)


def test_deploy_refuses_a_file_that_is_no_template(run: Run, orders: Path) -> None:
    result = run("deploy", "orders/app.py")
    assert (result.exit_code, "samovar deploy orders" in " ".join(result.stderr.split())) == (2, True)


def test_deploy_notes_what_may_surprise(run: Run, orders: Path) -> None:
    (orders / ".env").write_text("KEY=secret\n")
    result = run("deploy", "orders")
    assert (result.exit_code, "note     .env is part of the package" in result.stdout) == (0, True)


def test_a_manifest_and_an_event_may_begin_with_the_mark_of_windows_editors(run: Run, orders: Path) -> None:
    for name in ("function.toml", "event.json"):
        (orders / name).write_bytes(b"\xef\xbb\xbf" + (orders / name).read_bytes())
    assert run("deploy", "orders").exit_code == 0
    assert run("invoke", "orders", "--event", "orders/event.json").exit_code == 0
