"""M5: a bank that was brought back to an earlier state is not taken for the present one.

A checkpoint, a key or a hold that was removed and is put back, a checkpoint that vanishes with all that is
its own, a whole bank that is rolled back: each is seen, and nothing is ever removed because of it.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.opening import open_store
from refloat.bank.store import AlreadyExists, ObjectInfo, Parts
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankError, Conflict, NotFound, WrongBank
from refloat.testing.stores import Locked
from tests.unit.support.bank_helpers import KEY, hasty, noise, open_bank, protect, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

FIXTURE = Path(__file__).parents[2] / "fixtures/bank-1"
OTHER = BankKey(bytes(range(32, 64)))
DATA = {"a": noise(50_000)}
AT = datetime(2031, 1, 31, 12)


class Source:
    """A key that is at hand."""

    kind = "key file"

    def __init__(self, key: BankKey) -> None:
        self.key = key

    def candidates(self, _abouts: object) -> list[BankKey]:
        return [self.key]

    def new(self) -> tuple[BankKey, None]:
        return self.key, None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    bank = open_bank(tmp_path / "bank")
    for name in ("c1", "c2", "c3"):
        protect(bank, name, DATA, project="p2" if name == "c3" else "p1")
    assert bank.verify_all().damages == []
    return tmp_path / "bank"


def again(root: Path) -> Bank:
    return Bank.open(str(root), KEY)


def put_back(earlier: Path, root: Path) -> None:
    """All that an earlier copy has and the bank has not, but for its heads."""
    for path in earlier.rglob("*"):
        to = root / path.relative_to(earlier)
        if path.is_file() and not to.exists() and ".head." not in path.name:
            to.parent.mkdir(exist_ok=True, parents=True)
            shutil.copy2(path, to)


def seen(root: Path) -> dict[str, str]:
    """What a verification says, and a look, which say the same; nothing is changed by either."""
    before = contents(root)
    found = {each.object: each.reason for each in again(root).verify_all().damages}
    assert dict(again(root).freshness().problems).keys() <= found.keys()
    assert contents(root) == before
    return found


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def delete(bank: Bank) -> None:
    bank.delete("c1")


def erase(bank: Bank) -> None:
    bank.erase_project("p2")


def remove_key(bank: Bank) -> None:
    bank.keys.remove(OTHER.id.hex())


def release(bank: Bank) -> None:
    bank.holds.release("c2")


@pytest.mark.parametrize(
    ("remove", "what"),
    [
        (delete, "checkpoints/c1."),
        (erase, "checkpoints/c3."),
        (remove_key, f".{OTHER.id.hex()}"),
        (release, "holds/c2."),
    ],
)
def test_what_was_removed_and_is_put_back_is_seen(
    root: Path, tmp_path: Path, remove: Callable[[Bank], None], what: str
) -> None:
    bank = again(root)
    bank.keys.add(Source(OTHER))
    bank.holds.place("c2", "somebody", "case", AT)
    assert seen(root) == {}
    shutil.copytree(root, tmp_path / "earlier")
    remove(again(root))
    assert seen(root) == {}
    put_back(tmp_path / "earlier", root)
    assert seen(root)
    (name,) = (name for name, why in again(root).freshness().problems.items() if "no head" in why)
    assert what in name
    protect(again(root), "c9", DATA)  # writers do not take it for good
    assert name in seen(root)
    again(root).repair(again(root).verify_all(), apply=True, accept=True)
    assert not any("no head" in reason for reason in seen(root).values())


def test_a_checkpoint_that_vanishes_with_all_that_is_its_own_is_missed(root: Path) -> None:
    bank = again(root)
    (index,) = bank.checkpoint("c1").indexes
    (manifest,) = (root / "checkpoints").glob("c1.*")
    manifest.unlink()
    shutil.rmtree((root / index).parent)
    found = seen(root)
    assert "was not removed by Refloat" in found[f"checkpoints/{manifest.name}"]
    assert [info.id for info in bank.checkpoints("p2")] == ["c3"]
    again(root).repair(again(root).verify_all(), apply=True, accept=True)
    assert f"checkpoints/{manifest.name}" not in seen(root)


def test_an_earlier_checkpoint_of_the_same_name_is_seen(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "earlier")
    again(root).delete("c1")
    protect(again(root), "c1", {"a": noise(100, 3)})
    assert seen(root) == {}
    put_back(tmp_path / "earlier", root)
    (manifest,) = (root / "checkpoints").glob("c1.*")
    manifest.chmod(0o600)
    shutil.copy2(tmp_path / "earlier/checkpoints" / manifest.name, manifest)
    assert "an earlier one is back" in seen(root)[f"checkpoints/{manifest.name}"]


def test_a_bank_that_is_rolled_back_is_seen_by_who_remembers_its_head(root: Path, tmp_path: Path) -> None:
    anchor = again(root).freshness().anchor
    shutil.copytree(root, tmp_path / "earlier")
    protect(again(root), "c4", DATA)
    later = again(root).freshness(anchor)
    assert (later.problems, later.older) == ({}, "")
    earlier = Bank.open(str(tmp_path / "earlier"), KEY)
    assert earlier.verify_all().damages == []  # by itself it is whole
    assert "its head was number" in earlier.freshness(later.anchor).older
    for number in range(3):  # and when it is continued, with as many heads and more
        protect(earlier, f"n{number}", DATA)
        assert earlier.freshness(anchor).older == ""
    assert "continued from an older state" in earlier.freshness(later.anchor).older
    for path in (tmp_path / "earlier/keys").glob("*.head.*"):
        path.unlink()
    assert "it has none" in earlier.freshness(later.anchor).older
    protect(earlier, "n9", DATA)
    assert earlier.freshness(later.anchor).older


def test_many_writers_at_once_leave_one_chain(root: Path) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(3):
                protect(again(root), f"{name}{number}", {"a": noise(2000, name)}, project=name)
            again(root).holds.place(f"{name}2", "somebody", "case", AT)
            again(root).delete(f"{name}0")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("wa", "wb", "wc", "wd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen(root) == {}
    assert len(list((root / "keys").glob("*.head.*"))) <= 9


@pytest.mark.parametrize("what", ["protect", "delete", "hold", "release", "erase", "add key", "remove key"])
def test_a_crash_anywhere_is_healed_by_the_next(root: Path, tmp_path: Path, what: str) -> None:
    """Killed before each change of the store, then done again: there is never a false alarm."""
    bank = again(root)
    if what == "release":
        bank.holds.place("c2", "somebody", "case", AT)
    if what == "remove key":
        bank.keys.add(Source(OTHER))
    steps = {
        "protect": lambda bank: protect(bank, "c8", DATA),
        "delete": lambda bank: bank.delete("c1"),
        "hold": lambda bank: bank.holds.place("c2", "somebody", "case", AT),
        "release": lambda bank: bank.holds.release("c2"),
        "erase": lambda bank: bank.erase_project("p2"),
        "add key": lambda bank: bank.keys.add(Source(OTHER)),
        "remove key": lambda bank: bank.keys.remove(OTHER.id.hex()),
    }
    for at in range(60):
        work = tmp_path / f"try{at}"
        shutil.copytree(root, work)
        store = Dies(FileSystemStore(work), at)
        try:
            steps[what](Bank.open(store, KEY))
            assert at > 2
            break
        except Killed:
            store.left = 1 << 30
        known = seen(work)
        assert not [name for name, reason in known.items() if "no head" in reason], at
        assert not [name for name, reason in known.items() if "not removed by Refloat" in reason], at
        fresh = Bank.open(str(work), KEY)
        with contextlib.suppress(BankError, NotFound, Conflict):  # it may be done already
            steps[what](fresh)
        protect(fresh, "c9", DATA)
        fresh.collect()
        assert seen(work) == {}, at
        shutil.rmtree(work)
    else:
        raise AssertionError("never done")


@pytest.mark.parametrize("what", ["add key", "remove key", "hold"])
def test_others_that_write_heads_meanwhile_forget_nothing_that_is_coming(root: Path, what: str) -> None:
    """A head between the two of somebody who is killed after the ``put``."""
    bank = again(root)
    if what == "remove key":
        bank.keys.add(Source(OTHER))
    prefix = "holds/" if what == "hold" else f"keys/{bank.id}."

    class Interrupted(Wrapper):
        def put(self, name: str, content: Parts) -> None:
            if name.startswith(prefix) and ".head." not in name:
                protect(again(root), "c9", DATA)
                super().put(name, content)
                raise Killed
            super().put(name, content)

    acts = {
        "hold": lambda bank: bank.holds.place("c2", "somebody", "case", AT),
        "add key": lambda bank: bank.keys.add(Source(OTHER)),
        "remove key": lambda bank: bank.keys.remove(OTHER.id.hex()),
    }
    with pytest.raises(Killed):
        acts[what](Bank.open(Interrupted(FileSystemStore(root)), KEY))
    assert seen(root) == {}
    protect(again(root), "c10", DATA)
    assert seen(root) == {}


class Killed(BaseException):
    """As by SIGKILL: nobody handles it."""


class Dies(Wrapper):
    """Changes nothing more after so many changes."""

    def __init__(self, inner: FileSystemStore, left: int) -> None:
        super().__init__(inner)
        self.left = left

    def _count(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1

    def put(self, name: str, content: Parts) -> None:
        self._count()
        super().put(name, content)

    def delete(self, name: str) -> None:
        self._count()
        super().delete(name)


@pytest.mark.parametrize("damage", ["gone", "empty", "bit", "all gone"])
def test_a_head_that_is_hurt_is_named_and_hurts_nobody(root: Path, damage: str) -> None:
    heads = sorted((root / "keys").glob("*.head.*"))
    for path in heads if damage == "all gone" else heads[-1:]:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.unlink()
        if damage in ("empty", "bit"):
            path.write_bytes(b"" if damage == "empty" else content)
    found = seen(root)
    if damage in ("empty", "bit"):
        assert list(found) == [f"keys/{heads[-1].name}"]
    assert restore(again(root), "c1") == DATA
    protect(again(root), "c4", DATA)
    again(root).delete("c1")
    assert found.keys() >= seen(root).keys()
    bank = again(root)
    assert bank.repair(bank.verify_all(), apply=True).needed == (damage in ("empty", "bit"))
    assert seen(root) == {}
    assert not bank.repair(bank.verify_all()).needed


def test_a_bank_of_a_released_format_gets_its_first_head_with_its_first_checkpoint(tmp_path: Path) -> None:
    root = Path(shutil.copytree(FIXTURE, tmp_path / "home")) / "bank"
    bank = Bank.open(str(root), load(tmp_path / "home/key"))
    before = contents(root)
    assert bank.freshness() == bank.freshness("")
    assert (bank.freshness().anchor, dict(bank.freshness().problems)) == ("", {})
    protect(bank, "new", DATA, project="project-one")
    assert bank.verify_all().damages == []
    assert bank.freshness().anchor
    assert {path: path.read_bytes() for path in before} == before
    (manifest,) = (root / "checkpoints").glob("first.*")
    manifest.rename(tmp_path / "away")
    assert f"checkpoints/{manifest.name}" in {each.object for each in bank.verify_all().damages}


def load(path: Path) -> Source:
    (line,) = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return Source(BankKey(bytes.fromhex(line.split()[1])))


def test_under_object_lock_heads_are_only_added(root: Path) -> None:
    bank = Bank.open(Locked(FileSystemStore(root)), KEY)
    for number in range(5):
        protect(bank, f"n{number}", DATA)
    assert bank.verify_all().damages == []


class Crowded(Wrapper):
    """Another process is always faster with the next head."""

    heads = 0

    def put(self, name: str, content: Parts) -> None:
        if ".head." in name:
            self.heads += 1
            if self.heads > 1000:
                pytest.fail("it tries for ever")
            raise AlreadyExists("somebody was faster", resource=name)
        super().put(name, content)


def test_accepting_ends_though_others_write_heads_all_the_time(root: Path) -> None:
    open_bank(root)
    bank = Bank.open(Crowded(FileSystemStore(root)), KEY)
    with pytest.raises(Conflict, match="being written by many others"):
        bank.repair(bank.verify_all("manifests"), apply=True, accept=True)


class Remembered:
    """Where the last head is remembered."""

    accept = "refloat bank accept ID"

    def __init__(self) -> None:
        self.anchor = ""

    def last(self) -> str:
        return self.anchor

    def remember(self, anchor: str) -> None:
        self.anchor = anchor


CHANGES = {
    "protect": lambda bank: protect(bank, "c9", DATA),
    "delete": lambda bank: bank.delete("c1"),
    "collect": lambda bank: bank.collect(),
    "hold": lambda bank: bank.holds.place("c1", "u", "why", AT),
    "key": lambda bank: bank.keys.add(Source(OTHER)),
    "erase": lambda bank: bank.erase_project("p1"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("continued", [False, True])
def test_an_older_copy_of_a_bank_is_read_and_not_changed(
    root: Path, tmp_path: Path, change: str, continued: bool
) -> None:
    """M5: whoever remembers the last head changes nothing in an earlier state, until it is accepted."""
    shutil.copytree(root, tmp_path / "earlier")
    memory = Remembered()
    protect(again(root).remembering(memory), "c4", DATA)
    assert not again(root).freshness(memory.anchor).older
    assert again(root).freshness(memory.anchor).anchor.partition(":")[0] == str(
        int(memory.anchor.partition(":")[0]) + 1
    )
    if continued:  # by somebody who remembers nothing
        for number in range(3):
            protect(Bank.open(str(tmp_path / "earlier"), KEY), f"n{number}", DATA)
    earlier = Bank.open(str(tmp_path / "earlier"), KEY).remembering(memory)
    before = contents(tmp_path / "earlier")
    with pytest.raises(WrongBank, match="older copy of itself") as refused:
        CHANGES[change](earlier)
    assert "its head" in refused.value.reason
    assert "bank accept" in refused.value.advice
    assert contents(tmp_path / "earlier") == before
    assert earlier.verify_all().damages == []
    memory.anchor = ""
    CHANGES[change](earlier)
    assert memory.anchor or change == "collect"


def test_a_damaged_head_and_one_that_a_listing_lacks_make_no_older_bank(root: Path) -> None:
    memory = Remembered()
    bank = again(root).remembering(memory)
    protect(bank, "c4", DATA)
    memory.anchor = bank.freshness().anchor
    newest = max((root / "keys").glob("*.head.*"))

    class Late(Wrapper):
        """Its listings lack what was written last."""

        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            return (each for each in super().list(prefix) if not each.name.endswith(newest.name))

    Bank.open(Late(open_store(str(root))), KEY).remembering(memory).refuse_older()
    newest.chmod(0o600)
    newest.write_bytes(b"nothing that was written")
    again(root).remembering(memory).refuse_older()
    protect(again(root).remembering(memory), "c5", DATA)
    protect(again(root).remembering(memory), "c6", DATA)
    assert {each.id for each in again(root).checkpoints()} >= {"c4", "c5", "c6"}
