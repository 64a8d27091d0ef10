"""Key files are whole or not there (L3); what a store may ask of whoever opens it is bounded (L6)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from refloat.bank import Bank, Passphrase, create_key, load_key
from refloat.bank.filesystem import FileSystemStore
from refloat.errors import BankError, Conflict, InvalidInput
from tests.unit.support.bank_helpers import KEY, open_bank
from tests.unit.support.mounts import tmpfs, with_own_mounts

KILLED = """
import os, signal, sys
from refloat.bank import create_key
at, calls = int(sys.argv[2]), 0
def dying(real):
    def call(*given, **named):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call
for name in ("open", "fsync", "link", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
create_key(sys.argv[1])
"""


def test_l3_killed_while_a_key_is_made(tmp_path: Path) -> None:
    """At whatever call to the system: there is no key file, or a whole one."""
    seen = set()
    for at in range(1, 12):
        path = tmp_path / str(at) / "bank.key"
        path.parent.mkdir()
        ended = subprocess.run([sys.executable, "-c", KILLED, path, str(at)], timeout=60)
        if path.exists():
            load_key(path)
        else:
            create_key(path)
        seen.add((ended.returncode, path.exists()))
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert {status for status, _ in seen} == {0, -signal.SIGKILL}
    assert not list(tmp_path.glob(f"{at}/.*"))


def test_l3_a_key_is_never_replaced(tmp_path: Path) -> None:
    made = create_key(tmp_path / "key")
    with pytest.raises(Conflict, match="exists"):
        create_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == made
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert os.stat(tmp_path / "key").st_mode & 0o777 == 0o600


def test_l3_a_key_does_not_fit_on_the_disk(tmp_path: Path) -> None:
    def work() -> None:
        tmpfs(tmp_path, "64k")
        (tmp_path / "much").write_bytes(b"x" * 60_000)
        with pytest.raises(BankError, match="cannot be written"):
            [create_key(tmp_path / str(number)) for number in range(100)]
        for path in tmp_path.glob("[0-9]*"):
            load_key(path)

    with_own_mounts(work)


@pytest.mark.parametrize(
    ("name", "value"), [("memory", (1 << 20) + 1), ("iterations", 17), ("lanes", 17), ("memory", 1 << 40)]
)
def test_l6_work_that_the_store_may_ask_for_is_bounded(name: str, value: int) -> None:
    kdf = {"name": "argon2id", "salt": "00" * 16, "memory": 64, "iterations": 1, "lanes": 1, name: value}
    with pytest.raises(BankError, match="absurd"):
        Passphrase("correct horse").key(kdf)


def test_l6_many_slots_are_many_times_the_work(tmp_path: Path) -> None:
    bank = open_bank(tmp_path)
    for number in range(40):
        about = {"kind": "passphrase", "label": "", "created_at": "", "kdf": _cheap(number)}
        text = json.dumps({**about, "sealed": "00"}, indent=1)
        (tmp_path / "keys" / f"{bank.id}.{number:032x}").write_text(text)
    with pytest.raises(BankError, match=r"absurd.*40 passphrases"):
        Bank.open(str(tmp_path), Passphrase("correct horse"))
    assert Bank.open(str(tmp_path), KEY).id == bank.id


def _cheap(number: int) -> dict[str, object]:
    return {"name": "argon2id", "salt": f"{number:032x}", "memory": 64, "iterations": 1, "lanes": 1}


def test_l6_a_new_passphrase_is_not_too_short(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least 8 characters"):
        Bank.create(str(tmp_path / "bank"), Passphrase("1234567"))
    assert not (tmp_path / "bank/bank").exists()
    with pytest.raises(InvalidInput, match="at least 8 characters"):
        open_bank(tmp_path / "other").keys.add(Passphrase("short"))


def test_the_folder_of_a_file_system_is_not_the_banks(tmp_path: Path) -> None:
    """A bank whose folder is a mount point: lost+found is neither a stranger, nor listed, nor removed."""
    (tmp_path / "lost+found").mkdir()
    bank = open_bank(tmp_path)
    bank.collect()
    assert (tmp_path / "lost+found").is_dir()
    assert not [each for each in FileSystemStore(tmp_path).list("") if "lost" in each.name]
