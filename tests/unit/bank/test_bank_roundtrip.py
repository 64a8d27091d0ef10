"""What goes into the bank comes out of it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refloat.bank import Bank, data_references, packs, with_references
from refloat.bank.sources import chunks_of
from refloat.errors import BankError, Cancelled, Conflict, InvalidInput, NotFound
from refloat.testing.stores import Full
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
def bank(tmp_path: Path) -> Bank:
    return open_bank(tmp_path / "bank")


AWKWARD = {
    "nothing": b"",
    "one byte": b"x",
    "one zero": b"\0",
    "not text": b"\xff\xfe\x00\x80binary\xc3\x28",
    "a chunk but one": noise(CHUNK - 1),
    "a chunk": noise(CHUNK),
    "a chunk and one": noise(CHUNK + 1),
    "many": noise(7 * CHUNK + 12345),
    "zeros": bytes(5 * CHUNK),
    "zeros and some": bytes(5 * CHUNK + 77),
    "compressible": b"all work and no play " * 300_000,
    "mixed": bytes(CHUNK) + noise(CHUNK, 1) + b"a" * CHUNK + bytes(CHUNK) + noise(CHUNK, 1) + b"end",
    "zeros but the last": bytes(3 * CHUNK - 1) + b"x",
}


@pytest.mark.parametrize("content", AWKWARD.values(), ids=AWKWARD.keys())
def test_awkward_streams(bank: Bank, content: bytes) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data(io.BytesIO(content), size=len(content))
        assert json.loads(json.dumps(ref)) == ref
        assert ref["size"] == len(content)
        writer.commit(created_at=NOW, graph={}, sections={"s": ref})
    reader = bank.open_data(ref)
    assert reader.size == len(content)
    assert reader.read() == content
    assert reader.read(5) == b""
    assert b"".join(bank.open_data(ref)) == content
    assert bank.verify("c1").bytes == len(content)


def test_all_in_one_checkpoint_with_small_packs(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    protect(bank, "c1", AWKWARD)
    assert restore(bank, "c1") == AWKWARD
    bank.verify("c1")


def test_zeros_cost_nothing(bank: Bank) -> None:
    with bank.writer("c1", "p1") as writer:
        assert writer.put_data(io.BytesIO(bytes(50 * CHUNK)))["stored"] < 1000


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3 * CHUNK), max_size=12), st.integers(0, 2))
def test_reading_in_any_pieces(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int) -> None:
    content = noise(2 * CHUNK + 999, seed) + bytes(CHUNK) + noise(5, seed)
    bank = open_bank(tmp_path_factory.mktemp("b") / "bank")
    ref = protect(bank, "c1", {"a": content})["a"]
    with bank.open_data(ref) as reader:
        at = 0
        for size in sizes:
            assert reader.read(size) == content[at : at + size]
            at += size
        assert b"".join(reader) == content[at:]


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 16))
def test_a_stream_is_cut_right_whatever_its_pieces(pieces: list[bytes], size: int) -> None:
    class Drip(io.RawIOBase):
        def __init__(self) -> None:
            self.left = [p for p in pieces if p]

        def read(self, size: int = -1) -> bytes:
            if not self.left:
                return b""
            piece, self.left[0] = self.left[0][:size], self.left[0][size:]
            if not self.left[0]:
                self.left.pop(0)
            return piece

    content = b"".join(pieces)
    expected = [content[i : i + size] for i in range(0, len(content), size)]
    assert list(chunks_of(pieces, size)) == expected
    assert list(chunks_of(Drip(), size)) == expected


def test_everything_of_a_checkpoint_comes_back(bank: Bank) -> None:
    plan = {"id": "pl", "name": "Müller \U0001f6f6 \udcff", "resources": [{"id": "r", "extra_info": None}]}
    sections = {"OS::Nova::Server#s1": {"a": [1, 2.5, None, True, "ü"]}, "OS::Cinder::Volume#v1": {}}
    with bank.writer("c1", "p1") as writer:
        writer.commit(
            created_at=NOW,
            provider="with the bank",
            plan=plan,
            extra={"more": 1},
            graph=[{"n": 1}, []],
            sections=sections,
        )
    found = Bank.open(bank.url, KEY).checkpoint("c1")
    assert found.sections == sections
    assert found.graph == [{"n": 1}, []]
    info = found.info
    assert (info.id, info.project_id, info.created_at) == ("c1", "p1", NOW)
    assert (info.provider, info.plan, info.extra) == ("with the bank", plan, {"more": 1})
    assert bank.checkpoints() == [info]


def test_listing_newest_first_and_by_project(bank: Bank) -> None:
    for number in (3, 1, 2):
        at = f"2031-01-0{number}T00:00:00Z"
        protect(bank, f"c{number}", {}, project=f"p{number % 2}", created_at=at)
    assert [c.id for c in bank.checkpoints()] == ["c3", "c2", "c1"]
    assert [c.id for c in bank.checkpoints("p1")] == ["c3", "c1"]
    assert [c.id for c in bank.checkpoints("p0")] == ["c2"]
    assert bank.checkpoints("nobody") == []


def test_a_checkpoint_exists_from_its_commit_on(bank: Bank) -> None:
    with bank.writer("c1", "p1") as writer:
        writer.put_data([b"x"])
        assert bank.checkpoints() == []
        with pytest.raises(NotFound):
            bank.checkpoint("c1")
        writer.commit(created_at=NOW, graph={}, sections={})
    assert [c.id for c in bank.checkpoints()] == ["c1"]


def test_the_same_again_stores_nearly_nothing(bank: Bank) -> None:
    content = noise(20 * CHUNK)
    with bank.writer("c1", "p1") as writer:
        first = writer.put_data([content])
        again = writer.put_data([content])
        writer.commit(created_at=NOW, graph={}, sections={"a": first, "b": again})
    assert first["stored"] > len(content)
    assert again["stored"] < 2000
    assert again["digest"] == first["digest"]
    with open_bank(Path(bank.url.removeprefix("file://"))).writer("c2", "p1") as writer:
        later = writer.put_data([content[: 10 * CHUNK] + b"x" + content[10 * CHUNK + 1 :]])
        writer.commit(created_at=NOW, graph={}, sections={"a": later})
    assert CHUNK < later["stored"] < CHUNK + 4000
    assert later["digest"] != first["digest"]


def test_chunks_that_repeat_in_one_stream_are_stored_once(bank: Bank) -> None:
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(CHUNK)] * 40)
    assert ref["stored"] < 1.1 * CHUNK


def test_projects_share_nothing(bank: Bank) -> None:
    content = noise(3 * CHUNK)
    refs = [protect(bank, f"c{p}", {"a": content}, project=p)["a"] for p in ("p1", "p2")]
    assert refs[1]["stored"] > len(content)
    assert refs[0]["digest"] != refs[1]["digest"]


def test_many_streams_at_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", 3 * CHUNK)
    common = noise(2 * CHUNK, "common")
    contents = {str(n): noise(n * CHUNK // 2, n) + common + bytes(CHUNK) for n in range(8)}
    refs = {}
    with bank.writer("c1", "p1") as writer:

        def work(name: str) -> None:
            refs[name] = writer.put_data(io.BytesIO(contents[name]))

        threads = [threading.Thread(target=work, args=(name,)) for name in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.commit(created_at=NOW, graph={}, sections={n: {"data": r} for n, r in refs.items()})
    assert restore(bank, "c1") == contents


def test_a_stream_of_another_size_is_refused(bank: Bank, tmp_path: Path) -> None:
    before = files(tmp_path)
    with bank.writer("c1", "p1") as writer:
        with pytest.raises(BankError, match="ended after 3 of 4 bytes"):
            writer.put_data([b"abc"], size=4)
        with pytest.raises(BankError, match="more than the 2 bytes"):
            writer.put_data([b"abc"], size=2)
    writer.abandon()
    assert files(tmp_path) == before


def test_a_source_that_fails(bank: Bank) -> None:
    def source() -> Iterator[bytes]:
        yield noise(3 * CHUNK)
        raise ConnectionResetError("gone")

    with bank.writer("c1", "p1") as writer:
        with pytest.raises(ConnectionResetError):
            writer.put_data(source())
        ref = writer.put_data([noise(4 * CHUNK)])
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert restore(bank, "c1") == {"a": noise(4 * CHUNK)}


def test_progress_and_cancelling(bank: Bank) -> None:
    told: list[tuple[int, int]] = []
    here = threading.get_ident()

    def tell(done: int, total: int) -> None:
        assert threading.get_ident() == here
        told.append((done, total))

    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(3 * CHUNK)], size=3 * CHUNK, progress=tell)
        assert told == [(n * CHUNK, 3 * CHUNK) for n in (1, 2, 3)]
        with pytest.raises(Cancelled):
            writer.put_data([noise(9 * CHUNK, 5)], cancelled=lambda: len(told) > 2)
        writer.commit(created_at=NOW, graph={}, sections={"a": ref})
    told.clear()
    bank.verify("c1", progress=tell)
    assert told[-1] == (3 * CHUNK, 3 * CHUNK)
    with pytest.raises(Cancelled):
        bank.verify_data(ref, cancelled=lambda: True)


def test_a_full_bank_and_then_room_again(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    store = bank._objects.store
    full = Full(store, 5 * CHUNK)
    tight = Bank.open(full, KEY)
    before = files(tmp_path)
    with tight.writer("c1", "p1") as writer:
        with pytest.raises(BankError, match="full"):
            writer.put_data([noise(100 * CHUNK)])
        full.room = 1 << 40
        ref = writer.put_data([noise(10 * CHUNK)])
        assert bank.open_data(ref).read() == noise(10 * CHUNK)
    writer.abandon()
    assert files(tmp_path) == before


def test_what_nothing_refers_to_is_removed_at_the_commit(bank: Bank, tmp_path: Path) -> None:
    with bank.writer("c1", "p1") as writer:
        writer.put_data([noise(CHUNK, 1)])
        kept = writer.put_data([noise(CHUNK, 2)])
        writer.commit(created_at=NOW, graph={}, sections={"a": {"deep": [{"data": kept}]}})
    assert len(objects(tmp_path, ".pack")) == 1
    assert len(objects(tmp_path, ".index")) == 1
    assert bank.open_data(kept).read() == noise(CHUNK, 2)


def test_committing_twice(bank: Bank, tmp_path: Path) -> None:
    with bank.writer("c1", "p1") as writer:
        sections = {"a": {"data": writer.put_data([b"x"])}}
        writer.commit(created_at=NOW, graph={}, sections=sections)
    before = files(tmp_path)
    writer.commit(created_at=NOW, graph={}, sections=sections)
    with pytest.raises(Conflict, match="another content"):
        writer.commit(created_at=NOW, graph={}, sections={})
    assert files(tmp_path) == before
    with bank.writer("c1", "p1") as writer:
        writer.commit(created_at=NOW, graph={}, sections=sections)
    assert files(tmp_path) == before
    for changed in ({"graph": {}, "sections": {}}, {"graph": [], "sections": sections}):
        with bank.writer("c1", "p1") as writer, pytest.raises(Conflict, match="another content"):
            writer.commit(created_at=NOW, **changed)
        writer.abandon()
    assert files(tmp_path) == before
    assert restore(bank, "c1") == {"a": b"x"}


def test_a_finished_checkpoint_is_not_abandoned(bank: Bank, tmp_path: Path) -> None:
    protect(bank, "c1", {"a": b"x"})
    before = files(tmp_path)
    bank.abandon("c1")
    bank.abandon("never-was")
    assert files(tmp_path) == before


def test_a_closed_writer(bank: Bank) -> None:
    writer = bank.writer("c1", "p1")
    writer.close()
    with pytest.raises(Conflict):
        writer.put_data([b"x"])
    with pytest.raises(Conflict):
        writer.commit(created_at=NOW, graph={}, sections={})
    with bank.writer("c1", "p1") as writer:
        writer.commit(created_at=NOW, graph={}, sections={})
        with pytest.raises(Conflict):
            writer.put_data([b"x"])


def test_bad_input(bank: Bank) -> None:
    for checkpoint_id in ("", "a/b", "a.b", "../x", "-x", "x" * 129, "ü"):
        with pytest.raises(InvalidInput):
            bank.writer(checkpoint_id, "p1")
        with pytest.raises(InvalidInput):
            bank.checkpoint(checkpoint_id)
    with bank.writer("c1", "p1") as writer:
        for at in ("", "yesterday", "2031-01-31", "2031-01-31T12:00:00", "2031-01-31T12:00:00+02:00"):
            with pytest.raises(InvalidInput, match="not a time in UTC"):
                writer.commit(created_at=at, graph={}, sections={})
        for graph in (b"x", {1, 2}, float("nan"), object()):
            with pytest.raises(InvalidInput, match="only JSON"):
                writer.commit(created_at=NOW, graph=graph, sections={})
    for ref in (None, {}, {"object": "x"}, {"object": 1, "size": 2, "digest": 3}):
        with pytest.raises(InvalidInput):
            bank.open_data(ref)


def test_data_of_another_checkpoint_cannot_be_borrowed(bank: Bank) -> None:
    ref = protect(bank, "c1", {"a": b"x"})["a"]
    with bank.writer("c2", "p1") as writer, pytest.raises(InvalidInput, match="not stored by this writer"):
        writer.commit(created_at=NOW, graph={}, sections={"a": ref})


INDEX = "data/0123456789abcdef/0123456789abcdef0123456789abcdef/0123456789abcdef.index"
LOOKALIKES = {
    "name": INDEX,
    "metadata": {INDEX: INDEX, "object": INDEX, "size": "1", "digest": "0" * 64},
    "list": [INDEX, {"object": INDEX}, {"object": INDEX, "size": 1, "digest": INDEX}],
    "whole": {"object": INDEX, "size": 1, "digest": "0" * 64, "stored": 1, "mark": "0" * 32},
    "unmarked": [{"object": INDEX, "size": 1, "digest": "0" * 64}],
}


@pytest.mark.parametrize("what", LOOKALIKES)
def test_m2_what_users_write_is_never_a_reference(bank: Bank, what: str) -> None:
    """Names, properties and metadata may be anything, also those of other tenants' networks and images."""
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(100_000)])
        own = writer.put_data([noise(100_000, 2)])
        writer.commit(
            created_at=NOW,
            graph={"nodes": [{"name": LOOKALIKES[what]}]},
            sections={"a": {"data": ref, "about": LOOKALIKES[what], "other": own["object"]}},
        )
    kept = bank.checkpoint("c1")
    assert kept.sections["a"]["about"] == LOOKALIKES[what]
    assert data_references(kept.sections) == [ref]
    new = with_references(kept.sections, {INDEX: {"object": "new"}})
    assert new["a"]["about"] == LOOKALIKES[what]
    assert kept.indexes == (ref["object"],)  # a name alone does not keep data
    report = bank.verify_all()
    assert (report.damages, report.pieces) == ([], 1)
    assert bank.info().data == 100_000
    bank.collect()
    with bank.open_data(ref) as reader:
        assert reader.read() == noise(100_000)


def test_a_reference_to_data_of_another_writing_is_never_taken_for_text(bank: Bank) -> None:
    """Its session was given up: no checkpoint is made without the data."""
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data([noise(100_000)])
        writer.abandon()
    with bank.writer("c1", "p1") as writer, pytest.raises(InvalidInput, match="not stored by this writer"):
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert bank.checkpoints() == []
