"""Checkpoints have names (6.4, 5.9): said when they are made and later, here and behind the service."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.support.cli_helpers import Command, set_up_schedule


def shown(refloat: Command, checkpoint: str) -> Any:
    found = refloat("checkpoint", "show", checkpoint, "-f", "json")
    assert found.status == 0, found.err
    return found.json


def protect(refloat: Command, *words: str) -> str:
    made = refloat("protect", "app", *words, "-f", "json")
    assert made.status == 0, made.err
    return str(made.json["id"])


def test_6_4_what_is_said_of_a_checkpoint(refloat: Command) -> None:
    set_up_schedule(refloat)
    words = ("--name", "before-2.4", "--note", "the upgrade", "--label", "ticket=12", "--label", "team=shop")
    first = protect(refloat, *words, "--expires", "30d", "--keep")
    found = shown(refloat, "before-2.4")
    assert (found["id"], found["name"], found["note"]) == (first, "before-2.4", "the upgrade")
    assert (found["labels"], found["keep"]) == ({"ticket": "12", "team": "shop"}, True)
    ends = datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < ends < timedelta(days=31)
    assert (found["made_by"], bool(found["user_id"])) == ("hand", True)
    assert isinstance(found["seconds"], int)
    assert found["size"] == 0  # what is made up has no data
    changed = refloat(
        *("checkpoint", "set", "before-2.4", "--name", "old", "--unlabel", "team", "--label", "ticket=13"),
        *("--expires", "never", "--no-keep", "-f", "json"),
    )
    assert changed.status == 0, changed.err
    assert changed.json["labels"] == {"ticket": "13"}
    after = shown(refloat, "old")
    assert {name: after[name] for name in changed.json} == changed.json
    assert (after["note"], after["expires_at"], after["keep"]) == ("the upgrade", "", False)
    (row,) = refloat("checkpoint", "list", "-f", "json").json
    assert (row["name"], row["made_by"], row["size"]) == ("old", "hand", 0)
    # A run of a schedule is made by that.
    assert refloat("schedule", "run", "shop").status == 0
    rows = refloat("checkpoint", "list", "-f", "json").json
    assert {row["made_by"] for row in rows} == {"hand", "schedule shop"}
    for given, status, message in (
        (("old", "--expires", "tomorrow"), 2, "'tomorrow' is no time"),
        (("old", "--expires", "2020-01-01"), 2, "is over already"),
        (("old", "--name", "latest"), 2, "that means another thing"),
        (("old", "--label", "ticket"), 2, "has no value"),
        (("none", "--name", "x"), 1, "there is no checkpoint 'none'"),
    ):
        refused = refloat("checkpoint", "set", *given)
        assert (refused.status, message in refused.err) == (status, True), refused.err
    assert shown(refloat, "old")["name"] == "old"


def test_6_4_a_checkpoint_is_found_by_what_a_user_calls_it(refloat: Command) -> None:
    """``latest``, a plan, a plan at a time, a name, the beginning of an id; and what is deleted is named."""
    set_up_schedule(refloat)
    first = protect(refloat, "--name", "one")
    time.sleep(1.1)  # times are kept to the second
    newest = second = protect(refloat)
    for words in ("latest", "app", f"app@{datetime.now():%Y-%m-%d}", newest, newest[:8]):
        assert refloat("restore", words, "--dry-run").status in (0, 1)
        assert shown(refloat, words)["id"] == newest, words
    assert shown(refloat, "one")["id"] == first
    assert refloat("verify", "one", "-f", "json").json["id"] == first
    missing = refloat("checkpoint", "show", "app@2020-01-01T02:30")
    assert (missing.status, "no good checkpoint for 'app@2020-01-01T02:30'" in missing.err) == (1, True)
    assert refloat("checkpoint", "show", "app@noon").status == 2
    for words in ("latest", "app"):
        for verb in (("delete",), ("hold", "unset")):
            refused = refloat("checkpoint", *verb, words)
            assert (refused.status, "named by its id" in refused.err) == (2, True)
    assert refloat("checkpoint", "delete", "one").status == 0
    assert [row["id"] for row in refloat("checkpoint", "list", "-f", "json").json] == [second]


def test_5_9_the_beginning_of_an_id_will_do_for_everything(refloat: Command) -> None:
    set_up_schedule(refloat)
    protect(refloat)
    for noun in ("plan", "trigger", "schedule", "operation"):
        (row,) = refloat(noun, "list", "-f", "json").json
        found = refloat(noun, "show", row["id"][:8], "-f", "json")
        assert (found.status, found.json["id"]) == (0, row["id"]), noun
        assert refloat(noun, "show", row["id"][:7] + "x").status == 1


def test_expired_ones_go_with_the_next_run_and_those_that_are_kept_stay(refloat: Command) -> None:
    """Also what was made by hand: its maker has said so. The last good one stays."""
    set_up_schedule(refloat, "--max-backups", "1")
    by_hand, kept = protect(refloat, "--name", "soon"), protect(refloat)
    assert refloat("schedule", "run", "shop").status == 0
    own = next(r["id"] for r in refloat("checkpoint", "list", "-f", "json").json if r["made_by"] != "hand")
    assert refloat("checkpoint", "set", own, "--keep").status == 0
    assert refloat("checkpoint", "set", kept, "--expires", "1d").status == 0
    preview = refloat("schedule", "preview", "shop", "-f", "json").json
    assert {row["checkpoint"]: row["keep"] for row in preview} == {by_hand: True, kept: True, own: True}
    assert "it is to be kept: it neither counts nor goes by itself" in {row["rule"] for row in preview}
