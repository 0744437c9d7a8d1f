"""The file with the root key, and how a client finds the key to sign with."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from samovar.access.credentials import ensure, find, noted, path_of, read
from samovar.access.sigv4 import Credentials
from samovar.errors import SettingError, StartRefused
from samovar.settings import Settings, load

HERE = "http://127.0.0.1:9123"
GIVEN = Credentials("AKIAGIVENGIVENGIVEN0", "given")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Settings(data_dir=str(tmp_path / "data"), port=9123, region="eu-central-1")


def test_the_first_start_makes_a_key_and_later_ones_keep_it(settings: Settings) -> None:
    made = ensure(settings)
    assert len(made.key_id) == 20
    assert made.key_id.startswith("AKIA")
    assert (len(made.secret), made.region) == (40, "eu-central-1")
    assert ensure(settings) == made
    assert stat.S_IMODE(path_of(settings).stat().st_mode) == 0o600
    assert [path.name for path in settings.data.iterdir()] == ["credentials"]


def test_of_many_that_start_at_once_all_have_the_same_key(settings: Settings) -> None:
    found: list[Credentials] = []
    threads = [threading.Thread(target=lambda: found.append(ensure(settings))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_botocore_reads_the_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.session  # type: ignore[import-untyped]  # it ships no types

    made = ensure(settings)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path_of(settings)))
    session = botocore.session.Session(profile="samovar")
    theirs = session.get_credentials()
    assert (theirs.access_key, theirs.secret_key) == (made.key_id, made.secret)
    assert session.get_config_variable("region") == "eu-central-1"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("[samovar]\naws_access_key_id = AKIA\n", 0o600, "no usable access key in profile"),
        ("[other]\naws_access_key_id = a\naws_secret_access_key = b\n", 0o600, "delete it to have a new one made"),
        ("nonsense", 0o600, "no usable access key"),
        ("[samovar]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\n", 0o644, "chmod 600"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(settings: Settings, content: str, mode: int, said: str) -> None:
    path_of(settings).parent.mkdir()
    path_of(settings).write_text(content)
    path_of(settings).chmod(mode)
    with pytest.raises(StartRefused, match=said):
        ensure(settings)


def test_a_client_finds_the_key_of_the_platform_on_a_port(settings: Settings, tmp_path: Path) -> None:
    made, environ = ensure(settings), {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    with noted(settings):
        assert find(HERE, environ) == made
        assert find("http://elsewhere.example:9123", environ) is None
        own = {"SAMOVAR_ACCESS_KEY_ID": GIVEN.key_id, "SAMOVAR_SECRET_ACCESS_KEY": GIVEN.secret}
        assert find(HERE, environ | own) == GIVEN
    assert not (tmp_path / "state" / "samovar" / "endpoints" / "9123").exists()
    assert find(HERE, environ | {"SAMOVAR_DATA_DIR": settings.data_dir}) == made


def test_a_client_of_another_machine_has_awss_own_places(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_text(f"[samovar]\naws_access_key_id={GIVEN.key_id}\naws_secret_access_key={GIVEN.secret}\n")
    remote = "http://box.example:9000"
    assert find(remote, {"AWS_SHARED_CREDENTIALS_FILE": str(shared)}) == GIVEN
    variables = {"AWS_ACCESS_KEY_ID": "AKIAVARIABLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    assert find(remote, nowhere | variables) == Credentials("AKIAVARIABLE", "s", "eu-west-1")
    assert find(remote, nowhere) is None


def test_a_note_of_another_platform_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "state" / "samovar" / "endpoints" / "9123"
    with noted(settings):
        place.write_text("another's")
    assert place.read_text() == "another's"


def test_what_is_no_credentials_file_has_no_key(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe[")
    assert read(tmp_path / "binary") is None
    assert read(tmp_path / "binary" / "below") is None


def test_nobody_is_let_in_without_a_key_from_elsewhere() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert load({"SAMOVAR_AUTH": "none", "SAMOVAR_HOST": host}).auth == "none"
    for host in ("0.0.0.0", "::", "192.168.1.5", "box.example", "127.example.com"):
        with pytest.raises(SettingError, match="only where nobody else can call"):
            load({"SAMOVAR_AUTH": "none", "SAMOVAR_HOST": host})
    assert load({}).auth == "sigv4"
