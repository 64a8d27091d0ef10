"""Hundreds of random damages to a bank: each is detected and named, or does no harm; none gives a wrong byte.

``REFLOAT_FAULTS=5000 pytest tests/unit/bank/test_bank_faults.py`` tries more of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from refloat.bank import Bank, packs
from refloat.errors import NotFound, RefloatError
from tests.unit.support.bank_helpers import CHUNK, KEY, hasty, noise, objects, open_bank, protect

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

FAULTS = int(os.environ.get("REFLOAT_FAULTS", "500"))
SEED = int(os.environ.get("REFLOAT_SEED", "2031"))

NOT_OPENED = "The bank cannot be opened."

Undo = Callable[[], None]


def text(seed: object) -> bytes:
    """A chunk and a bit that compress well, so that the bank is small and every object is struck often."""
    return noise(3000, seed) * 355


CONTENT = {
    "c1": {"a": text(1), "b": text(2)[: CHUNK // 2], "none": b""},
    "c2": {"a": text(1), "c": bytes(2 * CHUNK) + noise(2000)},
    "c3": {"a": text(1)},
}
PROJECTS = {"c1": "p1", "c2": "p1", "c3": "p2"}


def make(root: Path) -> None:
    bank = open_bank(root)
    for checkpoint_id, content in CONTENT.items():
        protect(bank, checkpoint_id, content, project=PROJECTS[checkpoint_id])
    bank.keys.rotate_project("p1")
    protect(bank, "c4", {"new": noise(500)}, project="p1")


def strike(rng: random.Random, root: Path) -> tuple[str, list[Path], Undo]:
    """Do one damage; what, to which objects, and how to undo it."""
    paths = objects(root)
    path = rng.choice(paths)
    good = path.read_bytes()
    how = rng.choice(("flip", "flip", "truncate", "swap", "delete", "extend", "copy"))
    # To swap what is the same, as the descriptor and its copy, is no damage.
    other = rng.choice([p for p in paths if p.read_bytes() != good])
    kept = other.read_bytes()
    if how == "flip":
        bad = bytearray(good)
        # The beginning and the end are where the structure is.
        bit = rng.choice(
            (rng.randrange(len(good) * 8), rng.randrange(min(48, len(good)) * 8), -rng.randrange(1, 400))
        )
        bit %= len(good) * 8
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
    elif how == "truncate":
        path.write_bytes(good[: rng.randrange(len(good))])
    elif how == "extend":
        path.write_bytes(good + rng.randbytes(rng.choice((1, 16, 100))))
    elif how == "delete":
        path.unlink()
    else:  # swap, or one put in the place of another
        path.write_bytes(kept)
        if how == "swap":
            other.write_bytes(good)

    def undo() -> None:
        path.write_bytes(good)
        other.write_bytes(kept)

    struck = [path, other] if how == "swap" else [path]
    return how, struck, undo


def examine(root: Path, expected: dict[str, dict[str, bytes]]) -> tuple[str, bool]:
    """Open, list, verify, and restore all that lets itself be restored.

    :returns: everything that was said about damage, and whether every checkpoint was restored.
    """
    said = []
    whole = True
    try:
        bank = Bank.open(str(root), KEY)
    except RefloatError as error:
        return f"{NOT_OPENED} {error}", False
    report = bank.verify_all()
    said += [str(each) for each in report.damages]
    found = bank.repair(report)
    said += [*found.keys, *found.manifests]
    said += [info.reason for info in bank.checkpoints()]
    for checkpoint_id, content in expected.items():
        try:
            sections = bank.checkpoint(checkpoint_id).sections
        except RefloatError as error:
            said.append(str(error))
            whole = False
            continue
        assert set(sections) == set(content)
        for name, data in content.items():
            try:
                with bank.open_data(sections[name]["data"]) as reader:
                    assert reader.read() == data, f"wrong bytes of {checkpoint_id} {name}"
            except RefloatError as error:
                said.append(str(error))
                whole = False
    return "\n".join(said), whole


def test_random_damages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", CHUNK // 4)
    root = tmp_path / "bank"
    make(root)
    expected = {**CONTENT, "c4": {"new": noise(500)}}
    said, whole = examine(root, expected)
    assert whole
    assert said.strip() == ""
    rng = random.Random(SEED)
    seen: Counter[tuple[str, str]] = Counter()
    harmless = 0
    for number in range(FAULTS):
        how, struck, undo = strike(rng, root)
        said, whole = examine(root, expected)
        names = [str(path.relative_to(root)) for path in struck]
        where = f"fault {number} (seed {SEED}): {how} of {', '.join(names)}"
        if said.startswith(NOT_OPENED):
            named = any(name.split("/")[0] in ("bank", "keys") for name in names)
        else:
            named = any(name in said for name in names)
        assert named, f"{where} was not named: {said}"
        seen[how, struck[0].suffix if names[0].startswith("data/") else names[0].split("/")[0]] += 1
        harmless += whole
        undo()
    assert harmless  # of what the bank has two, and of what a restore does not look at
    assert harmless < FAULTS / 2
    assert {how for how, _ in seen} == {"flip", "truncate", "swap", "delete", "extend", "copy"}
    assert {kind for _, kind in seen} >= {"bank", "keys", "checkpoints", ".body", ".index", ".pack"}


def test_an_older_or_foreign_object_in_the_place_of_another(tmp_path: Path) -> None:
    """Replay: what was there before, in this bank or in a copy of it that went another way."""
    root, copy = tmp_path / "bank", tmp_path / "copy"
    bank = open_bank(root)
    protect(bank, "c1", {"a": text(1)})
    shutil.copytree(root, copy)
    other = open_bank(copy)
    for each, seed in ((bank, 2), (other, 3)):
        each.delete("c1")
        protect(each, "c1", {"a": text(seed)})
    mine, theirs = (next((each / "checkpoints").glob("c1.*")) for each in (root, copy))
    good = mine.read_bytes()
    mine.write_bytes(theirs.read_bytes())  # a genuine manifest, of the same name; what it needs is not here
    report = open_bank(root).verify_all()
    assert [each.checkpoint_id for each in report.damages] == ["c1"]
    with pytest.raises((RefloatError, NotFound)):
        bank.open_data(open_bank(root).checkpoint("c1").sections["a"]["data"])
    mine.write_bytes(good)
    assert open_bank(root).verify_all().damages == []
