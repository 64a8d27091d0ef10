"""H2: holds and the shortest retention are in the bank, beside what they protect; everybody honours them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refloat.bank import Bank
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.store import Parts, Store
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankDamaged, Conflict, Held, NotFound
from refloat.testing.stores import Full
from tests.unit.support.bank_helpers import (
    KEY,
    NOW,
    files,
    hasty,
    noise,
    objects,
    open_bank,
    protect,
    restore,
)

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

CONTENT = {"a": noise(50_000)}
AT = datetime(2031, 1, 31, 12)
CASE = "Case 1234: keep"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", CONTENT)
    protect(bank, "c2", CONTENT)
    protect(bank, "c3", CONTENT, project="p2")
    return tmp_path / "bank"


def again(root: Path) -> Bank:
    return Bank.open(str(root), KEY)


def names(bank: Bank, checkpoint_id: str) -> list[str]:
    return [hold.name for hold in bank.holds.of(checkpoint_id)]


def test_whoever_opens_the_bank_honours_a_hold(root: Path) -> None:
    hold = again(root).holds.place("c1", "somebody", CASE, AT)
    before = files(root)
    bank = again(root)
    assert bank.holds.all() == [hold]
    assert (hold.checkpoint_id, hold.project_id, hold.user_id, hold.reason) == ("c1", "p1", "somebody", CASE)
    assert hold.created_at == "2031-01-31T12:00:00+00:00"
    for attempt in (
        lambda: bank.delete("c1"),
        lambda: bank.delete("c1", young=True),
        lambda: bank.erase_project("p1"),
    ):
        with pytest.raises(Held, match=CASE):
            attempt()
    assert files(root) == before
    assert all(hold.name not in each.read_bytes().decode("latin1") for each in objects(root))
    assert not any(CASE.encode() in each.read_bytes() for each in objects(root))
    bank.delete("c2")
    bank.collect()
    assert restore(bank, "c1") == CONTENT
    bank.holds.release("c1")
    assert bank.holds.all() == []
    bank.delete("c1")
    assert [info.id for info in bank.checkpoints()] == ["c3"]


def test_a_repair_leaves_a_hopeless_checkpoint_that_is_on_hold(root: Path) -> None:
    bank = again(root)
    bank.holds.place("c1", "somebody", CASE, AT)
    for name in ("c1", "c2"):
        (body,) = (root / "data").rglob(f"{_session(root, name)}/*.body")
        body.write_bytes(b"")
    found = bank.repair(bank.verify_all(), apply=True, delete_damaged=True)
    assert (found.deleted, list(found.held)) == (["c2"], ["c1"])
    assert CASE in found.held["c1"]
    assert [info.id for info in bank.checkpoints("p1")] == ["c1"]
    bank.holds.release("c1")
    found = bank.repair(bank.verify_all(), apply=True, delete_damaged=True)
    assert found.deleted == ["c1"]
    assert not objects(root, "holds/*")


def _session(root: Path, checkpoint_id: str) -> str:
    bank = again(root)
    return str(bank.checkpoint(checkpoint_id).indexes[0].split("/")[2])


@pytest.mark.parametrize("damage", ["empty", "bit", "swapped"])
def test_a_hold_that_cannot_be_read_holds(root: Path, damage: str) -> None:
    bank = again(root)
    bank.holds.place("c1", "somebody", CASE, AT)
    bank.holds.place("c2", "somebody", "other", AT)
    one, two = (root / names(bank, each)[0] for each in ("c1", "c2"))
    content = bytearray(one.read_bytes())
    if damage == "swapped":
        content = bytearray(two.read_bytes())
    elif damage == "bit":
        content[-1] ^= 1
    one.write_bytes(b"" if damage == "empty" else content)
    with pytest.raises(Held, match="cannot be read"):
        bank.delete("c1")
    (found,) = bank.verify_all().damages
    assert (found.object, found.readable) == (str(one.relative_to(root)), True)
    bank.holds.release("c1")
    bank.delete("c1")
    assert bank.verify_all().damages == []


def test_the_shortest_retention_is_kept_from_the_commit_on(root: Path) -> None:
    bank = again(root)
    soon = datetime.now(UTC) + timedelta(hours=2)
    for name, until in (("young", soon), ("old", datetime.now(UTC) - timedelta(seconds=5))):
        with bank.writer(name, "p1") as writer:
            writer.put_data([noise(100)])
            writer.commit(created_at=NOW, graph={}, sections={}, keep_until=until)
            # Killed before it could tell: it is done again, later.
        with bank.writer(name, "p1") as writer:
            writer.commit(created_at=NOW, graph={}, sections={}, keep_until=until + timedelta(hours=1))
    with pytest.raises(Held, match=soon.strftime("%Y-%m-%dT%H:%M")):
        bank.delete("young")
    bank.holds.release("young")  # that is for legal holds
    with pytest.raises(Held):
        again(root).delete("young")
    again(root).delete("old")
    bank.delete("young", young=True)
    assert not objects(root, "holds/*")


def test_what_was_never_committed_is_not_kept(root: Path) -> None:
    bank = again(root)

    class Lost(Wrapper):
        def put(self, name: str, content: Parts) -> None:
            if name.startswith("checkpoints/"):
                raise BankDamaged("away")
            super().put(name, content)

    weak = Bank.open(Lost(FileSystemStore(root)), KEY)
    writer = weak.writer("new", "p1")
    with pytest.raises(BankDamaged):
        writer.commit(created_at=NOW, graph={}, sections={}, keep_until=datetime.now(UTC) + timedelta(days=9))
    writer.close()
    assert names(bank, "new")
    bank.abandon("new")
    assert not names(bank, "new")


class Between(Wrapper):
    """Does something once, right before an object is put or removed."""

    def __init__(self, inner: Store, at: tuple[str, str], do: Callable[[], None]) -> None:
        super().__init__(inner)
        self.at, self.do = at, do
        self.done = threading.Event()

    def _meet(self, what: str, name: str) -> None:
        if (what, name.partition("/")[0]) == self.at and not self.done.is_set():
            self.done.set()
            self.do()

    def put(self, name: str, content: Parts) -> None:
        self._meet("put", name)
        super().put(name, content)

    def delete(self, name: str) -> None:
        self._meet("delete", name)
        super().delete(name)


@pytest.mark.parametrize("where", [("put", "condemned"), ("delete", "checkpoints"), ("delete", "condemned")])
def test_a_hold_and_a_deletion_never_both_succeed(root: Path, where: tuple[str, str]) -> None:
    """The hold comes at every moment of a deletion: one of the two is told that it came too late."""
    placed: list[str] = []

    def hold() -> None:
        try:
            placed.append(again(root).holds.place("c1", "somebody", CASE, AT).name)
        except (Conflict, NotFound):
            placed.append("")

    bank = Bank.open(Between(FileSystemStore(root), where, hold), KEY)
    try:
        bank.delete("c1")
        deleted = True
    except Held:
        deleted = False
    assert len(placed) == 1
    assert bool(placed[0]) != deleted
    after = again(root)
    assert ("c1" in [info.id for info in after.checkpoints()]) != deleted
    assert bool(names(after, "c1")) != deleted
    assert after.verify_all().damages == []
    assert after.info().garbage == 0


@pytest.mark.parametrize("where", [("put", "holds")])
def test_a_deletion_in_the_middle_of_a_hold(root: Path, where: tuple[str, str]) -> None:
    bank = Bank.open(Between(FileSystemStore(root), where, lambda: again(root).delete("c1") and None), KEY)
    with pytest.raises(NotFound):
        bank.holds.place("c1", "somebody", CASE, AT)
    assert not names(bank, "c1")
    with pytest.raises(NotFound):
        bank.holds.place("never", "somebody", CASE, AT)


class Tight(Full):
    """Full; what is removed makes room."""

    def delete(self, name: str) -> None:
        self.room += self.inner.stat(name).size
        super().delete(name)


def test_a_full_bank_still_takes_a_hold(root: Path) -> None:
    Bank.open(Tight(FileSystemStore(root), 0), KEY).holds.place("c1", "somebody", CASE, AT)
    with pytest.raises(Held):
        again(root).delete("c1")


def test_holds_are_in_copies_of_the_bank(root: Path, tmp_path: Path) -> None:
    again(root).holds.place("c1", "somebody", CASE, AT)
    shutil.copytree(root, tmp_path / "copy")
    with pytest.raises(Held):
        Bank.open(str(tmp_path / "copy"), KEY).delete("c1")
