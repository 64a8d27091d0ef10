"""Banks of released formats are read for ever: opened, listed, verified and restored as they were then.

If this fails, do not make the fixture anew: whoever has such a bank cannot do that either.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, KeySource, ProjectKey, load_any_key, load_passphrase
from refloat.bank.reserve import RESERVE
from tests.unit.support.bank_helpers import hasty, protect

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

FIXTURES = Path(__file__).parents[2] / "fixtures"
READER = Path(__file__).parents[3] / "tools/read_bank.py"


@pytest.fixture(params=["bank-1"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a bank of an earlier format."""
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / "home"))


def expected(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "expected.json").read_text(encoding="utf-8")))


def source(home: Path, name: str) -> KeySource | ProjectKey:
    return load_passphrase(home / name) if name == "passphrase" else load_any_key(home / name)


@pytest.mark.parametrize("key", ["key", "passphrase", "project-one.key"])
def test_an_old_bank_is_read(home: Path, key: str) -> None:
    bank = Bank.open(str(home / "bank"), source(home, key))
    assert bank.id == expected(home)["id"]
    wanted = {
        checkpoint_id: about
        for checkpoint_id, about in expected(home)["checkpoints"].items()
        if key != "project-one.key" or about["project_id"] == "project-one"
    }
    assert {info.id: (info.project_id, info.created_at) for info in bank.checkpoints()} == {
        checkpoint_id: (about["project_id"], about["created_at"]) for checkpoint_id, about in wanted.items()
    }
    assert bank.verify_all().damages == []
    for checkpoint_id, about in wanted.items():
        kept = bank.checkpoint(checkpoint_id)
        assert kept.info.plan == {"id": "p", "name": "Müller"}
        assert set(kept.sections) == set(about["sections"])
        for section, digest in about["sections"].items():
            with bank.open_data(kept.sections[section]["data"]) as reader:
                assert hashlib.sha256(reader.read()).hexdigest() == digest


def test_an_old_bank_is_written_and_cleaned(home: Path) -> None:
    bank = Bank.open(str(home / "bank"), source(home, "key"))
    with bank.open_data(bank.checkpoint("first").sections["OS::Glance::Image#i1"]["data"]) as reader:
        data = reader.read()
    ref = protect(bank, "new", {"a": data + bytes(5)}, project="project-one")["a"]
    assert protect(bank, "newer", {"a": data}, project="project-one")["a"]["stored"] < len(data)
    assert ref["size"] == len(data) + 5
    for checkpoint_id in ("first", "new", "newer"):
        bank.delete(checkpoint_id)
    assert bank.verify_all().damages == []
    assert bank.info().garbage == 0
    for checkpoint_id in ("second", "other"):
        bank.delete(checkpoint_id)
    left = {p.relative_to(home / "bank").parts[0] for p in (home / "bank").rglob("*") if p.is_file()}
    assert left == {"bank", "keys", *RESERVE}


def test_an_old_bank_is_read_without_refloat(home: Path) -> None:
    command = [sys.executable, "-I", str(READER), "--bank", "bank", "--key", "key", "extract"]
    number = 0
    for checkpoint_id, about in expected(home)["checkpoints"].items():
        for section, digest in about["sections"].items():
            number += 1
            done = subprocess.run(
                [*command, checkpoint_id, section, "--to", f"out{number}"],
                cwd=home,
                capture_output=True,
                text=True,
                timeout=100,
            )
            assert done.returncode == 0, done.stderr
            assert hashlib.sha256((home / f"out{number}").read_bytes()).hexdigest() == digest
