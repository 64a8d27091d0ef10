"""Is a store fit for a bank? Tries out what the bank relies on, and measures.

Everything is written below ``qualify/`` and random names, and removed at the end if the store allows it.
"""

from __future__ import annotations

import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from refloat.bank.mount import caching_at
from refloat.bank.store import AlreadyExists, Store, Unavailable, get_or_none
from refloat.bank.urls import parse
from refloat.errors import BankError, Cancelled

OK, WARNING, FAIL = "ok", "warning", "fail"

WRITERS = 8
ROUNDS = 4
RACES = 12
STREAMS = 4
MEBI = 1 << 20

CLOCK_WARNS = 300.0
CLOCK_FAILS = 3 * 86400.0
"""A writer is taken for dead 7 days after its marker was written, by the store's time and the collector's
clock: with clocks days apart, living writers would be undone."""

FILE_SYSTEM = "file system"
"""The property that tells of late listings."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out about one property.

    :param verdict: ``ok``, ``warning`` (the bank works; read the text) or ``fail`` (no place for a bank).
    """

    property: str
    verdict: str
    text: str


@dataclass
class StoreReport:
    """What came out of all checks.

    :param left: names of objects that the store did not let us remove.
    """

    url: str
    findings: list[Finding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        return all(finding.verdict != FAIL for finding in self.findings)


def qualify(
    store: Store,
    *,
    size: int = 16 * MEBI,
    told: Callable[[str], None] = lambda _property: None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> StoreReport:
    """Try a store out.

    :param size: bytes of each of the four objects with which the throughput is measured.
    :param told: called with the name of each property before it is tried.
    :param cancelled: asked between the checks; what was written is removed then, too.
    :raises Cancelled: ``cancelled`` said yes.
    :raises BankError: the store cannot be used at all: nothing can be written.
    """
    return _Trial(store, size, clock).run(told, cancelled)


class _Trial:
    def __init__(self, store: Store, size: int, clock: Callable[[], float]) -> None:
        self._store = store
        self._size = size
        self._clock = clock
        self._root = f"qualify/{secrets.token_hex(8)}"
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._report = StoreReport(store.url)

    def run(self, told: Callable[[str], None], cancelled: Callable[[], bool]) -> StoreReport:
        try:
            told("first write")
            self._put("first", b"first")
            for name, check in _CHECKS:
                if cancelled():
                    raise Cancelled("the check was cancelled")
                told(name)
                try:
                    verdict, text = check(self)
                except Unavailable:
                    raise
                except BankError as error:
                    verdict, text = FAIL, str(error)
                self._report.findings.append(Finding(name, verdict, text))
            self._report.findings += self.file_system()
        finally:
            told("tidying up")
            self._tidy()
        return self._report

    # --- the checks; each answers with a verdict and a text

    def read_after_write(self) -> tuple[str, str]:
        """An object can be read as soon as it is written."""
        for number in range(ROUNDS):
            content = secrets.token_bytes(1000)
            self._put(f"read/{number}", content)
            if self._get(f"read/{number}") != content:
                return FAIL, "an object is not there, or is another one, right after it was written"
            if self._store.get_range(self._name(f"read/{number}"), 100, 200) != content[100:300]:
                return FAIL, "a part of an object is not what was written"
        return OK, "an object can be read as soon as it is written"

    def list_after_write(self) -> tuple[str, str]:
        """A listing shows an object as soon as it is written."""
        wanted = set()
        for number in range(ROUNDS * 2):
            wanted.add(self._name(f"list/{number}"))
            self._put(f"list/{number}", bytes(number))
            missing = wanted - self._listed("list/")
            if missing:
                return FAIL, f"{len(missing)} of {len(wanted)} new objects are missing in a listing"
        sizes = {entry.size for entry in self._store.list(f"{self._root}/list/")}
        if sizes != set(range(ROUNDS * 2)):
            return FAIL, "a listing tells wrong sizes"
        return OK, "a listing shows an object as soon as it is written"

    def repeated_write(self) -> tuple[str, str]:
        self._put("again", b"the same")
        try:
            self._put("again", b"the same")
        except AlreadyExists:
            return FAIL, "writing the same again is refused: a write whose answer was lost cannot be repeated"
        return OK, "writing the same again changes nothing and is no error"

    def no_overwrite(self) -> tuple[str, str]:
        """Another content under the same name is refused."""
        self._put("over", b"one")
        try:
            self._put("over", b"two")
        except AlreadyExists:
            if self._get("over") == b"one":
                return OK, "an object that is there is never replaced"
        return FAIL, "an object was replaced by another one of its name"

    def one_writer_wins(self) -> tuple[str, str]:
        """Of many writers of one name exactly one wins."""
        several = 0
        for number in range(RACES):
            won = self._race(f"race/{number}")
            if not won:
                return FAIL, f"none of {WRITERS} writers of one name won"
            if self._get(f"race/{number}") not in won:
                return FAIL, "an object is none of those that were written"
            several += len(won) > 1
        if several:
            return WARNING, (
                f"in {several} of {RACES} races of {WRITERS} writers for one name, several were told that "
                "they had won: protect into this bank from one machine only"
            )
        return OK, f"of {WRITERS} writers of one name exactly one wins"

    def whole_objects(self) -> tuple[str, str]:
        """A reader never sees part of an object."""
        pieces = [secrets.token_bytes(MEBI)] * max(2, min(8, self._size // MEBI))
        size = sum(map(len, pieces))
        stop = threading.Event()
        partial: list[int] = []

        def look() -> None:
            while not stop.is_set() and not partial:
                for entry in self._store.list(f"{self._root}/whole"):
                    if entry.size != size:
                        partial.append(entry.size)
                found = self._get("whole")
                if found is not None and len(found) != size:
                    partial.append(len(found))
                stop.wait(0.001)

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(look) for _ in range(2)]
            try:
                self._put("whole", pieces)
            finally:
                stop.set()
            for reader in readers:
                reader.result()
        if partial:
            return FAIL, f"while {size} bytes were written, an object of {partial[0]} bytes was seen"
        return OK, "an object is seen whole or not at all"

    def delete(self) -> tuple[str, str]:
        self._put("delete/x", b"x")
        try:
            self._store.delete(self._name("delete/x"))
        except Unavailable:
            raise
        except BankError as error:
            return WARNING, (
                f"objects cannot be removed now ({error.reason or error.message}): protecting works, and "
                "what is no longer needed stays until the store lets it go"
            )
        if self._get("delete/x") is not None:
            return FAIL, "an object can be read after it was removed"
        if self._listed("delete/"):
            return FAIL, "a listing shows an object that was removed"
        self._store.delete(self._name("delete/x"))
        self._put("delete/x", b"another")
        if self._get("delete/x") != b"another":
            return FAIL, "a name cannot be used again after its object was removed"
        return OK, "an object is gone, also from listings, as soon as it is removed"

    def clock(self) -> tuple[str, str]:
        """The store and this machine agree on the time."""
        before = self._clock()
        self._put("clock", b"tick")
        after = self._clock()
        modified = self._store.stat(self._name("clock")).modified
        if not modified:
            return FAIL, "the store does not tell when it got an object"
        # Some tell whole seconds only.
        apart = max(before - 1 - modified, modified - (after + 1), 0.0)
        text = (
            f"the store's clock and this machine's are {_duration(apart)} apart"
            if apart
            else "the clocks agree"
        )
        if apart > CLOCK_FAILS:
            return FAIL, f"{text}: writers would be taken for dead too early or never"
        return (WARNING if apart > CLOCK_WARNS else OK), text

    def file_system(self) -> list[Finding]:
        """What is known against the file system of a folder."""
        found = parse(self._store.url)
        caching = caching_at(Path(found.prefix)) if found.scheme == "file" else None
        if caching is None or not (caching.needed or caching.unknown):
            return []
        return [Finding(FILE_SYSTEM, FAIL if caching.needed else WARNING, caching.text)]

    def latency(self) -> tuple[str, str]:
        writes: list[float] = []
        reads: list[float] = []
        for number in range(10):
            with _timed(writes):
                self._put(f"latency/{number}", b"x" * 100)
            with _timed(reads):
                self._get(f"latency/{number}")
        write, read = statistics.median(writes) * 1000, statistics.median(reads) * 1000
        verdict = WARNING if max(write, read) > 1000 else OK
        return verdict, f"{write:.0f} ms to write 100 bytes, {read:.0f} ms to read them (median of 10)"

    def throughput(self) -> tuple[str, str]:
        piece = secrets.token_bytes(MEBI)
        pieces = [piece] * max(1, self._size // MEBI)
        total = STREAMS * len(piece) * len(pieces)
        writes: list[float] = []
        reads: list[float] = []
        with ThreadPoolExecutor(STREAMS) as pool:
            with _timed(writes):
                list(pool.map(lambda n: self._put(f"large/{n}", pieces), range(STREAMS)))
            with _timed(reads):
                sizes = list(pool.map(lambda n: len(self._get(f"large/{n}") or b""), range(STREAMS)))
        if sum(sizes) != total:
            return FAIL, "a large object is not what was written"
        write, read = (total / max(seconds, 1e-9) / 1e6 for seconds in (writes[0], reads[0]))
        streams = f"{STREAMS} streams of {len(pieces)} MiB"
        return OK, f"{write:.0f} MB/s to write, {read:.0f} MB/s to read, with {streams}"

    # --- what they share

    def _name(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put(self, name: str, content: bytes | list[bytes]) -> None:
        with self._lock:
            self._written.add(self._name(name))
        self._store.put(self._name(name), content)

    def _get(self, name: str) -> bytes | None:
        return get_or_none(self._store, self._name(name))

    def _listed(self, prefix: str) -> set[str]:
        return {entry.name for entry in self._store.list(f"{self._root}/{prefix}")}

    def _race(self, name: str) -> list[bytes]:
        """The contents of those writers who were told that they have won."""
        gate = threading.Barrier(WRITERS)

        def write(number: int) -> bytes | None:
            content = bytes([number]) * 1000
            gate.wait(60)
            try:
                self._put(name, content)
            except AlreadyExists:
                return None
            return content

        with ThreadPoolExecutor(WRITERS) as pool:
            return [content for content in pool.map(write, range(WRITERS)) if content is not None]

    def _tidy(self) -> None:
        def remove(name: str) -> str:
            try:
                self._store.delete(name)
            except BankError:
                return name
            return ""

        with ThreadPoolExecutor(STREAMS) as pool:
            self._report.left = sorted(filter(None, pool.map(remove, sorted(self._written))))


_CHECKS: tuple[tuple[str, Callable[[_Trial], tuple[str, str]]], ...] = (
    ("read after write", _Trial.read_after_write),
    ("list after write", _Trial.list_after_write),
    ("repeated write", _Trial.repeated_write),
    ("no overwrite", _Trial.no_overwrite),
    ("one writer wins", _Trial.one_writer_wins),
    ("whole objects", _Trial.whole_objects),
    ("delete", _Trial.delete),
    ("clock", _Trial.clock),
    ("latency", _Trial.latency),
    ("throughput", _Trial.throughput),
)


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    """Adds the seconds that its block takes to a list."""
    begun = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - begun)


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
