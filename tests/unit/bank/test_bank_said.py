"""What people say of a checkpoint after it was made is in the bank beside it, and goes with it (6.4)."""

from __future__ import annotations

from pathlib import Path

from refloat.bank import Bank, create_key, load_key
from refloat.control.settings import Settings
from refloat.records.database import Database
from refloat.records.tables import CheckpointRow, OperationRow
from tests.unit.support.cli_helpers import Command, set_up_schedule


def files(bank: Path) -> list[Path]:
    folder = bank / "about"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def forget(*tables: type) -> None:
    database = Database(Settings.load().database_url)
    with database.session() as session:
        for table in tables:
            session.query(table).delete()
    database.close()


def test_6_4_a_later_name_outlives_the_records(refloat: Command) -> None:
    set_up_schedule(refloat)
    bank = refloat.home / "data" / "refloat" / "bank"
    made = refloat("protect", "app", "--name", "one", "--keep", "-f", "json").json["id"]
    assert files(bank) == []  # it is in the manifest
    for name in ("two", "three"):
        changed = refloat(
            "checkpoint", "set", made, "--name", name, "--label", f"{name}=1", "--expires", "30d"
        )
        assert changed.status == 0, changed.err
        assert len(files(bank)) == 1  # what was said before goes
    assert b"three" not in files(bank)[0].read_bytes()
    before = refloat("checkpoint", "show", "three", "-f", "json").json
    forget(CheckpointRow, OperationRow)
    after = refloat("checkpoint", "show", "three", "-f", "json").json
    assert (after["name"], after["labels"], after["keep"]) == ("three", {"two": "1", "three": "1"}, True)
    assert after["expires_at"] == before["expires_at"]
    # Taken up again, it is as it was for retention, too.
    (row,) = refloat("schedule", "preview", "shop", "-f", "json").json
    assert row["rule"] == "it is to be kept: it neither counts nor goes by itself"
    # What cannot be read says nothing: the manifest does.
    forget(CheckpointRow)
    files(bank)[0].chmod(0o600)
    files(bank)[0].write_bytes(b"no")
    assert refloat("checkpoint", "show", "one", "-f", "json").json["keep"] is True
    assert refloat("checkpoint", "delete", made).status == 0
    assert files(bank) == []


def test_of_several_what_was_said_last_counts(tmp_path: Path) -> None:
    """A process may have died between writing and taking away."""
    key = tmp_path / "key"
    create_key(key)
    with Bank.open(str(tmp_path / "bank"), load_key(key), create=True) as bank:
        writer = bank.writer("c1", "p1")
        writer.commit(
            created_at="2026-11-30T00:00:00+00:00", plan={}, provider="x", extra={}, graph={}, sections={}
        )
        assert bank.checkpoints()[0].extra == {}
        bank.describe("c1", {"name": "later", "changed_at": "2026-11-30T02:00:00"})
        (kept,) = files(tmp_path / "bank")
        text = kept.read_bytes()
        bank.describe("c1", {"name": "earlier", "changed_at": "2026-11-30T01:00:00"})
        kept.write_bytes(text)
        assert len(files(tmp_path / "bank")) == 2
        assert bank.checkpoints("p1")[0].extra["about"]["name"] == "later"
        bank.delete("c1")
    assert files(tmp_path / "bank") == []
