"""Retention on one machine: what its own records do not know of yet is foretold, too (1.1)."""

from __future__ import annotations

from refloat.control.settings import Settings
from refloat.records.database import Database
from refloat.records.tables import CheckpointRow, OperationRow
from tests.unit.support.cli_helpers import Command, set_up_schedule


def test_1_1_what_only_the_bank_knows_is_foretold(refloat: Command) -> None:
    """Records that lost all that was made, beside a bank that has it: who made it is known from the bank."""
    set_up_schedule(refloat, "--keep-daily", "7")
    by_hand = refloat("protect", "app", "-f", "json").json["id"]
    assert refloat("schedule", "run", "shop").status == 0
    (made,) = {row["id"] for row in refloat("checkpoint", "list", "-f", "json").json} - {by_hand}
    database = Database(Settings.load().database_url)
    with database.session() as session:
        for table in (CheckpointRow, OperationRow):
            session.query(table).delete()
    database.close()
    preview = refloat("schedule", "preview", "shop", "-f", "json")
    assert "unless it can be shown then that the checkpoint which the run makes is whole" in preview.err
    assert {row["checkpoint"]: row["rule"] for row in preview.json} == {
        made: "none of keep_daily keeps it",
        by_hand: "made by hand: not this schedule's to delete",
    }
    told = refloat("schedule", "run", "shop").err
    assert f"deleted {made} (none of keep_daily keeps it)" in told
    assert by_hand in {row["id"] for row in refloat("checkpoint", "list", "-f", "json").json}
