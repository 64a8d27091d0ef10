"""Deleting, abandoning and collecting, also beside others who write at that very moment."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from refloat.bank import Bank, Writer, markers, packs
from refloat.bank import commit as committing
from refloat.bank.collect import WRITER_LIVES
from refloat.bank.filesystem import FileSystemStore
from refloat.errors import BankError, Conflict, NotFound, RefloatError
from refloat.testing.stores import Hooked, RefuseDelete
from tests.unit.support.bank_helpers import (
    CHUNK,
    KEY,
    NOW,
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


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    monkeypatch.setattr(committing, "_PATIENCE", 0.5)
    return open_bank(tmp_path / "bank")


def root(bank: Bank) -> Path:
    return Path(bank.url.removeprefix("file://"))


def test_deleting_one_leaves_the_others(bank: Bank) -> None:
    start = files(root(bank))
    common = noise(4 * CHUNK, "common")
    contents = {f"c{n}": {"a": common + noise(CHUNK, n)} for n in range(4)}
    for checkpoint_id, content in contents.items():
        protect(bank, checkpoint_id, content)
    for checkpoint_id in ("c0", "c3", "c1", "c2"):
        freed = bank.delete(checkpoint_id)
        assert freed.freed > 0
        assert not freed.postponed
        del contents[checkpoint_id]
        for other, content in contents.items():
            assert restore(bank, other) == content
            bank.verify(other)
        with pytest.raises(NotFound):
            bank.delete(checkpoint_id)
    assert files(root(bank)) == start


def test_abandoning_leaves_the_bank_as_it_was(bank: Bank) -> None:
    protect(bank, "c1", {"a": noise(5 * CHUNK)})
    before = files(root(bank))
    with bank.writer("c2", "p1") as writer:
        writer.put_data([noise(5 * CHUNK), noise(5 * CHUNK, 2)])
        writer.put_data([b"x"])
    assert files(root(bank)) != before
    open_bank(root(bank)).abandon("c2")
    assert files(root(bank)) == before
    writer = bank.writer("c3", "p1")
    writer.put_data([b"x"])
    writer.abandon()
    assert files(root(bank)) == before
    with pytest.raises(Conflict):
        writer.put_data([b"x"])


def _fails_when_stored(where: Path, chunks: int, packs: int) -> Iterator[bytes]:
    """So many chunks, and an error once the bank has that many packs."""
    yield from (noise(CHUNK, n) for n in range(1, chunks + 1))
    deadline = time.monotonic() + 60
    while len(objects(where, ".pack")) < packs and time.monotonic() < deadline:
        time.sleep(0.01)
    yield bytes(1 // 0)


def test_a_writer_opened_again_knows_what_it_stored(bank: Bank) -> None:
    with bank.writer("c1", "p1") as writer:
        first = writer.put_data([noise(9 * CHUNK)])
        with pytest.raises(ZeroDivisionError):
            writer.put_data(_fails_when_stored(root(bank), 8, packs=len(objects(root(bank), ".pack")) + 4))
    with open_bank(root(bank)).writer("c1", "p1") as writer:
        assert writer.put_data([noise(9 * CHUNK)])["stored"] < 2000
        second = writer.put_data(noise(CHUNK, n) for n in range(1, 6))
        assert second["stored"] < 2000
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": first}, "b": {"data": second}})
    assert restore(bank, "c1")["a"] == noise(9 * CHUNK)
    bank.verify("c1")
    assert not list((root(bank) / "writers").glob("*"))


def test_nothing_shared_is_removed_while_somebody_writes(bank: Bank) -> None:
    protect(bank, "c1", {"a": noise(5 * CHUNK)})
    with bank.writer("c2", "p1") as writer:
        ref = writer.put_data([noise(5 * CHUNK)])
        assert ref["stored"] < 2000
        deleted = bank.delete("c1")
        assert "being written" in deleted.postponed
        assert deleted.freed < 5000
        assert "being written" in bank.collect().postponed
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert restore(bank, "c2") == {"a": noise(5 * CHUNK)}
    assert bank.collect().freed == 0
    assert bank.delete("c2").freed > 5 * CHUNK
    assert objects(root(bank), ".pack") == []


def test_a_writer_of_another_project_is_no_reason_to_wait(bank: Bank) -> None:
    protect(bank, "c1", {"a": noise(CHUNK)})
    with bank.writer("c2", "p2"):
        assert bank.delete("c1").freed > CHUNK


def test_a_writer_that_died_long_ago_is_cleaned_up(bank: Bank) -> None:
    protect(bank, "c1", {"a": noise(CHUNK)})
    before = files(root(bank))
    writer = bank.writer("c2", "p1")
    writer.put_data([noise(3 * CHUNK, 2)])
    (marker,) = (root(bank) / "writers").iterdir()
    assert bank.collect().freed == 0
    long_ago = time.time() - WRITER_LIVES - 10
    os.utime(marker, (long_ago, long_ago))
    assert bank.collect().freed > 3 * CHUNK
    assert files(root(bank)) == before
    with pytest.raises(Conflict, match="given up"):
        writer.commit(created_at=NOW, graph={}, sections={})
    assert files(root(bank)) == before


def age(root: Path, pattern: str) -> None:
    """Markers as if the store had got them so long ago that their writers are taken for dead."""
    for path in root.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # it was renewed just now
            os.utime(path, (time.time() - WRITER_LIVES - 10,) * 2)


def renewed(root: Path) -> bool:
    times = [path.stat().st_mtime for path in root.glob("alive/*")]
    return any(each > time.time() - 3600 for each in times)


def test_m7_a_writer_that_lives_for_weeks_is_not_taken_for_dead(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it has nothing to store for days: it waits for a service."""
    monkeypatch.setattr(markers, "RENEWED_EVERY", 0.05)
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(CHUNK)])
        for _week in range(3):
            age(root(bank), "*/c1.*")
            for _ in range(6000):
                with contextlib.suppress(FileNotFoundError):
                    if renewed(root(bank)):
                        break
                time.sleep(0.01)
            open_bank(root(bank)).collect()
        assert len(list(root(bank).glob("alive/*"))) <= 2  # a few bytes, however long it takes
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert restore(bank, "c1") == {"a": noise(CHUNK)}
    assert not list(root(bank).glob("alive/*"))
    assert not list(root(bank).glob("writers/*"))


def test_m7_whoever_goes_on_after_a_crash_renews_the_marker(bank: Bank) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(CHUNK)])
    age(root(bank), "*/c1.*")
    with bank.writer("c1", "p1") as writer:
        open_bank(root(bank)).collect()
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert restore(bank, "c1") == {"a": noise(CHUNK)}


def test_m7_a_dead_writer_is_still_cleared_away(bank: Bank) -> None:
    for _again in range(2):
        with bank.writer("c1", "p1") as writer:
            writer.put_data([noise(CHUNK)])
        age(root(bank), "writers/*")
    assert list(root(bank).glob("alive/*"))
    assert bank.collect().freed == 0
    age(root(bank), "*/c1.*")
    assert bank.collect().freed > CHUNK
    assert {p.parent.name for p in objects(root(bank))} == {"bank", "keys"}


def test_the_marker_of_a_committed_writer_is_no_hindrance(bank: Bank) -> None:
    """The process died between the manifest and the marker."""
    before = files(root(bank))
    first = protect(bank, "c0", {"a": noise(CHUNK, "c0")})
    assert first
    store = RefuseDelete(FileSystemStore(root(bank)))
    protect(Bank.open(store, KEY), "c1", {"a": noise(3 * CHUNK)})
    assert len(list((root(bank) / "writers").iterdir())) == 1
    assert bank.delete("c0").freed > CHUNK
    assert restore(bank, "c1") == {"a": noise(3 * CHUNK)}
    with pytest.raises(Conflict, match="finished"):
        bank.abandon("c1")
    assert restore(bank, "c1") == {"a": noise(3 * CHUNK)}
    bank.delete("c1")
    assert files(root(bank)) == before


def test_abandoning_cannot_hurt_who_shares_with_a_deleted_checkpoint(bank: Bank) -> None:
    locked = Bank.open(RefuseDelete(FileSystemStore(root(bank))), KEY)
    protect(locked, "c1", {"a": noise(3 * CHUNK)})  # its marker stays
    protect(bank, "c2", {"a": noise(3 * CHUNK)})
    bank.delete("c1")
    bank.abandon("c1")
    bank.writer("c1", "p1").abandon()
    assert restore(bank, "c2") == {"a": noise(3 * CHUNK)}


def test_a_store_that_refuses_to_delete(bank: Bank) -> None:
    locked = Bank.open(RefuseDelete(FileSystemStore(root(bank))), KEY)
    for n in range(3):
        protect(locked, f"c{n}", {"a": noise(3 * CHUNK) + noise(5, n)})
    with pytest.raises(BankError, match="locked"):
        locked.delete("c1")
    for n in range(3):
        assert restore(locked, f"c{n}") == {"a": noise(3 * CHUNK) + noise(5, n)}
        locked.verify(f"c{n}")


def test_two_writers_of_one_checkpoint(bank: Bank) -> None:
    one, two = bank.writer("c1", "p1"), bank.writer("c1", "p1")
    refs = [w.put_data([noise(CHUNK, n)]) for n, w in enumerate((one, two))]
    one.commit(created_at=NOW, graph={}, sections={"a": {"data": refs[0]}})
    with pytest.raises(Conflict, match="another content"):
        two.commit(created_at=NOW, graph={}, sections={"a": {"data": refs[1]}})
    bank.writer("c1", "p1").abandon()
    assert restore(bank, "c1") == {"a": noise(CHUNK, 0)}
    bank.collect()
    assert restore(bank, "c1") == {"a": noise(CHUNK, 0)}


def during(bank: Bank, when: Callable[[str, str], bool], then: Callable[[], object]) -> Bank:
    """The same bank, but ``then`` happens just before the first request for which ``when``."""
    done = threading.Event()

    def before(operation: str, name: str) -> None:
        if not done.is_set() and when(operation, name):
            done.set()
            then()

    return Bank.open(Hooked(FileSystemStore(root(bank)), before), KEY)


def test_a_writer_that_comes_in_the_middle_of_a_collection(bank: Bank) -> None:
    """At every single request of a deletion, somebody else protects the same data."""
    content = {"a": noise(3 * CHUNK)}
    for step in range(100):
        protect(bank, "old", content)
        count = [0]

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        during(bank, is_now, lambda: protect(open_bank(root(bank)), "new", content)).delete("old")
        if count[0] <= step:
            break
        assert restore(bank, "new") == content, step
        bank.delete("new")
        bank.collect()
        assert objects(root(bank), ".pack") == []
    assert 10 < step < 99


def test_a_collection_in_the_middle_of_a_deletion(bank: Bank) -> None:
    """Whatever it sees, it is never a manifest that was lost."""
    for step in range(100):
        protect(bank, "old", {"a": noise(3 * CHUNK), "b": b"x"})
        count = [0]

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        def meanwhile() -> None:
            other = open_bank(root(bank))
            assert not other.collect().postponed
            assert other.verify_all("manifests").damages == []

        during(bank, is_now, meanwhile).delete("old")
        bank.collect()
        assert {p.parent.name for p in objects(root(bank))} == {"bank", "keys"}, step
        if count[0] <= step:
            break
    assert 8 < step < 99


def test_a_commit_in_the_middle_of_a_collection(bank: Bank) -> None:
    content = {"a": noise(3 * CHUNK)}
    for step in range(100):
        protect(bank, "old", content)
        writer = open_bank(root(bank)).writer("new", "p1")
        ref = writer.put_data([content["a"]])
        count = [0]

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        def commit(writer: Writer = writer, ref: dict[str, object] = ref) -> None:
            writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})

        during(bank, is_now, commit).delete("old")
        if count[0] <= step:
            break
        assert restore(bank, "new") == content, step
        bank.delete("new")
        bank.collect()
        assert objects(root(bank), ".pack") == []
    assert 10 < step < 99


@pytest.mark.parametrize("answer_lost", [False, True])
def test_abandoned_at_every_request_of_a_commit(bank: Bank, answer_lost: bool) -> None:
    """Either the checkpoint is there and whole, or the commit failed; never something in between."""
    seen = set()
    for step in range(100):
        count = [0]
        abandoned: list[bool] = []

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        def abandon(abandoned: list[bool] = abandoned) -> None:
            try:
                open_bank(root(bank)).abandon("c1")
                abandoned.append(True)
            except Conflict:
                abandoned.append(False)

        with bank.writer("c1", "p1") as writer:
            ref = writer.put_data([noise(CHUNK)])
        sections = {"a": {"data": ref}}
        with during(bank, is_now, abandon).writer("c1", "p1") as writer:
            try:
                writer.commit(created_at=NOW, graph={}, sections=sections)
                committed = True
            except RefloatError:
                committed = False
        if not abandoned:
            break
        seen.add((committed, abandoned[0]))
        if committed:
            assert restore(bank, "c1") == {"a": noise(CHUNK)}, step
            bank.delete("c1")
        else:
            with pytest.raises(NotFound):
                bank.checkpoint("c1")
        bank.abandon("c1")
        bank.collect()
        assert {p.parent.name for p in objects(root(bank))} == {"bank", "keys"}
    assert step > 8
    assert {(False, True), (True, False)} <= seen


def test_committed_twice_at_every_request_of_a_commit(bank: Bank) -> None:
    """A worker taken for dead and its successor commit the same."""
    for step in range(100):
        with bank.writer("c1", "p1") as writer:
            ref = writer.put_data([noise(CHUNK)])
        sections = {"a": {"data": ref}}
        count = [0]

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        def commit(sections: dict[str, object] = sections) -> None:
            with open_bank(root(bank)).writer("c1", "p1") as other:
                other.commit(created_at=NOW, graph={}, sections=sections)

        with during(bank, is_now, commit).writer("c1", "p1") as writer:
            writer.commit(created_at=NOW, graph={}, sections=sections)
        assert restore(bank, "c1") == {"a": noise(CHUNK)}
        bank.delete("c1")
        bank.collect()
        assert {p.parent.name for p in objects(root(bank))} == {"bank", "keys"}, step
        if count[0] <= step:
            break
    assert 8 < step < 99


def test_shared_and_deleted_at_every_request_of_an_abandoning(bank: Bank) -> None:
    """Committed, shared by another checkpoint and deleted, all while somebody abandons it slowly."""
    content = {"a": noise(3 * CHUNK)}
    for step in range(100):
        count = [0]

        def is_now(_operation: str, _name: str, step: int = step, count: list[int] = count) -> bool:
            count[0] += 1
            return count[0] == step + 1

        def meanwhile() -> None:
            with contextlib.suppress(Conflict):
                protect(bank, "c1", content)
            protect(bank, "c2", content)
            with contextlib.suppress(NotFound):
                bank.delete("c1")

        with bank.writer("c1", "p1") as writer:
            writer.put_data([content["a"]])
        with contextlib.suppress(Conflict):
            during(bank, is_now, meanwhile).abandon("c1")
        if count[0] <= step:
            break
        assert restore(bank, "c2") == content, step
        bank.abandon("c1")
        bank.collect()
        assert restore(bank, "c2") == content, step
        bank.delete("c2")
        bank.collect()
        assert {p.parent.name for p in objects(root(bank))} == {"bank", "keys"}
    assert 5 < step < 99


def test_an_abandoned_abandoning_is_finished(bank: Bank) -> None:
    before = files(root(bank))
    for step in range(1, 100):
        with bank.writer("c1", "p1") as writer:
            writer.put_data([noise(CHUNK)])
        left = [step]

        def stop(operation: str, _name: str, left: list[int] = left) -> None:
            left[0] -= operation in ("put", "delete")
            if not left[0]:
                raise ZeroDivisionError

        try:
            Bank.open(Hooked(FileSystemStore(root(bank)), stop), KEY).abandon("c1")
        except ZeroDivisionError:
            protect(bank, "c1", {"a": noise(CHUNK)})
            assert restore(bank, "c1") == {"a": noise(CHUNK)}
            bank.delete("c1")
            bank.collect()
        assert files(root(bank)) == before
        if left[0] > 0:
            break
    assert 4 < step < 99


class Model(RuleBasedStateMachine):
    """Random protects, deletions, half-done writings and collections against a model in memory."""

    kept = Bundle("kept")
    unfinished = Bundle("unfinished")

    @initialize(root=st.just(None))
    def begin(self, root: None) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory(dir=_scratch)
        self.bank = open_bank(Path(self.folder.name) / "bank")
        self.empty = files(Path(self.folder.name))
        self.model: dict[str, dict[str, bytes]] = {}
        self.writers: dict[str, object] = {}
        self.count = 0

    contents = st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.integers(-1, 5), max_size=4).map(
            lambda blocks: b"".join(noise(CHUNK, b) if b >= 0 else bytes(CHUNK) for b in blocks) + b"tail"
        ),
        max_size=3,
    )
    projects = st.sampled_from(["p1", "p2"])

    @rule(target=kept, content=contents, project=projects)
    def protect(self, content: dict[str, bytes], project: str) -> str:
        self.count += 1
        name = f"c{self.count}"
        protect(self.bank, name, content, project=project)
        self.model[name] = content
        return name

    @rule(target=unfinished, content=contents, project=projects)
    def begin_to_write(self, content: dict[str, bytes], project: str) -> tuple[str, str, dict[str, bytes]]:
        self.count += 1
        name = f"c{self.count}"
        with self.bank.writer(name, project) as writer:
            for each in content.values():
                writer.put_data([each])
        self.writers[name] = project
        return name, project, content

    @rule(target=kept, which=consumes(unfinished))
    def finish(self, which: tuple[str, str, dict[str, bytes]]) -> str:
        name, project, content = which
        protect(self.bank, name, content, project=project)
        self.model[name] = content
        del self.writers[name]
        return name

    @rule(which=consumes(unfinished))
    def abandon(self, which: tuple[str, str, dict[str, bytes]]) -> None:
        self.bank.abandon(which[0])
        del self.writers[which[0]]

    @rule(name=consumes(kept))
    def delete(self, name: str) -> None:
        self.bank.delete(name)
        del self.model[name]

    @rule()
    def collect(self) -> None:
        done = self.bank.collect()
        assert bool(done.postponed) <= bool(self.writers)

    @rule()
    def open_again(self) -> None:
        self.bank = Bank.open(self.bank.url, KEY)

    @invariant()
    def all_is_there(self) -> None:
        if hasattr(self, "bank"):
            assert {c.id for c in self.bank.checkpoints()} == set(self.model)
            for name, content in self.model.items():
                assert restore(self.bank, name) == content

    def teardown(self) -> None:
        if not hasattr(self, "bank"):
            return
        for name in self.writers:
            self.bank.abandon(name)
        for name in self.model:
            self.bank.delete(name)
        self.bank.collect()
        assert files(Path(self.folder.name)) == self.empty
        self.folder.cleanup()


_scratch: str | None = None


@pytest.mark.parametrize("pack_size", [CHUNK, 3 * CHUNK])
def test_model(pack_size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setattr(packs, "PACK_SIZE", pack_size)
    monkeypatch.setattr("test_bank_collect._scratch", str(tmp_path))
    run_state_machine_as_test(
        Model, settings=settings(max_examples=15, stateful_step_count=15, deadline=None)
    )
