"""``refloat bank check-store``: a good store is called good, and each fault is found out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from refloat.bank.filesystem import FileSystemStore
from refloat.bank.opening import open_store
from refloat.bank.qualify import MEBI, StoreReport, qualify
from refloat.bank.store import AlreadyExists, Denied, ObjectInfo, ObjectMissing, Parts, Store, parts_of
from refloat.bank.wrapper import ReadOnly, Wrapper
from refloat.errors import BankError, Cancelled
from refloat.testing.stores import BitFlip, LateListing, Locked, LostWrite, ShortRead
from tests.unit.support.cli_helpers import Command
from tests.unit.support.object_servers import S3


class InTwoSteps(Wrapper):
    """Writes an object in two steps; whoever looks in between sees half of it."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._seen = threading.Event()

    def put(self, name: str, content: Parts) -> None:
        whole = b"".join(parts_of(content))
        if name.endswith("/whole"):
            self.inner.put(name, whole[:MEBI])
            assert self._seen.wait(60), "nobody looks"
            self.inner.delete(name)
        self.inner.put(name, whole)

    def get(self, name: str) -> bytes:
        found = self.inner.get(name)
        if name.endswith("/whole"):
            self._seen.set()
        return found


class RefuseSame(Wrapper):
    """Whoever writes what is there already is refused, even with the same content."""

    def put(self, name: str, content: Parts) -> None:
        try:
            self.inner.stat(name)
        except ObjectMissing:
            self.inner.put(name, content)
        else:
            raise AlreadyExists("there is an object of this name", resource=name)


class Replacing(Wrapper):
    """The last writer of a name wins, as in a store that knows no conditions."""

    def put(self, name: str, content: Parts) -> None:
        self.inner.delete(name)
        self.inner.put(name, content)


class Shifted(Wrapper):
    """The store's clock is wrong."""

    shift = 0.0

    def stat(self, name: str) -> ObjectInfo:
        entry = self.inner.stat(name)
        return ObjectInfo(entry.name, entry.size, entry.modified + self.shift)


class AnHourOff(Shifted):
    shift = -3600.0


class AMonthOff(Shifted):
    shift = 30 * 86400.0


@pytest.fixture
def good(tmp_path: Path) -> Store:
    return FileSystemStore(tmp_path / "store", create=True)


def verdicts(report: StoreReport) -> dict[str, str]:
    return {item.property: item.verdict for item in report.findings if item.verdict != "ok"}


def check(store: Store) -> StoreReport:
    return qualify(store, size=2 * MEBI)


def test_a_good_store(good: Store) -> None:
    report = check(good)
    assert verdicts(report) == {}
    assert report.fit
    assert len(report.findings) == 10
    assert list(good.list("")) == []


def test_s3(s3: S3) -> None:
    store = open_store(s3.new_url())
    report = check(store)
    assert report.fit
    assert set(verdicts(report)) <= {"one writer wins", "latency"}
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lambda s: LostWrite(s, lambda name: "read/" in name), {"read after write": "fail"}),
        (lambda s: BitFlip(s, 70, lambda name: "read/" in name), {"read after write": "fail"}),
        (lambda s: ShortRead(s, 1, lambda name: "large/" in name), {"throughput": "fail"}),
        (lambda s: LateListing(s, 1, lambda name: "list/" in name), {"list after write": "fail"}),
        (lambda s: LateListing(s, 1, lambda name: "delete/" in name), {"delete": "fail"}),
        (RefuseSame, {"repeated write": "fail"}),
        (InTwoSteps, {"whole objects": "fail"}),
        (AnHourOff, {"clock": "warning"}),
        (AMonthOff, {"clock": "fail"}),
    ],
)
def test_a_fault_is_found(good: Store, fault: Callable[[Store], Store], found: dict[str, str]) -> None:
    report = check(fault(good))
    assert verdicts(report) == found
    assert report.fit == ("fail" not in found.values())


def test_a_store_that_replaces(good: Store) -> None:
    found = verdicts(check(Replacing(good)))
    assert found["no overwrite"] == "fail"


def test_object_lock(good: Store) -> None:
    report = check(Locked(good))
    assert verdicts(report) == {"delete": "warning"}
    assert report.fit
    assert len(report.left) > 20
    assert sorted(entry.name for entry in good.list("")) == report.left


def test_a_store_that_is_read_only(good: Store) -> None:
    with pytest.raises(Denied, match="read-only"):
        check(ReadOnly(good))


def test_cancelled_in_the_middle_it_tidies_up(good: Store) -> None:
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        qualify(good, cancelled=lambda: next(answers))
    assert list(good.list("")) == []


class TestCommand:
    def test_good(self, refloat: Command, tmp_path: Path) -> None:
        done = refloat.run("bank", "check-store", f"{tmp_path}/new", "--create", "--size", "1", "-f", "json")
        assert done.status == 0
        assert {item["verdict"] for item in done.json} <= {"ok", "warning"}
        assert "can hold a bank" in done.err

    def test_no_such_place(self, refloat: Command, tmp_path: Path) -> None:
        done = refloat("bank", "check-store", f"{tmp_path}/none")
        assert done.status == 1
        assert "no folder" in done.err

    def test_not_fit(self, refloat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        told = AMonthOff(FileSystemStore(tmp_path))
        monkeypatch.setattr("refloat.bank.opening.open_store", lambda _url, create: told)
        done = refloat("bank", "check-store", str(tmp_path), "--size", "1")
        assert done.status == 1
        assert "is no place for a bank" in done.err

    def test_nothing_can_be_written(
        self, refloat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_store: object, name: str, _content: Parts) -> None:
            raise BankError("the store failed", resource=name, reason="Read-only file system")

        monkeypatch.setattr(FileSystemStore, "put", refuse)
        done = refloat("bank", "check-store", str(tmp_path))
        assert done.status == 1
        assert "Read-only file system" in done.err
