"""M3: a full file system can be emptied. All on real ones that are full."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from refloat.bank import Bank
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.store import StoreFull
from refloat.errors import BankError
from refloat.testing.stores import Full
from tests.unit.support.bank_helpers import CHUNK, KEY, NOW, hasty, noise, open_bank, protect, restore
from tests.unit.support.mounts import tmpfs, with_own_mounts

__all__ = ["hasty"]

DATA = {name: noise(3 * CHUNK, name) for name in ("a", "b")}


def fill(at: Path, of: str) -> None:
    """Until not a byte more fits, or not a file."""
    if of == "inodes":
        with contextlib.suppress(OSError):
            for number in count():
                (at / f"junk-{number}").touch()
        return
    for size in (1 << 20, 1 << 12, 1):
        with contextlib.suppress(OSError), (at / f"junk-{size}").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(size))


def delete(bank: Bank) -> None:
    assert bank.delete("c1").freed > 5 * CHUNK


def delete_for_another_process(bank: Bank) -> None:
    delete(Bank.open(bank.url.removeprefix("file://"), KEY))


def abandon(bank: Bank) -> None:
    assert bank.abandon("c3").freed > 2 * CHUNK


def erase(bank: Bank) -> None:
    assert bank.erase_project("p1").freed > 5 * CHUNK


def delete_beside_a_writer(bank: Bank) -> None:
    """What the writer may rely on is only condemned, which takes two more objects."""
    with bank.writer("c4", "p1"):
        assert bank.delete("c1").postponed


REMOVALS = (delete, delete_for_another_process, abandon, erase, delete_beside_a_writer)


@pytest.mark.parametrize("of", ["bytes", "inodes"])
@pytest.mark.parametrize("remove", REMOVALS, ids=lambda each: each.__name__)
def test_m3_a_full_file_system_can_be_emptied(
    tmp_path: Path, remove: Callable[[Bank], None], of: str
) -> None:
    at = tmp_path / "at"
    at.mkdir()

    def work() -> None:
        tmpfs(at, "40m" if of == "bytes" else "60m,nr_inodes=200")
        bank = open_bank(at / "bank")
        protect(bank, "c1", DATA)
        protect(bank, "c2", {"other": noise(CHUNK)}, project="p2")
        with bank.writer("c3", "p3") as writer:
            writer.put_data([noise(3 * CHUNK, "unfinished")])
        if remove is delete_beside_a_writer:
            with bank.writer("c4", "p1"):
                pass
        fill(at, of)
        with pytest.raises(StoreFull):
            protect(bank, "c5", {"more": noise(CHUNK, 5)}, project="p2")
        remove(bank)
        for junk in at.glob("junk*"):
            junk.unlink()
        for checkpoint in ("c3", "c4", "c5"):
            bank.abandon(checkpoint)
        bank.collect()
        protect(bank, "c6", DATA)
        assert restore(bank, "c6") == DATA
        assert not bank.verify_all().damages
        assert (at / "bank/reserve").stat().st_size == 4 << 20  # for the next time

    with_own_mounts(work)


def test_m3_there_is_no_reserve_where_there_is_no_room(tmp_path: Path, hasty: None) -> None:
    """A bank that is nearly as large as its store works nevertheless."""
    bank = Bank.open(Full(FileSystemStore(tmp_path, create=True), 3 << 20), KEY, create=True)
    protect(bank, "c1", {"a": noise(CHUNK)})
    assert not (tmp_path / "reserve").exists()
    assert restore(bank, "c1") == {"a": noise(CHUNK)}
    with pytest.raises(StoreFull), bank.writer("c2", "p1") as writer:
        writer.put_data([noise(3 * CHUNK, 2)])
    with bank.writer("c3", "p1") as writer, pytest.raises(BankError):
        writer.commit(created_at=NOW, graph={"nodes": [noise(3 * CHUNK).hex()]}, sections={})
    assert [each.id for each in bank.checkpoints()] == ["c1"]
