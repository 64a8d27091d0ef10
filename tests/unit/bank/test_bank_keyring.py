"""Several keys of one bank, passphrases, the keys of projects; changed, lost, given out and erased."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey, Passphrase, ProjectKey, keys, load_any_key, load_passphrase
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.store import Store
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, NotFound
from refloat.testing.stores import Crash, CrashAfter, Hooked, RefuseDelete
from tests.unit.support.bank_helpers import (
    CHUNK,
    KEY,
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

OTHER = BankKey(bytes(range(1, 33)))
WORDS = Passphrase("correct horse battery stäple")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase that is as little work as Argon2id allows."""
    monkeypatch.setattr(keys, "_MEMORY", 64)
    monkeypatch.setattr(keys, "_ITERATIONS", 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    protect(open_bank(tmp_path / "bank"), "c1", {"a": noise(CHUNK + 5)})
    return tmp_path / "bank"


def slot_of(root: Path) -> Path:
    """The only slot."""
    others = {"project", "head", "copy"}
    (path,) = (p for p in (root / "keys").iterdir() if not others & {*p.name.split(".")})
    return path


def opens(root: Path | Store, key: BankKey | Passphrase) -> bool:
    try:
        return restore(Bank.open(str(root) if isinstance(root, Path) else root, key), "c1") != {}
    except BankDamaged:
        raise
    except BankError:
        return False


def test_more_keys_for_one_bank(root: Path) -> None:
    bank = open_bank(root)
    before = files(root)
    added = bank.keys.add(OTHER, "the safe")
    words = bank.keys.add(WORDS)
    assert {(s.id, s.kind, s.label) for s in bank.keys.slots()} == {
        (KEY.id.hex(), "key file", ""),
        (OTHER.id.hex(), "key file", "the safe"),
        (words.id, "passphrase", ""),
    }
    assert opens(root, KEY)
    assert opens(root, OTHER)
    assert opens(root, WORDS)
    with pytest.raises(Conflict, match="already"):
        bank.keys.add(OTHER)
    with pytest.raises(Conflict, match="already"):
        bank.keys.add(WORDS)
    bank.keys.remove(added.id[:8])
    assert not opens(root, OTHER)
    bank.keys.remove(words.id)
    assert not opens(root, WORDS)
    assert files(root) == before
    with pytest.raises(Conflict, match="last key"):
        bank.keys.remove(KEY.id.hex())
    with pytest.raises(NotFound):
        bank.keys.remove("ffff")
    with pytest.raises(NotFound):
        bank.keys.remove("")


def test_a_bank_made_with_a_passphrase(tmp_path: Path) -> None:
    protect(Bank.open(str(tmp_path / "bank"), WORDS, create=True), "c1", {"a": b"x"})
    assert opens(tmp_path / "bank", WORDS)
    assert opens(tmp_path / "bank", Passphrase("correct horse battery sta\u0308ple"))  # as a Mac types it
    for wrong in ("correct horse battery stäple ", "Correct horse battery stäple", "x"):
        with pytest.raises(BankError, match="passphrase does not open the bank"):
            Bank.open(str(tmp_path / "bank"), Passphrase(wrong))
    with pytest.raises(BankError, match=r"key does not open the bank.*1 other key \(passphrase\)"):
        Bank.open(str(tmp_path / "bank"), KEY)
    with pytest.raises(InvalidInput, match="empty"):
        Passphrase("")
    assert "horse" not in repr(WORDS)
    path = slot_of(tmp_path / "bank")
    kdf = json.loads(path.read_text())["kdf"]
    assert (kdf["name"], len(kdf["salt"])) == ("argon2id", 32)


def test_a_passphrase_for_a_bank_that_has_none(root: Path) -> None:
    with pytest.raises(BankError, match="it has no passphrase, only: key file"):
        Bank.open(str(root), WORDS)


def test_a_passphrase_file(tmp_path: Path) -> None:
    for end in ("", "\n", "\r\n"):
        (tmp_path / "words").write_bytes(f"{WORDS.text}{end}".encode())
        assert load_passphrase(tmp_path / "words") == WORDS
    with pytest.raises(NotFound):
        load_passphrase(tmp_path / "nothing")


@pytest.mark.parametrize(
    "change", [{"memory": 1 << 30}, {"iterations": 10**6}, {"lanes": 1000}, {"name": "md5"}, {"salt": "x"}]
)
def test_parameters_of_a_passphrase_that_were_altered(tmp_path: Path, change: dict[str, object]) -> None:
    """Nobody makes us fill the memory, or try a weaker derivation."""
    Bank.open(str(tmp_path / "bank"), WORDS, create=True)
    path = slot_of(tmp_path / "bank")
    path.with_name(f"{path.name}.copy").unlink()
    slot = json.loads(path.read_text())
    path.write_text(json.dumps({**slot, "kdf": {**slot["kdf"], **change}}, indent=1))
    with pytest.raises(BankError):
        Bank.open(str(tmp_path / "bank"), WORDS)


@pytest.mark.parametrize("change", [{"label": "mine"}, {"kind": "x"}, {"created_at": "2000"}, {"more": 1}])
def test_what_a_slot_says_of_itself_was_altered(root: Path, change: dict[str, object]) -> None:
    path = slot_of(root)
    path.with_name(f"{path.name}.copy").unlink()
    slot = json.loads(path.read_text())
    path.write_text(json.dumps({**slot, **change}, indent=1))
    with pytest.raises(BankDamaged, match=path.name):
        Bank.open(str(root), KEY)


def test_a_bank_that_has_lost_its_slots(root: Path) -> None:
    for path in objects(root):
        if path.parent.name == "keys":
            path.unlink()
    with pytest.raises(BankDamaged, match="lost the objects that its keys open"):
        Bank.open(str(root), KEY)


def test_the_only_key_is_replaced_while_the_new_one_opens_the_bank(root: Path) -> None:
    """What was listed is gone when it is read; that is no loss."""
    bank = Bank.open(str(root), KEY)
    rotations = [lambda: bank.keys.rotate(OTHER)]

    def before(operation: str, name: str) -> None:
        if operation == "get" and name.startswith("keys/") and rotations:
            rotations.pop()()

    assert Bank.open(Hooked(FileSystemStore(root), before), OTHER).id == bank.id
    assert not rotations


@pytest.mark.parametrize("new", [OTHER, WORDS], ids=["key", "passphrase"])
@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
def test_dying_at_every_write_of_a_rotation(root: Path, done: bool, new: BankKey | Passphrase) -> None:
    """There is no moment at which no key opens the bank, and the rotation can be given again."""
    outcomes = set()
    for writes in range(20):
        try:
            Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY).keys.rotate(new)
            finished = True
        except Crash:
            finished = False
        outcomes.add((opens(root, KEY), opens(root, new)))
        if opens(root, KEY):
            assert Bank.open(str(root), KEY).keys.rotate(new)[1] == ""
        assert not opens(root, KEY)
        assert opens(root, new)
        Bank.open(str(root), new).keys.rotate(KEY)
        if finished:
            break
    assert outcomes - {(True, False), (True, True), (False, True)} == set()
    assert (False, True) in outcomes
    assert len(outcomes) > 1


def test_rotating_changes_nothing_but_slots(root: Path) -> None:
    before = {name: content for name, content in files(root).items() if not name.startswith("keys/")}
    bank = open_bank(root)
    bank.keys.rotate(OTHER)
    assert {n: c for n, c in files(root).items() if not n.startswith("keys/")} == before
    assert restore(bank, "c1") == {"a": noise(CHUNK + 5)}
    bank.keys.rotate(OTHER)  # to itself
    assert opens(root, OTHER)


def test_keys_of_a_bank_that_refuses_to_delete(root: Path) -> None:
    locked = RefuseDelete(FileSystemStore(root))
    bank = Bank.open(locked, KEY)
    slot, refused = bank.keys.rotate(OTHER)
    assert slot.id == OTHER.id.hex()
    assert "still opens the bank" in refused
    assert "the store refuses" in refused
    assert not opens(locked, KEY)  # its slot is there, but the bank has another root now
    assert opens(locked, OTHER)
    with pytest.raises(BankError, match="still opens the bank"):
        bank.keys.remove(KEY.id.hex())
    assert Bank.open(str(root), OTHER).keys.rotate_project("p1") == 2


def test_the_key_of_a_project_changes_and_everything_is_still_shared(root: Path) -> None:
    bank, other = open_bank(root), open_bank(root)
    content = {"a": noise(CHUNK + 5)}
    with bank.writer("early", "p1") as writer:
        assert bank.keys.rotate_project("p1") == 2
        early = writer.put_data([noise(CHUNK, 3)])
        writer.commit(created_at="2031-01-01T00:00:00Z", graph={}, sections={"a": {"data": early}})
    refs = protect(bank, "c2", {**content, "b": noise(CHUNK, 2)})
    assert refs["a"]["stored"] < 2000
    versions = {path.read_bytes()[16:32] for path in objects(root, ".pack")}
    assert len(versions) == 2
    for reader in (bank, other, open_bank(root)):
        assert restore(reader, "c1") == content
        assert restore(reader, "c2") == {**content, "b": noise(CHUNK, 2)}
        assert restore(reader, "early") == {"a": noise(CHUNK, 3)}
        reader.verify("c2")
    assert [(v.project_id, v.number) for v in bank.keys.projects()] == [("p1", 1), ("p1", 2)]
    protect(other, "c3", {"a": noise(CHUNK, 9)})  # it had not known the new key
    assert {path.read_bytes()[16:32] for path in objects(root, ".pack")} == versions
    with pytest.raises(NotFound):
        bank.keys.rotate_project("nobody")
    assert bank.delete("c1").freed > 0
    bank.delete("c2")
    bank.delete("c3")
    bank.delete("early")
    assert {p.parent.name for p in objects(root)} == {"bank", "keys"}


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
def test_dying_at_every_write_of_a_projects_rotation(root: Path, done: bool) -> None:
    for writes in range(4):
        try:
            Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY).keys.rotate_project("p1")
            finished = True
        except Crash:
            finished = False
        bank = open_bank(root)
        assert restore(bank, "c1") == {"a": noise(CHUNK + 5)}
        protect(bank, "new", {"a": noise(CHUNK, writes)})
        assert restore(open_bank(root), "new") == {"a": noise(CHUNK, writes)}
        bank.delete("new")
        if finished:
            break
    assert finished


def test_a_projects_key_opens_that_project_only(root: Path, tmp_path: Path) -> None:
    bank = open_bank(root)
    protect(bank, "c2", {"a": noise(CHUNK, 2)}, project="p2")
    bank.keys.rotate_project("p1")
    protect(bank, "c3", {"a": noise(CHUNK, 3)})
    bank.keys.export_project("p1").save(tmp_path / "p1.key")
    key = load_any_key(tmp_path / "p1.key")
    assert isinstance(key, ProjectKey)
    before = files(root)
    only = Bank.open(str(root), key)
    assert {c.id for c in only.checkpoints()} == {"c1", "c3"}
    assert restore(only, "c1") == {"a": noise(CHUNK + 5)}
    assert restore(only, "c3") == {"a": noise(CHUNK, 3)}
    assert only.verify_all().damages == []
    assert only.verify("c1").bytes == CHUNK + 5
    with pytest.raises(BankDamaged):
        only.checkpoint("c2")
    for refused in (
        lambda: only.writer("c4", "p1"),
        lambda: only.delete("c1"),
        lambda: only.checkpoints("p2"),
        lambda: only.keys.add(OTHER),
        lambda: only.keys.remove(KEY.id.hex()),
        lambda: only.keys.export_project("p1"),
        only.info,
        lambda: only.erase_project("p1"),
    ):
        with pytest.raises(BankError):
            refused()
    assert files(root) == before
    with pytest.raises(BankError, match="another bank"):
        Bank.open(open_bank(tmp_path / "other")._objects.store, key)
    text = (tmp_path / "p1.key").read_text()
    assert KEY.secret.hex() not in text
    assert "secret" not in repr(key)
    (tmp_path / "p1.key").write_text(text[:-3] + ("0" if text[-3] != "0" else "1") + text[-2:])
    with pytest.raises(BankError, match="damaged"):
        load_any_key(tmp_path / "p1.key")


def test_whoever_has_one_projects_key_cannot_forge_for_another(root: Path) -> None:
    """What is sealed under the key of p2 is refused under a name of p1."""
    bank = open_bank(root)
    protect(bank, "c2", {"a": b"x"}, project="p2")
    sealer, ring = bank._objects.sealer, bank._objects.keys
    (name,) = (f"checkpoints/{p.name}" for p in (root / "checkpoints").iterdir() if p.name.startswith("c1."))
    secret = ring.current(ring.project_tag("p2"))

    class Forger:
        def __getattr__(self, attribute: str) -> object:
            return getattr(ring, attribute)

        def current(self, _tag: str) -> object:
            return secret

    plain = sealer.open(b"M", name, (root / name).read_bytes())
    forged = type(sealer)(Forger(), bytes.fromhex(bank.id)).seal(b"M", name, plain)  # type: ignore[arg-type]
    (root / name).write_bytes(forged)
    with pytest.raises(BankDamaged, match="unknown key"):
        open_bank(root).checkpoint("c1")


def test_erasing_a_project(root: Path) -> None:
    bank = open_bank(root)
    protect(bank, "c2", {"a": noise(CHUNK, 2)}, project="p2")
    kept = [p.read_bytes() for p in objects(root) if "/data/" in str(p)]
    assert bank.erase_project("p1").freed > CHUNK
    assert [c.id for c in bank.checkpoints()] == ["c2"]
    assert restore(bank, "c2") == {"a": noise(CHUNK, 2)}
    assert len(kept) > len([p for p in objects(root) if "/data/" in str(p)]) > 0
    protect(bank, "c1", {"a": noise(CHUNK + 5)})  # under a new key
    assert opens(root, KEY)


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
def test_dying_at_every_write_of_an_erasure(tmp_path: Path, done: bool) -> None:
    for writes in range(30):
        root = tmp_path / f"bank{writes}"
        protect(open_bank(root), "c1", {"a": noise(5)})
        try:
            Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY).erase_project("p1")
            finished = True
        except Crash:
            finished = False
        open_bank(root).erase_project("p1")
        assert {p.parent.name for p in objects(root)} == {root.name, "keys"}
        if finished:
            break
    assert finished
    assert writes > 3


def test_a_project_whose_keys_are_lost(root: Path) -> None:
    for path in objects(root):
        if ".project." in path.name:
            path.unlink()
    bank = open_bank(root)
    (found,) = bank.checkpoints()
    assert found.damaged
    assert "unknown key" in found.reason
    assert "damaged" in bank.collect().postponed
    assert objects(root, ".pack")


def test_looking_at_a_bank_without_a_key(root: Path, tmp_path: Path) -> None:
    slots = Bank.look(str(root))
    assert slots is not None
    assert [slot.id for slot in slots] == [KEY.id.hex()]
    assert Bank.look(str(tmp_path / "nothing")) is None
    (tmp_path / "empty").mkdir()
    assert Bank.look(str(tmp_path / "empty")) is None
