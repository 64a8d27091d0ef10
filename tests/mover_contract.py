"""What every mover has to do: give bytes, holes and size, again after a failure or a kill, and leave nothing.

A test file of a mover has a subclass of :class:`Streams`, or of :class:`ReadsAnywhere` if it does more than
that, with a fixture ``place``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, Extents
from refloat.errors import BankError, Cancelled, RefloatError
from refloat.movers import Sink, Source
from refloat.movers.streams import InOrder
from refloat.testing.movers import WatchedSink, WatchedSource, on_call
from tests.unit.support.bank_helpers import CHUNK, NOW, noise, open_bank

SIZE = 37 * CHUNK
DATA = {0: noise(CHUNK + 5, "a"), 6 * CHUNK - 3: noise(9 * CHUNK, "b"), 33 * CHUNK + 17: noise(100_000, "c")}
"""What the volume of most tests has, by offset. The rest are holes."""


class Place:
    """Where a mover's volumes are: made, read back and looked over by other means than the mover's.

    :cvar grows: what is written becomes as large as the data.
    """

    grows = False

    def fill(self, name: str, size: int, data: Mapping[int, bytes]) -> None:
        """A volume with this content; what is not given are holes."""
        raise NotImplementedError

    def source(self, name: str) -> Source | InOrder:
        """Its content now."""
        raise NotImplementedError

    def sink(self, name: str, size: int) -> Sink:
        """A volume of this size that is written: it is made, or is there already."""
        raise NotImplementedError

    def content(self, name: str) -> bytes:
        raise NotImplementedError

    def names(self) -> set[str]:
        """Of all that there is, volumes and whatever is not one."""
        raise NotImplementedError

    def in_use(self) -> list[str]:
        """Volumes that somebody has open."""
        return []

    def to_json(self) -> Any:
        """For another process: what ``tests.mover_child`` makes a place of."""
        raise NotImplementedError


def whole(size: int, data: Mapping[int, bytes]) -> bytes:
    content = bytearray(size)
    for offset, part in data.items():
        content[offset : offset + len(part)] = part
    return bytes(content)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    return open_bank(tmp_path / "bank")


def keep(bank: Bank, source: Source | InOrder, checkpoint: str = "c1", **more: Any) -> dict[str, Any]:
    with bank.writer(checkpoint, "p1") as writer:
        ref = writer.put_data(source, size=source.size, **more)
        writer.commit(created_at=NOW, graph={}, sections={"a": ref})
    return ref


def read(source: Source, offset: int, length: int) -> bytes:
    target = bytearray(length)
    source.read_into(offset, memoryview(target))
    return bytes(target)


def opened(place: Place, name: str) -> Source:
    source = place.source(name)
    assert isinstance(source, Source)
    return source


def changed_bytes(before: bytes, after: bytes, told: Iterator[tuple[int, int]]) -> int:
    """How many bytes are told to have changed. All that have are among them, in order."""
    patched, upto, total = bytearray(before), 0, 0
    for offset, length in told:
        assert offset >= upto
        assert length > 0
        upto, total = offset + length, total + length
        patched[offset:upto] = after[offset:upto]
    assert bytes(patched) == after, "something that has changed is not told"
    return total


class Streams:
    """What can at least be read once, from its start."""

    @pytest.mark.parametrize("size", [1, 511, CHUNK, 3 * CHUNK + 1234, 9 * CHUNK - 1])
    def test_any_size(self, place: Place, bank: Bank, size: int) -> None:
        content = noise(size, "full")
        place.fill("v", size, {0: content})
        with place.source("v") as source:
            assert source.size == size
            ref = keep(bank, source)
        with bank.open_data(ref) as reader:
            assert reader.read() == content
        if isinstance(source, Source):
            bank.open_data(ref).restore_to(place.sink("w", size))
            assert place.content("w") == content

    def test_same_bytes_and_the_same_reference_as_a_stream(self, place: Place, bank: Bank) -> None:
        place.fill("v", SIZE, DATA)
        with place.source("v") as source:
            ref = keep(bank, source)
        assert ref["size"] == SIZE
        assert ref["stored"] < 13 * CHUNK, "holes are not stored"
        assert keep(bank, InOrder([whole(SIZE, DATA)], SIZE), "c2")["digest"] == ref["digest"]
        bank.verify("c1")

    def test_reading_leaves_all_as_it_is(self, place: Place, bank: Bank) -> None:
        place.fill("v", SIZE, DATA)
        names = place.names()
        with place.source("v") as source:
            keep(bank, source)
        assert place.content("v") == whole(SIZE, DATA)
        assert place.names() == names


class ReadsAnywhere(Streams):
    """What is read and written anywhere in it, by many threads."""

    def test_extents_have_all_data_in_order(self, place: Place) -> None:
        place.fill("v", SIZE, DATA)
        with opened(place, "v") as source:
            assert isinstance(source, Extents)
            found, upto = list(source.extents()), 0
            holes = bytearray(whole(SIZE, DATA))
            for offset, length in found:
                assert length > 0
                assert offset >= upto
                upto = offset + length
                holes[offset:upto] = bytes(length)
            assert upto <= SIZE
            assert not any(holes), "there is data outside of the extents"
            assert sum(length for _offset, length in found) < SIZE, "holes are known"

    def test_an_empty_volume(self, place: Place, bank: Bank) -> None:
        place.fill("v", SIZE, {})
        with opened(place, "v") as source:
            assert read(source, 5 * CHUNK, CHUNK) == bytes(CHUNK)
            reads: list[int] = []
            ref = keep(bank, WatchedSource(source, lambda offset, _length: reads.append(offset)))
        assert reads == []
        bank.open_data(ref).restore_to(place.sink("w", SIZE))
        assert place.content("w") == bytes(SIZE)

    def test_ranges_by_many_threads(self, place: Place) -> None:
        place.fill("v", SIZE, DATA)
        content, chance = whole(SIZE, DATA), random.Random(7)
        with opened(place, "v") as source, ThreadPoolExecutor(6) as pool:
            wanted = [(chance.randrange(SIZE - 70_000), chance.randrange(1, 70_000)) for _ in range(200)]
            reads = pool.map(lambda each: read(source, *each), wanted)
            for (offset, length), found in zip(wanted, reads, strict=True):
                assert found == content[offset : offset + length]
            with pytest.raises(RefloatError):
                read(source, SIZE - 5, 6)

    def test_restore_has_bytes_and_zeros(self, place: Place, bank: Bank) -> None:
        """Also over other data: what is zeros in the bank is zeros in the volume."""
        place.fill("v", SIZE, DATA)
        with opened(place, "v") as source:
            ref = keep(bank, source)
        place.fill("w", SIZE, {0: noise(SIZE, "former")})
        told: list[tuple[int, int]] = []
        bank.open_data(ref).restore_to(place.sink("w", SIZE), progress=lambda *each: told.append(each))
        assert place.content("w") == whole(SIZE, DATA)
        assert told[-1] == (SIZE, SIZE)
        assert place.in_use() == []

    def test_a_read_that_fails(self, place: Place, bank: Bank) -> None:
        """The error is told, nothing is left, and the next attempt has the same bytes."""
        place.fill("v", SIZE, DATA)
        names = place.names()

        def fail() -> None:
            raise BankError("the storage does not answer")

        with (
            opened(place, "v") as source,
            bank.writer("c1", "p1") as writer,
            pytest.raises(BankError, match="does not answer"),
        ):
            writer.put_data(WatchedSource(source, on_call(5, fail)))
        assert (place.in_use(), place.names()) == ([], names)
        with opened(place, "v") as source:
            ref = keep(bank, source)
        with bank.open_data(ref) as reader:
            assert reader.read() == whole(SIZE, DATA)

    def test_cancelled_in_the_middle(self, place: Place, bank: Bank) -> None:
        place.fill("v", SIZE, DATA)
        names, stop = place.names(), threading.Event()
        with (
            opened(place, "v") as source,
            bank.writer("c1", "p1") as writer,
            pytest.raises(Cancelled),
        ):
            writer.put_data(WatchedSource(source, on_call(3, stop.set)), cancelled=stop.is_set)
        assert (place.in_use(), place.names()) == ([], names)

    def test_a_write_that_fails(self, place: Place, bank: Bank) -> None:
        place.fill("v", SIZE, DATA)
        with opened(place, "v") as source:
            ref = keep(bank, source)

        def fail() -> None:
            raise BankError("the storage is full")

        with pytest.raises(BankError, match="is full"):
            bank.open_data(ref).restore_to(WatchedSink(place.sink("w", SIZE), on_call(5, fail)))
        assert place.in_use() == []
        bank.open_data(ref).restore_to(place.sink("w", SIZE))
        assert place.content("w") == whole(SIZE, DATA)

    def test_too_small_for_the_data_is_refused(self, place: Place, bank: Bank) -> None:
        """What has a size of its own takes nothing larger, and keeps what it had."""
        place.fill("v", SIZE, DATA)
        with opened(place, "v") as source:
            ref = keep(bank, source)
        place.fill("small", CHUNK, {0: b"mine"})
        with nullcontext() if place.grows else pytest.raises(RefloatError, match=str(SIZE)):
            bank.open_data(ref).restore_to(place.sink("small", CHUNK))
        expected = whole(SIZE, DATA) if place.grows else whole(CHUNK, {0: b"mine"})
        assert place.content("small") == expected

    @pytest.mark.parametrize("task", ["keep", "restore"])
    def test_killed_and_done_again(self, place: Place, bank: Bank, tmp_path: Path, task: str) -> None:
        """kill -9 of the process in the middle; another does it again and leaves nothing."""
        place.fill("v", SIZE, DATA)
        ref = {}
        if task == "restore":
            with opened(place, "v") as source:
                ref = keep(bank, source)
        names = place.names() | ({"w"} if task == "restore" else set())
        where = {"bank": str(tmp_path / "bank"), "place": place.to_json(), "ref": ref, "size": SIZE}
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.mover_child", json.dumps({"task": task, **where})],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "in the middle\n"
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        if task == "keep":
            with opened(place, "v") as source:
                ref = keep(bank, source)
            with bank.open_data(ref) as reader:
                assert reader.read() == whole(SIZE, DATA)
        else:
            bank.open_data(ref).restore_to(place.sink("w", SIZE))
            assert place.content("w") == whole(SIZE, DATA)
        assert place.names() == names
