"""Processes that do everything at once in one bank, and are killed; the model is ``test_bank_model.py``'s.

Each process has its own checkpoints, shares data with those of the others, and notes before every write what
it is about to do. The test kills it after some number of writes, wherever it is by then; another one reads
the notes, looks how far it came, and goes on. Every byte is compared by each of them, and all at the end.
``REFLOAT_MODEL_STEPS=5000 REFLOAT_SEED=7 pytest tests/chaos/test_bank_processes.py`` does more.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from test_bank_model import CHUNK, KEYS, SEED, STEPS, Model

from refloat.bank import Bank, packs
from refloat.bank import commit as committing
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.roots import KeyRemoved
from refloat.errors import BankError
from refloat.testing.stores import Hooked

PROCESSES = 4
PATIENCE = 60.0
LONGEST_LIFE = 40
LOCKED_OUT = 75


class Process(Model):
    """One of several: what it knows is in a file, what kills it comes from outside.

    Only the first one changes the bank's key; the others find out.
    """

    def __init__(self, root: Path, number: int) -> None:
        super().__init__(root, random.Random())
        self.number = number
        self.mine = f"p{number}-"
        self.notes = root.with_name(f"notes-{number}")
        self.deaths: dict[str, int] = {}
        if self.notes.exists():
            self.__dict__.update(json.loads(self.notes.read_text(), object_hook=_tuples))
            if self.doing:
                self.deaths[self.doing] = self.deaths.get(self.doing, 0) + 1
        self.doing = "taking over"
        self.rng.seed(f"{SEED} {number} {self.deaths}")

    def note(self) -> None:
        """What has to be known after a death."""
        names = ("kept", "unfinished", "doomed", "copies", "count", "step", "doing", "deaths")
        new = self.notes.with_suffix(".new")
        new.write_text(json.dumps({name: getattr(self, name) for name in names}))
        new.replace(self.notes)

    def take_over(self) -> None:
        """Find out how far the last one came."""
        for name in [*self.unfinished, *self.doomed]:
            self.look(name)
        elsewhere = self._elsewhere()
        for name in self.copies.keys() - self._there(elsewhere):
            if name in self.kept:
                self.copy_of(name)
            else:
                elsewhere.abandon(name)
                del self.copies[name]
        if len(self.bank().keys.slots()) > 1:
            self.rotate()
        self.compare_all()

    def bank(self) -> Bank:
        """Opened with whatever key opens it just now."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for key in KEYS:
                try:
                    bank = Bank.open(self._watched(FileSystemStore(self.root)), key)
                except KeyRemoved:  # the first process has taken it away, and its slot is still there
                    if time.monotonic() > deadline:
                        raise
                except BankError as error:
                    if "does not open" not in str(error) or time.monotonic() > deadline:
                        raise
                else:
                    self.key = key
                    return bank

    some_bank = dying = bank

    def rotate(self) -> None:
        """Another key, if it is this one's turn."""
        if self.number == 0:
            self.bank()
            super().rotate()

    def _elsewhere(self, *, dying: bool = False) -> Bank:
        store = FileSystemStore(self.root.with_name("elsewhere"), create=True)
        return Bank.open(self._watched(store), KEYS[0], create=True)

    def _watched(self, store: FileSystemStore) -> Hooked:
        return Hooked(store, self._before)

    def _before(self, operation: str, _name: str) -> None:
        if operation in ("put", "delete"):
            self.note()
            os.write(1, b".")


def _tuples(found: dict[str, Any]) -> dict[str, Any]:
    """Lists are tuples in the model."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in found.items()}


def work(root: Path, number: int, steps: int) -> None:
    """The life of one process: a byte to the standard output for every write."""
    os.fsync = os.fdatasync = lambda _fd: None  # type: ignore[assignment]
    packs.PACK_SIZE = CHUNK // 100
    committing._PAUSE = 0.001
    process = Process(root, number)
    try:
        process.take_over()
        process.run(steps)
    except (
        KeyRemoved
    ):  # by the first process, under our hands: the next one opens the bank with the other key
        sys.exit(LOCKED_OUT)
    process.doing = ""
    process.note()


def keep_alive(root: Path, number: int, steps: int, failures: list[str]) -> None:
    """Start a process, kill it after some writes, start the next one, until one comes to the end."""
    rng = random.Random(f"{SEED} {number}")
    command = [sys.executable, __file__, str(root), str(number), str(steps)]
    while not failures:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            if len(child.stdout.read(rng.randrange(1, LONGEST_LIFE))) and child.poll() is None:
                child.kill()
            _, said = child.communicate(timeout=PATIENCE)
        if child.returncode == 0:
            return
        if child.returncode not in (-9, LOCKED_OUT):
            failures.append(f"process {number}: {said.decode()}")


@pytest.mark.timeout(300 + 3 * STEPS)
def test_random_lives(tmp_path: Path) -> None:
    root = tmp_path / "bank"
    Bank.open(str(root), KEYS[0], create=True)
    steps = STEPS // PROCESSES
    failures: list[str] = []
    threads = [Thread(target=keep_alive, args=(root, number, steps, failures)) for number in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures)
    last = [Process(root, number) for number in range(PROCESSES)]
    assert [process.step for process in last] == [steps] * PROCESSES
    whole = Model(root, random.Random(SEED))
    whole.key = next(key for key in KEYS if key.id.hex() in {slot.id for slot in last[0].bank().keys.slots()})
    deaths: Counter[str] = Counter()
    for process in last:
        for name in ("kept", "unfinished", "copies"):
            getattr(whole, name).update(getattr(process, name))
        deaths.update(process.deaths)
    assert whole.kept
    whole.compare_all()
    whole.end()
    print(f"{steps * PROCESSES} steps, seed {SEED}; killed while {dict(deaths)}", file=sys.stderr)
    assert deaths


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
