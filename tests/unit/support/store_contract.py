"""The contract of a store, as tests: all stores pass them, also behind wrappers that delay or fail."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.errors import InvalidInput


class StoreContract:
    """Subclass it with a fixture ``store``: an empty store."""

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

    def test_pieces_may_be_views_of_memory_that_is_used_again(self, store: Store) -> None:
        memory = bytearray(os.urandom(3_000_000))
        whole = bytes(memory)
        with memoryview(memory) as view:
            store.put("views", [view[:1], b"", view[1:2_500_000], view[2_500_000:]])
        memory[:] = bytes(len(memory))
        assert store.get("views") == whole
        store.put("views", [memoryview(whole)])

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
                for i in range(10):
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

    def test_a_large_object_in_many_pieces(self, store: Store) -> None:
        pieces = [os.urandom(1 << 20) for _ in range(9)]
        store.put("large.pack", pieces)
        whole = b"".join(pieces)
        assert store.get("large.pack") == whole
        assert store.get_range("large.pack", 5_000_001, 3_000_003) == whole[5_000_001:8_000_004]
        store.put("large.pack", pieces)
        with pytest.raises(AlreadyExists):
            store.put("large.pack", pieces[::-1])

    def test_an_object_is_whole_or_absent(self, store: Store) -> None:
        """Whoever reads while it is being written sees nothing, or all of it."""
        pieces = [os.urandom(1 << 18) for _ in range(16)]
        whole = b"".join(pieces)
        written = threading.Event()

        def look() -> set[bytes]:
            seen = set()
            while True:
                last = written.is_set()
                sizes = {e.size for e in store.list("w")}
                assert sizes <= {len(whole)}
                try:
                    seen.add(store.get("w"))
                except ObjectMissing:
                    assert not last
                if last:
                    return seen

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(look)
            try:
                store.put("w", pieces)
            finally:
                written.set()
            assert reader.result(timeout=120) == {whole}


class OneWins:
    """For stores that can tell of two writers of one name who was first."""

    most = 1

    def test_of_several_writers_of_one_name_one_wins(self, store: Store) -> None:
        store.put("first", b"the store has now seen what its service can do")
        for i in range(8):
            gate = threading.Barrier(4)

            def write(content: bytes, name: str = f"x{i}", gate: threading.Barrier = gate) -> bytes | None:
                gate.wait(60)
                try:
                    store.put(name, content)
                except AlreadyExists:
                    return None
                return content

            with ThreadPoolExecutor(4) as pool:
                outcomes = list(pool.map(write, [bytes([n]) * 1000 for n in range(4)]))
            won = [content for content in outcomes if content is not None]
            assert 1 <= len(won) <= self.most
            assert store.get(f"x{i}") in won


class SomeWin(OneWins):
    """For stores that look when a write begins: several may be told that they have won, never nobody."""

    most = 4
