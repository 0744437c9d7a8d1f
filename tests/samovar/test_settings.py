"""Settings: where values come from, and what is said about bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samovar.errors import SettingError, StartRefused
from samovar.settings import Settings, load
from samovar.supervisor.launch import fixed_environment


def _file(folder: Path, text: str) -> Path:
    path = folder / "samovar.toml"
    path.write_text(text)
    return path


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path: Path) -> None:
    path = _file(tmp_path, "port = 1\nhost = '::1'\nqueue_limit = 7\n")
    settings = load({"SAMOVAR_PORT": "2", "SAMOVAR_HOST": "0.0.0.0"}, {"port": "3", "host": None}, path)
    assert (settings.port, settings.host, settings.queue_limit) == (3, "0.0.0.0", 7)
    assert settings.region == Settings().region


def test_the_data_directory_may_hold_the_file(tmp_path: Path) -> None:
    _file(tmp_path, "port = 4\n")
    assert load({}, {"data_dir": str(tmp_path)}).port == 4


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    assert load({"SAMOVAR_CONFIG": str(_file(tmp_path, "port = 5\n"))}).port == 5


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("port", "70000", "a whole number from 0 to 65535"),
        ("port", "http", "a whole number from 0 to 65535"),
        ("isolation", "vm", "one of auto, docker, sandbox, none"),
        ("idle_ttl_s", "0", "a number above 0"),
        ("redis_url", "http://box", r"text matching ^$|^(rediss?|valkeys?|unix)://"),
        ("gateway_workers", "0", "a whole number from 1 to 64"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingError) as refusal:
        load({f"SAMOVAR_{name.upper()}": value})
    assert refusal.value.message.startswith(f"setting {name} = {value!r} is not allowed: {allowed}")


def test_the_shortest_keep_alive_is_no_longer_than_the_longest() -> None:
    with pytest.raises(
        SettingError, match=r"setting keep_alive_min_s = 120.0 is not allowed: at most keep_alive_max_s"
    ):
        load({"SAMOVAR_KEEP_ALIVE_MIN_S": "120", "SAMOVAR_KEEP_ALIVE_MAX_S": "60"})


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="setting prot = 1 is not allowed: no such setting"):
        load({}, None, _file(tmp_path, "prot = 1\n"))


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="is not valid TOML"):
        load({}, None, _file(tmp_path, "port = = 1\n"))


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="cannot be read: No such file"):
        load({}, None, tmp_path / "missing.toml")


def test_foreign_variables_with_our_prefix_are_no_settings() -> None:
    assert load({"SAMOVAR_ENDPOINT": "http://elsewhere"}) == Settings()


def test_children_get_the_same_settings_whatever_their_files_say(tmp_path: Path) -> None:
    _file(tmp_path, "port = 6\n")
    settings = load({}, {"data_dir": str(tmp_path), "isolation": "sandbox", "drain_timeout_s": "1.5"})
    environment = fixed_environment(settings, {"PATH": os.defpath})
    _file(tmp_path, "nonsense")
    assert load(environment) == settings


def test_sockets_fit_into_an_address_however_long_the_data_directory_is(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / ("d" * 200)))
    for folder, name in (("environments", "invoker.sock"), ("stems/sandbox", "stem.sock")):
        assert len(os.fsencode(settings.run_dir / folder / ("0" * 16) / name)) <= 107
    assert settings.run_dir == Settings(data_dir=settings.data_dir).run_dir
    assert settings.run_dir != Settings(data_dir=settings.data_dir + "d").run_dir


def test_the_store_is_the_embedded_one_unless_another_is_named() -> None:
    assert Settings(data_dir="/srv/samovar").store_url == "unix:///srv/samovar/run/store.sock"
    assert Settings(redis_url="redis://box").store_url == "redis://box"
