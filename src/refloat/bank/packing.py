"""From chunks to packs: hash, look up, compress, encrypt, pack, write.

Several threads carry one chunk each through all of this. What they share is short and under one lock:
the table of known chunks and the pack being filled. A chunk that is being stored by one thread is known
to the others already; they wait for it only at the end, in :meth:`Packer.settle`. Whoever fills the last
gap of a full pack writes it, while the others go on with the next one.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from blake3 import blake3

from refloat.bank.dataindex import ZERO_ID
from refloat.bank.objects import Objects, Session
from refloat.bank.packs import CHUNK_SIZE, RAW, ZSTD, OpenPack, Pack, Place
from refloat.bank.sealing import compress
from refloat.errors import BankError

WORKERS = min((os.cpu_count() or 1) + 1, 8)
"""One thread more than cores: it computes while another waits for the disk."""

_ZEROS = bytes(CHUNK_SIZE)


class Stored:
    """Where a chunk is or will be. ``pack`` is None until the chunk has its place."""

    __slots__ = ("failed", "pack", "place")

    def __init__(self, pack: Pack | OpenPack | None = None, place: Place | None = None) -> None:
        self.pack = pack
        self.place = place
        self.failed = False


class Packer:
    """Stores chunks into packs of one session, each chunk once."""

    def __init__(self, objects: Objects, session: Session, chunk_key: bytes) -> None:
        self._objects = objects
        self._session = session
        self._chunk_key = chunk_key
        self._changed = threading.Condition()
        self._known: dict[bytes, Stored] = {}
        self._open: OpenPack | None = None

    def learn(self, chunks: Iterable[tuple[bytes, Pack, Place]]) -> None:
        """Chunks that are in the bank already."""
        with self._changed:
            for chunk_id, pack, place in chunks:
                self._known.setdefault(chunk_id, Stored(pack, place))

    def keep(self, packs: Mapping[str, int]) -> None:
        """Forget the chunks that were learnt, but for those in packs of these names and sizes."""
        with self._changed:
            for chunk_id, stored in list(self._known.items()):
                pack = stored.pack
                if isinstance(pack, Pack) and packs.get(pack.name) != pack.size:
                    del self._known[chunk_id]

    def store(self, data: bytes) -> tuple[bytes, Stored, int]:
        """Store a chunk unless it is known. Its id, where it is, and the bytes this added."""
        chunk_id = blake3(data, key=self._chunk_key).digest()
        with self._changed:
            found = self._known.get(chunk_id)
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
                write_it = last.complete
            else:
                write_it = False
        if last is not None and write_it:
            self._write(last)
        for pack in packs:
            pack.written.wait()
            if pack.error is not None:
                raise pack.error

    def _store(self, chunk_id: bytes, mine: Stored, data: bytes) -> int:
        packed = compress(data)
        encoding, packed = (ZSTD, packed) if len(packed) < len(data) else (RAW, data)
        with self._changed:
            pack = self._open
            if pack is None:
                pack = OpenPack(self._objects.sealer.new_pack(self._session.new_name("pack")))
            place = pack.reserve(chunk_id, len(packed), encoding)
            self._open = None if pack.closed else pack
            mine.pack, mine.place = pack, place
            self._changed.notify_all()
        sealed = pack.cipher.encrypt(encoding, place.place, packed)
        with self._changed:
            complete = pack.fill(place, sealed)
        if complete:
            self._write(pack)
        return place.length

    def _write(self, pack: OpenPack) -> None:
        try:
            pack.write(self._objects.store)
        except BaseException:
            self._forget(pack)
            raise

    def _give_up(self, chunk_id: bytes, mine: Stored, error: BaseException) -> None:
        """Let nobody wait for a chunk, or for a pack with a gap, that will never come."""
        with self._changed:
            mine.failed = mine.pack is None
            self._known.pop(chunk_id, None)
            pack = mine.pack
            if isinstance(pack, OpenPack) and not pack.written.is_set():
                pack.fail(error)
                if self._open is pack:
                    self._open = None
            self._changed.notify_all()
        if isinstance(pack, OpenPack) and pack.error is not None:
            self._forget(pack)

    def _forget(self, pack: OpenPack) -> None:
        with self._changed:
            lost = [chunk_id for chunk_id, stored in self._known.items() if stored.pack is pack]
            for chunk_id in lost:
                del self._known[chunk_id]


class Feed:
    """The chunks of one stream on their way through the threads, in order and not too many at once.

    Leaving it as a context manager, however that happens, waits for what is under way.
    """

    def __init__(self, pool: ThreadPoolExecutor, packer: Packer) -> None:
        self._pool = pool
        self._packer = packer
        self._pending: deque[Future[tuple[bytes, Stored, int]] | None] = deque()
        self._found: list[tuple[bytes, Stored | None]] = []
        self._added = 0

    def add(self, chunk: bytes) -> None:
        """The next chunk. Raises what went wrong with an earlier one."""
        zeros = chunk == (_ZEROS if len(chunk) == CHUNK_SIZE else bytes(len(chunk)))
        self._pending.append(None if zeros else self._pool.submit(self._packer.store, chunk))
        while self._pending and (self._pending[0] is None or len(self._pending) > 2 * WORKERS):
            self._take()

    def finish(self) -> tuple[list[tuple[bytes, Stored | None]], int]:
        """Every chunk's id and where it is (None: zeros), and the bytes that were added."""
        while self._pending:
            self._take()
        return self._found, self._added

    def _take(self) -> None:
        first = self._pending.popleft()
        if first is None:
            self._found.append(_ZERO_CHUNK)
            return
        chunk_id, stored, added = first.result()
        self._found.append((chunk_id, stored))
        self._added += added

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in [f for f in self._pending if f is not None and not f.cancel()]:
            future.exception()


_ZERO_CHUNK: tuple[bytes, Stored | None] = (ZERO_ID, None)
