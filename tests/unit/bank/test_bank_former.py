"""Data is stored by what may have changed since a former time, and is the same as if all had been read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, Former, packs
from refloat.errors import BankDamaged, InvalidInput
from tests.unit.support.bank_helpers import CHUNK, NOW, hasty, noise, open_bank, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

PIECES = [bytes(CHUNK), bytes(CHUNK), *(noise(CHUNK, number) for number in range(5))]
TAIL = 12345


class Disk:
    """A source that says what of it was read.

    :param surplus: chunks of zeros that it says are data.
    """

    def __init__(self, content: bytes, surplus: Callable[[], bool] = lambda: False) -> None:
        self.content, self.size, self._surplus = content, len(content), surplus
        self.read: set[int] = set()

    def extents(self) -> Iterator[tuple[int, int]]:
        for at in range(0, self.size, CHUNK):
            piece = self.content[at : at + CHUNK]
            if any(piece) or self._surplus():
                yield at, len(piece)

    def read_into(self, offset: int, target: memoryview) -> None:
        self.read.add(offset // CHUNK)
        target[:] = self.content[offset : offset + len(target)]


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    return open_bank(tmp_path / "bank")


def store(
    bank: Bank, checkpoint: str, source: Disk, former: Former | None = None, project: str = "p1"
) -> Any:
    with bank.writer(checkpoint, project) as writer:
        ref = writer.put_data(source, former=former)
        writer.commit(created_at=NOW, graph={}, sections={"v": {"data": ref}})
    return ref


def digest_of_all(bank: Bank, content: bytes) -> Any:
    with bank.writer("full", "p1") as writer:
        try:
            return writer.put_data([content])["digest"]
        finally:
            writer.abandon()


def written(chance: random.Random, content: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Other content, and where it may differ, with places where it does not."""
    now, changed = bytearray(content), []
    for _each in range(chance.randrange(4)):
        at = chance.randrange(len(now))
        new = chance.choice((chance.choice(PIECES), bytes(3 * CHUNK), noise(10, chance.random())))
        new = new[: len(now) - at]
        now[at : at + len(new)] = new
        changed.append((at, len(new)))
    for _each in range(chance.randrange(3)):
        changed.append((chance.randrange(len(now)), chance.randrange(3 * CHUNK)))
    chance.shuffle(changed)
    return bytes(now), changed


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_reading_all_gives(bank: Bank, seed: int) -> None:
    """Random contents and changes; checkpoints are deleted, data is collected, others write meanwhile."""
    chance = random.Random(seed)
    content = b"".join(chance.choice(PIECES) for _each in range(7)) + PIECES[3][:TAIL]
    former: Former | None = None
    there: dict[str, bytes] = {}
    other = None
    for step in range(14):
        name = f"c{step}"
        source = Disk(content, lambda: chance.random() < 0.3)
        try:
            ref = store(bank, name, source, former)
        except BankDamaged:
            assert former is not None
            assert f"c{step - 1}" not in there, "only one that was deleted cannot be used"
            source = Disk(content)
            ref = store(bank, name, source)
        there[name] = content
        assert ref["digest"] == digest_of_all(bank, content)
        assert restore(bank, name) == {"v": content}
        if chance.random() < 0.3 and other is None:
            other = bank.writer("other", "p1")
        elif other is not None:
            other.abandon()
            other = None
        for gone in [each for each in there if chance.random() < 0.3]:
            bank.delete(gone)
            del there[gone]
        bank.collect()
        content, changed = written(chance, content)
        former = Former(ref, changed)
        with bank.writer("compare", "p1") as writer:
            new = writer.put_data([content])
            if name in there:
                assert writer.differing(new, former) == 0
            writer.abandon()
    for name, content in there.items():
        bank.verify(name)
        assert restore(bank, name) == {"v": content}


def test_only_what_may_have_changed_is_read(bank: Bank) -> None:
    content = noise(9 * CHUNK + TAIL, "a")
    former = Former(
        store(bank, "c1", Disk(content)), [(CHUNK + 5, 1), (4 * CHUNK - 1, 2), (9 * CHUNK, 1 << 60)]
    )
    source = Disk(content)
    ref = store(bank, "c2", source, former)
    assert source.read == {1, 3, 4, 9}
    assert ref["digest"] == former.ref["digest"]
    source = Disk(content)
    store(bank, "c3", source, Former(ref, []))
    assert source.read == set()
    bank.delete("c1")
    bank.delete("c2")
    bank.collect()
    assert restore(bank, "c3") == {"v": content}


def test_what_was_found_damaged_is_read_again(bank: Bank) -> None:
    """The former index is whole; its pack is not, and was put on the list of damaged ones."""
    content = noise(6 * CHUNK, "a")
    ref = store(bank, "c1", Disk(content))
    root = Path(bank.url.removeprefix("file://"))
    pack = sorted(root.rglob("*.pack"))[0]
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:100] + b"?" + pack.read_bytes()[101:])
    bank.repair(bank.verify_all(), apply=True)
    source = Disk(content)
    store(bank, "c2", source, Former(ref, []))
    assert 1 <= len(source.read) <= 3
    assert restore(bank, "c2") == {"v": content}
    bank.verify("c2")


def test_packs_that_are_gone_are_read_again(bank: Bank) -> None:
    """Also when nobody has noticed yet."""
    content = noise(6 * CHUNK, "a")
    ref = store(bank, "c1", Disk(content))
    sorted(Path(bank.url.removeprefix("file://")).rglob("*.pack"))[0].unlink()
    source = Disk(content)
    store(bank, "c2", source, Former(ref, []))
    assert source.read
    assert restore(bank, "c2") == {"v": content}


def test_a_former_checkpoint_that_is_deleted_meanwhile(bank: Bank) -> None:
    """Its data stays for who has begun to write, and its index, which is gone, is not needed any more."""
    content = noise(4 * CHUNK, "a")
    ref = store(bank, "c1", Disk(content))
    with bank.writer("c2", "p1") as writer:
        source = Disk(content)
        new = writer.put_data(source, former=Former(ref, []))
        bank.delete("c1")
        bank.collect()
        with pytest.raises(BankDamaged, match="missing"):
            writer.put_data(Disk(content), former=Former(ref, []))
        with pytest.raises(BankDamaged, match="missing"):
            writer.differing(new, Former(ref, []))
        writer.commit(created_at=NOW, graph={}, sections={"v": {"data": new}})
    bank.collect()
    assert source.read == set()
    assert restore(bank, "c2") == {"v": content}
    bank.verify("c2")


def test_an_index_that_is_damaged_is_an_error(bank: Bank) -> None:
    ref = store(bank, "c1", Disk(noise(2 * CHUNK, "a")))
    index = Path(bank.url.removeprefix("file://")) / ref["object"]
    index.chmod(0o600)
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with bank.writer("c2", "p1") as writer:
        with pytest.raises(BankDamaged):
            writer.put_data(Disk(bytes(2 * CHUNK)), former=Former(ref, []))
        writer.put_data(Disk(bytes(2 * CHUNK)))


def test_holes_then_and_now(bank: Bank) -> None:
    """What is a hole now, was none and is said not to have changed is read: one of these is wrong."""
    data = noise(CHUNK, "a")
    first = data + bytes(CHUNK) + data + bytes(CHUNK)
    ref = store(bank, "c1", Disk(first))
    lost = Disk(first)
    lost.extents = lambda: iter([(CHUNK, 2 * CHUNK)])  # type: ignore[method-assign]
    assert store(bank, "c0", lost, Former(ref, []))["digest"] == ref["digest"]
    assert lost.read == {0, 1}
    for name, content, changed in (
        ("c2", bytes(CHUNK) + data + data + bytes(CHUNK), [(0, 2 * CHUNK)]),
        ("c3", bytes(CHUNK) + bytes(CHUNK) + data + bytes(CHUNK), []),
    ):
        found = store(bank, name, Disk(content), Former(ref, changed))
        assert found["digest"] == digest_of_all(bank, content)
        assert restore(bank, name) == {"v": content}


def test_another_project_and_another_size_are_refused(bank: Bank) -> None:
    content = noise(2 * CHUNK, "a")
    ref = store(bank, "c1", Disk(content))
    with bank.writer("c2", "p2") as writer:
        with pytest.raises(InvalidInput, match="another project"):
            writer.put_data(Disk(content), former=Former(ref, []))
        own = writer.put_data(Disk(content))
        with pytest.raises(InvalidInput, match="another project"):
            writer.differing(own, Former(ref, []))
        with pytest.raises(InvalidInput, match="has 2097152 bytes, and this has 1048576"):
            writer.put_data(Disk(content[:CHUNK]), former=Former(own, []))
        with pytest.raises(InvalidInput, match="stream"):
            writer.put_data([content], former=Former(own, []))


def test_what_is_not_as_it_was_told_is_counted(bank: Bank) -> None:
    content = noise(5 * CHUNK, "a")
    former = Former(store(bank, "c1", Disk(content)), [(0, 1)])
    now = noise(CHUNK, "b") + content[CHUNK : 2 * CHUNK] + bytes(CHUNK) + noise(1) + content[3 * CHUNK + 1 :]
    with bank.writer("c2", "p1") as writer:
        assert writer.differing(writer.put_data(Disk(now)), former) == 2
        assert writer.differing(writer.put_data(Disk(content)), former) == 0
