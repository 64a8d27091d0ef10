"""`refloat bank`, in this process, with made-up applications."""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from castellan.tests.unit.key_manager.mock_key_manager import MockKeyManager

from refloat.bank import Bank, create_key, keys, load_key, mount
from refloat.cloud import barbican
from refloat.cloud.barbican import KeyManager
from refloat.errors import CloudError
from refloat.providers.bank_keys import BarbicanKey
from tests.unit.support.cli_helpers import PROJECT, Command, Ran


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_MEMORY", 64)
    monkeypatch.setattr(os, "fsync", lambda _fd: None)


@pytest.fixture
def home(refloat: Command) -> Path:
    """A user with three checkpoints; one of them, of three resources, has data in the bank."""
    key_file(refloat).parent.mkdir(parents=True)
    key = create_key(key_file(refloat))
    bank = Bank.open(str(refloat.home / "data/refloat/bank"), key, create=True)
    for name, count in (("one", 0), ("two", 0), ("data", 3)):
        with bank.writer(name, PROJECT) as writer:
            sections = {f"T#{n}": {"data": writer.put_data([os.urandom(1000)])} for n in range(count)}
            graph = {"nodes": [], "edges": []}
            writer.commit(created_at="2031-01-01T00:00:00Z", graph=graph, sections=sections or {"T#0": {}})
    return refloat.home


def key_file(refloat: Command) -> Path:
    return refloat.home / "config/refloat/bank.key"


def ran(result: Ran, status: int = 0) -> Ran:
    assert result.status == status, result.err
    return result


def open_bank(refloat: Command) -> Bank:
    return Bank.open(
        str(refloat.home / "data/refloat/bank"), load_key(refloat.home / "config/refloat/bank.key")
    )


def a_pack(home: Path) -> Path:
    return sorted((home / "data/refloat/bank/data").rglob("*.pack"))[0]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def test_there_is_no_bank_yet(refloat: Command) -> None:
    for command in ("info", "verify", "collect", "repair", "keys list"):
        assert "there is no bank" in ran(refloat("bank", *command.split()), 1).err
    assert not (refloat.home / "data").exists()
    assert not (refloat.home / "config").exists()


def test_info(refloat: Command, home: Path) -> None:
    found = ran(refloat("bank", "info", "-f", "json")).json
    assert (found["checkpoints"], found["projects"], found["keys"], found["format_version"]) == (3, 1, 1, 1)
    assert found["data_bytes"] == 3000
    assert found["garbage_bytes"] == 0
    assert found["last_verification"] == {}
    # 6.5 of the first user's findings: how much of it is whose, and that nothing is unfinished.
    (project,) = found["by_project"]
    assert (project["checkpoints"], project["data_bytes"]) == (3, 3000)
    assert 0 < project["stored_bytes"] <= found["stored_bytes"]
    ran(refloat("bank", "verify"))
    table = ran(refloat("bank", "info"))
    assert "damages: 0" in table.out
    assert re.search(r"unfinished\W+none", table.out)
    assert str(home) in table.out


def test_verify(refloat: Command, home: Path) -> None:
    good = ran(refloat("bank", "verify"))
    assert good.out.startswith("3 checkpoints are good: read 3 packs, 2.9 KiB of data")
    for depth in ("manifests", "existence", "full"):
        assert ran(refloat("bank", "verify", "--depth", depth, "-f", "json")).json["status"] == "good"
    sampled = ran(refloat("bank", "verify", "--sample", "50%", "--seed", "5"))
    assert "a sample of 50 % (seed 5)" in sampled.out
    damage(a_pack(home))
    bad = ran(refloat("bank", "verify"), 1)
    assert "data T#" in bad.out
    assert a_pack(home).name in bad.out
    found = ran(refloat("bank", "verify", "dat", "-f", "json"), 1).json
    assert (found["status"], found["checkpoints"], len(found["damages"])) == ("bad", 1, 1)
    assert found["damages"][0]["section"].startswith("T#")
    assert ran(refloat("bank", "verify", "--project", "other", "-f", "json")).json["checkpoints"] == 0
    for wrong in (("--sample", "0%"), ("--sample", "x"), ("--sample", "5%", "--depth", "existence")):
        assert ran(refloat("bank", "verify", *wrong), 2).err
    assert "there is no checkpoint nothing" in ran(refloat("bank", "verify", "nothing"), 1).err
    assert "no interrupted verification" in ran(refloat("bank", "verify", "--resume"), 1).err


def test_repair(refloat: Command, home: Path) -> None:
    assert ran(refloat("bank", "repair")).out == "Nothing is damaged.\n"
    damage(a_pack(home))
    looked = ran(refloat("bank", "repair", "--delete-damaged"), 1)
    assert "checkpoint data: T#" in looked.out
    assert "--only TYPE=NAME" in looked.out
    assert "Nothing was changed" in looked.out
    assert "without --apply" in looked.err
    done = ran(refloat("bank", "repair", "--apply", "-f", "json")).json
    assert [each["checkpoint_id"] for each in done["hurt"]] == ["data"]
    assert len(done["quarantined_packs"]) == 1
    for pack in (home / "data/refloat/bank/data").rglob("*.pack"):
        pack.unlink()
    done = ran(refloat("bank", "repair", "--apply", "--delete-damaged"))
    assert "checkpoint data: nothing can be restored" in done.out
    assert "checkpoint data deleted" in done.out
    assert ran(refloat("bank", "info", "-f", "json")).json["checkpoints"] == 2


def test_collect(refloat: Command, home: Path) -> None:
    bank = open_bank(refloat)
    with bank.writer("dead", PROJECT) as writer:
        writer.put_data([b"x"])
    found = ran(refloat("bank", "collect", "-f", "json")).json
    assert found["freed_bytes"] == 0
    assert "being written" in found["postponed"]
    bank.abandon("dead")
    assert ran(refloat("bank", "collect", "-f", "json")).json["postponed"] == ""
    assert home


def test_h6_collecting_on_a_file_system_whose_listings_are_late(
    refloat: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = home / "data/refloat/bank"
    monkeypatch.setattr(mount, "_TABLE", home / "mountinfo")
    (home / "mountinfo").write_text(f"30 21 0:40 / {place} rw - nfs4 filer:/x rw,vers=4.2\n")
    refused = ran(refloat("bank", "collect"), 1).err
    assert "may tell late what other hosts have done" in refused
    assert "--only-host" in refused
    ran(refloat("bank", "check-store", str(place), "--size", "1"), 1)
    ran(refloat("bank", "collect"), 1)
    ran(refloat("bank", "check-store", str(place), "--size", "1", "--only-host"))
    assert ran(refloat("bank", "collect", "-f", "json")).json["postponed"] == ""


def test_keys(refloat: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = ran(refloat("bank", "keys", "list", "-f", "json")).json
    assert first["in_use"]
    assert first["kind"] == "key file"
    made = ran(
        refloat("bank", "keys", "add", "--new-key", f"{home}/two.key", "--label", "safe", "-f", "json")
    )
    assert "Made the key file" in made.err
    (home / "words").write_text("correct horse\n")
    words = ran(refloat("bank", "keys", "add", "--passphrase-file", f"{home}/words", "-f", "json")).json
    assert words["kind"] == "passphrase"
    listed = ran(refloat("bank", "keys", "list", "-f", "json")).json
    assert [key["removed"] for key in listed] == [False, False, False]
    assert "already" in ran(refloat("bank", "keys", "add", "--new-key", f"{home}/two.key"), 1).err
    assert "no new key" in ran(refloat("bank", "keys", "add"), 2).err
    assert "no terminal" in ran(refloat("bank", "keys", "add", "--passphrase"), 2).err

    ran(refloat("bank", "keys", "remove", first["id"][:6]))
    assert "does not open" in ran(refloat("bank", "info"), 1).err
    (home / "config/refloat/bank.key").rename(home / "old.key")
    lost = ran(refloat("bank", "info"), 2)
    assert "cannot be read without its key" in lost.err
    assert "REFLOAT_BANK_PASSPHRASE_FILE" in lost.err
    monkeypatch.setenv("REFLOAT_BANK_PASSPHRASE_FILE", f"{home}/words")
    assert len(ran(refloat("checkpoint", "list", "-f", "json")).json) == 3
    monkeypatch.delenv("REFLOAT_BANK_PASSPHRASE_FILE")
    three = f"{home}/three.key"
    ran(refloat("bank", "keys", "rotate", "--key", f"{home}/two.key", "--new-key", three, "--drop-others"))
    assert "does not open" in ran(refloat("bank", "info", "--key", f"{home}/two.key"), 1).err
    monkeypatch.setenv("REFLOAT_BANK_KEY", three)
    assert ran(refloat("bank", "verify", "-f", "json")).json["status"] == "good"


def test_m6_what_opens_the_bank_is_kept_elsewhere(refloat: Command, home: Path, tmp_path: Path) -> None:
    bank, kept = home / "data/refloat/bank", str(tmp_path / "safe")
    exported = ran(refloat("bank", "keys", "export-recovery", kept, "-f", "json")).json
    names = {str(path.relative_to(bank)) for path in (bank / "keys").iterdir() if ".head." not in path.name}
    assert exported["objects"] == len({*names, "bank"})
    assert Path(kept).stat().st_mode & 0o777 == 0o600
    assert "exists" in ran(refloat("bank", "keys", "export-recovery", kept), 1).err

    shutil.rmtree(bank / "keys")
    (bank / "bank").unlink()
    assert ran(refloat("bank", "verify"), 1).err
    found = ran(refloat("bank", "keys", "import-recovery", kept, "-f", "json")).json
    assert (set(found["restored"]), found["other"]) == ({*names, "bank"}, [])
    assert len(ran(refloat("checkpoint", "list", "-f", "json")).json) == 3
    assert ran(refloat("bank", "keys", "import-recovery", kept, "-f", "json")).json["restored"] == []

    for name in names:
        (bank / name).write_bytes(b"damaged")
    ran(refloat("bank", "info"), 1)
    left = ran(refloat("bank", "keys", "import-recovery", kept, "-f", "json"), 1).json
    assert set(left["other"]) == names
    ran(refloat("bank", "keys", "import-recovery", kept, "--replace"))
    assert ran(refloat("bank", "info", "-f", "json")).json["checkpoints"] == 3


def test_no_file_makes_another_bank_of_a_bank(refloat: Command, home: Path, tmp_path: Path) -> None:
    kept, other = str(tmp_path / "safe"), str(tmp_path / "other")
    ran(refloat("bank", "keys", "export-recovery", kept))
    ran(refloat("bank", "create", "--bank", other))
    before = {path: path.read_bytes() for path in Path(other).rglob("*") if path.is_file()}
    said = ran(refloat("bank", "keys", "import-recovery", kept, "--bank", other, "--replace"), 1).err
    assert "another bank" in said
    assert before == {path: path.read_bytes() for path in Path(other).rglob("*") if path.is_file()}
    for content in (b"", b"no archive", _zip({"../bank": b"{}"}), _zip({"keys/../../x": b""}), _zip({})):
        (tmp_path / "bad").write_bytes(content)
        ran(refloat("bank", "keys", "import-recovery", str(tmp_path / "bad")), 2)
    assert "no file" in refloat("bank", "keys", "import-recovery", str(tmp_path / "none")).err


def _zip(entries: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return content.getvalue()


def test_a_passphrase_from_the_terminal(
    refloat: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["correct horse", "correct hors", "correct horse", "correct horse", "wrong", "correct horse"]
    monkeypatch.setattr("getpass.getpass", lambda _prompt: answers.pop(0))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert "differ" in ran(refloat("bank", "keys", "add", "--passphrase"), 2).err
    ran(refloat("bank", "keys", "rotate", "--passphrase"))
    (home / "config/refloat/bank.key").unlink()
    assert "passphrase does not open" in ran(refloat("bank", "info"), 1).err
    ran(refloat("bank", "info"))
    assert answers == []


def test_keys_of_projects(refloat: Command, home: Path) -> None:
    assert ran(refloat("bank", "keys", "rotate", "--project", PROJECT, "-f", "json")).json["number"] == 2
    ran(refloat("bank", "keys", "export", PROJECT, f"{home}/p.key"))
    found = ran(refloat("bank", "verify", "--key", f"{home}/p.key", "-f", "json")).json
    assert (found["status"], found["checkpoints"]) == ("good", 3)
    assert "key of one project" in ran(refloat("bank", "info", "--key", f"{home}/p.key"), 1).err
    assert "exists" in ran(refloat("bank", "keys", "export", PROJECT, f"{home}/p.key"), 1).err
    assert "destroy 3 checkpoints" in ran(refloat("bank", "keys", "erase", PROJECT), 2).err
    assert ran(refloat("bank", "keys", "erase", PROJECT, "--yes", "-f", "json")).json["checkpoints"] == 3
    assert ran(refloat("checkpoint", "list", "-f", "json")).json == []


def test_a_key_in_barbican(refloat: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MockKeyManager()
    monkeypatch.setattr(barbican, "_connect", lambda _cloud: (manager, object()))
    added = ran(refloat("bank", "keys", "add", "--barbican", "-f", "json"))
    assert added.json["kind"] == "barbican"
    identity = added.err.rpartition("barbican:")[2].strip()
    monkeypatch.setenv("REFLOAT_BANK_KEY", f"barbican:{identity}")
    assert ran(refloat("bank", "info", "-f", "json")).json["keys"] == 2
    assert len(ran(refloat("checkpoint", "list", "-f", "json")).json) == 3
    monkeypatch.setenv("REFLOAT_BANK_KEY", f"barbican:https://keys.example/v1/secrets/{identity}")
    ran(refloat("bank", "info"))
    monkeypatch.setenv("REFLOAT_BANK_KEY", "barbican:5a1f7c3e-0000-0000-0000-000000000000")
    assert "cannot be had from the key manager" in ran(refloat("bank", "info"), 1).err
    assert home


def test_what_is_in_barbican_is_no_bank_key() -> None:
    manager = MockKeyManager()
    context = object()
    short = manager.create_key(context, "AES", 128)
    with pytest.raises(CloudError, match="256 bits"):
        KeyManager(manager=(manager, context)).fetch(short)
    with pytest.raises(CloudError, match="does not take the key"):
        KeyManager(manager=(manager, None)).store(bytes(32), "x")
    source = BarbicanKey("", KeyManager(manager=(manager, context)))
    assert list(source.candidates([])) == []
    key, kdf = source.new()
    assert kdf is None
    assert list(source.candidates([])) == [key]
    assert source.new()[0] == key
