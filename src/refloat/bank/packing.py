"""From chunks to packs: hash, look up, compress, pack, encrypt, write.

Several threads carry one chunk each through all of this. What they share is short and under one lock:
the table of known chunks and the pack being filled. A chunk that is being stored by one thread is known
to the others already; they wait for it only at the end, in :meth:`Packer.settle`. A full pack is written
by one of a few other threads, so that nobody who could compute waits for a disk or a network.

A writer has at most ``PACKS`` packs in memory, whatever it stores: who needs another waits until one is
written.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from typing import NamedTuple

from blake3 import blake3

from refloat.bank.dataindex import LOCATION, DataIndex
from refloat.bank.objects import Objects, WriteSession
from refloat.bank.packs import CHUNK_SIZE, RAW, ZSTD, ChunkLocation, OpenPack, Pack, buffer_size
from refloat.bank.sealing import Data, compress_if_worth_it
from refloat.errors import BankError

WORKERS = min((os.cpu_count() or 1) + 1, 8)
"""One thread more than cores: it computes while another waits for the disk."""

UPLOADS = 4
"""Packs that are being written at once."""

PACKS = UPLOADS + 1

_STEP = 64 << 10
_ZEROS = bytes(_STEP)


class Stored:
    """Where a chunk is or will be. ``pack`` is None until the chunk has its place."""

    __slots__ = ("failed", "pack", "place")

    def __init__(self, pack: Pack | OpenPack | None = None, place: ChunkLocation | None = None) -> None:
        self.pack = pack
        self.place = place
        self.failed = False


class Learnt(NamedTuple):
    """Where a chunk is by an index that was read: unpacked when somebody wants to know."""

    packs: Sequence[Pack]
    location: bytes

    def where(self) -> Pack:
        number: int = LOCATION.unpack(self.location)[0]
        return self.packs[number]

    def stored(self) -> Stored:
        number, place, offset, length = LOCATION.unpack(self.location)
        return Stored(self.packs[number], ChunkLocation.of(place, offset, length))


class Found(NamedTuple):
    """A chunk of some data that is not zeros: its number in the data, its id, and where it is."""

    number: int
    chunk_id: bytes
    stored: Stored


class Packer:
    """Stores chunks into packs of one session, each chunk once."""

    def __init__(self, objects: Objects, session: WriteSession, chunk_key: bytes) -> None:
        self._objects = objects
        self._session = session
        self._chunk_key = chunk_key
        self._changed = threading.Condition()
        self._known: dict[bytes, Stored | Learnt] = {}
        self._open: OpenPack | None = None
        self._free: list[memoryview] = []
        self._unmade = PACKS
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="bank-write")

    def close(self) -> None:
        self._uploads.shutdown(wait=True)

    def learn(self, chunks: Iterable[tuple[bytes, Pack, ChunkLocation]]) -> None:
        with self._changed:
            for chunk_id, pack, place in chunks:
                self._known.setdefault(chunk_id, Stored(pack, place))

    def learn_index(self, index: DataIndex) -> None:
        with self._changed:
            known, packs = self._known, index.packs
            known.update(
                {
                    chunk_id: Learnt(packs, location)
                    for chunk_id, location in index.locations()
                    if chunk_id not in known
                }
            )

    def keep(self, packs: Mapping[str, int]) -> None:
        """Forget the chunks that were learnt, but for those in packs of these names and sizes."""
        with self._changed:
            for chunk_id, stored in list(self._known.items()):
                pack = stored.where() if isinstance(stored, Learnt) else stored.pack
                if isinstance(pack, Pack) and packs.get(pack.name) != pack.size:
                    del self._known[chunk_id]

    def known(self, chunk_id: bytes) -> Stored | None:
        """Where a chunk is that may be used again; None: it has to be stored."""
        with self._changed:
            found = self._known.get(chunk_id)
            if isinstance(found, Learnt):
                found = self._known[chunk_id] = found.stored()
            return found

    def store(self, data: Data) -> tuple[bytes, Stored, int]:
        """Store a chunk unless it is known. Its id, where it is, and the bytes this added."""
        chunk_id = blake3(data, key=self._chunk_key).digest()
        with self._changed:
            found = self.known(chunk_id)
            if found is not None:
                return chunk_id, found, 0
            mine = self._known[chunk_id] = Stored()
        try:
            added = self._store(chunk_id, mine, data)
        except BaseException as error:
            self._give_up(chunk_id, mine, error)
            raise
        return chunk_id, mine, added

    def settle(self, chunks: Iterable[Stored]) -> None:
        """Wait until all these chunks are in the store, durably.

        :raises BankError: one of them could not be written.
        """
        wanted = set(chunks)
        with self._changed:
            self._changed.wait_for(lambda: all(c.pack is not None or c.failed for c in wanted))
            if any(c.failed for c in wanted):
                raise BankError("a part of the data could not be stored", advice="Try again")
            packs = {c.pack for c in wanted if isinstance(c.pack, OpenPack)}
            last = self._open
            if last is not None and last in packs:
                last.closed, self._open = True, None
                self._changed.notify_all()
                if last.complete:
                    self._upload(last)
        for pack in packs:
            pack.written.wait()
            if pack.error is not None:
                raise pack.error

    def _store(self, chunk_id: bytes, mine: Stored, data: Data) -> int:
        packed = compress_if_worth_it(data)
        encoding, content = (RAW, data) if packed is None else (ZSTD, packed)
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._free or self._unmade)
            pack = self._open or self._new_pack()
            place = pack.reserve(chunk_id, len(content), encoding)
            self._open = None if pack.closed else pack
            mine.pack, mine.place = pack, place
            self._changed.notify_all()
        pack.room(place)[:] = content
        with self._changed:
            complete = pack.fill()
        if complete:
            self._upload(pack)
        return place.length

    def _new_pack(self) -> OpenPack:
        """A pack to be filled. There is memory for it."""
        name = self._session.new_name("pack")
        if self._free:
            return OpenPack(name, self._free.pop())
        self._unmade -= 1
        return OpenPack(name, memoryview(mmap.mmap(-1, buffer_size())))

    def _upload(self, pack: OpenPack) -> None:
        try:
            self._uploads.submit(self._write, pack)
        except RuntimeError:
            pack.fail(BankError("the writer was closed while data was being stored"))
            self._forget(pack)

    def _write(self, pack: OpenPack) -> None:
        try:
            pack.write(self._objects.store, self._objects.sealer)
        except BaseException:  # it is in the pack for those who wait for it, whatever it is
            self._forget(pack)
        else:
            with self._changed:
                self._free.append(pack.buffer)
                self._changed.notify_all()

    def _give_up(self, chunk_id: bytes, mine: Stored, error: BaseException) -> None:
        """Let nobody wait for a chunk, or for a pack with a gap, that will never come."""
        with self._changed:
            mine.failed = mine.pack is None
            self._known.pop(chunk_id, None)
            pack = mine.pack
            forget = isinstance(pack, OpenPack) and not pack.written.is_set()
            if isinstance(pack, OpenPack) and forget:
                pack.fail(error)
                if self._open is pack:
                    self._open = None
            self._changed.notify_all()
        if isinstance(pack, OpenPack) and forget:
            self._forget(pack)

    def _forget(self, pack: OpenPack) -> None:
        """A pack has failed. Its memory is not used again: others may still be writing into it."""
        with self._changed:
            lost = [i for i, s in self._known.items() if isinstance(s, Stored) and s.pack is pack]
            for chunk_id in lost:
                del self._known[chunk_id]
            self._unmade += 1
            self._changed.notify_all()


class Feed:
    """The chunks of one piece of data on their way through the threads, in order and not too many at once.

    Leaving it as a context manager, however that happens, waits for what is under way.
    """

    def __init__(self, pool: ThreadPoolExecutor, packer: Packer) -> None:
        self._pool = pool
        self._packer = packer
        self._pending: deque[tuple[Future[tuple[list[Found], int]], int]] = deque()
        self._found: list[Found] = []
        self._unwritten: set[OpenPack] = set()
        self._added = 0
        self.done = 0

    def chunk(self, number: int, data: bytes) -> None:
        """A chunk, which nobody changes any more. Raises what went wrong with an earlier one."""
        self.run(lambda: [(number, data)])

    def run(self, read: Callable[[], Iterable[tuple[int, bytes | mmap.mmap]]], upto: int = 0) -> None:
        """Some chunks, which ``read`` gives in a thread; each may change when the next is asked for.

        :param upto: what ``done`` is when these have been stored.
        """
        self._pending.append((self._pool.submit(self._store, read), upto))
        while len(self._pending) > 2 * WORKERS:
            self.take()

    def keep(self, found: Found) -> None:
        """A chunk that is stored already."""
        self._found.append(found)

    @property
    def busy(self) -> bool:
        return bool(self._pending)

    def finish(self) -> tuple[list[Found], int]:
        """Every chunk but those of zeros, in order and durable, and the bytes that were added."""
        while self._pending:
            self.take()
        self._found.sort(key=itemgetter(0))  # what is kept has overtaken what is read
        self._packer.settle(found.stored for found in self._found)
        return self._found, self._added

    def _store(self, read: Callable[[], Iterable[tuple[int, bytes | mmap.mmap]]]) -> tuple[list[Found], int]:
        done: list[Found] = []
        total = 0
        for number, data in read():
            if is_zeros(data):
                continue
            chunk_id, stored, added = self._packer.store(memoryview(data))
            done.append(Found(number, chunk_id, stored))
            total += added
        return done, total

    def take(self) -> None:
        """Wait for the earliest chunks that are under way."""
        future, upto = self._pending.popleft()
        found, added = future.result()
        self.done = max(self.done, upto)
        self._found += found
        self._added += added
        self._unwritten.update(f.stored.pack for f in found if isinstance(f.stored.pack, OpenPack))
        for pack in [pack for pack in self._unwritten if pack.written.is_set()]:
            if pack.error is not None:
                raise pack.error
            self._unwritten.remove(pack)

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_exc: object) -> None:
        for future in [f for f, _ in self._pending if not f.cancel()]:
            future.exception()


def is_zeros(data: bytes | mmap.mmap) -> bool:
    """Whether there is nothing but zeros in it."""
    with memoryview(data) as view:  # startswith takes it without copying it
        return all(_ZEROS.startswith(view[at : at + _STEP]) for at in range(0, len(view), _STEP))


def whole_chunks(
    read_into: Callable[[int, memoryview], None], first: int, count: int, size: int
) -> Iterator[tuple[int, bytes | mmap.mmap]]:
    """Read chunks of data of ``size`` bytes one after the other into the memory of this thread.

    That memory is aligned to a page: copying from the system to elsewhere takes twice as long.
    """
    memory: mmap.mmap | None = getattr(_local, "chunk", None)
    if memory is None:
        memory = _local.chunk = mmap.mmap(-1, CHUNK_SIZE)
    for number in range(first, first + count):
        length = min(CHUNK_SIZE, size - number * CHUNK_SIZE)
        with memoryview(memory) as view, view[:length] as part:
            read_into(number * CHUNK_SIZE, part)
        yield number, memory if length == CHUNK_SIZE else memory[:length]


_local = threading.local()
