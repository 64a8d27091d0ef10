"""Whatever happens to the bank's objects is noticed and named, and never gives a wrong byte."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from refloat.bank import Bank, packs
from refloat.bank.filesystem import FileSystemStore
from refloat.errors import BankDamaged, BankError, NotFound, RefloatError
from refloat.testing.stores import BitFlip, LostWrite, ShortRead
from tests.unit.support.bank_helpers import (
    CHUNK,
    KEY,
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

CONTENT = {
    "a": noise(3 * CHUNK + 5) + bytes(CHUNK),
    "b": b"text " * 500_000,
    "c": b"",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    protect(open_bank(tmp_path / "bank"), "c1", CONTENT)
    return tmp_path / "bank"


def check(root: Path, damaged: Path | None = None) -> None:
    """Verify everything, then read everything. Raises the damage, which has to name the object."""
    bank = Bank.open(str(root), KEY)
    bank.checkpoints()
    with pytest.raises(BankDamaged) as verified:
        bank.verify("c1")
    try:
        found = restore(bank, "c1")
    except BankDamaged as error:
        noticed = str(error)
    else:  # a reader does not look at the headers and footers of packs, which it does not need
        assert found == CONTENT
        noticed = str(verified.value)
    if damaged is not None:
        assert str(damaged.relative_to(root)) in str(verified.value)
        assert str(damaged.relative_to(root)) in noticed
    raise verified.value


def single(root: Path) -> list[Path]:
    """All objects but those of which the bank has two, so that the loss of one does no harm: M6."""
    return [path for path in objects(root) if not twice(path)]


def twice(path: Path) -> bool:
    return path.name == "bank" or path.parent.name == "keys"


def test_the_key_of_a_project_is_there_twice(root: Path) -> None:
    keys = [path for path in objects(root) if ".project." in path.name]
    assert len(keys) == 2
    for path in keys:
        good = path.read_bytes()
        for bad in (None, b"", good[:-1], bytes([good[0] ^ 1]) + good[1:], good[:-1] + bytes([good[-1] ^ 1])):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            assert restore(Bank.open(str(root), KEY), "c1") == CONTENT
            if bad is None:
                path.touch()
        path.write_bytes(good)
    for path in keys:
        path.unlink()
    with pytest.raises(BankDamaged, match="unknown key"):
        restore(Bank.open(str(root), KEY), "c1")


def test_one_bit_anywhere(root: Path) -> None:
    rng = random.Random(7)
    for path in single(root):
        good = path.read_bytes()
        header, footer = rng.randrange(48 * 8), len(good) * 8 - 1 - rng.randrange(100 * 8)
        for bit in {0, 77, header, max(0, footer), len(good) * 8 - 1, rng.randrange(len(good) * 8)}:
            bit = min(bit, len(good) * 8 - 1)
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bad)
            with pytest.raises(BankError):
                check(root, path)
        path.write_bytes(good)
    assert restore(Bank.open(str(root), KEY), "c1") == CONTENT


def test_every_truncation_and_extension(root: Path) -> None:
    for path in single(root):
        good = path.read_bytes()
        for bad in (b"", good[:10], good[:47], good[:48], good[: len(good) // 2], good[:-1], good + b"\0"):
            path.write_bytes(bad)
            with pytest.raises(BankError):
                check(root)
        path.write_bytes(good)
    assert restore(Bank.open(str(root), KEY), "c1") == CONTENT


def test_every_object_that_is_missing(root: Path) -> None:
    for path in single(root):
        good = path.read_bytes()
        path.unlink()
        with pytest.raises(RefloatError) as caught:
            check_or_missing(root)
        assert not isinstance(caught.value, NotFound) or path.parent.name == "checkpoints"
        path.parent.mkdir(exist_ok=True)  # a store removes folders that became empty
        path.write_bytes(good)
    assert restore(Bank.open(str(root), KEY), "c1") == CONTENT


def check_or_missing(root: Path) -> None:
    bank = Bank.open(str(root), KEY)
    bank.checkpoint("c1")
    check(root)


def verify_both(root: Path) -> None:
    for checkpoint_id in ("c1", "c2"):
        Bank.open(str(root), KEY).verify(checkpoint_id)


def readable(root: Path) -> bool:
    try:
        verify_both(root)
    except BankError:
        return False
    return True


def test_every_two_objects_swapped(root: Path) -> None:
    protect(open_bank(root), "c2", {"a": noise(3 * CHUNK, "other")})
    paths = objects(root)
    for one in paths:
        for other in paths:
            if one < other:
                a, b = one.read_bytes(), other.read_bytes()
                one.write_bytes(b)
                other.write_bytes(a)
                if not (twice(one) and twice(other)):
                    with pytest.raises(BankError):
                        verify_both(root)
                elif a != b and readable(root):  # what is there twice was used
                    named = {each.object for each in Bank.open(str(root), KEY).verify_all().damages}
                    assert named == {str(path.relative_to(root)) for path in (one, other)}
                one.write_bytes(a)
                other.write_bytes(b)


def test_a_manifest_under_the_name_of_another_checkpoint(root: Path) -> None:
    (manifest,) = (root / "checkpoints").iterdir()
    shutil.copy(manifest, manifest.with_name(manifest.name.replace("c1", "c9")))
    bank = Bank.open(str(root), KEY)
    with pytest.raises(BankDamaged):
        bank.checkpoint("c9")
    assert {c.id: c.damaged for c in bank.checkpoints()} == {"c1": False, "c9": True}


def test_objects_of_another_bank_with_the_same_key(root: Path, tmp_path: Path) -> None:
    other = open_bank(tmp_path / "other")
    protect(other, "c1", {"a": b"not this"})
    for path in (root / "checkpoints").iterdir():
        (source,) = (tmp_path / "other" / "checkpoints").iterdir()
        shutil.copy(source, path)
    with pytest.raises(BankDamaged):
        Bank.open(str(root), KEY).checkpoint("c1")


def test_a_damaged_manifest_is_listed_and_does_not_hide_others(root: Path) -> None:
    bank = open_bank(root)
    protect(bank, "c2", {"x": b"x"}, created_at="2031-02-01T00:00:00Z")
    (path,) = (root / "checkpoints").glob("c1.*")
    path.write_bytes(path.read_bytes()[:-1])
    listed = {c.id: c for c in bank.checkpoints("p1")}
    assert set(listed) == {"c1", "c2"}
    assert listed["c1"].damaged
    assert "authentication" in listed["c1"].reason
    assert not listed["c2"].damaged
    assert restore(bank, "c2") == {"x": b"x"}


def test_nothing_is_collected_while_a_manifest_cannot_be_read(root: Path) -> None:
    bank = open_bank(root)
    protect(bank, "c2", {"x": noise(CHUNK, 9)})
    (path,) = (root / "checkpoints").glob("c1.*")
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert "damaged" in bank.delete("c2").postponed
    assert "damaged" in bank.collect().postponed
    path.write_bytes(good)
    assert restore(bank, "c1") == CONTENT
    assert bank.collect().freed > CHUNK
    assert restore(bank, "c1") == CONTENT


def test_a_damaged_checkpoint_can_be_deleted(root: Path) -> None:
    bank = open_bank(root)
    for path in objects(root, ".body"):
        path.write_bytes(b"?")
    with pytest.raises(BankDamaged):
        bank.checkpoint("c1")
    bank.delete("c1")
    assert bank.checkpoints() == []
    assert {p.parent.name for p in objects(root)} == {"bank", "keys"}


def test_lost_packs_are_stored_anew(root: Path) -> None:
    for path in objects(root, ".pack"):
        path.unlink()
    bank = open_bank(root)
    protect(bank, "c2", CONTENT)
    assert restore(bank, "c2") == CONTENT


def test_the_verification_names_everything_that_is_damaged(root: Path) -> None:
    bank = open_bank(root)
    one, *_, other = objects(root, ".pack")
    one.unlink()
    other.write_bytes(b"")
    with pytest.raises(BankDamaged) as caught:
        bank.verify("c1")
    assert one.name in str(caught.value)
    assert other.name in str(caught.value)
    with pytest.raises(BankDamaged):
        bank.verify("c1", read_data=False)


def test_reading_does_not_go_on_behind_a_gap(root: Path) -> None:
    bank = open_bank(root)
    ref = bank.checkpoint("c1").sections["a"]["data"]
    for path in objects(root, ".pack"):
        path.unlink()
    reader = bank.open_data(ref)
    for _ in range(3):
        with pytest.raises(BankDamaged):
            reader.read(10)
    closed = bank.open_data(protect(bank, "c2", {"a": b"xyz"})["a"])
    closed.close()
    with pytest.raises(BankError, match="closed"):
        closed.read()


def test_a_reference_to_other_data(root: Path) -> None:
    bank = open_bank(root)
    sections = bank.checkpoint("c1").sections
    ref, other = sections["a"]["data"], sections["b"]["data"]
    for wrong in (
        {**ref, "size": ref["size"] + 1},
        {**ref, "digest": other["digest"]},
        {**ref, "object": other["object"]},
    ):
        with pytest.raises(BankDamaged):
            bank.open_data(wrong)


@pytest.mark.parametrize("suffix", [".pack", ".index", ".body"])
def test_a_store_that_reads_wrong_or_short(root: Path, suffix: str) -> None:
    store = FileSystemStore(root)
    for faulty in (
        BitFlip(store, 48 * 8 + 1, lambda name: name.endswith(suffix)),
        ShortRead(store, 1, lambda name: name.endswith(suffix)),
    ):
        bank = Bank.open(faulty, KEY)
        with pytest.raises(BankDamaged):
            restore(bank, "c1")
        with pytest.raises(BankDamaged):
            bank.verify("c1")


def test_a_store_that_loses_writes_gets_no_checkpoint(root: Path) -> None:
    before = files(root)
    for lost in (".pack", ".index", ".body", "checkpoints/"):
        bank = Bank.open(LostWrite(FileSystemStore(root), lambda name, lost=lost: lost in name), KEY)
        with pytest.raises(RefloatError):
            protect(bank, "c2", {"a": noise(CHUNK, "new")})
        bank.abandon("c2")
        assert files(root) == before
