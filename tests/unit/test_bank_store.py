"""The contract of a store, for every store; and what is particular to the file system."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refloat.bank.filesystem import FileSystemStore
from refloat.bank.store import AlreadyExists, ObjectMissing, Store, open_store
from refloat.bank.wrappers import Full, Hooked, Slow, Wrapper
from refloat.errors import BankError, InvalidInput, NotFound


def plain(root: Path) -> Store:
    return FileSystemStore(root, create=True)


def wrapped(root: Path) -> Store:
    return Slow(Full(Hooked(Wrapper(plain(root)), lambda _operation, _name: None), 1 << 40), 0.0001)


def without_links(root: Path) -> Store:
    return FileSystemStore(root, create=True)


@pytest.fixture(params=[plain, wrapped, without_links], ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param is without_links:

        def refuse(_source: object, _target: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    make: Callable[[Path], Store] = request.param
    opened = make(tmp_path / "store")
    yield opened
    opened.close()


class TestContract:
    def test_what_was_put_is_got(self, store: Store) -> None:
        for size in (0, 1, 4095, 4096, 1 << 20):
            content = os.urandom(size)
            store.put(f"a/{size}", content)
            assert store.get(f"a/{size}") == content
            assert store.stat(f"a/{size}").size == size

    def test_pieces_are_joined(self, store: Store) -> None:
        pieces = [os.urandom(7), b"", *(bytes([i % 256]) * 3 for i in range(3000)), os.urandom(100_000)]
        store.put("pieces", pieces)
        assert store.get("pieces") == b"".join(pieces)

    def test_no_pieces_make_an_empty_object(self, store: Store) -> None:
        store.put("nothing", [])
        assert store.get("nothing") == b""

    def test_a_part(self, store: Store) -> None:
        store.put("x", b"0123456789")
        assert store.get_range("x", 0, 10) == b"0123456789"
        assert store.get_range("x", 3, 4) == b"3456"
        assert store.get_range("x", 8, 5) == b"89"
        assert store.get_range("x", 10, 5) == b""
        assert store.get_range("x", 99, 5) == b""
        assert store.get_range("x", 2, 0) == b""

    def test_the_same_again_is_fine_and_another_is_refused(self, store: Store) -> None:
        store.put("d/x", b"one")
        store.put("d/x", [b"o", b"ne"])
        for other in (b"two", b"on", b"onex", b""):
            with pytest.raises(AlreadyExists):
                store.put("d/x", other)
        assert store.get("d/x") == b"one"
        assert [e.name for e in store.list("")] == ["d/x"]

    def test_what_is_missing_is_missing(self, store: Store) -> None:
        store.put("d/x", b"x")
        for name in ("nothing", "d/nothing", "d", "d/x/y"):
            for read in (store.get, store.stat, lambda n: store.get_range(n, 0, 1)):
                with pytest.raises(ObjectMissing):
                    read(name)

    def test_deleting_and_deleting_again(self, store: Store) -> None:
        store.put("a/b/c/x", b"x")
        store.put("a/y", b"y")
        store.delete("a/b/c/x")
        store.delete("a/b/c/x")
        store.delete("never/was")
        assert [e.name for e in store.list("")] == ["a/y"]
        with pytest.raises(ObjectMissing):
            store.get("a/b/c/x")
        store.put("a/b/c/x", b"another")
        assert store.get("a/b/c/x") == b"another"

    def test_listing_by_prefix(self, store: Store) -> None:
        names = {"bank", "a/x.one", "a/x.two", "a/y", "ab/x", "b/c/d/e", "b/c/f"}
        for name in names:
            store.put(name, name.encode())
        for prefix in ("", "a", "a/", "a/x", "a/x.", "a/x.one", "b/c", "b/c/", "b/", "zz", "zz/y"):
            found = {e.name: e.size for e in store.list(prefix)}
            assert found == {n: len(n) for n in names if n.startswith(prefix)}

    def test_a_listing_tells_the_time(self, store: Store) -> None:
        store.put("x", b"x")
        (entry,) = store.list("")
        assert entry == store.stat("x")
        assert entry.modified > 1.7e9

    @pytest.mark.parametrize(
        "name", ["", "/x", "x/", "a//b", "../x", "a/../b", ".x", "a/.x", "a b", "ä", "x\n", "x\0", "x" * 513]
    )
    def test_what_is_no_name_is_refused(self, store: Store, name: str) -> None:
        for use in (store.get, store.delete, store.stat, lambda n: store.put(n, b"")):
            with pytest.raises(InvalidInput):
                use(name)

    def test_many_threads(self, store: Store) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for i in range(20):
                    name = f"same/{i}/{number}"
                    store.put(name, name.encode() * 100)
                    assert store.get(name) == name.encode() * 100
                    assert name in {e.name for e in store.list(f"same/{i}/")}
                    store.delete(name)  # empties folders that others are about to use
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert not list(store.list(""))


class TestFileSystem:
    def test_only_the_owner_can_read(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            FileSystemStore(tmp_path / "s", create=True).put("a/b/x", b"x")
        finally:
            os.umask(old)
        for path in [tmp_path / "s", *(tmp_path / "s").rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_of_two_writers_of_one_name_one_wins(self, tmp_path: Path) -> None:
        store = FileSystemStore(tmp_path / "s", create=True)
        for i in range(20):
            won: list[bytes] = []
            lost: list[bytes] = []
            gate = threading.Barrier(3)

            def write(content: bytes, i: int = i) -> None:
                gate.wait()  # noqa: B023
                try:
                    store.put(f"x{i}", content)
                    won.append(content)  # noqa: B023
                except AlreadyExists:
                    lost.append(content)  # noqa: B023

            threads = [threading.Thread(target=write, args=(bytes([n]) * 1000,)) for n in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(won) == 1
            assert len(lost) == 2
            assert store.get(f"x{i}") == won[0]

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
        with pytest.raises(BankError, match=r"bank is full.*8000000 bytes are needed and \d+ are free"):
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

    def test_a_vanished_folder_is_not_an_empty_one(self, tmp_path: Path) -> None:
        store = FileSystemStore(tmp_path / "s", create=True)
        store.put("x", b"x")
        (tmp_path / "s").rename(tmp_path / "away")
        for use in (lambda: list(store.list("")), lambda: store.get("x"), lambda: store.put("y", b"")):
            with pytest.raises(BankError, match="vanished") as caught:
                use()
            assert not isinstance(caught.value, ObjectMissing)

    def test_urls(self, tmp_path: Path) -> None:
        open_store(f"file://{tmp_path}/s", create=True).put("x", b"x")
        assert open_store(str(tmp_path / "s")).get("x") == b"x"
        for wrong in ("s3://x/y", "file://x/y", "http://x"):
            with pytest.raises(InvalidInput):
                open_store(wrong)
