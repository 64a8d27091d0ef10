"""H8: a writer whose operation was taken over publishes nothing, and what comes too late does no harm."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from refloat.bank import Bank, packs
from refloat.bank import commit as committing
from refloat.bank.collect import WRITER_LIVES
from refloat.bank.fence import fenced
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.packs import RangeInto
from refloat.bank.retrying import Retrying
from refloat.bank.store import Parts, Store, Unavailable
from refloat.bank.throttle import Throttled
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankDamaged, Conflict, LeaseLost
from refloat.testing.stores import Crash
from tests.unit.support.bank_helpers import (
    CHUNK,
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

LONG = 60.0
COMMON = noise(4 * CHUNK, "common")
REMOVAL = "(removal of a manifest)"
KINDS = {
    "marker": "writers/",
    "pack": ".pack",
    "index": ".index",
    "body": ".body",
    "manifest": "checkpoints/",
    "sign": ".abandoned",
    "tombstone": "condemned/",
    "removal": REMOVAL,
}


class Window(Wrapper):
    """Whoever publishes an object of a kind for the first time is stopped after it was allowed to.

    Or, instead, whoever removes a manifest.

    :param dies: it publishes that, and is killed.
    """

    def __init__(self, inner: Store, kind: str, *, dies: bool) -> None:
        super().__init__(inner)
        self._kind = KINDS[kind]
        self._dies = dies
        self._first = threading.Lock()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.after: list[str] = []
        """What was published when it had gone on."""

    def delete(self, name: str) -> None:
        if self._kind == REMOVAL and name.startswith("checkpoints/") and self._first.acquire(blocking=False):
            self.reached.set()
            assert self.go_on.wait(LONG)
        self.inner.delete(name)

    def put(self, name: str, content: Parts) -> None:
        stops = (name.startswith(self._kind) or name.endswith(self._kind)) and self._first.acquire(
            blocking=False
        )
        if stops:
            self.reached.set()
            assert self.go_on.wait(LONG)
        elif self.go_on.is_set():
            self.after.append(name)
        self.inner.put(name, content)
        if stops and self._dies:
            raise Crash


class Operation:
    """An operation on a bank that has one checkpoint, ``old``, and that somebody else takes over.

    :param stopped: what its first process was about to publish when it was stopped.
    """

    def __init__(self, root: Path, stopped: str, *, dies: bool = False) -> None:
        self.root = root
        self.bank = open_bank(root)
        protect(self.bank, "old", {"a": COMMON})
        self._lost = self._ended = False
        self._window = Window(FileSystemStore(root), stopped, dies=dies)
        self._pool = ThreadPoolExecutor(1)
        self._work: Future[None] | None = None

    def check(self) -> None:
        if self._lost:
            raise LeaseLost("taken over", ended=self._ended)

    def begin(self, work: Callable[[Bank], object]) -> None:
        """Do that until it is stopped; from then on its lease is lost."""
        bank = open_bank(self._window).fenced(self.check)
        self._work = self._pool.submit(lambda: work(bank) and None)
        assert self._window.reached.wait(LONG)
        self._lost = True

    def wake(self, *, ended: bool = True) -> BaseException | None:
        """Let it go on; how that ends."""
        self._ended = ended
        self._window.go_on.set()
        assert self._work is not None
        try:
            return self._work.exception(LONG)
        finally:
            self._pool.shutdown()

    @property
    def published(self) -> list[str]:
        """What it has published since, other than what it was about to."""
        return self._window.after

    def check_all(self) -> None:
        """Every checkpoint is whole."""
        for info in self.bank.checkpoints():
            self.bank.verify(info.id)
        assert restore(self.bank, "old") == {"a": COMMON}


@pytest.fixture
def operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Operation]:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    monkeypatch.setattr(committing, "_PATIENCE", 0.5)
    return lambda stopped, **more: Operation(tmp_path / "bank", stopped, **more)


def write(bank: Bank, seed: str = "new") -> None:
    """Some of it is shared with the other checkpoint."""
    protect(bank, "new", {"a": COMMON, "b": noise(3 * CHUNK + 17, seed)})


def write_metadata(bank: Bank) -> None:
    """A checkpoint that has no data."""
    protect(bank, "new", {})


def commits(bank: Bank) -> None:
    write(bank, "again")


def abandons(bank: Bank) -> None:
    bank.abandon("new")


def commits_and_deletes(bank: Bank) -> None:
    commits(bank)
    assert not bank.delete("new").postponed


SUCCESSORS = [commits, abandons, commits_and_deletes]


@pytest.mark.parametrize("work", [write, write_metadata])
@pytest.mark.parametrize("successor", SUCCESSORS)
@pytest.mark.parametrize("kind", ["marker", "pack", "index", "body", "manifest"])
def test_what_comes_too_late_harms_nothing_and_goes(
    operation: Callable[..., Operation],
    kind: str,
    successor: Callable[[Bank], None],
    work: Callable[[Bank], None],
) -> None:
    if work is write_metadata and kind in ("pack", "index"):
        return  # it has none
    late = operation(kind)
    late.begin(work)
    successor(late.bank)
    late.bank.collect()
    before = files(late.root)
    assert isinstance(late.wake(), LeaseLost | Conflict)
    late.check_all()
    assert not late.bank.verify_all("full").damages
    late.bank.collect()
    late.check_all()
    assert files(late.root) == before


@pytest.mark.parametrize("successor", SUCCESSORS)
@pytest.mark.parametrize("kind", ["pack", "index"])
def test_data_that_comes_too_late_goes_also_when_its_writer_then_dies(
    operation: Callable[..., Operation], kind: str, successor: Callable[[Bank], None]
) -> None:
    late = operation(kind, dies=True)
    late.begin(write)
    successor(late.bank)
    late.bank.collect()
    before = files(late.root)
    late.wake()
    assert files(late.root) != before
    late.check_all()
    assert not late.bank.verify_all("full").damages
    late.bank.collect()
    assert files(late.root) == before


@pytest.mark.parametrize("kind", ["marker", "body", "manifest"])
def test_so_does_all_else_when_the_checkpoint_was_finished(
    operation: Callable[..., Operation], kind: str
) -> None:
    late = operation(kind, dies=True)
    late.begin(write)
    commits(late.bank)
    late.bank.collect()
    before = files(late.root)
    late.wake()
    late.check_all()
    assert not late.bank.verify_all("full").damages
    late.bank.collect()
    assert files(late.root) == before


@pytest.mark.parametrize("successor", [abandons, commits_and_deletes])
def test_a_marker_that_comes_too_late_is_that_of_a_dead_writer(
    operation: Callable[..., Operation], successor: Callable[[Bank], None]
) -> None:
    late = operation("marker", dies=True)
    late.begin(write)
    successor(late.bank)
    before = files(late.root)
    late.wake()
    late.check_all()
    late.bank.collect()
    (marker,) = (late.root / "writers").iterdir()
    long_ago = time.time() - WRITER_LIVES - 10
    os.utime(marker, (long_ago, long_ago))
    late.bank.collect()
    assert files(late.root) == before


@pytest.mark.parametrize("work", [write, write_metadata])
@pytest.mark.parametrize("successor", [abandons, commits_and_deletes])
def test_a_body_that_comes_too_late_is_reported_and_goes_when_its_writer_then_dies(
    operation: Callable[..., Operation], successor: Callable[[Bank], None], work: Callable[[Bank], None]
) -> None:
    late = operation("body", dies=True)
    late.begin(work)
    successor(late.bank)
    before = files(late.root)
    late.wake()
    late.check_all()
    report = late.bank.verify_all("full")
    assert {damage.checkpoint_id for damage in report.damages} == {"new"}
    late.bank.repair(report, apply=True)
    late.bank.delete("new")
    late.bank.collect()
    late.check_all()
    assert files(late.root) == before


@pytest.mark.parametrize("successor", [abandons, commits_and_deletes])
def test_a_manifest_that_comes_too_late_is_a_damaged_checkpoint_when_its_writer_then_dies(
    operation: Callable[..., Operation], successor: Callable[[Bank], None]
) -> None:
    late = operation("manifest", dies=True)
    late.begin(write)
    successor(late.bank)
    before = files(late.root)
    late.wake()
    with pytest.raises(BankDamaged):
        late.bank.verify("new")
    assert restore(late.bank, "old") == {"a": COMMON}
    late.bank.delete("new")
    late.bank.collect()
    late.check_all()
    assert files(late.root) == before


def test_a_marker_that_comes_before_the_end_is_left_to_who_goes_on(
    operation: Callable[..., Operation],
) -> None:
    late = operation("marker")
    late.begin(write)
    assert isinstance(late.wake(ended=False), LeaseLost)
    (marker,) = (late.root / "writers").iterdir()
    commits(late.bank)
    late.check_all()
    assert not marker.exists()
    assert {info.id for info in late.bank.checkpoints()} == {"old", "new"}


@pytest.mark.parametrize("dies", [False, True])
def test_a_deletion_that_comes_too_late(operation: Callable[..., Operation], dies: bool) -> None:
    late = operation("tombstone", dies=dies)
    write(late.bank)
    late.begin(lambda bank: bank.delete("new"))
    late.bank.delete("new")
    write(late.bank, "made anew")  # as a copy is, under the id that it had
    before = files(late.root)
    error = late.wake()
    assert isinstance(error, Crash if dies else LeaseLost)
    late.check_all()
    late.bank.collect()
    late.check_all()
    assert files(late.root) == before


def test_a_deletion_that_removes_the_manifest_of_a_copy_made_anew_can_be_made_good(
    operation: Callable[..., Operation],
) -> None:
    late = operation("removal")
    write(late.bank)
    late.begin(lambda bank: bank.delete("new"))
    late.bank.delete("new")
    write(late.bank, "made anew")
    before = files(late.root)
    late.wake()
    report = late.bank.verify_all("full")
    assert {damage.checkpoint_id for damage in report.damages} == {"new"}
    late.bank.repair(report, apply=True)
    late.check_all()
    assert "new" in {info.id for info in late.bank.checkpoints()}
    assert files(late.root).keys() == before.keys()


@pytest.mark.parametrize("dies", [False, True])
def test_an_abandonment_that_comes_too_late(operation: Callable[..., Operation], dies: bool) -> None:
    late = operation("sign", dies=dies)
    with late.bank.writer("new", "p1") as writer:
        writer.put_data([noise(CHUNK)])
    late.begin(lambda bank: bank.abandon("new"))
    late.bank.abandon("new")
    write(late.bank, "made anew")
    before = files(late.root)
    late.wake()
    late.check_all()
    late.bank.collect()
    late.check_all()
    assert files(late.root) == before


@pytest.mark.parametrize("kind", ["marker", "pack", "index", "body", "manifest"])
def test_nothing_is_published_after_that(operation: Callable[..., Operation], kind: str) -> None:
    late = operation(kind)
    late.begin(lambda bank: protect(bank, "new", {"a": noise(CHUNK)}))
    late.wake()
    assert late.published == []


def test_a_file_only_lacks_its_name_when_it_is_asked(tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path)
    seen: list[list[Path]] = []

    def check() -> None:
        seen.append(sorted((p for p in tmp_path.rglob("*") if p.is_file()), reverse=True))
        if len(seen) > 1:
            raise LeaseLost("taken over")

    fence = fenced(store, check)
    assert isinstance(fence, RangeInto)
    fence.put("data/x", b"one")
    with pytest.raises(LeaseLost):
        fence.put("data/y", b"two")
    assert [[path.parent.name for path in found] for found in seen] == [[".tmp"], ["data", ".tmp"]]
    assert [path.name for path in objects(tmp_path)] == ["x"]
    assert not list((tmp_path / ".tmp").iterdir())


def test_a_store_that_does_not_answer_is_not_asked_again_once_the_lease_is_lost() -> None:
    asked: list[str] = []
    lost = False

    class Away(Wrapper):
        def put(self, name: str, content: Parts) -> None:
            nonlocal lost
            asked.append(name)
            lost = True
            raise Unavailable("it does not answer")

    def check() -> None:
        if lost:
            raise LeaseLost("taken over")

    class Nowhere(Wrapper):
        def __init__(self) -> None:
            """There is nothing behind it."""

    chain = Throttled(Retrying(Away(Nowhere()), pause=lambda _seconds: None), 1e9)
    with pytest.raises(Unavailable):  # that attempt may have taken effect
        fenced(chain, check).put("data/x", b"one")
    assert asked == ["data/x"]
    with pytest.raises(LeaseLost):
        fenced(chain, check).put("data/y", b"two")
    assert asked == ["data/x"]
