"""M6: whatever is single and cannot be made again is there twice, and verify looks at all of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey, Passphrase, keys
from refloat.errors import BankError
from tests.unit.support.bank_helpers import KEY, hasty, noise, objects, open_bank, protect, restore

__all__ = ["hasty"]

OTHER = BankKey(bytes(range(1, 33)))
WORDS = Passphrase("correct horse battery staple")
DATA = {"a": noise(50_000, "a")}

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "a bit": lambda text, rng: flipped(text, rng),
    "a digit": lambda text, rng: replaced(text, rng),
    "cut": lambda text, rng: text[: rng.randrange(len(text))],
    "longer": lambda text, rng: text + b"x",
    "empty": lambda _text, _rng: b"",
    "zeros": lambda text, _rng: bytes(len(text)),
    "gone": lambda _text, _rng: None,
}


def flipped(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text))
    return text[:at] + bytes([text[at] ^ (1 << rng.randrange(8))]) + text[at + 1 :]


def replaced(text: bytes, rng: random.Random) -> bytes:
    """Still a JSON object of the same form: one hexadecimal digit is another."""
    at = rng.choice([n for n, byte in enumerate(text) if byte in b"0123456789abcdef"])
    other = rng.choice([digit for digit in b"0123456789abcdef" if digit != text[at]])
    return text[:at] + bytes([other]) + text[at + 1 :]


def damage(path: Path, how: str, rng: random.Random) -> None:
    content = DAMAGES[how](path.read_bytes(), rng)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.fixture
def root(tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank that three keys open, one of them a passphrase."""
    monkeypatch.setattr(keys, "_MEMORY", 1 << 10)
    monkeypatch.setattr(keys, "_ITERATIONS", 1)
    bank = open_bank(tmp_path / "bank")
    bank.keys.add(OTHER, "the safe")
    bank.keys.add(WORDS)
    protect(bank, "c1", DATA)
    return tmp_path / "bank"


def single(root: Path) -> list[Path]:
    """All that opens the bank: the descriptor, the slots, the keys of projects, and the copies of all."""
    keys = sorted(path for path in (root / "keys").iterdir() if ".head." not in path.name)
    return [root / "bank", *keys]


@pytest.mark.parametrize("how", DAMAGES)
def test_m6_no_single_damage_makes_a_bank_unreadable(root: Path, how: str) -> None:
    for number in range(len(single(root))):
        rng = random.Random(f"{how} {number}")
        whole = {path: path.read_bytes() for path in single(root)}
        path = list(whole)[number]
        damage(path, how, rng)
        for key in (KEY, OTHER, WORDS):
            bank = Bank.open(str(root), key)
            assert restore(bank, "c1") == DATA, path.name
        report = bank.verify_all()
        gone_copy = how == "gone" and path.name.endswith(".copy") and ".project." not in path.name
        named = [] if gone_copy else [str(path.relative_to(root))]
        assert [each.object for each in report.damages] == named, path.name
        assert all(each.readable and not each.checkpoint_id for each in report.damages)
        assert bank.repair(report).keys == [str(path.relative_to(root))]
        bank.repair(report, apply=True)
        assert not Bank.open(str(root), KEY).repair(bank.verify_all()).needed
        if ".project." not in path.name:
            assert path.read_bytes() == whole[path]


def test_m6_copies_are_there_for_every_key_and_go_with_it(root: Path) -> None:
    names = [path.name.removesuffix(".copy") for path in single(root)]
    assert all(names.count(name) == 2 for name in names), names
    bank = open_bank(root)
    bank.keys.remove(OTHER.id.hex())
    assert not [path for path in single(root) if OTHER.id.hex() in path.name]
    with pytest.raises(BankError, match="does not open"):
        Bank.open(str(root), OTHER)
    bank.keys.rotate(OTHER)
    assert not [path for path in single(root) if KEY.id.hex() in path.name]
    assert restore(Bank.open(str(root), OTHER), "c1") == DATA


def test_m6_a_bank_of_an_earlier_refloat_gets_its_copies_when_it_is_written_to(root: Path) -> None:
    for path in single(root):
        if path.name.endswith(".copy") and ".project." not in path.name:
            path.unlink()
    bank = open_bank(root)
    assert not bank.verify_all().damages
    assert restore(bank, "c1") == DATA
    assert not (root / "keys/bank.copy").exists()  # looking changes nothing
    protect(bank, "c2", DATA)
    assert (root / "keys/bank.copy").read_bytes() == (root / "bank").read_bytes()
    for number, path in enumerate(single(root)):
        (aside := path.with_name("aside")).unlink(missing_ok=True)
        shutil.move(path, aside)
        assert restore(Bank.open(str(root), (KEY, OTHER, WORDS)[number % 3]), "c2") == DATA, path.name
        shutil.move(aside, path)


def test_m6_a_slot_that_nobody_uses_now_is_looked_at(root: Path) -> None:
    """Both copies of the recovery key are rotten: it is told before the key is needed."""
    for path in single(root):
        if OTHER.id.hex() in path.name:
            path.write_bytes(path.read_bytes()[:-40] + b"0" * 40)
    report = open_bank(root).verify_all("manifests")
    assert {each.object.partition(".")[2] for each in report.damages} == {
        OTHER.id.hex(),
        f"{OTHER.id.hex()}.copy",
    }


def test_a_key_that_was_erased_and_is_put_back_is_told(root: Path) -> None:
    bank = open_bank(root)
    (key,) = [path for path in single(root) if path.name.endswith(".1")]
    old = key.read_bytes()
    bank.erase_project("p1")
    key.write_bytes(old)
    (found,) = bank.verify_all().damages
    assert (found.object, found.readable) == (f"keys/{key.name}", True)
    assert "erased" in found.reason
    bank.erase_project("p1")
    assert not bank.verify_all().damages
    assert not [path for path in objects(root) if ".project." in path.name]


def test_m6_a_key_whose_writer_was_killed_between_its_copies_is_finished_by_the_next_one(root: Path) -> None:
    first, _copy = sorted(_project_key(root))
    first.unlink()
    bank = Bank.open(str(root), OTHER)
    (found,) = bank.verify_all().damages
    assert (found.reason, found.readable) == ("it is missing", True)
    protect(bank, "c2", DATA)
    assert bank.verify_all().damages == []
    assert restore(Bank.open(str(root), OTHER), "c2") == DATA


def _swapped_and_mended(root: Path, names: list[Path]) -> Bank:
    """A bank that was read, and repaired, after two of its objects had been swapped."""
    contents = [path.read_bytes() for path in names]
    for path, content in zip(names, reversed(contents), strict=True):
        path.chmod(0o600)
        path.write_bytes(content)
    bank = Bank.open(str(root), OTHER)
    assert restore(bank, "c1") == DATA
    report = bank.verify_all()
    assert {each.object for each in report.damages} == {str(path.relative_to(root)) for path in names}
    bank.repair(report, apply=True)
    return bank


def test_m6_a_slot_and_its_copy_that_were_swapped_open_the_bank(root: Path) -> None:
    names = [path for path in single(root) if OTHER.id.hex() in path.name]
    assert len(names) == 2
    contents = [path.read_bytes() for path in names]
    bank = _swapped_and_mended(root, names)
    assert [path.read_bytes() for path in names] == contents
    assert bank.verify_all().damages == []


def _project_key(root: Path) -> list[Path]:
    found = [path for path in objects(root) if ".project." in path.name]
    first = min(path.name.removesuffix(".copy") for path in found)
    return [path for path in found if path.name.removesuffix(".copy") == first]


def test_m6_a_projects_key_and_its_copy_that_were_swapped_are_used_and_mended(root: Path) -> None:
    _swapped_and_mended(root, _project_key(root))
    assert restore(Bank.open(str(root), OTHER), "c1") == DATA
    assert Bank.open(str(root), OTHER).verify_all().damages == []


def test_m6_a_projects_key_that_is_damaged_with_its_copy_is_named(root: Path) -> None:
    names = _project_key(root)
    for path in names:
        path.chmod(0o600)
        path.write_bytes(b"nothing")
    named = {each.object for each in Bank.open(str(root), OTHER).verify_all().damages}
    assert named >= {str(path.relative_to(root)) for path in names}
