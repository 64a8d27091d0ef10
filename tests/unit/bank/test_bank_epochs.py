"""A new root begins whenever a key is taken away from a bank: an old slot opens only what was its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refloat.bank import Bank, BankKey, Passphrase, keys, load_key, load_passphrase, packs
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.recovery import import_recovery
from refloat.errors import BankDamaged, BankError, Conflict, NotFound
from refloat.testing.stores import Crash, CrashAfter, Hooked, RefuseDelete
from tests.unit.support.bank_helpers import CHUNK, KEY, hasty, noise, open_bank, protect, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

NEW, SAFE = BankKey(bytes(range(40, 72))), BankKey(bytes(range(80, 112)))
WORDS = Passphrase("correct horse battery staple")
OLD_DATA, NEW_DATA = noise(20_000, "old"), noise(20_000, "new")
FIXTURE = Path(__file__).parents[2] / "fixtures/bank-1"
READER = Path(__file__).parents[3] / "tools/read_bank.py"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_MEMORY", 64)
    monkeypatch.setattr(keys, "_ITERATIONS", 1)
    monkeypatch.setattr(packs, "PACK_SIZE", CHUNK)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bank that two keys and a passphrase open."""
    bank = open_bank(tmp_path / "bank")
    bank.keys.add(SAFE, "the safe")
    bank.keys.add(WORDS)
    protect(bank, "old", {"a": OLD_DATA})
    return tmp_path / "bank"


def opens(root: Path, key: BankKey | Passphrase, checkpoint_id: str = "old") -> bool:
    try:
        return restore(Bank.open(str(root), key), checkpoint_id) != {}
    except BankDamaged:
        raise
    except BankError:
        return False


# --- what an adversary does with what he kept: written against docs/bank-format.md, not through our classes


def kdf(purpose: str, material: bytes, length: int = 32) -> bytes:
    return blake3(material, derive_key_context=f"refloat bank 1: {purpose}").digest(length=length)


class Thief:
    """Has a bank key, the bank as it was, and all that is in it now; tries every secret on every object."""

    def __init__(self, root: Path, *kept: Path, key: BankKey) -> None:
        self.files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.old = [
            {str(p.relative_to(each)): p.read_bytes() for p in each.rglob("*") if p.is_file()}
            for each in kept
        ]
        self.bank_id = bytes.fromhex(json.loads(self.files["bank"])["id"])
        self.secrets = {key.secret}
        self.private = X25519PrivateKey.from_private_bytes(kdf("key exchange", key.secret))
        self.derived: set[bytes] = set()
        self.opened: dict[str, bytes] = {}
        while self._round():
            pass

    def _round(self) -> bool:
        """Open what can be opened; whether that gave a secret more."""
        before = len(self.secrets)
        for where in (self.files, *self.old):
            for name, blob in where.items():
                for sealed in self._sealed_in(blob):
                    plain = self._open(name, sealed)
                    if plain is not None:
                        if where is self.files:
                            self.opened[name] = plain
                        self._learn(plain)
        return len(self.secrets) > before

    def _sealed_in(self, blob: bytes) -> list[bytes]:
        if blob.startswith(b"REFLOAT1"):
            return [blob]
        found = []
        with contextlib.suppress(ValueError, UnicodeDecodeError):
            data, _ = json.JSONDecoder().raw_decode(blob.decode())
            if "exchange" in data:
                self._exchange(bytes.fromhex(data["exchange"]))
            found = [data.get("sealed", ""), *data.get("wraps", {}).values()]
        return [bytes.fromhex(each) for each in found]

    def _exchange(self, sender: bytes) -> None:
        shared = self.private.exchange(X25519PublicKey.from_public_bytes(sender))
        public = self.private.public_key().public_bytes_raw()
        self.derived |= {kdf("root for a key", each + shared + sender + public) for each in self.secrets}

    def _open(self, name: str, blob: bytes) -> bytes | None:
        header = blob[:48]
        for secret in self.secrets | self.derived:
            cipher = AESGCM(kdf("object", secret + header))
            bound = header + self.bank_id + name.encode()
            with contextlib.suppress(InvalidTag):
                if header[8:9] == b"P":  # the footer of a pack
                    length, count = struct.unpack(">II", blob[-16:-8])
                    return cipher.decrypt(struct.pack(">IQ", 2, count), blob[-16 - length : -16], bound)
                plain = cipher.decrypt(bytes(12), blob[48:], bound)
                return zstandard.ZstdDecompressor().decompress(plain) if header[9] else plain
        return None

    def _learn(self, plain: bytes) -> None:
        """Whatever of it may be a secret."""
        with contextlib.suppress(ValueError):
            data = json.loads(plain)
            texts = [data.get("root"), data.get("secret"), *data.get("roots", [])]
            self.secrets |= {bytes.fromhex(each) for each in texts if each}


def data_objects(root: Path) -> set[str]:
    """All that checkpoints are made of."""
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(("keys/", "bank", "reserve"))}


@pytest.mark.parametrize("how", ["rotate", "remove"])
def test_an_old_slot_opens_nothing_that_is_written_after_its_key_was_taken_away(
    root: Path, tmp_path: Path, how: str
) -> None:
    """With the old key, all that the bank had when it had that key, and all that it has now."""
    kept = Path(shutil.copytree(root, tmp_path / "kept"))
    before = data_objects(root)
    if how == "rotate":
        bank = open_bank(root)
        bank.keys.rotate(NEW)
    else:
        bank = Bank.open(str(root), SAFE)
        bank.keys.remove(KEY.id.hex())
    refs = protect(bank, "new", {"a": OLD_DATA, "b": NEW_DATA})
    protect(bank, "other", {"a": NEW_DATA}, project="p2")
    assert refs["a"]["stored"] < 3000  # unchanged data is still shared
    thief = Thief(root, kept, key=KEY)
    assert before <= thief.opened.keys()  # he can do what can be done
    after = data_objects(root) - before
    assert {name.split("/")[0] for name in after} == {"checkpoints", "data"}
    assert {name.rpartition(".")[2] for name in after} >= {"pack", "index", "body"}
    assert not after & thief.opened.keys()
    for key in (SAFE, WORDS, *([NEW] if how == "rotate" else [])):
        assert after <= Thief(root, key=key).opened.keys() if key is not WORDS else True
        assert restore(Bank.open(str(root), key), "new") == {"a": OLD_DATA, "b": NEW_DATA}
        assert opens(root, key)
    # Put back, the slot opens nothing by Refloat, and is told.
    for name in (f"{bank.id}.{KEY.id.hex()}", f"{bank.id}.{KEY.id.hex()}.copy"):
        shutil.copy(kept / "keys" / name, root / "keys" / name)
    with pytest.raises(BankError, match=r"taken away from the bank.*only what was written before"):
        Bank.open(str(root), KEY)
    found = bank.verify_all().damages
    assert [each.object for each in found] == [f"keys/{bank.id}.{KEY.id.hex()}"]
    assert "removed and is back" in found[0].reason
    assert {slot.id for slot in bank.keys.slots() if slot.removed} == {KEY.id.hex()}
    bank.keys.remove(KEY.id.hex())
    assert bank.verify_all().damages == []
    assert bank._objects.keys.roots.epoch == 2  # nothing more had to be done


def test_a_key_that_an_old_holder_forges_is_not_used(root: Path, tmp_path: Path) -> None:
    """He knows the first root and can write to the store: a project's key under that, with a high number."""
    old = open_bank(root)
    forger = old._objects.keys.projects
    tag = forger.tag("p1")
    bank = Bank.open(str(root), SAFE)
    bank.keys.remove(KEY.id.hex())
    name = f"keys/{bank.id}.project.{tag}.77"
    forged = noise(32, "forged")
    about = {"project_id": "p1", "number": 77, "created_at": "", "secret": forged.hex()}
    for each in (name, f"{name}.copy"):
        (root / each).write_bytes(forger._seal(each, about, bytes(16)))
    protect(Bank.open(str(root), SAFE), "new", {"b": NEW_DATA})
    used = Bank.open(str(root), SAFE)._objects.keys.current(tag)
    assert used.secret != forged
    thief = Thief(root, key=KEY)
    assert not [name for name in thief.opened if name.startswith("checkpoints/new.")]


def test_a_root_that_an_old_holder_forges_is_refused(root: Path) -> None:
    """He knows the first root and the public halves of the others: he wraps one of his own for them."""
    old, worker = open_bank(root), Bank.open(str(root), SAFE)
    worker.keys.remove(KEY.id.hex())
    forger = old._objects.keys.roots
    publics = {SAFE.id.hex(): keys_public(SAFE)}
    forger._all = [*forger._all, forger._all[0]._replace(id=bytes(16), secret=noise(32, "his second"))]
    name = forger.name(3)
    forger.advance(publics, [])
    with pytest.raises(BankDamaged, match=r"root\.3.*does not continue"):
        Bank.open(str(root), SAFE)
    with pytest.raises(BankDamaged, match=r"root\.3.*does not continue"):
        protect(worker, "new", {"b": NEW_DATA})
    for path in root.glob(f"{name}*"):
        path.unlink()
    protect(worker, "new", {"b": NEW_DATA})
    copy = root / f"{forger.name(2)}.copy"
    whole = copy.read_bytes()
    forger._all = forger._all[:1]
    copy.unlink()
    (root / forger.name(2)).rename(root / "aside")
    forger.advance(publics, [])
    (root / "aside").replace(root / forger.name(2))
    with pytest.raises(BankDamaged, match=r"root\.2.*different roots"):
        Bank.open(str(root), SAFE)
    copy.unlink()
    copy.write_bytes(whole)
    assert restore(Bank.open(str(root), SAFE), "new") == {"b": NEW_DATA}


def test_a_process_that_knows_the_old_root_notices_before_it_writes(root: Path) -> None:
    """In the middle of a protection too: what it stores from then on is under the new root."""
    worker, bank = Bank.open(str(root), SAFE), open_bank(root)
    kept = Path(shutil.copytree(root, root.parent / "kept"))
    with worker.writer("early", "p1") as writer:
        first = writer.put_data([noise(CHUNK, 1)])
        early = data_objects(root)
        bank.keys.rotate(NEW)
        second = writer.put_data([noise(CHUNK, 2)])
        writer.commit(created_at="2031-01-01T00:00:00Z", graph={}, sections={"a": {"d": [first, second]}})
    thief = Thief(root, kept, key=KEY)
    assert early & data_objects(root) <= thief.opened.keys()
    assert not (data_objects(root) - early) & thief.opened.keys()
    for reader in (worker, bank, Bank.open(str(root), NEW)):
        with reader.open_data(second) as data:
            assert data.read() == noise(CHUNK, 2)
        assert reader.verify_all().damages == []
    stale = Bank.open(str(root), NEW)
    bank.keys.rotate(KEY)
    with pytest.raises(BankError, match="taken away from the bank"):
        protect(stale, "late", {"a": b"x"})
    assert {each.id for each in bank.checkpoints()} == {"old", "early"}


@pytest.mark.parametrize("how", ["rotate", "remove", "add"])
def test_dying_at_every_write(root: Path, tmp_path: Path, how: str) -> None:
    """At each: all keys that stay open everything, the bank is whole, and it can be done again."""
    acts: dict[str, Callable[[Bank], object]] = {
        "rotate": lambda bank: bank.keys.rotate(NEW),
        "remove": lambda bank: bank.keys.remove(SAFE.id.hex()),
        "add": lambda bank: bank.keys.add(NEW),
    }
    states = set()
    for writes in range(30):
        home = Path(shutil.copytree(root, tmp_path / f"{writes}"))
        try:
            acts[how](Bank.open(CrashAfter(FileSystemStore(home), writes, done=True), KEY))
            finished = True
        except Crash:
            finished = False
        state = tuple(opens(home, key) for key in (KEY, NEW, SAFE))
        states.add(state)
        assert opens(home, WORDS)
        assert any(state)
        user = Bank.open(str(home), KEY if state[0] else NEW)
        protect(user, "new", {"b": NEW_DATA})
        for key in (WORDS, *(k for k, is_open in zip((KEY, NEW, SAFE), state, strict=True) if is_open)):
            assert restore(Bank.open(str(home), key), "new") == {"b": NEW_DATA}
        with contextlib.suppress(Conflict, NotFound):  # it was done
            acts[how](user)
        assert [opens(home, key) for key in (KEY, NEW, SAFE)] == {
            "rotate": [False, True, True],
            "remove": [True, False, False],
            "add": [True, True, True],
        }[how]
        assert {s.id for s in user.keys.slots() if s.removed} <= {KEY.id.hex(), SAFE.id.hex()}
        assert user.verify_all().damages == []
        if finished:
            break
    assert finished
    assert len(states) == (3 if how == "rotate" else 2)


THIRD = BankKey(noise(32, "third"))
OTHERS: dict[str, Callable[[Bank], object]] = {
    "rotate": lambda bank: bank.keys.rotate(THIRD),
    "add": lambda bank: bank.keys.add(THIRD),
    "remove": lambda bank: bank.keys.remove(KEY.id.hex()),
}


def both_at_once(home: Path, other: Callable[[Bank], object], at: int) -> tuple[bool, bool, bool]:
    """Whether the rotation was done, whether another process came in between, and whether that was done."""
    calls = done = 0

    def meanwhile(_operation: str, _name: str) -> None:
        nonlocal calls, done
        calls += 1
        if calls == at:
            with contextlib.suppress(BankError, Conflict, NotFound):
                other(Bank.open(str(home), SAFE))
                done = 1

    try:
        Bank.open(Hooked(FileSystemStore(home), meanwhile), KEY).keys.rotate(NEW)
    except (BankError, Conflict):
        return False, calls >= at, bool(done)
    return True, calls >= at, bool(done)


@pytest.mark.parametrize("act", OTHERS)
def test_two_processes_that_change_keys_at_once(root: Path, act: str) -> None:
    """At what the first reads or writes, another takes a key away, or adds one: who was told that he has
    changed the keys has, and the others open the bank too."""
    happened, at = True, 1
    while happened:
        home = Path(shutil.copytree(root, root.parent / f"at{at}"))
        rotated, happened, done = both_at_once(home, OTHERS[act], at)
        assert rotated or done, at
        assert opens(home, WORDS), at
        assert opens(home, SAFE) == (act != "rotate" or not done), at
        assert opens(home, NEW) or not rotated, at
        assert opens(home, THIRD) or act == "remove" or not done, at
        assert opens(home, KEY) == (not rotated and not (act == "remove" and done)), at
        shutil.rmtree(home)
        at += 7
    assert at > 60


def test_two_roots_are_never_begun_under_one_number(root: Path) -> None:
    one, two = Bank.open(str(root), SAFE), open_bank(root)
    roots = two._objects.keys.roots
    one.keys.rotate(NEW)
    with pytest.raises(Conflict, match="another process has just changed the keys"):
        roots.advance({KEY.id.hex(): keys_public(KEY)}, [])
    assert opens(root, NEW)
    assert opens(root, KEY)


def keys_public(key: BankKey) -> str:
    private = X25519PrivateKey.from_private_bytes(kdf("key exchange", key.secret))
    return private.public_key().public_bytes_raw().hex()


def test_many_rotations_and_a_key_that_comes_back(root: Path) -> None:
    bank = open_bank(root)
    for number in range(1, 6):
        bank.keys.rotate(BankKey(noise(32, number)))
        protect(bank, f"c{number}", {"a": noise(300, number)})
    bank.keys.remove(SAFE.id.hex())
    bank.keys.add(SAFE)
    bank.keys.rotate(KEY)
    protect(bank, "last", {"a": b"last"})
    for key in (SAFE, WORDS, KEY):
        reader = Bank.open(str(root), key)
        assert restore(reader, "last") == {"a": b"last"}
        assert all(restore(reader, f"c{n}") == {"a": noise(300, n)} for n in range(1, 6))
        assert reader.verify_all().damages == []
        assert not [slot for slot in reader.keys.slots() if slot.removed]
    for number in range(1, 6):
        assert not opens(root, BankKey(noise(32, number)))


def test_a_store_that_refuses_to_delete_lets_a_removed_key_open_nothing_new(root: Path) -> None:
    locked = RefuseDelete(FileSystemStore(root))
    bank = Bank.open(locked, KEY)
    with pytest.raises(BankError, match="still opens the bank as it was until now"):
        bank.keys.remove(SAFE.id.hex())
    protect(bank, "new", {"b": NEW_DATA})
    assert not opens(root, SAFE)
    assert {slot.id for slot in bank.keys.slots() if slot.removed} == {SAFE.id.hex()}
    bank.keys.rotate(NEW)  # what is left is in nobody's way
    assert opens(root, NEW, "new")
    with pytest.raises(BankError, match="taken away"):
        bank.keys.add(SAFE)
    user = Bank.open(str(root), NEW)
    user.keys.remove(SAFE.id.hex())
    user.keys.add(SAFE)
    assert opens(root, SAFE, "new")


def test_an_erased_project_stays_erased(root: Path, tmp_path: Path) -> None:
    """Neither the keys of the time before, nor a recovery file of then, bring it back."""
    bank = open_bank(root)
    bank.keys.export_recovery(tmp_path / "recovery")
    kept = Path(shutil.copytree(root / "keys", tmp_path / "keys"))
    bank.keys.rotate(NEW)
    protect(bank, "new", {"b": NEW_DATA})
    sealed = {p.relative_to(root): p.read_bytes() for p in (root / "checkpoints").iterdir()}
    bank.erase_project("p1")
    done = import_recovery(FileSystemStore(root), tmp_path / "recovery")
    assert [name for name in done.erased if ".project." in name]
    for path in kept.iterdir():
        if not (root / "keys" / path.name).exists():
            shutil.copy(path, root / "keys" / path.name)
    for name, content in sealed.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    again = Bank.open(str(root), NEW)
    for checkpoint_id in ("old", "new"):
        with pytest.raises(BankDamaged, match="unknown key"):
            again.checkpoint(checkpoint_id)
    assert not opens_quietly(root, KEY)
    tag = again._objects.keys.project_tag("p1")
    protect(again, "fresh", {"a": b"x"})
    (fresh,) = [version.number for version in again._objects.keys.projects.of(tag)]
    assert fresh == 3


def opens_quietly(root: Path, key: BankKey) -> bool:
    with contextlib.suppress(BankError):
        return bool(Bank.open(str(root), key))
    return False


def test_roots_are_there_twice_and_looked_at(root: Path, tmp_path: Path) -> None:
    bank = open_bank(root)
    bank.keys.rotate(NEW)
    bank.keys.remove(SAFE.id.hex())
    protect(bank, "new", {"b": NEW_DATA})
    names = sorted((root / "keys").glob("*.root.*"))
    assert len(names) == 4
    for path in names:
        whole = path.read_bytes()
        for bad in (None, b"", whole[:-9], whole.replace(b"a", b"b", 1), whole[:-60] + b"0" * 60):
            path.unlink() if bad is None else path.write_bytes(bad)
            for key in (NEW, WORDS):
                user = Bank.open(str(root), key)
                assert restore(user, "new") == {"b": NEW_DATA}
            report = user.verify_all()
            named = [f"keys/{path.name}"] if bad is not None or path.suffix != ".copy" else []
            assert [each.object for each in report.damages] == named
            user.repair(report, apply=True)
            assert path.read_bytes() == whole
    bank.keys.export_recovery(tmp_path / "recovery")
    for path in names:
        path.unlink()
    for key in (NEW, WORDS):
        with pytest.raises(BankError):
            restore(Bank.open(str(root), key), "new")
    assert {each.object.rpartition(".root.")[2] for each in bank.verify_all().damages} == {"2", "3"}
    with pytest.raises(BankDamaged, match="root"):
        protect(bank, "late", {"a": b"x"})
    import_recovery(FileSystemStore(root), tmp_path / "recovery")
    assert Bank.open(str(root), WORDS).verify_all().damages == []


def test_a_head_that_an_old_holder_writes_is_told(root: Path) -> None:
    old = open_bank(root)
    store, sealer = old._objects.store, old._objects.sealer
    anchor = old.freshness().anchor
    bank = Bank.open(str(root), SAFE)
    bank.keys.remove(KEY.id.hex())
    (last,) = sorted((root / "keys").glob("*.head.*"))[-1:]
    name = f"keys/{last.name[:-12]}{int(last.suffix[1:]) + 50:012}"

    class OldRing:
        current = staticmethod(lambda _tag: old._objects.keys.roots._all[0])

    body = {"there": {}, "coming": {}, "going": {}, "history": []}
    forged = type(sealer)(OldRing(), bytes.fromhex(bank.id)).seal(b"T", name, json.dumps(body).encode())  # type: ignore[arg-type]
    store.put(name, forged)
    found = {each.object: each.reason for each in bank.verify_all().damages}
    assert "earlier root" in found[name]
    protect(bank, "new", {"b": NEW_DATA})
    assert not bank.freshness(anchor).older


def test_a_bank_of_the_released_format_is_read_extended_and_rotated(tmp_path: Path) -> None:
    """It has no heads and no public halves: what needs one is refused, and says what to do."""
    home = Path(shutil.copytree(FIXTURE, tmp_path / "home"))
    root, expected = home / "bank", json.loads((home / "expected.json").read_text())
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    key, words = load_key(home / "key"), load_passphrase(home / "passphrase")
    bank = Bank.open(str(root), key)
    with pytest.raises(Conflict, match=r"could not be brought along: \w+ \(.*\).*keys add.*--drop-others"):
        bank.keys.rotate(NEW)
    with pytest.raises(Conflict, match="Nothing was changed"):
        bank.keys.rotate(NEW)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert bank.keys.add(words).kind == "passphrase"  # once, so that it can be brought along
    with pytest.raises(Conflict, match="opens the bank already"):
        bank.keys.add(words)
    protect(bank, "between", {"a": b"between"}, project="project-one")
    bank.keys.rotate(NEW)
    protect(bank, "after", {"a": b"after"}, project="project-one")
    for each in (words, NEW):
        user = Bank.open(str(root), each)
        assert {info.id for info in user.checkpoints()} == {*expected["checkpoints"], "between", "after"}
        assert user.verify_all().damages == []
        assert restore(user, "after") == {"a": b"after"}
    thief = Thief(root, FIXTURE / "bank", key=key)
    assert [n for n in thief.opened if n.startswith("checkpoints/between.")]
    assert not [n for n in thief.opened if n.startswith("checkpoints/after.")]
    changed = {p for p, content in before.items() if not p.exists() or p.read_bytes() != content}
    assert {p.name.split(".")[1] for p in changed} == {key.id.hex()}  # nothing is written anew


def test_the_other_keys_of_a_released_bank_are_dropped_when_that_is_asked_for(tmp_path: Path) -> None:
    home = Path(shutil.copytree(FIXTURE, tmp_path / "home"))
    key, words = load_key(home / "key"), load_passphrase(home / "passphrase")
    bank = Bank.open(str(home / "bank"), key)
    bank.keys.rotate(NEW, drop_others=True)
    assert bank.verify_all().damages == []
    for gone in (key, words):
        with pytest.raises(BankError):
            Bank.open(str(home / "bank"), gone)
    assert [slot.id for slot in Bank.open(str(home / "bank"), NEW).keys.slots()] == [NEW.id.hex()]


def test_checkpoints_are_copied_to_another_bank_from_every_epoch(root: Path, tmp_path: Path) -> None:
    bank = open_bank(root)
    bank.keys.rotate(NEW)
    protect(bank, "new", {"b": NEW_DATA})
    second = open_bank(tmp_path / "second")
    second.keys.rotate(SAFE)
    for checkpoint_id in ("old", "new"):
        protect(second, checkpoint_id, restore(bank, checkpoint_id))
    assert restore(Bank.open(str(tmp_path / "second"), SAFE), "old") == {"a": OLD_DATA}
    assert second.verify_all().damages == []


def test_it_is_read_without_refloat(root: Path) -> None:
    """By keys that came in the first epoch, in a later one, and with the newest root."""
    later, newest = BankKey(noise(32, "later")), BankKey(noise(32, "newest"))
    bank = open_bank(root)
    bank.keys.rotate(NEW)
    bank.keys.add(later)
    bank.keys.rotate(KEY)
    protect(bank, "new", {"b": NEW_DATA})
    bank.keys.add(newest)
    for number, key in enumerate((KEY, SAFE, later, newest, NEW)):
        path = root.parent / f"key{number}"
        path.write_text(f"refloat-bank-key-1 {key.secret.hex()} {keys._checksum(key.secret)}\n")
        argv = [sys.executable, "-I", str(READER), "--bank", str(root), "--key", str(path)]
        for checkpoint_id, name, data in (("old", "a", OLD_DATA), ("new", "b", NEW_DATA)):
            out = root.parent / f"out{number}-{name}"
            more = ["extract", checkpoint_id, name, "--to", str(out)]
            done = subprocess.run([*argv, *more], capture_output=True, text=True, timeout=100)
            assert done.returncode == (0 if key is not NEW else 1), done.stderr
            assert (out.read_bytes() if out.exists() else None) == (data if key is not NEW else None)
    with pytest.raises(BankError):
        Bank.open(str(root), NEW)
