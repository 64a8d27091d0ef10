"""Banks are made on purpose and known by their ids, for the command: C1, C3, L3, M9."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from refloat.bank import Bank, create_key, load_key
from refloat.records.database import Database
from tests.unit.support.cli_helpers import Command


def plan(refloat: Command) -> None:
    assert refloat("plan", "create", "app", "--resource", "noop=tree:3", "--provider", "noop").status == 0


def own(refloat: Command) -> Path:
    return refloat.home / "data/refloat/bank"


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another bank", "something else"])
def test_c1_c3_m9_the_bank_is_away(refloat: Command, tmp_path: Path, there: str) -> None:
    """No command takes that for an empty bank, or makes a new one; when it is back, all is as it was."""
    plan(refloat)
    made = refloat("protect", "app", "-f", "json")
    assert f"Made a new bank in {own(refloat)}" in made.err
    assert "Keep a copy elsewhere" in made.err
    checkpoint = made.json["id"]
    again = refloat("protect", "app", "-f", "json")
    assert "Made a new" not in again.err
    bank_id = refloat("bank", "info", "-f", "json").json["id"]
    own(refloat).rename(tmp_path / "away")
    found = "nothing"
    if there != "nothing":
        own(refloat).mkdir()
    if there == "another bank":
        found = "the bank " + Bank.create(str(own(refloat)), load_key(tmp_path / "config/refloat/bank.key"))
    elif there == "something else":
        (own(refloat) / "letter").write_text("dear Sir")
        found = "letter"
    before = tree(own(refloat).parent)
    for words in (
        "protect app",
        "checkpoint list",
        f"checkpoint show {checkpoint}",
        f"checkpoint delete {checkpoint}",
        f"restore {checkpoint}",
        f"restore {checkpoint} --dry-run",
        f"verify {checkpoint}",
        "bank info",
        "bank verify",
        "bank collect",
        "bank repair --apply --delete-damaged",
        "bank keys list",
    ):
        ran = refloat(*words.split())
        assert ran.status == 1, words
        assert f"expected: the bank {bank_id}; found: " in ran.err, words
        assert found in ran.err, words
        assert "there is no checkpoint" not in ran.err, words
    for words in ("bank create", f"bank accept {'0' * 32}"):
        assert refloat(*words.split()).status, words
    assert tree(own(refloat).parent) == before
    shutil.rmtree(own(refloat), ignore_errors=True)
    (tmp_path / "away").rename(own(refloat))
    assert len(refloat("checkpoint", "list", "-f", "json").json) == 2
    assert refloat("protect", "app").status == 0
    assert refloat("bank", "verify").status == 0


def test_c3_nothing_is_known_and_something_was_protected(refloat: Command) -> None:
    """As on the day of the upgrade, when the mount is away."""
    plan(refloat)
    refloat("protect", "app")
    own(refloat).rename(own(refloat).with_name("away"))
    with Database(refloat.environ.get("REFLOAT_DATABASE_URL") or database(refloat)).session() as session:
        session.connection().exec_driver_sql("DELETE FROM banks")
    for words in ("protect app", "checkpoint list", "bank verify"):
        ran = refloat(*words.split())
        assert ran.status == 1, words
        assert "there is no bank in" in ran.err, words
        assert "refloat bank create" in ran.err, words
    assert not own(refloat).exists()
    own(refloat).with_name("away").rename(own(refloat))
    listed = refloat("checkpoint", "list", "-f", "json")
    assert len(listed.json) == 1
    assert "from now on no other is opened there" in listed.err
    assert refloat("checkpoint", "list").err == ""


def database(refloat: Command) -> str:
    return f"sqlite:///{refloat.home}/state/refloat/refloat.sqlite"


def test_only_the_own_bank_is_made_by_protecting(
    refloat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.6: a mistyped bank is no bank without checkpoints."""
    monkeypatch.setenv("REFLOAT_BANK", str(tmp_path / "mistyped"))
    plan(refloat)
    for words in ("protect app", "checkpoint list", "bank info"):
        ran = refloat(*words.split())
        assert (ran.status, "there is no bank in" in ran.err) == (1, True)
    assert not (tmp_path / "mistyped").exists()
    made = refloat("bank", "create", "-f", "json")
    assert (made.status, made.json["url"]) == (0, f"file://{tmp_path}/mistyped")
    assert refloat("protect", "app").status == 0


def test_create_is_refused_where_something_is(refloat: Command, tmp_path: Path) -> None:
    made = refloat("bank", "create", "--bank", str(tmp_path / "one"), "-f", "json").json
    (tmp_path / "state/refloat/refloat.sqlite").unlink()
    again = refloat("bank", "create", "--bank", str(tmp_path / "one"))
    assert (again.status, made["id"] in again.err) == (1, True)
    other = refloat("bank", "create", "--bank", str(tmp_path / "one"), "--key", str(tmp_path / "new.key"))
    assert (other.status, (tmp_path / "new.key").exists()) == (1, False)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/1").write_text("dear Sir")
    strange = refloat("bank", "create", "--bank", str(tmp_path / "letters"))
    assert strange.status == 2
    assert "is not empty and not a bank: it contains 1" in strange.err
    assert tree(tmp_path / "letters") == ["1"]


def test_another_bank_takes_its_place(refloat: Command, tmp_path: Path) -> None:
    first = refloat("bank", "create", "-f", "json").json["id"]
    shutil.rmtree(own(refloat))
    refused = refloat("bank", "create")
    assert f"--instead-of {first}" in refused.err
    assert refloat("bank", "create", "--instead-of", "0" * 32).status == 1
    second = refloat("bank", "create", "--instead-of", first, "-f", "json").json["id"]
    assert refloat("bank", "info", "-f", "json").json["id"] == second
    shutil.rmtree(own(refloat))
    key = load_key(tmp_path / "config/refloat/bank.key")
    third = Bank.create(str(own(refloat)), key)
    assert refloat("bank", "info").status == 1
    refused = refloat("bank", "accept", second)
    assert refused.status == 1
    assert second in refused.err
    assert third in refused.err
    accepted = refloat("bank", "accept", third, "-f", "json")
    assert accepted.json == {"id": third, "url": str(own(refloat)), "was": second}
    assert refloat("bank", "info", "-f", "json").json["id"] == third


def test_another_key_is_no_way_to_another_bank(refloat: Command, tmp_path: Path) -> None:
    refloat("bank", "create")
    shutil.rmtree(own(refloat))
    Bank.create(str(own(refloat)), create_key(tmp_path / "other.key"))
    ran = refloat("bank", "info", "--key", str(tmp_path / "other.key"))
    assert (ran.status, "is not the bank it should be" in ran.err) == (1, True)


def test_l3_processes_make_the_first_bank_at_once(refloat: Command) -> None:
    """All protect into one bank; none fails, and one of them says that it made it."""
    plan(refloat)
    running = [refloat.start("protect", "app", "-f", "json") for _ in range(4)]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ended
    made = {json.loads(out)["id"] for out, _ in ended}
    assert {row["id"] for row in refloat("checkpoint", "list", "-f", "json").json} == made
    assert len([err for _, err in ended if "Made a new bank key" in err]) == 1
