"""The contract of a store, for every store that needs no cloud; and what is particular to each."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.bank.filesystem import FileSystemStore
from refloat.bank.opening import open_store
from refloat.bank.retrying import Retrying
from refloat.bank.store import ObjectMissing, Store, StoreFull
from refloat.bank.throttle import Throttled
from refloat.bank.wrapper import Wrapper
from refloat.errors import BankError, InvalidInput, NotFound
from refloat.testing.stores import Flaky, Full, Hooked, Slow
from tests.unit.support.object_servers import S3
from tests.unit.support.store_contract import OneWins, StoreContract


def plain(root: Path) -> Store:
    return FileSystemStore(root, create=True)


def wrapped(root: Path) -> Store:
    store = Slow(Full(Hooked(Wrapper(plain(root)), lambda _operation, _name: None), 1 << 40), 0.0001)
    return Throttled(store, 1e12)


def without_links(root: Path) -> Store:
    return FileSystemStore(root, create=True)


def lost_connections(root: Path) -> Store:
    return retrying(Flaky(plain(root), 3))


def lost_answers(root: Path) -> Store:
    return retrying(Flaky(plain(root), 3, done=True))


def retrying(store: Store) -> Store:
    """So often that threads which meet in step, one of which always loses, end before."""
    return Retrying(store, attempts=1000, pause=lambda _seconds: None)


@pytest.fixture(
    params=[plain, wrapped, without_links, lost_connections, lost_answers], ids=lambda make: make.__name__
)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param is without_links:

        def refuse(_source: object, _target: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    make: Callable[[Path], Store] = request.param
    opened = make(tmp_path / "store")
    yield opened
    opened.close()


class TestContract(StoreContract):
    pass


class TestS3(StoreContract):
    """Against a server of its own, over HTTP."""

    @pytest.fixture(params=["plain", "lost connections", "lost answers"])
    def store(self, request: pytest.FixtureRequest, s3: S3) -> Iterator[Store]:
        opened = open_store(s3.new_url())
        if request.param != "plain":
            opened = retrying(Flaky(opened, 3, done=request.param == "lost answers"))
        yield opened
        opened.close()


class TestFileSystem:
    def test_only_the_owner_can_read(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            FileSystemStore(tmp_path / "s", create=True).put("a/b/x", b"x")
        finally:
            os.umask(old)
        for path in [tmp_path / "s", *(tmp_path / "s").rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(self, tmp_path: Path) -> None:
        store = FileSystemStore(tmp_path, create=True)
        store.put("x", b"x")
        dead = tmp_path / ".tmp" / "dead"
        dead.write_bytes(b"half")
        alive = tmp_path / ".tmp" / "alive"
        holder = subprocess.Popen(
            ["flock", str(alive), "sh", "-c", "echo ready; read line"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        FileSystemStore(tmp_path)
        assert not dead.exists()
        assert alive.exists()
        holder.stdin.close()
        holder.wait()
        FileSystemStore(tmp_path)
        assert not alive.exists()
        assert [e.name for e in store.list("")] == ["x"]

    def test_a_temporary_file_that_is_taken_for_a_leftover_is_written_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = FileSystemStore(tmp_path, create=True)
        link = os.link
        seen = []

        def snatch(source: Path, target: Path) -> None:
            seen.append(source)
            if len(seen) == 1:
                source.unlink()
            link(source, target)

        monkeypatch.setattr(os, "link", snatch)
        store.put("a/x", b"x")
        assert store.get("a/x") == b"x"
        assert len(seen) == 2

    def test_an_empty_folder_goes_with_the_next_listing(self, tmp_path: Path) -> None:
        store = FileSystemStore(tmp_path, create=True)
        store.put("a/x", b"x")
        (tmp_path / "a/b/c").mkdir(parents=True)
        assert list(store.list("a/b/c/")) == []
        assert sorted(p.name for p in tmp_path.rglob("*")) == [".tmp", "a", "x"]

    def test_a_write_that_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = FileSystemStore(tmp_path, create=True)

        def fail(_fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(BankError, match="Input/output error"):
            store.put("a/x", b"x")
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]

    def test_full(self, tiny: Path) -> None:
        store = FileSystemStore(tiny)
        store.put("small", b"x" * 1000)
        with pytest.raises(StoreFull, match=r"bank is full.*8000000 bytes are needed and \d+ are free"):
            store.put("a/large", b"x" * 8_000_000)
        assert [e.name for e in store.list("")] == ["small"]
        assert [p.name for p in tiny.rglob("*") if p.is_file()] == ["small"]
        store.put("a/fits", b"x" * 100_000)

    @pytest.fixture
    def tiny(self, tmp_path: Path) -> Iterator[Path]:
        place = tmp_path / "tiny"
        place.mkdir()
        try:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)],
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("there is no mount command")
        if mounted.returncode:
            pytest.skip("mounting needs root")
        yield place
        subprocess.run(["umount", str(place)], check=True)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no folder"):
            FileSystemStore(tmp_path / "nothing")
        (tmp_path / "file").write_text("x")
        with pytest.raises(InvalidInput, match="not a folder"):
            FileSystemStore(tmp_path / "file")
        for create in (False, True):
            with pytest.raises((NotFound, InvalidInput), match=str(tmp_path / "file" / "bank")):
                FileSystemStore(tmp_path / "file" / "bank", create=create)

    def test_a_vanished_folder_is_not_an_empty_one(self, tmp_path: Path) -> None:
        store = FileSystemStore(tmp_path / "s", create=True)
        store.put("x", b"x")
        (tmp_path / "s").rename(tmp_path / "away")
        for use in (lambda: list(store.list("")), lambda: store.get("x"), lambda: store.put("y", b"")):
            with pytest.raises(BankError, match="vanished") as caught:
                use()
            assert not isinstance(caught.value, ObjectMissing)


class TestFileSystemRace(OneWins):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return plain(tmp_path / "store")


def test_a_folder_that_others_make_and_prune_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, mkdir, left = FileSystemStore(tmp_path / "store", create=True), os.mkdir, [2]

    def pruned(path: Any, *given: Any, **more: Any) -> None:
        if Path(path).name == "same" and left[0]:
            left[0] -= 1
            raise FileExistsError(errno.EEXIST, "File exists")
        mkdir(path, *given, **more)

    monkeypatch.setattr(os, "mkdir", pruned)
    store.put("same/x", b"1")
    assert (store.get("same/x"), left) == (b"1", [0])
