"""tools/read_bank.py: the reader that needs no Refloat, run as its users would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from refloat.bank import Bank, Passphrase, keys, packs
from tests.unit.support.bank_helpers import CHUNK, KEY, hasty, noise, objects, open_bank, protect

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

READER = Path(__file__).parents[3] / "tools/read_bank.py"
CONTENT = {
    "OS::Cinder::Volume#v1": bytes(2 * CHUNK) + noise(2 * CHUNK + 7) + b"text " * 300_000 + bytes(CHUNK),
    "OS::Glance::Image#i1": noise(5),
    "T#empty": b"",
    "T#zeros": bytes(3 * CHUNK + 1),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    monkeypatch.setattr(keys, "_MEMORY", 64)
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", CONTENT, plan={"name": "Müller"})
    protect(bank, "c2", {"T#x": b"other"}, project="p2")
    bank.keys.rotate_project("p1")
    protect(bank, "c3", {**CONTENT, "T#new": noise(CHUNK, "new")})
    (tmp_path / "key").write_text(
        f"# a key\n\nrefloat-bank-key-1 {KEY.secret.hex()} {keys._checksum(KEY.secret)}\n"
    )
    bank.keys.export_project("p1").save(tmp_path / "p1")
    bank.keys.add(Passphrase("pässword"))
    (tmp_path / "words").write_text("pässword\n")
    return tmp_path


def run(home: Path, *argv: str, bank: str = "bank") -> subprocess.CompletedProcess[str]:
    # -I: nothing of the environment, and nothing of this folder, can be imported by it.
    command = [sys.executable, "-I", str(READER), "--bank", bank, *argv]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=100)


def test_it_is_short_and_needs_no_refloat() -> None:
    text = READER.read_text()
    assert len(text.splitlines()) <= 200
    assert "import refloat" not in text
    assert "from refloat" not in text


@pytest.mark.parametrize("how", [("--key", "key"), ("--key", "p1"), ("--passphrase-file", "words")])
def test_list_show_extract(home: Path, how: tuple[str, str]) -> None:
    listed = run(home, *how, "list")
    assert listed.returncode == 0, listed.stderr
    ids = [line.split()[0] for line in listed.stdout.splitlines()]
    assert ids == (["c1", "c3"] if how[1] == "p1" else ["c1", "c2", "c3"])
    shown = json.loads(run(home, *how, "show", "c1").stdout)
    assert shown["plan"] == {"name": "Müller"}
    assert set(shown["sections"]) == set(CONTENT)
    for number, (section, content) in enumerate(CONTENT.items()):
        done = run(home, *how, "extract", "c3", section, "--to", f"out{number}")
        assert done.returncode == 0, done.stderr
        assert (home / f"out{number}").read_bytes() == content
    assert "exists" in run(home, *how, "extract", "c1", "T#empty", "--to", "out0").stderr
    assert run(home, *how, "extract", "c3", "T#new").returncode == 0
    assert (home / "T_new").read_bytes() == noise(CHUNK, "new")


def test_what_it_refuses(home: Path) -> None:
    (home / "wrong").write_text(f"refloat-bank-key-1 {'0' * 64} {keys._checksum(bytes(32))}\n")
    (home / "broken").write_text(f"refloat-bank-key-1 {'0' * 64} {'0' * 16}\n")
    (home / "bad words").write_text("password")
    (home / "other").mkdir()
    (home / "other/bank").write_text('{"format": "refloat-bank", "version": 2}')
    for wrong, message in (
        (("--key", "wrong", "list"), "does not open"),
        (("--key", "broken", "list"), "damaged"),
        (("--passphrase-file", "bad words", "list"), "does not open"),
        (("--key", "key", "show", "c9"), "no checkpoint c9"),
        (("--key", "p1", "show", "c2"), "no checkpoint c2"),
        (("--key", "key", "extract", "c1", "T#none"), "0 pieces of data"),
    ):
        done = run(home, *wrong)
        assert done.returncode == 1
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert "version 2" in run(home, "--key", "key", "list", bank="other").stderr
    assert "No such file" in run(home, "--key", "key", "list", bank="nothing").stderr
    for path in objects(home / "bank", ".pack"):
        data = bytearray(path.read_bytes())
        data[60] ^= 1
        path.write_bytes(data)
    done = run(home, "--key", "key", "extract", "c1", "OS::Cinder::Volume#v1", "--to", "out")
    assert done.returncode == 1
    assert "is not what was written" in done.stderr
    assert not (home / "out").exists()


def test_it_reads_what_refloat_reads(home: Path) -> None:
    """The two agree on what a checkpoint is."""
    bank = Bank.open(str(home / "bank"), KEY)
    for info in bank.checkpoints():
        shown = json.loads(run(home, "--key", "key", "show", info.id).stdout)
        assert shown["sections"] == bank.checkpoint(info.id).sections
        assert shown["graph"] == bank.checkpoint(info.id).graph
