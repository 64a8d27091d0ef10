"""Processes that die, and processes that write, read and delete in one bank at the same time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey, packs
from refloat.bank.collect import WRITER_LIVES
from refloat.bank.filesystem import FileSystemStore
from refloat.errors import Conflict, NotFound
from refloat.testing.stores import Crash, CrashAfter

KEY = BankKey(bytes(range(32)))
CHUNK = 1 << 20
NOW = "2031-01-31T12:00:00Z"

PROCESS = """
import random, sys
from refloat.bank import Bank, BankKey, packs
from refloat.errors import Conflict, NotFound
packs.PACK_SIZE = 3 << 20
bank = Bank.open(sys.argv[1], BankKey(bytes(range(32))))
CHUNK, NOW = 1 << 20, "2031-01-31T12:00:00Z"
def noise(size, seed):
    return random.Random(repr(seed)).randbytes(size)
def protect(name, seeds):
    with bank.writer(name, "p1") as writer:
        ref = writer.put_data(noise(CHUNK, seed) for seed in seeds)
        writer.commit(created_at=NOW, graph=list(seeds), sections={"a": {"data": ref}})
"""


def start(root: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS + code, str(root), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def noise(size: int, seed: object) -> bytes:
    return random.Random(repr(seed)).randbytes(size)


def files(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in root.rglob("*")
        if ".project." not in p.name  # the keys of projects stay
        if ".head." not in p.name  # the heads go on
    }


def protect(bank: Bank, name: str, content: bytes) -> dict[str, object]:
    with bank.writer(name, "p1") as writer:
        ref = writer.put_data([content])
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    return ref


def read(bank: Bank, name: str) -> bytes:
    with bank.open_data(bank.checkpoint(name).sections["a"]["data"]) as reader:
        return reader.read()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packs, "PACK_SIZE", 3 * CHUNK)
    protect(Bank.open(str(tmp_path / "bank"), KEY, create=True), "base", noise(5 * CHUNK, "base"))
    return tmp_path / "bank"


def test_killed_while_writing_and_abandoned(root: Path) -> None:
    before = files(root)
    rng = random.Random(1)
    written = 0
    for attempt in range(6):
        child = start(
            root,
            """
def endless():
    n = 0
    while True:
        yield noise(CHUNK, n)
        n += 1
        print(n, flush=True)
bank.writer("c1", "p1").put_data(endless())
""",
        )
        assert child.stdout is not None
        for _ in range(rng.randrange(1, 40)):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        written += files(root) != before
        bank = Bank.open(str(root), KEY)
        assert [c.id for c in bank.checkpoints()] == ["base"]
        if attempt % 2:
            bank.writer("c1", "p1").abandon()
        else:
            bank.abandon("c1")
        assert files(root) == before
    assert written


def test_killed_while_writing_and_taken_up_again(root: Path) -> None:
    code = """
with bank.writer("c1", "p1") as writer:
    writer.put_data(noise(CHUNK, n) for n in range(9))
    print("stored", flush=True)
    sys.stdin.readline()
"""
    child = start(root, code)
    assert child.stdout is not None
    assert child.stdout.readline() == "stored\n"
    child.kill()
    child.wait()
    bank = Bank.open(str(root), KEY)
    with bank.writer("c1", "p1") as writer:
        ref = writer.put_data(noise(CHUNK, n) for n in range(9))
        assert ref["stored"] < 2000
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert read(bank, "c1") == b"".join(noise(CHUNK, n) for n in range(9))
    bank.delete("c1")
    assert read(bank, "base") == noise(5 * CHUNK, "base")
    assert not list((root / "writers").glob("*"))


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("how", ["again", "abandon"])
def test_dying_at_every_write_of_a_protect(root: Path, done: bool, how: str) -> None:
    """At whichever write or removal the process dies: before the manifest nothing is there, after it
    all is; it can be done again, or undone."""
    content = noise(5 * CHUNK, "base") + noise(4 * CHUNK, "more")
    before = files(root)
    committed = 0
    for writes in range(60):
        dying = Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY)
        try:
            protect(dying, "c1", content)
        except Crash:
            finished = False
        else:
            finished = True
        bank = Bank.open(str(root), KEY)
        there = "c1" in {c.id for c in bank.checkpoints()}
        committed += there
        if there:
            assert read(bank, "c1") == content
            bank.verify("c1")
        if how == "abandon" and not there:
            bank.abandon("c1")
            assert files(root) == before, writes
        elif there:
            sections = bank.checkpoint("c1").sections
            with bank.writer("c1", "p1") as writer:
                writer.commit(created_at=NOW, graph={}, sections=sections)
            bank.delete("c1")
        else:
            protect(bank, "c1", content)
            assert read(bank, "c1") == content
            bank.delete("c1")
        bank.collect()
        assert files(root) == before, writes
        if finished:
            break
    assert finished
    assert committed > 1
    assert writes > 5


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
def test_dying_at_every_write_of_a_deletion(root: Path, done: bool) -> None:
    content = noise(5 * CHUNK, "base") + noise(4 * CHUNK, "more")
    before = files(root)
    for writes in range(60):
        protect(Bank.open(str(root), KEY), "c1", content)
        try:
            Bank.open(CrashAfter(FileSystemStore(root), writes, done=done), KEY).delete("c1")
        except Crash:
            finished = False
        else:
            finished = True
        bank = Bank.open(str(root), KEY)
        assert read(bank, "base") == noise(5 * CHUNK, "base")
        try:
            assert read(bank, "c1") == content
            bank.delete("c1")
        except NotFound:
            pass
        bank.collect()
        for notice in (root / "condemned").glob("*"):  # of the dead; a week later it goes by itself
            long_ago = time.time() - WRITER_LIVES - 10
            os.utime(notice, (long_ago, long_ago))
        protect(bank, "c2", content)
        bank.delete("c2")
        assert files(root) == before, writes
        if finished:
            break
    assert finished
    assert writes > 4


def test_processes_that_protect_and_delete_at_once(root: Path) -> None:
    """Four processes share data, delete each other's checkpoints and collect. What is there is whole."""
    code = """
number = int(sys.argv[2])
rng = random.Random(number)
for n in range(12):
    name = f"c{number}-{n}"
    protect(name, [rng.randrange(12) for _ in range(rng.randrange(1, 6))])
    if rng.random() < 0.6:
        for info in rng.sample(bank.checkpoints("p1"), 2):
            if info.id != "base" and rng.random() < 0.5:
                try:
                    bank.delete(info.id)
                except NotFound:
                    pass
    if rng.random() < 0.3:
        bank.collect()
"""
    children = [start(root, code, str(number)) for number in range(4)]
    for child in children:
        child.communicate(timeout=200)
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    bank = Bank.open(str(root), KEY)
    found = bank.checkpoints()
    assert len(found) > 4
    for info in found:
        bank.verify(info.id)
        if info.id != "base":
            expected = b"".join(noise(CHUNK, seed) for seed in bank.checkpoint(info.id).graph)
            assert read(bank, info.id) == expected
            bank.delete(info.id)
    assert read(bank, "base") == noise(5 * CHUNK, "base")
    bank.delete("base")
    bank.collect()
    assert not list(root.rglob("*.*")) or {p.parent.name for p in root.rglob("*") if p.is_file()} == {
        "bank",
        "keys",
    }


def test_processes_that_write_one_checkpoint_at_once(root: Path) -> None:
    """Whoever is first has it; the others are told, or did just the same."""
    code = """
sys.stdin.readline()
try:
    protect("same", [int(sys.argv[2])])
    print(json.dumps("committed"))
except Conflict as error:
    print(json.dumps(str(error)))
""".replace("sys.stdin.readline()", "import json\nsys.stdin.readline()")
    children = [start(root, code, str(number)) for number in range(4)]
    outcomes = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        outcomes.append(json.loads(child.communicate(timeout=100)[0]))
    assert outcomes.count("committed") == 1, outcomes
    bank = Bank.open(str(root), KEY)
    winner = outcomes.index("committed")
    assert read(bank, "same") == noise(CHUNK, winner)
    with contextlib.suppress(Conflict):
        bank.abandon("same")
    bank.verify("same")
    assert read(bank, "same") == noise(CHUNK, winner)


def test_processes_that_make_one_bank_at_once(tmp_path: Path) -> None:
    code = """
import sys
from refloat.bank import Bank, BankKey
sys.stdin.readline()
print(Bank.open(sys.argv[1], BankKey(bytes(range(32))), create=True).id)
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "new")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ids = {child.communicate("go\n", timeout=60)[0] for child in children}
    assert len(ids) == 1
    slot = f"{ids.pop().strip()}.{BankKey(bytes(range(32))).id.hex()}"
    assert {p.name for p in (tmp_path / "new" / "keys").iterdir()} == {slot, f"{slot}.copy", "bank.copy"}
