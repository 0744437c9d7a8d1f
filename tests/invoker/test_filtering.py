"""Which lines a log with a least level keeps, and which group has which folder."""

from __future__ import annotations

import pytest

from invoker.logs.filtering import wanted
from samovar.errors import InvalidParameterValue
from samovar.logs import groups as log_groups
from samovar.logs.config import LoggingConfig

LINES = {
    b"no JSON": None,
    b"{ nor this": None,
    b'{"level": "debug"}': 1,
    b'{"level": "INFO", "message": "x"}': 2,
    b'{"message": "no level"}': 2,
    b'{"level": "loud"}': 2,
    b'{"level": 7}': 2,
    b'{"level": "WARNING"}': 3,
    b'{"level": "warn"}': 3,
    b'{"level": "ERROR"}': 4,
    b'{"level": "CRITICAL"}': 5,
}


@pytest.mark.parametrize(("level", "rank"), [("DEBUG", 1), ("INFO", 2), ("WARN", 3), ("ERROR", 4), ("FATAL", 5)])
def test_lines_of_a_lesser_level_are_dropped(level: str, rank: int) -> None:
    config = LoggingConfig(log_format="JSON", application_log_level=level)  # type: ignore[arg-type]
    keeps = wanted(config)
    assert keeps is not None
    assert {line: keeps(line) for line in LINES} == {line: at is None or at >= rank for line, at in LINES.items()}


def test_text_and_trace_keep_everything() -> None:
    assert wanted(LoggingConfig()) is None
    assert wanted(LoggingConfig(log_format="JSON", application_log_level="TRACE")) is None


@pytest.mark.parametrize(
    ("group", "folder"),
    [
        ("/aws/lambda/tea", "tea"),
        ("/aws/lambda/tea/pot", "@,aws,lambda,tea,pot"),
        ("/aws/lambda/" + "t" * 65, "@,aws,lambda," + "t" * 65),
        ("tea", "@tea"),
        ("..", "@.."),
        ("/shop/#1_all.logs", "@,shop,#1_all.logs"),
    ],
)
def test_every_group_has_a_folder_of_its_own(group: str, folder: str) -> None:
    assert log_groups.folder_name(group) == folder
    assert log_groups.group_name(folder) == group


@pytest.mark.parametrize("group", ["", "a b", "a,b", "@a", "g" * 513, "naïve"])
def test_other_names_are_none_of_groups(group: str) -> None:
    with pytest.raises(ValueError, match="not the name of a log group"):
        log_groups.folder_name(group)


def test_a_level_needs_json() -> None:
    with pytest.raises(InvalidParameterValue, match="LogFormat is set to JSON"):
        LoggingConfig(application_log_level="INFO")
