"""A bank is known by its id, and asked who it is before anything is changed or believed: C1, H1, M9."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from refloat.bank import Bank
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankDamaged, BankError, Conflict, NotFound
from refloat.testing.stores import Hooked
from tests.unit.support.bank_helpers import KEY, NOW, hasty, noise, objects, open_bank, protect, restore
from tests.unit.support.mounts import bind, tmpfs, unmount, with_own_mounts

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

DATA = {"a": noise(300_000, "a")}
MORE = {"a": noise(300_000, "a"), "b": noise(200_000, "b")}


def everything(bank: Bank, known: str) -> list[Callable[[], object]]:
    """Whatever is done with a bank: each must refuse when it is another one."""
    return [
        lambda: protect(bank, "new", MORE),
        lambda: bank.delete(known),
        lambda: bank.abandon("nothing"),
        lambda: bank.collect(),
        lambda: bank.erase_project("p1"),
        lambda: bank.keys.rotate_project("p1"),
        lambda: bank.keys.rotate(KEY),
        lambda: bank.checkpoints(),
        lambda: bank.checkpoint(known),
        lambda: bank.verify(known),
        lambda: bank.verify_all(),
        lambda: bank.info(),
    ]


def refused(actions: list[Callable[[], object]]) -> list[str]:
    """What each of them says; none may take what is missing for deleted or damaged."""
    said = []
    for action in actions:
        with pytest.raises(BankError) as error:
            action()
        assert not isinstance(error.value, BankDamaged | NotFound), error.value
        said.append(str(error.value))
    return said


def test_c1_a_mount_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """Nothing is written beneath it, nothing is taken for deleted, all can read what comes later."""
    real, at = tmp_path / "real", tmp_path / "at"
    real.mkdir()
    at.mkdir()

    def work() -> None:
        bind(real, at)
        bank = open_bank(at)
        protect(bank, "c1", DATA)
        unmount(at)
        said = refused(everything(bank, "c1"))
        assert all("expected" in each and "found" in each for each in said), said
        assert list(at.iterdir()) == []
        bind(real, at)
        protect(bank, "c2", MORE)
        bank.delete("c1")
        fresh = Bank.open(str(at), KEY)
        assert restore(fresh, "c2") == MORE
        assert not fresh.verify_all().damages
        assert [each.id for each in bank.checkpoints()] == ["c2"]

    with_own_mounts(work)


def test_c1_a_mount_that_goes_away_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    real, at = tmp_path / "real", tmp_path / "at"
    real.mkdir()
    at.mkdir()

    def work() -> None:
        bind(real, at)
        bank = open_bank(at)
        writer = bank.writer("c1", "p1")
        ref = writer.put_data([DATA["a"]])
        unmount(at)
        with pytest.raises(BankError, match="expected"):
            writer.put_data([noise(100_000, "more")])
        with pytest.raises(BankError, match="expected"):
            writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
        assert list(at.iterdir()) == []
        bind(real, at)
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
        assert restore(Bank.open(str(at), KEY), "c1") == DATA

    with_own_mounts(work)


def test_c1_another_file_system_is_mounted_over_the_bank(tmp_path: Path) -> None:
    at = tmp_path / "at"

    def work() -> None:
        bank = open_bank(at)
        protect(bank, "c1", DATA)
        tmpfs(at)
        refused(everything(bank, "c1"))
        assert list(at.iterdir()) == []
        open_bank(at)  # another bank, with the same key
        said = refused(everything(bank, "c1"))
        assert all(str(at) in each for each in said)
        assert not list(at.glob("checkpoints/*"))
        unmount(at)
        assert restore(bank, "c1") == DATA

    with_own_mounts(work)


class Swapped(Wrapper):
    """The same address leads to another store."""


@pytest.mark.parametrize("there", ["nothing", "another bank", "something else"])
def test_c1_what_is_at_the_address_is_another_store(tmp_path: Path, there: str) -> None:
    """As a bucket may be: no folder tells the difference, only what is in it."""
    store = Swapped(FileSystemStore(tmp_path / "bank", create=True))
    bank = Bank.open(store, KEY, create=True)
    protect(bank, "c1", DATA)
    other = FileSystemStore(tmp_path / "other", create=True)
    if there == "another bank":
        expected = f"the bank {Bank.open(other, KEY, create=True).id}"
    elif there == "something else":
        other.put("letters/1", b"dear Sir")
        expected = "letters/1"
    else:
        expected = "nothing"
    before = [str(path) for path in objects(tmp_path / "other")]
    own, store.inner = store.inner, other
    for said in refused(everything(bank, "c1")):
        assert bank.id in said
        assert expected in said
    assert [str(path) for path in objects(tmp_path / "other")] == before
    store.inner = own
    assert restore(bank, "c1") == DATA


@pytest.mark.parametrize("what", ["keys", "manifest", "body"])
def test_c1_available_means_that_whoever_opens_the_bank_now_can_read_it(tmp_path: Path, what: str) -> None:
    """A commit reads back what it has written, with no key in memory."""
    root = tmp_path / "bank"
    writing = []

    def lose(operation: str, name: str) -> None:
        """What the store takes, and does not keep."""
        if not writing or operation != "list" or not list(root.glob("checkpoints/c2.*")):
            return
        lost = {"keys": "keys/*.project.*", "manifest": "checkpoints/c2.*", "body": "data/*/*/*.body"}[what]
        for path in root.glob(lost):
            path.write_bytes(b"x" * 100)

    bank = Bank.open(Hooked(FileSystemStore(root, create=True), lose), KEY, create=True)
    writing.append(True)
    with pytest.raises((BankError, Conflict)):
        protect(bank, "c2", DATA)
    assert [each.id for each in Bank.open(str(root), KEY).checkpoints() if not each.damaged] == []


def test_h1_a_project_is_erased_and_protected_again_by_another_worker(tmp_path: Path) -> None:
    first, second = open_bank(tmp_path), open_bank(tmp_path)
    protect(first, "c1", DATA)
    protect(second, "c2", DATA)
    first.erase_project("p1")
    protect(first, "c3", DATA)
    protect(second, "c4", MORE)
    fresh = Bank.open(str(tmp_path), KEY)
    assert restore(fresh, "c3") == DATA
    assert restore(fresh, "c4") == MORE
    assert not fresh.verify_all().damages


def test_h1_a_writer_does_not_go_on_under_an_erased_key(tmp_path: Path) -> None:
    first, second = open_bank(tmp_path), open_bank(tmp_path)
    protect(first, "c1", DATA)
    with second.writer("c2", "p1") as writer:
        ref = writer.put_data([MORE["b"]])
        first.keys.rotate_project("p1")
        for path in tmp_path.glob("keys/*.project.*.1*"):
            path.unlink()
        with pytest.raises(Conflict):
            writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert not list(tmp_path.glob("checkpoints/c2.*"))


def test_h1_the_number_of_a_key_is_never_used_again(tmp_path: Path) -> None:
    """So a key that is put back after its project was erased is not taken for the new one."""
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", DATA)
    bank.keys.rotate_project("p1")
    shutil.copytree(tmp_path / "bank", tmp_path / "old")
    bank.erase_project("p1")
    for expected in (3, 4):
        protect(bank, "c2", MORE)
        assert [each.number for each in bank.keys.projects()] == [expected]
        shutil.copytree(tmp_path / "old", tmp_path / "bank", dirs_exist_ok=True)
        fresh = Bank.open(str(tmp_path / "bank"), KEY)
        assert [each.number for each in fresh.keys.projects()] == [expected]
        assert restore(fresh, "c2") == MORE
        with pytest.raises(BankDamaged, match="unknown key"):
            fresh.checkpoint("c1")
        fresh.erase_project("p1")


def test_keys_that_are_lost_are_not_made_anew(tmp_path: Path) -> None:
    """A project that has checkpoints and no key has lost it: a new one would hide that."""
    bank = open_bank(tmp_path)
    protect(bank, "c1", DATA)
    for path in tmp_path.glob("keys/*.project.*"):
        path.unlink()
    for opened in (bank, open_bank(tmp_path)):
        with pytest.raises(BankDamaged, match=r"keys of the project p1 are lost.*1 of its checkpoints"):
            protect(opened, "c2", DATA)
    assert not list(tmp_path.glob("keys/*.project.*"))
    protect(bank, "c3", DATA, project="p2")
    bank.erase_project("p1")
    protect(bank, "c2", DATA)
    assert restore(bank, "c2") == DATA


def test_an_expected_bank_is_never_made(tmp_path: Path) -> None:
    right, other, empty = tmp_path / "right", tmp_path / "other", tmp_path / "empty"
    bank, another = open_bank(right), open_bank(other)
    empty.mkdir()
    assert Bank.open(str(right), KEY, expect=bank.id).id == bank.id
    for create in (False, True):
        for where, found in ((other, another.id), (empty, "nothing"), (tmp_path / "none", "nothing")):
            with pytest.raises(BankError, match=f"expected: the bank {bank.id}; found: .*{found}"):
                Bank.open(str(where), KEY, create=create, expect=bank.id)
    assert list(empty.iterdir()) == []
    assert not (tmp_path / "none").exists()
