"""What is known of objects: across lives of the process, and in a look at all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.uploads.inventory import Inventory
from gateway.uploads.record import Change
from samovar.errors import ServiceUnavailable


def made(key: str, etag: str = "e") -> Change:
    return Change(bucket="photos", key=key, event="ObjectCreated:Put", at_ns=1, etag=etag, modified_s=10**9)


def look(inventory: Inventory, *keys: str) -> list[str]:
    """One whole round in which these are listed: what is missing."""
    inventory.begin("photos")
    inventory.seen("photos", map(made, keys))
    missing = [change.key for change in inventory.missing("photos")]
    inventory.end("photos")
    return missing


def test_it_outlives_the_process(tmp_path: Path) -> None:
    with Inventory(tmp_path / "s3" / "known.sqlite") as inventory:
        look(inventory, "a ü", "b")
    with Inventory(tmp_path / "s3" / "known.sqlite") as inventory:
        known = inventory.find("photos", "a ü")
        assert known is not None
        assert (known.removes, known.etag, known.modified_s) == (True, "e", 10**9)
        assert look(inventory, "b") == ["a ü"]


def test_the_first_look_misses_nothing(tmp_path: Path) -> None:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        inventory.put(made("heard of before"))
        assert not inventory.is_complete("photos")
        assert look(inventory, "a") == []
        assert inventory.is_complete("photos")


def test_what_is_heard_of_during_a_look_counts(tmp_path: Path) -> None:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        look(inventory, "stays", "goes", "comes back")
        inventory.begin("photos")
        inventory.put(made("new"))  # after its page was listed
        inventory.drop("photos", "goes")
        inventory.drop("photos", "comes back")
        inventory.put(made("comes back", "other"))
        inventory.seen("photos", [made("stays"), made("goes"), made("comes back", "other")])  # listed before
        assert list(inventory.missing("photos")) == []
        inventory.end("photos")
        assert inventory.find("photos", "goes") is None
        assert look(inventory, "stays") == ["comes back", "new"]


def test_missing_objects_are_given_a_page_at_a_time_while_they_are_dropped(tmp_path: Path) -> None:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        look(inventory, *(f"{number:04}" for number in range(1300)))
        inventory.begin("photos")
        gone = []
        for change in inventory.missing("photos"):
            gone.append(change.key)
            inventory.drop("photos", change.key)
        assert len(gone) == len(set(gone)) == 1300


def test_other_buckets_are_forgotten_a_page_at_a_time(tmp_path: Path) -> None:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        look(inventory, *(f"{number:04}" for number in range(1300)))
        assert [*inventory.keep_only(["photos"])] == []
        forgetting = inventory.keep_only(["others"])
        next(forgetting)
        assert not inventory.is_complete("photos")  # nobody takes the rest for all there is
        assert inventory.find("photos", "0000") is None
        assert inventory.find("photos", "1299") is not None
        forgetting.close()  # as by the end of the process
        assert len([*inventory.keep_only(["others"])]) == 2
        assert inventory.find("photos", "1299") is None


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "known.sqlite").write_bytes(b"nonsense" * 1000)
    with Inventory(tmp_path / "known.sqlite") as inventory:
        assert not inventory.is_complete("photos")
        assert look(inventory, "a") == []
    assert "is made anew" in caplog.text


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        inventory._database.execute("PRAGMA query_only = ON")  # as on a full disk, nothing can be written
        with pytest.raises(ServiceUnavailable, match="what is known of objects cannot be kept"):
            inventory.put(made("a"))
        inventory._database.execute("PRAGMA query_only = OFF")
        inventory.put(made("a"))  # and it goes on afterwards
