"""Verification, repair and information: what is hurt is named, exactly, and the rest is kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from refloat.bank import DEPTHS, Bank, Depth, Notes, VerificationReport, packs
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.wrapper import ReadOnly
from refloat.errors import BankDamaged, BankError, Cancelled, NotFound
from refloat.testing.stores import Crash, CrashAfter, Hooked
from tests.unit.support.bank_helpers import (
    CHUNK,
    KEY,
    NOW,
    hasty,
    noise,
    objects,
    open_bank,
    protect,
    restore,
)

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

COMMON = noise(4 * CHUNK, "common")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two checkpoints of p1 that share 'a'; one of p2."""
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", {"a": COMMON, "b": noise(2 * CHUNK, "b") + bytes(3 * CHUNK)})
    protect(bank, "c2", {"a": COMMON, "c": noise(CHUNK + 5, "c"), "d": b"small"})
    protect(bank, "c3", {"a": COMMON}, project="p2")
    return tmp_path / "bank"


def packs_of(bank: Bank, checkpoint_id: str, section: str) -> list[str]:
    from refloat.bank.dataindex import load_index

    name = bank.checkpoint(checkpoint_id).sections[section]["data"]["object"]
    return [pack.name for pack in load_index(bank._objects.store, bank._objects.sealer, name).packs]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def hurt(report: VerificationReport) -> set[tuple[str, str]]:
    return {(each.checkpoint_id, each.section) for each in report.damages}


@pytest.mark.parametrize("depth", DEPTHS)
def test_all_is_well(root: Path, depth: Depth) -> None:
    told: list[tuple[int, int]] = []
    report = open_bank(root).verify_all(depth, progress=lambda done, total: told.append((done, total)))
    assert report.damages == []
    assert report.checkpoints == 3
    if depth != "manifests":
        total = 3 * 4 * CHUNK + 5 * CHUNK + CHUNK + 5 + 5
        assert told[-1] == (total, total)
        assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_is_shared_is_read_once(root: Path) -> None:
    read: dict[str, int] = {}

    def before(operation: str, name: str) -> None:
        if operation == "get_range" and name.endswith(".pack"):
            read[name] = read.get(name, 0) + 1

    bank = Bank.open(Hooked(FileSystemStore(root), before), KEY)
    bank.verify("c1")
    once = dict(read)
    read.clear()
    report = bank.verify_all(project_id="p1")
    assert {name: count for name, count in read.items() if name in once} == once
    assert report.chunks == 4 + 2 + 2 + 1


def test_a_chunk_hurts_those_who_need_it(root: Path) -> None:
    bank = open_bank(root)
    (pack, *_) = packs_of(bank, "c1", "a")
    flip(root / pack, 48 + 100)
    report = bank.verify_all()
    assert hurt(report) == {("c1", "a"), ("c2", "a")}
    assert {each.object for each in report.damages} == {pack}
    assert report.lost_packs == {pack}
    assert not any(each.readable for each in report.damages)
    assert bank.verify_all("existence").damages == []
    assert bank.verify_all(project_id="p2").damages == []
    assert hurt(bank.verify_all(checkpoint_ids=["c2"])) == {("c2", "a")}


def test_a_chunk_hurts_only_those_who_need_that_one(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", {"a": noise(CHUNK, 1) + noise(CHUNK, 2), "b": noise(CHUNK, 3)})
    protect(bank, "c2", {"a": noise(CHUNK, 1), "b": noise(CHUNK, 3)})
    (two,), (one,) = packs_of(bank, "c1", "a"), packs_of(bank, "c1", "b")
    expected = set()
    for path, at in (
        (tmp_path / "bank" / two, 55),
        (tmp_path / "bank" / two, 55 + CHUNK + 16),
        (tmp_path / "bank" / one, 55),
    ):
        good = path.read_bytes()
        flip(path, at)
        found = hurt(bank.verify_all())
        assert found <= {("c1", "a"), ("c1", "b"), ("c2", "a"), ("c2", "b")}
        for checkpoint_id, section in (("c1", "a"), ("c1", "b"), ("c2", "a"), ("c2", "b")):
            ref = bank.checkpoint(checkpoint_id).sections[section]["data"]
            if (checkpoint_id, section) in found:
                with pytest.raises(BankDamaged):
                    bank.open_data(ref).read()
            else:
                bank.open_data(ref).read()
        expected |= {frozenset(found)}
        path.write_bytes(good)
    assert expected == {
        frozenset({("c1", "a")}),
        frozenset({("c1", "a"), ("c2", "a")}),
        frozenset({("c1", "b"), ("c2", "b")}),
    }


def test_a_damaged_footer_loses_nothing(root: Path) -> None:
    bank = open_bank(root)
    (pack, *_) = packs_of(bank, "c1", "a")
    flip(root / pack, -1)
    report = bank.verify_all()
    assert hurt(report) == {("c1", "a"), ("c2", "a")}
    assert all(each.readable for each in report.damages)
    assert report.lost_packs == set()
    assert restore(bank, "c1")["a"] == COMMON
    found = bank.repair(report)
    assert not found.hurt
    assert not found.hopeless


@pytest.mark.parametrize("depth", ["existence", "full"])
def test_indexes_and_packs_that_are_gone(root: Path, depth: Depth) -> None:
    bank = open_bank(root)
    index = bank.checkpoint("c1").sections["b"]["data"]["object"]
    (pack,) = packs_of(bank, "c2", "d")
    (root / index).unlink()
    (root / pack).unlink()
    report = bank.verify_all(depth)
    assert {("c1", "b", index), ("c2", "d", pack)} <= {
        (each.checkpoint_id, each.section, each.object) for each in report.damages
    }
    assert {each.reason for each in report.damages} == {"it is missing"}
    assert bank.verify_all("manifests").damages == []


def test_manifests_and_bodies(root: Path) -> None:
    bank = open_bank(root)
    (manifest,) = (root / "checkpoints").glob("c1.*")
    flip(manifest, 60)
    body = next(p for p in objects(root, ".body") if p.read_bytes() and "c3" not in p.name)
    flip(body, 60)
    report = bank.verify_all("manifests")
    assert len(report.damages) == 1 + (len(hurt(report)) == 2)
    assert all(each.section == "" for each in report.damages)
    assert ("c1", "") in hurt(report)


@pytest.mark.parametrize("suffix", [".index", ".pack"])
def test_what_is_deleted_meanwhile_is_not_damaged(root: Path, suffix: str) -> None:
    """Before the first index or pack is read, a checkpoint goes, and all that only it needed."""
    deletions = [lambda: Bank.open(str(root), KEY).delete("c2")]

    def before(_operation: str, name: str) -> None:
        if name.endswith(suffix) and deletions:
            deletions.pop()()

    bank = Bank.open(Hooked(FileSystemStore(root), before), KEY)
    report = bank.verify_all()
    assert not deletions
    assert report.damages == []
    assert report.lost_packs == set()
    for path in objects(root):  # but what is lost is
        if path.name.endswith(".pack"):
            path.unlink()
    assert {damage.checkpoint_id for damage in bank.verify_all().damages} == {"c1", "c3"}


def test_a_pack_of_many_chunks(tmp_path: Path) -> None:
    """The list of its chunks does not fit into the first request for it."""
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", {"a": b"".join(number.to_bytes(2, "big") * (CHUNK // 2) for number in range(1, 121))})
    assert len(packs_of(bank, "c1", "a")) == 1
    report = bank.verify_all()
    assert (report.damages, report.packs, report.chunks) == ([], 1, 120)


def test_a_sample(root: Path) -> None:
    bank = open_bank(root)
    for pack in objects(root, ".pack"):
        for at in (48 + 5, 48 + CHUNK + 16 + 5):
            if at < pack.stat().st_size:
                flip(pack, at)
    first = bank.verify_all(sample=0.5, seed=11)
    again = bank.verify_all(sample=0.5, seed=11)
    assert first.damages
    assert first.damages == again.damages
    assert 0 < first.chunks < bank.verify_all().chunks
    assert bank.verify_all(sample=0.5).seed != bank.verify_all(sample=0.5).seed
    assert bank.verify_all(sample=1e-9, seed=3).chunks == 0


@pytest.mark.parametrize("sample", [1.0, 0.7])
def test_an_interrupted_verification_goes_on(root: Path, tmp_path: Path, sample: float) -> None:
    bank = open_bank(root)
    for pack in packs_of(bank, "c1", "a"):
        for at in (48 + 5, 48 + CHUNK + 16 + 5):
            flip(root / pack, at)
    notes = Notes(tmp_path / "notes", bank.id)
    assert not notes.interrupted
    expected = bank.verify_all(sample=sample, seed=7)
    for stop in range(1, 100):
        calls = [0]

        def cancelled(stop: int = stop, calls: list[int] = calls) -> bool:
            calls[0] += 1
            return calls[0] > stop

        try:
            bank.verify_all(sample=sample, seed=7, notes=notes, resume=False, cancelled=cancelled)
        except Cancelled:
            if not notes.interrupted:  # it had not begun to look at packs
                continue
        else:
            break
        report = bank.verify_all(sample=sample, notes=notes, resume=True)
        assert not notes.interrupted
        assert report.damages == expected.damages
        assert (report.packs, report.bytes) == (expected.packs, expected.bytes)
        if report.resumed:
            assert report.chunks < expected.chunks
            assert report.seed == 7 or sample == 1
            stopped_late = True
    assert stopped_late


def test_notes_that_do_not_fit_are_not_used(root: Path, tmp_path: Path) -> None:
    bank = open_bank(root)
    notes = Notes(tmp_path / "notes", bank.id)
    ready = [0]

    def cancelled() -> bool:
        ready[0] += 1
        return ready[0] > 20

    with pytest.raises(Cancelled):
        bank.verify_all(notes=notes, cancelled=cancelled)
    (path,) = (tmp_path / "notes").iterdir()
    kept = path.read_text()
    assert bank.verify_all("existence", notes=notes, resume=True).resumed == 0
    path.write_text(kept + '{"pack": "da')  # it died while it wrote
    assert bank.verify_all(notes=notes, resume=True).resumed > 0
    path.write_text("{")
    assert bank.verify_all(notes=notes, resume=True).resumed == 0
    path.write_text(kept)
    protect(bank, "c9", {"a": COMMON[:CHUNK]})  # a new checkpoint: other chunks of a pack are wanted
    assert bank.verify_all(notes=notes, resume=True).damages == []


def test_a_store_that_is_only_read(root: Path) -> None:
    bank = Bank.open(ReadOnly(FileSystemStore(root)), KEY)
    assert restore(bank, "c1")["a"] == COMMON
    assert bank.verify_all().damages == []
    assert bank.info().checkpoints == 3
    assert not bank.repair(bank.verify_all()).needed
    for refused in (
        lambda: protect(bank, "c9", {}),
        lambda: bank.delete("c1"),
        lambda: bank.keys.rotate_project("p1"),
        lambda: bank.erase_project("p1"),
    ):
        with pytest.raises(BankError, match="read-only"):
            refused()
    assert restore(open_bank(root), "c1")["a"] == COMMON


# Repair


def test_repair_says_whom_it_hurts_and_keeps_the_rest(root: Path) -> None:
    bank = open_bank(root)
    lost, *_ = packs_of(bank, "c1", "a")
    flip(root / lost, 48 + 100)
    (manifest,) = (root / "checkpoints").glob("c3.*")
    flip(root / bank._objects.get_json(b"M", f"checkpoints/{manifest.name}")["body"], 70)
    before = {p: p.read_bytes() for p in objects(root)}
    looked = bank.repair(bank.verify_all())
    assert {p: p.read_bytes() for p in objects(root)} == before
    assert set(looked.hopeless) == {"c3"}
    assert {c: set(sections) for c, sections in looked.hurt.items()} == {"c1": {"a"}, "c2": {"a"}}
    assert looked.packs == [lost]
    assert looked.needed
    assert not looked.applied

    done = bank.repair(bank.verify_all(), apply=True, delete_damaged=True)
    assert done.deleted == ["c3"]
    assert {c.id for c in bank.checkpoints()} == {"c1", "c2"}
    assert bank.open_data(bank.checkpoint("c1").sections["b"]["data"]).read(5) == noise(2 * CHUNK, "b")[:5]
    assert bank.info().quarantined == 1

    # What was lost is stored anew by the next protection; nothing relies on the damaged pack any more.
    ref = protect(open_bank(root), "c4", {"a": COMMON})["a"]
    assert CHUNK < ref["stored"] < 3 * CHUNK
    assert lost not in packs_of(bank, "c4", "a")
    assert restore(bank, "c4") == {"a": COMMON}
    assert bank.verify("c4").bytes == len(COMMON)
    bank.delete("c1")
    bank.delete("c2")
    assert not (root / lost).exists()
    bank.collect()
    assert bank.info().quarantined == 0
    assert not list(root.glob("damaged/*"))
    assert restore(bank, "c4") == {"a": COMMON}


def test_a_damaged_pack_is_relied_on_without_repair(root: Path) -> None:
    """Which is what repair is for; it is noticed, not restored."""
    bank = open_bank(root)
    for pack in packs_of(bank, "c1", "a"):
        flip(root / pack, 48 + 100)
    protect(bank, "c4", {"a": COMMON})
    with pytest.raises(BankDamaged):
        restore(bank, "c4")


def test_a_checkpoint_of_which_everything_is_lost_is_hopeless(root: Path) -> None:
    bank = open_bank(root)
    for pack in packs_of(bank, "c3", "a"):
        (root / pack).unlink()
    found = bank.repair(bank.verify_all(), apply=True, delete_damaged=False)
    assert set(found.hopeless) == {"c3"}
    assert {c.id for c in bank.checkpoints()} == {"c1", "c2", "c3"}
    assert bank.repair(bank.verify_all(), apply=True, delete_damaged=True).deleted == ["c3"]
    with pytest.raises(NotFound):
        bank.checkpoint("c3")


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_a_manifest_comes_back(root: Path, how: str) -> None:
    """A deletion looks different: it says so before it begins."""
    bank = open_bank(root)
    (manifest,) = (root / "checkpoints").glob("c1.*")
    good = bank.checkpoint("c1")
    protect(bank, "gone", {"a": noise(5)})
    bank.delete("gone")
    if how == "lost":
        manifest.unlink()
        assert bank.collect().freed == 0
        assert "the manifest of the checkpoint c1 is lost" in bank.collect().postponed
        assert {c.id for c in bank.checkpoints()} == {"c2", "c3"}
    else:
        flip(manifest, 70)
        assert "damaged" in bank.collect().postponed
    report = bank.verify_all("manifests")
    assert [(each.checkpoint_id, each.object) for each in report.damages] == [
        ("c1", f"checkpoints/{manifest.name}")
    ]
    looked = bank.repair(report)
    assert (looked.manifests, looked.hopeless) == ([f"checkpoints/{manifest.name}"], {})
    bank.repair(report, apply=True)
    assert bank.checkpoint("c1") == good
    assert bank.verify_all().damages == []
    assert restore(bank, "c1")["a"] == COMMON
    for checkpoint_id in ("c1", "c2", "c3"):
        bank.delete(checkpoint_id)
    assert {p.parent.name for p in objects(root)} == {"bank", "keys"}


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
def test_a_deletion_that_was_interrupted_is_no_loss(root: Path, done: bool) -> None:
    for writes in range(30):
        bank = open_bank(root)
        protect(bank, "c9", {"a": COMMON, "b": noise(CHUNK, "c9")})
        try:
            Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY).delete("c9")
            finished = True
        except Crash:
            finished = False
        assert bank.verify_all("existence").damages == []
        if "c9" in {c.id for c in bank.checkpoints()}:
            assert restore(bank, "c9")["b"] == noise(CHUNK, "c9")
            bank.delete("c9")
        assert not bank.collect().postponed
        assert bank.info().garbage == 0
        if finished:
            break
    assert finished
    assert writes > 4


def test_a_damaged_checkpoint_that_is_deleted_does_not_come_back(root: Path) -> None:
    bank = open_bank(root)
    (manifest,) = (root / "checkpoints").glob("c1.*")
    flip(manifest, 70)
    bank.delete("c1")
    assert bank.verify_all().damages == []
    assert not bank.collect().postponed
    assert bank.info().garbage == 0


def test_repair_writes_lost_copies_of_keys_again(root: Path) -> None:
    bank = open_bank(root)
    first, second, *_ = [p for p in objects(root) if ".project." in p.name]
    first.write_bytes(b"?")
    other = next(p for p in objects(root) if ".project." in p.name and first.name[:-5] not in p.name)
    name = other.name.removesuffix(".copy") + ("" if other.name.endswith(".copy") else ".copy")
    other.unlink()
    looked = bank.repair(bank.verify_all())
    assert set(looked.keys) == {f"keys/{first.name}", f"keys/{other.name}"}
    bank.repair(bank.verify_all(), apply=True)
    assert not bank.repair(bank.verify_all()).needed
    second.unlink()
    (root / "keys" / name).unlink()
    assert restore(open_bank(root), "c1")["a"] == COMMON
    assert restore(open_bank(root), "c3")["a"] == COMMON


def test_an_unreadable_list_of_damaged_packs_is_replaced(root: Path) -> None:
    bank = open_bank(root)
    lost, *_ = packs_of(bank, "c1", "a")
    flip(root / lost, 48 + 100)
    bank.repair(bank.verify_all(), apply=True)
    (listed,) = objects(root / "damaged")
    flip(listed, 60)
    assert protect(open_bank(root), "c4", {"a": COMMON})["a"]["stored"] > 4 * CHUNK  # all of it, to be safe
    bank.delete("c4")
    bank.repair(bank.verify_all(), apply=True)
    assert protect(open_bank(root), "c5", {"a": COMMON})["a"]["stored"] < 3 * CHUNK
    assert restore(bank, "c5") == {"a": COMMON}


# Information


def test_info(root: Path) -> None:
    bank = open_bank(root)
    with bank.writer("c4", "p1") as writer:
        writer.put_data([noise(CHUNK, "unfinished")])
    info = bank.info()
    assert (info.id, info.version, info.projects, info.checkpoints, info.damaged) == (bank.id, 1, 2, 3, 0)
    assert info.data == 3 * 4 * CHUNK + 5 * CHUNK + CHUNK + 5 + 5
    assert info.stored == sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert info.garbage == 0
    assert 1 < info.ratio < 2
    assert [each.checkpoint_id for each in info.unfinished] == ["c4"]
    assert bank.delete("c1").postponed
    assert open_bank(root).info().garbage > 2 * CHUNK  # type: ignore[operator]
    bank.abandon("c4")
    bank.collect()
    assert bank.info().garbage == 0
    (manifest,) = (root / "checkpoints").glob("c3.*")
    flip(manifest, 70)
    info = bank.info()
    assert (info.damaged, info.garbage) == (1, None)


def test_a_busy_bank_is_collected_too(root: Path) -> None:
    """Somebody is always writing; what is condemned goes when those who wrote at that moment have ended."""
    bank = open_bank(root)
    doomed = set(packs_of(bank, "c1", "b"))
    first = bank.writer("w1", "p1")
    ref = first.put_data([COMMON])
    assert bank.delete("c1").postponed
    assert all((root / name).exists() for name in doomed)
    second = bank.writer("w2", "p1")  # comes after the notice: it does not matter
    second.put_data([noise(2 * CHUNK, "b")])
    assert "being written" in bank.collect().postponed
    first.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    freed = bank.collect()
    assert freed.freed > 2 * CHUNK
    assert not any((root / name).exists() for name in doomed)
    ref = second.put_data([noise(2 * CHUNK, "b")])
    second.commit(created_at=NOW, graph={}, sections={"b": {"data": ref}})
    assert restore(bank, "w1") == {"a": COMMON}
    assert restore(bank, "w2") == {"b": noise(2 * CHUNK, "b")}
    assert bank.verify_all().damages == []


@pytest.mark.parametrize("which", ["notice", "watch"])
def test_a_damaged_notice_goes(root: Path, which: str) -> None:
    bank = open_bank(root)
    writer = bank.writer("w1", "p1")
    writer.put_data([b"x"])
    assert bank.delete("c1").postponed
    (notice,) = (p for p in (root / "condemned").iterdir() if p.name.endswith(".watch") == (which == "watch"))
    flip(notice, 60)
    assert "being written" in bank.collect().postponed
    writer.abandon()
    assert bank.collect().freed > CHUNK
    assert bank.info().garbage == 0
    assert not list(root.glob("condemned/*"))


def test_a_clock_that_is_wrong_kills_nobody(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = open_bank(root)
    writer = bank.writer("w1", "p1")
    ref = writer.put_data([noise(CHUNK, "w")])
    real = time.time
    for wrong in (3600.0, -3600.0, 30 * 86400.0, -30 * 86400.0):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: real() + wrong)
        bank.collect()
    writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert restore(bank, "w1") == {"a": noise(CHUNK, "w")}
    assert not list(root.glob("condemned/*"))
