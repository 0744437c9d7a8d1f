"""Where groups of any name are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from samovar.logs import groups as log_groups
from samovar.logs.groups import LogGroup, folder_name, group_name
from samovar.logs.lines import folder_of

NAMES = ["/aws/lambda/tea", "/tea", "tea", *("x" * length for length in (250, 251, 252, 502, 503, 512))]


def test_every_group_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for group in NAMES:
        folder = folder_of(tmp_path, "us-east-1", folder_name(group))
        folder.mkdir(parents=True, exist_ok=True)
        assert log_groups.read(folder) is None
        log_groups.write(folder, LogGroup(created_ms=len(group)))
    found = log_groups.names(tmp_path, "us-east-1")
    assert sorted(map(group_name, found)) == sorted(NAMES)
    for name in found:
        kept = log_groups.read(folder_of(tmp_path, "us-east-1", name))
        assert kept is not None
        assert kept.created_ms == len(group_name(name))


@pytest.mark.parametrize("group", ["", "x" * 513, "a b", "/tea/é", "a:b"])
def test_what_is_no_name_of_a_group(group: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a log group"):
        folder_name(group)
