"""Keys: the file, and who it opens."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey, create_key, load_key
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, NotFound
from tests.unit.support.bank_helpers import KEY, hasty, open_bank, protect, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")


def test_a_key_file_is_read_back(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key
    assert len(key.secret) == 32
    assert key != create_key(tmp_path / "another")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    with pytest.raises(Conflict):
        create_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key


def test_every_damage_to_a_key_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key(path)
    text = path.read_text()
    start = text.index("refloat-bank-key-1")
    for at in range(start, len(text) - 1):
        path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
        with pytest.raises(BankError, match=r"damaged|not a Refloat key"):
            load_key(path)
        path.write_text(text[:at])
        with pytest.raises(BankError, match=r"damaged|not a Refloat key"):
            load_key(path)


def test_what_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_key(tmp_path / "nothing")
    (tmp_path / "x").write_bytes(b"\xff\x00" * 100)
    with pytest.raises(BankError, match="not a Refloat key file"):
        load_key(tmp_path / "x")


def test_the_wrong_key(tmp_path: Path) -> None:
    open_bank(tmp_path / "bank")
    for create in (False, True):
        with pytest.raises(BankError, match="key does not open the bank") as caught:
            Bank.open(str(tmp_path / "bank"), BankKey(bytes(32)), create=create)
        assert not isinstance(caught.value, BankDamaged)


def test_no_bank(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Bank.open(str(tmp_path / "nothing"), KEY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no bank"):
        Bank.open(str(tmp_path / "empty"), KEY)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_with_other_things_does_not_become_a_bank(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(InvalidInput, match="not empty"):
        Bank.open(str(tmp_path / "home"), KEY, create=True)
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["letter"]


def test_a_creation_that_was_interrupted_is_repeated(tmp_path: Path) -> None:
    open_bank(tmp_path / "bank")
    (tmp_path / "bank" / "bank").unlink()
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", {"a": b"hello"})
    assert restore(open_bank(tmp_path / "bank"), "c1") == {"a": b"hello"}


DESCRIPTORS = ("bank", "keys/bank.copy")


def test_a_bank_of_a_newer_format(tmp_path: Path) -> None:
    open_bank(tmp_path / "bank")
    found = json.loads((tmp_path / "bank" / "bank").read_text())
    for name in DESCRIPTORS:
        (tmp_path / "bank" / name).write_text(json.dumps({**found, "version": 2}))
    with pytest.raises(BankError, match=r"format version 2.*knows version 1.*newer Refloat"):
        Bank.open(str(tmp_path / "bank"), KEY)


@pytest.mark.parametrize("text", ["", "{}", "[]", "hello", "\0\0", '{"format": "other"}'])
def test_a_file_that_is_no_descriptor(tmp_path: Path, text: str) -> None:
    open_bank(tmp_path / "bank")
    for name in DESCRIPTORS:
        (tmp_path / "bank" / name).write_text(text)
    with pytest.raises(BankError, match="not a bank"):
        Bank.open(str(tmp_path / "bank"), KEY)


def test_a_changed_descriptor_is_refused(tmp_path: Path) -> None:
    open_bank(tmp_path / "bank")
    found = json.loads((tmp_path / "bank" / "bank").read_text())
    for change in ({"created_at": "1999"}, {"chunk_size": 5}, {"more": 1}, {"check": "0" * 32}, {"id": "z"}):
        for name in DESCRIPTORS:
            (tmp_path / "bank" / name).write_text(json.dumps({**found, **change}))
        with pytest.raises(BankDamaged):
            Bank.open(str(tmp_path / "bank"), KEY)


def test_nothing_in_the_bank_is_readable_without_the_key(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", {"VERYSECRET": b"VERYSECRET" * 5}, project="VERYSECRET", plan={"name": "VERYSECRET"})
    for path in tmp_path.rglob("*"):
        assert "VERYSECRET" not in str(path)
        assert not path.is_file() or b"VERYSECRET" not in path.read_bytes()
