"""Files go into the bank and come out of it with many threads at once, and holes are not data."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, Writer, packs
from refloat.bank.packing import PACKS, WORKERS, is_zeros
from refloat.bank.reader import open_index, plan
from refloat.bank.sealing import compress, compress_if_worth_it
from refloat.bank.sources import runs
from refloat.bank.store import StoreFull
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankDamaged, BankError, Cancelled, InvalidInput, NotFound
from refloat.movers.files import FileSink, FileSource
from refloat.testing.stores import BitFlip, Hooked
from tests.unit.support.bank_helpers import CHUNK, KEY, NOW, hasty, noise, objects, open_bank

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

CONTENTS = {
    "nothing": b"",
    "a byte": b"x",
    "zeros": bytes(9 * CHUNK + 5),
    "a chunk": noise(CHUNK),
    "a chunk and one": noise(CHUNK + 1),
    "zeros at the end": noise(3 * CHUNK) + bytes(2 * CHUNK + 7),
    "zeros at the start": bytes(6 * CHUNK) + b"end",
    "mixed": b"".join(noise(CHUNK, n % 5) if n % 3 else bytes(CHUNK) for n in range(40)) + b"text " * 99_999,
}


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(packs, "PACK_SIZE", 3 * CHUNK)
    return open_bank(tmp_path / "bank")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def put_file(writer: Writer, path: str | Path, **more: Any) -> dict[str, Any]:
    with FileSource(path) as source:
        return writer.put_data(source, **more)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_comes_back(bank: Bank, tmp_path: Path, content: bytes) -> None:
    disk = write(tmp_path / "disk", content)
    with bank.writer("c1", "p1") as writer:
        ref = put_file(writer, disk, size=len(content))
        again = writer.put_data([content])
        writer.commit(created_at=NOW, graph={}, sections={"a": ref, "b": again})
    assert again["digest"] == ref["digest"]
    assert ref["size"] == len(content)
    with bank.open_data(ref) as data:
        data.restore_to(FileSink(tmp_path / "restored"))
        assert data.read() == content
    assert (tmp_path / "restored").read_bytes() == content
    bank.verify("c1")


def test_holes_are_neither_read_nor_written(bank: Bank, tmp_path: Path) -> None:
    size = (1 << 40) + 4321
    places = {0: b"first", 700 << 30: noise(3 * CHUNK + 9), size - 5: b"last!"}
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(size)
        for offset, data in places.items():
            os.pwrite(file.fileno(), data, offset)
    with bank.writer("c1", "p1") as writer:
        ref = put_file(writer, disk)
        writer.commit(created_at=NOW, graph={}, sections={"a": ref})
    assert ref["size"] == size
    assert ref["stored"] < 5 * CHUNK
    assert all(path.stat().st_size < 20_000 for path in objects(tmp_path / "bank", ".index"))
    bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"), flush=False)
    status = (tmp_path / "restored").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 < 16 * CHUNK
    with (tmp_path / "restored").open("rb") as file:
        for offset, data in places.items():
            assert os.pread(file.fileno(), len(data), offset) == data
    bank.verify("c1")


def test_what_a_file_had_before_is_gone(bank: Bank, tmp_path: Path) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([CONTENTS["mixed"]])
    target = write(tmp_path / "restored", noise(50 * CHUNK, "old"))
    bank.open_data(ref).restore_to(FileSink(target))
    assert target.read_bytes() == CONTENTS["mixed"]


def test_any_sink(bank: Bank) -> None:
    """A sink is told of everything once, zeros included, and is finished once."""

    class Memory:
        def __init__(self) -> None:
            self.data = bytearray()
            self.told: list[tuple[int, int]] = []
            self.lock = threading.Lock()
            self.ended: list[str] = []

        def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
            self.data = bytearray(b"?" * size)
            self.holes = list(holes)

        def write(self, offset: int, data: bytes | memoryview) -> None:
            with self.lock:
                self.told.append((offset, len(data)))
                self.data[offset : offset + len(data)] = data

        def zeros(self, offset: int, length: int) -> None:
            self.write(offset, bytes(length))

        def finish(self, *, flush: bool) -> None:
            self.ended.append(f"flush={flush}")

        def abort(self) -> None:
            self.ended.append("abort")

    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([CONTENTS["mixed"]])
    sink = Memory()
    bank.open_data(ref).restore_to(sink)
    assert sink.data == CONTENTS["mixed"]
    assert sink.ended == ["flush=True"]
    assert sink.holes
    assert set(sink.holes) <= set(sink.told)
    at = 0
    for offset, length in sorted(sink.told):
        assert offset == at
        at += length
    assert at == len(CONTENTS["mixed"])


def test_a_damaged_chunk_leaves_no_file(bank: Bank, tmp_path: Path) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(9 * CHUNK)])
        writer.commit(created_at=NOW, graph={}, sections={"a": ref})
    store = bank._objects.store
    for bit in (49 * 8, 2 * CHUNK * 8):
        faulty = Bank.open(BitFlip(store, bit, lambda name: name.endswith(".pack")), KEY)
        with pytest.raises(BankDamaged, match=r"\.pack"):
            faulty.open_data(ref).restore_to(FileSink(tmp_path / "restored"))
        assert not (tmp_path / "restored").exists()
    (damaged, *_) = objects(tmp_path / "bank", ".pack")
    content = bytearray(damaged.read_bytes())
    content[CHUNK] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(BankDamaged, match=damaged.name):
        bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"))
    assert not (tmp_path / "restored").exists()
    damaged.write_bytes(content[: 2 * CHUNK])
    with pytest.raises(BankDamaged, match=damaged.name):
        bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"))


def test_a_file_that_existed_is_kept_when_the_restore_fails(bank: Bank, tmp_path: Path) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(2 * CHUNK)])
    target = write(tmp_path / "restored", b"")
    for path in objects(tmp_path / "bank", ".pack"):
        path.unlink()
    with pytest.raises(BankDamaged):
        bank.open_data(ref).restore_to(FileSink(target))
    assert target.exists()


def test_progress_and_cancelling(bank: Bank, tmp_path: Path) -> None:
    size = 60 * CHUNK + 1
    disk = write(tmp_path / "disk", noise(40 * CHUNK) + bytes(20 * CHUNK + 1))
    here = threading.get_ident()
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        assert threading.get_ident() == here
        told.append((done, total))

    with bank.writer("c1", "p1") as writer:
        ref = put_file(writer, disk, progress=tell)
        assert told[-1] == (size, size)
        assert told == sorted(told)
        assert len(told) > 5
        with pytest.raises(Cancelled):
            put_file(writer, disk, cancelled=lambda: True)
        told.clear()
        bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"), progress=tell)
        assert told[-1] == (size, size)
        assert told == sorted(told)
        answers = iter([False, False, True])
        with pytest.raises(Cancelled):
            bank.open_data(ref).restore_to(FileSink(tmp_path / "half"), cancelled=lambda: next(answers))
        assert not (tmp_path / "half").exists()


def test_refusals(bank: Bank, tmp_path: Path) -> None:
    disk = write(tmp_path / "disk", noise(CHUNK))
    with bank.writer("c1", "p1") as writer:
        with pytest.raises(NotFound, match="no-such"):
            put_file(writer, tmp_path / "no-such")
        with pytest.raises(InvalidInput, match="neither a file nor a block device"):
            put_file(writer, tmp_path)
        with pytest.raises(InvalidInput, match="neither a file nor a block device"):
            put_file(writer, "/dev/null")
        with pytest.raises(BankError, match="more than the 5 bytes"):
            put_file(writer, disk, size=5)
        with pytest.raises(BankError, match="ended after"):
            put_file(writer, disk, size=CHUNK + 1)
        ref = put_file(writer, disk)
    with pytest.raises(BankError, match="cannot be written"):
        bank.open_data(ref).restore_to(FileSink(tmp_path / "no" / "such" / "folder"))
    with pytest.raises(BankError, match="cannot be written"):
        bank.open_data(ref).restore_to(FileSink(tmp_path))
    with pytest.raises(InvalidInput, match="neither"):
        bank.open_data(ref).restore_to(FileSink("/dev/null"))


def test_a_file_that_shrinks_while_it_is_read(bank: Bank, tmp_path: Path) -> None:
    disk = write(tmp_path / "disk", noise(3 * CHUNK))
    with FileSource(disk) as source, bank.writer("c1", "p1") as writer:
        os.truncate(disk, CHUNK)
        with pytest.raises(BankError, match="became shorter"):
            writer.put_data(Stubborn(source))


class Stubborn:
    """Says that all of a file is data."""

    def __init__(self, source: FileSource) -> None:
        self.size = source.size
        self.read_into = source.read_into

    def extents(self) -> Iterator[tuple[int, int]]:
        yield 0, self.size


def test_extents_of_any_shape_are_cut_into_chunks_once() -> None:
    assert list(runs(iter([]), 10, 3)) == []
    assert list(runs(iter([(0, 1)]), 10, 3)) == [(0, 1)]
    assert list(runs(iter([(0, 10), (10, 10)]), 10, 3)) == [(0, 1), (1, 1)]
    assert list(runs(iter([(9, 2), (15, 1), (19, 2)]), 10, 3)) == [(0, 2), (2, 1)]
    assert list(runs(iter([(5, 90)]), 10, 4)) == [(0, 4), (4, 4), (8, 2)]


@pytest.mark.parametrize("size", [1, 4095, 65536, 65537, CHUNK])
def test_zeros_are_told_from_one_bit(size: int) -> None:
    assert is_zeros(bytes(size))
    for at in {0, size // 2, size - 1}:
        assert not is_zeros(bytes(at) + b"\x80" + bytes(size - at - 1))


def test_compression_is_given_up_early_and_taken_up_again() -> None:
    text = (b"all work and no play " * 60_000)[:CHUNK]
    half = noise(CHUNK // 2) + text[: CHUNK // 2]
    for _ in range(2):
        assert compress_if_worth_it(noise(CHUNK)) is None
        assert compress_if_worth_it(noise(1000)) is None
    packed = compress_if_worth_it(half)
    assert packed is not None
    assert len(packed) < 0.6 * CHUNK
    assert compress_if_worth_it(noise(CHUNK, 2)) is None
    assert compress_if_worth_it(text) == compress(text)


def test_a_slow_store_holds_few_packs_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no pack can be written, only so many are filled, and the source is not read to its end."""
    monkeypatch.setattr(packs, "PACK_SIZE", 3 * CHUNK)
    open_bank(tmp_path / "bank")
    stuck, go = threading.Semaphore(0), threading.Event()

    def before(operation: str, name: str) -> None:
        if operation == "put" and name.endswith(".pack"):
            stuck.release()
            assert go.wait(60)

    bank = Bank.open(Hooked(open_bank(tmp_path / "bank")._objects.store, before), KEY)
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield noise(CHUNK, number)

    refs = []

    def work() -> None:
        with bank.writer("c1", "p1") as writer:
            refs.append(writer.put_data(source()))

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(PACKS - 1):
        assert stuck.acquire(timeout=60)
    thread.join(1)  # it may have gone on as far as it can, but no further
    assert taken <= PACKS * 4 + 2 * WORKERS + 2
    go.set()
    thread.join(60)
    assert taken == 60
    assert bank.open_data(refs[0]).read() == b"".join(noise(CHUNK, number) for number in range(60))


def test_stores_that_cannot_read_into_memory_do_as_well(bank: Bank, tmp_path: Path) -> None:
    plain = Bank.open(Wrapper(bank._objects.store), KEY)
    with plain.writer("c1", "p1") as writer:
        ref = writer.put_data([CONTENTS["mixed"]])
    plain.open_data(ref).restore_to(FileSink(tmp_path / "restored"))
    assert (tmp_path / "restored").read_bytes() == CONTENTS["mixed"]
    assert plain.open_data(ref).read() == CONTENTS["mixed"]


def test_neighbours_are_read_together_and_repeated_chunks_once(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(CHUNK, n % 10) for n in range(40)])
    spans = list(plan(open_index(bank._objects, ref), packs.LARGEST_REQUEST))
    assert sum(len(span.chunks) for span in spans) == 10
    assert sorted(n for span in spans for chunk in span.chunks for n in chunk.numbers) == list(range(40))
    assert len(spans) <= 5


@pytest.mark.parametrize("why", [errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_that_cannot_set_room_aside(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(why))
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([CONTENTS["mixed"]])
    bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"))
    assert (tmp_path / "restored").read_bytes() == CONTENTS["mixed"]


def test_whether_there_is_room_is_known_before_anything_is_written(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([CONTENTS["mixed"]])
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    monkeypatch.setattr(os, "pwrite", failing(errno.EIO))
    with pytest.raises(BankError, match=r"restored cannot be written.*No space left"):
        bank.open_data(ref).restore_to(FileSink(tmp_path / "restored"))
    assert not (tmp_path / "restored").exists()
    with pytest.raises(StoreFull, match=r"bank is full.*needed and \d+ are free"):
        bank._objects.store.put("large", noise(2 * CHUNK))
    assert not [p for p in (tmp_path / "bank").rglob("*") if p.name == "large" or p.parent.name == ".tmp"]


def failing(why: int) -> Callable[..., None]:
    """A call to the system that fails."""

    def fail(*_arguments: object) -> None:
        raise OSError(why, os.strerror(why))

    return fail


def test_a_sink_by_itself(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "x")
    sink.begin(10, [(0, 5)])
    sink.zeros(0, 5)
    sink.write(5, b"12345")
    sink.finish(flush=True)
    assert (tmp_path / "x").read_bytes() == bytes(5) + b"12345"
