"""A bank and a model of it: random protects, deletions, collections, verifications, copies, changes of keys.

By several writers, which die at random writes and come in each other's way at random requests. Every byte is
compared. ``REFLOAT_MODEL_STEPS=5000 REFLOAT_SEED=7 pytest tests/chaos/test_bank_model.py`` does more.
To add an action, write a method and name it in ``ACTIONS``.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, BankKey, packs
from refloat.bank import commit as committing
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.roots import KeyRemoved
from refloat.bank.verification_report import Damage, VerificationReport
from refloat.errors import BankDamaged, BankError, NotFound
from refloat.testing.stores import Crash, CrashAfter, Hooked

STEPS = int(os.environ.get("REFLOAT_MODEL_STEPS", "120"))
SEED = int(os.environ.get("REFLOAT_SEED", "2031"))
CHUNK = 1 << 20
NOW = "2031-01-31T12:00:00Z"
KEYS = [BankKey(bytes([number]) * 32) for number in range(2)]
PROJECTS = ("p1", "p2")
MOST = 8

Content = dict[str, tuple[int, ...]]


def _left_by_a_kill(damage: Damage) -> bool:
    """A project's key without its second copy, until somebody writes for the project again."""
    return damage.readable and ".project." in damage.object and damage.reason == "it is missing"


def block(number: int) -> bytes:
    """A chunk that compresses well; -1: zeros."""
    if number < 0:
        return bytes(CHUNK)
    return random.Random(number).randbytes(2048) * (CHUNK // 2048)


def data(blocks: tuple[int, ...]) -> bytes:
    """What a section holds: its blocks, and a tail that fills no chunk."""
    return b"".join(map(block, blocks)) + bytes(blocks[:1] and [blocks[0] % 256])


class Model:
    """The bank, what should be in it, and what may be in it."""

    mine = ""
    """How the names of its checkpoints begin: others may have theirs in the same bank."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root = root
        self.rng = rng
        self.key = KEYS[0]
        self.count = 0
        self.step = 0
        self.kept: dict[str, tuple[str, Content]] = {}
        self.unfinished: dict[str, tuple[str, Content]] = {}
        self.doomed: dict[str, tuple[str, Content]] = {}
        self.busy: set[str] = set()
        self.copies: dict[str, tuple[str, Content]] = {}
        self.writers: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.doing = ""
        self.done: Counter[str] = Counter()

    # --- how a bank is opened

    def bank(self) -> Bank:
        """By a process that lives."""
        return Bank.open(str(self.root), self.key)

    def dying(self) -> Bank:
        """By one that dies at one of its next writes, or not at all."""
        writes = self.rng.choice((0, 1, 2, 3, 5, 8, 13, 1000))
        store = CrashAfter(FileSystemStore(self.root), writes, done=self.rng.random() < 0.5)
        return Bank.open(store, self.key)

    def disturbed(self) -> Bank:
        """By one in whose way somebody else comes, at one of its next requests."""
        left = [self.rng.randrange(40)]

        def before(_operation: str, _name: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                self.rng.choice(NESTED)(self)

        return Bank.open(Hooked(FileSystemStore(self.root), before), self.key)

    def some_bank(self) -> Bank:
        """Any of these."""
        return self.rng.choice((self.bank, self.dying, self.disturbed))()

    # --- what is done

    def protect(self) -> None:
        """Make a checkpoint, from the beginning to the end."""
        if len(self.kept) < MOST:
            self._protect(self.some_bank(), *self._new())

    def protect_undisturbed(self) -> None:
        """The same, while somebody else does something."""
        if len(self.kept) < MOST:
            self._protect(self.bank(), *self._new())

    def begin(self) -> None:
        """Store some of the data for a checkpoint; the writer goes on later."""
        if len(self.writers) >= 3:
            return
        name, project, content = self._new()
        self.unfinished[name] = (project, content)
        writer = self.bank().writer(name, project)
        self.writers[name] = (writer, {s: writer.put_data([data(b)]) for s, b in content.items()})

    def commit(self) -> None:
        """A writer comes to its end."""
        name = self._choose(self.writers)
        if name:
            writer, refs = self.writers.pop(name)
            try:
                self._commit(writer, refs)
            except KeyRemoved:  # since it began
                writer.close()
            else:
                self.kept[name] = self.unfinished.pop(name)

    def again(self) -> None:
        """What was begun is done again, by another process; its writer, if it lives, is forgotten."""
        name = self._choose(self.unfinished)
        if name:
            self._forget_writer(name)
            self._protect(self.some_bank(), name, *self.unfinished[name])

    def abandon(self) -> None:
        """What was begun is undone."""
        name = self._choose(self.unfinished)
        if name:
            self._forget_writer(name)
            with self._claimed(name), suppress(Crash):
                self.some_bank().abandon(name)
                del self.unfinished[name]

    def delete(self) -> None:
        """Remove a checkpoint."""
        name = self._choose(self.kept)
        if not name:
            return
        with self._claimed(name):
            self.doomed[name] = self.kept.pop(name)
            with suppress(Crash):
                self.some_bank().delete(name)
            self.look(name)

    def collect(self) -> None:
        """Remove garbage."""
        with suppress(Crash):
            self.some_bank().collect()

    def verify(self) -> None:
        """Nothing is ever damaged."""
        depth = self.rng.choice(("manifests", "existence", "full"))
        report = self.bank().verify_all(depth, sample=0.5 if depth == "full" else 1.0)
        self._undamaged(report)

    def repair(self) -> None:
        """There is nothing to be repaired but a copy of a key."""
        bank = self.bank()
        found = bank.repair(bank.verify_all("existence"), apply=True, delete_damaged=True)
        assert (found.hopeless, found.hurt, found.manifests, found.packs) == ({}, {}, [], []), self._where("")

    def rotate(self) -> None:
        """Another key opens the bank."""
        new = KEYS[1 - KEYS.index(self.key)]
        with suppress(Crash):
            self.dying().keys.rotate(new)
        for key in (self.key, new):
            try:
                bank = Bank.open(str(self.root), key)
            except BankDamaged:
                raise
            except BankError:
                continue
            assert bank.keys.rotate(new)[1] == ""
            break
        else:
            raise AssertionError(self._where("no key opens the bank"))
        self.key = new
        with pytest.raises(BankError, match="does not open"):
            Bank.open(str(self.root), KEYS[1 - KEYS.index(new)])

    def rotate_project(self) -> None:
        """A project gets a new key."""
        with suppress(NotFound, Crash):
            self.rng.choice((self.bank, self.dying))().keys.rotate_project(self.rng.choice(PROJECTS))

    def copy(self) -> None:
        """A checkpoint becomes one in another bank; whoever dies on the way is followed by another."""
        name = self._choose(self.kept)
        if name:
            self.copy_of(name)

    def copy_of(self, name: str) -> None:
        """This one becomes one in the other bank."""
        project, content = self.kept[name]
        source = self.bank()
        sections = source.checkpoint(name).sections
        self.copies.setdefault(name, (project, content))
        for target in (self._elsewhere(dying=True), self._elsewhere()):
            if name in self._there(target):
                break
            with suppress(Crash), target.writer(name, project) as writer:
                refs = {}
                for section, kept in sections.items():
                    with source.open_data(kept["data"]) as reader:
                        refs[section] = writer.put_data(reader, size=reader.size)
                self._commit(writer, refs)
        found = self._elsewhere().checkpoint(name)
        for section, blocks in content.items():
            with self._elsewhere().open_data(found.sections[section]["data"]) as reader:
                assert reader.read() == data(blocks), self._where(f"copy of {name} {section}")

    def _elsewhere(self, *, dying: bool = False) -> Bank:
        root = self.root.with_name("elsewhere")
        store = FileSystemStore(root, create=True)
        Bank.open(store, KEYS[0], create=True)
        if dying:
            return Bank.open(CrashAfter(store, self.rng.randrange(12), done=self.rng.random() < 0.5), KEYS[0])
        return Bank.open(store, KEYS[0])

    def restore(self) -> None:
        """Compare one checkpoint."""
        name = self._choose(self.kept)
        if name:
            self.compare(name)

    # --- what is compared

    def compare(self, name: str) -> None:
        """A checkpoint holds what the model says."""
        bank = self.bank()
        project, content = self.kept[name]
        kept = bank.checkpoint(name)
        assert kept.info.project_id == project
        assert set(kept.sections) == set(content), self._where(name)
        for section, blocks in content.items():
            with bank.open_data(kept.sections[section]["data"]) as reader:
                assert reader.read() == data(blocks), self._where(f"{name} {section}")

    def compare_all(self) -> None:
        """All checkpoints are there, no others, and each is what it should be."""
        assert self._there(self.bank()) == set(self.kept), self._where("other checkpoints than expected")
        for name in self.kept:
            self.compare(name)
        if self.copies:
            there = self._elsewhere()
            assert self._there(there) == set(self.copies), self._where("other copies than expected")
            self._undamaged(there.verify_all("full"))

    def _undamaged(self, report: VerificationReport) -> None:
        damages = [each for each in report.damages if not _left_by_a_kill(each)]
        assert not damages, self._where(str(damages))

    def run(self, steps: int) -> None:
        """Do it."""
        while self.step < steps:
            self.act()
            self.restore()
            if self.step % 20 == 0:
                self.compare_all()
        self.compare_all()

    def act(self) -> None:
        """Do one thing."""
        name = self.rng.choice([action.__name__ for action, weight in ACTIONS for _ in range(weight)])
        self.step += 1
        self.doing = name
        getattr(self, name)()
        self.done[name] += 1

    def end(self) -> None:
        """Undo and delete all; nothing is left."""
        for name in list(self.unfinished):
            self._forget_writer(name)
            self.bank().abandon(name)
        bank = self.bank()
        bank.collect()
        info = bank.info()
        assert (info.garbage, info.unfinished, info.damaged) == (0, [], 0), self._where(str(info))
        for name in self.kept:
            bank.delete(name)
        assert not bank.collect().postponed
        left = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        assert [name for name in left if not name.startswith(("keys/", "bank", "reserve"))] == [], (
            self._where("")
        )
        assert len(bank.keys.slots()) == 1

    # ---

    def _new(self) -> tuple[str, str, Content]:
        self.count += 1
        sections = self.rng.sample(["a", "b", "c"], self.rng.randrange(1, 4))
        return (
            f"{self.mine}c{self.count}",
            self.rng.choice(PROJECTS),
            {s: tuple(self.rng.randrange(-1, 6) for _ in range(self.rng.randrange(4))) for s in sections},
        )

    def _protect(self, bank: Bank, name: str, project: str, content: Content) -> None:
        self.unfinished[name] = (project, content)
        with self._claimed(name):
            try:
                with bank.writer(name, project) as writer:
                    self._commit(writer, {s: writer.put_data([data(b)]) for s, b in content.items()})
            except Crash:
                self.look(name)
            else:
                self.kept[name] = self.unfinished.pop(name)

    def look(self, name: str) -> None:
        """After a death: what was to be made is there now or not, and so is what was to be removed."""
        there = name in self._there(self.bank())
        if there:
            self.kept[name] = self.unfinished.pop(name, None) or self.doomed[name]
        self.doomed.pop(name, None)

    def _there(self, bank: Bank) -> set[str]:
        found = [info for info in bank.checkpoints() if info.id.startswith(self.mine)]
        assert not [info for info in found if info.damaged], self._where("damaged checkpoints")
        return {info.id for info in found}

    @staticmethod
    def _commit(writer: Any, refs: dict[str, Any]) -> None:
        sections = {section: {"data": ref} for section, ref in refs.items()}
        writer.commit(created_at=NOW, graph={}, sections=sections)

    def _forget_writer(self, name: str) -> None:
        if name in self.writers:
            self.writers.pop(name)[0].close()

    def _choose(self, names: Any) -> str:
        free = sorted(set(names) - self.busy)
        return self.rng.choice(free) if free else ""

    def _claimed(self, name: str) -> Any:
        """Nobody else does something with this checkpoint meanwhile."""
        model = self

        class Claim:
            def __enter__(self) -> None:
                model.busy.add(name)

            def __exit__(self, *_exc: object) -> None:
                model.busy.discard(name)

        return Claim()

    def _where(self, text: str) -> str:
        return f"step {self.step}, seed {SEED}: {text}"


Action = Callable[[Model], None]

ACTIONS: list[tuple[Action, int]] = [
    (Model.protect, 6),
    (Model.begin, 2),
    (Model.commit, 2),
    (Model.again, 3),
    (Model.abandon, 2),
    (Model.delete, 4),
    (Model.collect, 3),
    (Model.verify, 1),
    (Model.repair, 1),
    (Model.rotate, 1),
    (Model.rotate_project, 1),
    (Model.copy, 2),
]
"""What is done, and how often."""

NESTED: list[Action] = [
    Model.protect_undisturbed,
    Model.commit,
    Model.delete,
    Model.collect,
    Model.rotate_project,
]
"""What somebody else does in the middle of another's action."""


@pytest.mark.timeout(300 + STEPS)
def test_a_random_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)
    monkeypatch.setattr(packs, "PACK_SIZE", CHUNK // 100)
    monkeypatch.setattr(committing, "_PAUSE", 0.001)
    Bank.open(str(tmp_path / "bank"), KEYS[0], create=True)
    model = Model(tmp_path / "bank", random.Random(SEED))
    model.run(STEPS)
    model.end()
    print(f"{STEPS} steps, seed {SEED}: {dict(model.done)}", file=sys.stderr)
    assert len(model.done) == len(ACTIONS)
