"""L5: the folder of a bank that is in use can be copied, in the order that docs/bank.md says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from refloat.bank import Bank
from tests.unit.support.bank_helpers import KEY, hasty, noise, open_bank, protect, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

PAGE = Path(__file__).parents[3] / "docs/bank.md"
Step = Callable[[Path, Path], None]


def documented() -> list[Step]:
    """What the page has rsync do, one step for each folder, in rsync's order."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Copying the folder\n")[2]
    steps: list[Step] = []
    for line in re.findall(r"^\$ rsync (.*)$", text.partition("\n## ")[0], re.MULTILINE):
        *options, source, target = line.split()
        assert (source.partition("/")[0], target) == ("BANK", "COPY/"), line
        excluded = {each.removeprefix("--exclude=/") for each in options if each.startswith("--exclude=/")}
        assert set(options) - {f"--exclude=/{each}" for each in excluded} <= {"-a", "--delete"}, line
        part = source.removeprefix("BANK/")
        names = [part] if part else sorted(
            {"alive", "bank", "checkpoints", "condemned", "damaged", "data", "databases", "holds", "keys",
             "writers"} - excluded
        )  # fmt: skip
        steps += [one(name, delete="--delete" in options) for name in names]
    assert len(steps) > 5
    return steps


def one(name: str, *, delete: bool = False) -> Step:
    def step(bank: Path, copy: Path) -> None:
        before = {path for path in (copy / name).rglob("*") if path.is_file()}
        found = [path for path in [bank / name, *(bank / name).rglob("*")] if path.is_file()]
        for path in found:
            to = copy / path.relative_to(bank)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to)
        if delete:
            for path in before - {copy / path.relative_to(bank) for path in found}:
                path.unlink()

    return step


def work(root: Path) -> Iterator[set[str]]:
    """Goes on in the bank, a little each time; what is there then."""
    bank = open_bank(root)
    shared = noise(2 << 20)
    living = [f"old-{number}" for number in range(9)]
    for number in range(9):
        protect(bank, f"old-{number}", {"a": shared + noise(3000, number)}, project=f"p{number % 2}")
    for number in range(60):
        living.append(f"new-{number}")
        protect(bank, living[-1], {"a": shared + noise(3000, f"n{number}")}, project=f"p{number % 5}")
        if number % 3 == 0:
            bank.delete(living.pop(0))
        elif number % 3 == 1:
            bank.holds.place(living.pop(), "somebody", "case", datetime(2031, 1, 31))
        bank.keys.rotate_project(f"p{number % 5}")
        yield {info.id for info in bank.checkpoints()}


def test_l5_a_copy_in_the_documented_order_is_whole(tmp_path: Path) -> None:
    """The bank changes after every step: what is there all the time is whole. Done again, all is."""
    bank, copy = tmp_path / "bank", tmp_path / "copy"
    working, steps = work(bank), documented()
    for _time in range(2):
        before = after = next(working)
        for step in steps:
            step(bank, copy)
            before, after = before & after, next(working)
        copied = Bank.open(str(copy), KEY)
        assert before
        assert before <= {info.id for info in copied.checkpoints()}
        for each in before:
            assert set(restore(copied, each)) == {"a"}
        assert not before & copied.verify_all().bad
    for step in steps:
        step(bank, copy)
    copied = Bank.open(str(copy), KEY)
    assert {info.id for info in copied.checkpoints()} == after
    assert copied.verify_all().damages == []


def test_l5_what_another_order_misses_is_named(tmp_path: Path) -> None:
    bank, copy = tmp_path / "bank", tmp_path / "copy"
    original = open_bank(bank)
    protect(original, "c1", {"a": noise(3000)})
    one("checkpoints")(bank, copy)
    original.delete("c1")
    for name in ("bank", "keys", "data"):
        one(name)(bank, copy)
    (damage, *_) = Bank.open(str(copy), KEY).verify_all(depth="existence").damages
    assert (damage.checkpoint_id, damage.readable) == ("c1", False)
