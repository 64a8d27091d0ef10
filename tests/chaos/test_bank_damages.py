"""Random damages of one object, or a swap of two, in a bank that has everything: no wrong byte is ever given
out, whatever is hurt is named, and no single damage makes the bank unreadable.

``REFLOAT_DAMAGES=5000 REFLOAT_SEED=7 pytest -s tests/chaos/test_bank_damages.py`` does more, and prints the
table of docs/faults.md.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refloat.bank import Bank, BankKey, packs
from refloat.bank.sealing import HEADER
from refloat.errors import BankError, Held, NotFound
from tests.unit.support.bank_helpers import CHUNK, KEY, NOW, hasty, noise, open_bank, protect

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

DAMAGES = int(os.environ.get("REFLOAT_DAMAGES", "500"))
SEED = int(os.environ.get("REFLOAT_SEED", "2031"))
OTHER, ONCE = BankKey(bytes(range(32, 64))), BankKey(bytes(range(64, 96)))

Content = dict[tuple[str, str], bytes]


class Source:
    """A second key."""

    kind = "key file"

    def candidates(self, _abouts: object) -> list[BankKey]:
        return [OTHER]

    def new(self) -> tuple[BankKey, None]:
        return OTHER, None


def build(root: Path) -> Content:
    """Several keys, projects, slots, roots, holds, heads, shared chunks, an erased project, a dead writer."""
    bank = open_bank(root)
    content: Content = {}

    def add(checkpoint_id: str, project: str, **data: bytes) -> None:
        protect(bank, checkpoint_id, data, project=project)
        content.update({(checkpoint_id, name): value for name, value in data.items()})

    shared = noise(60_000, "shared")
    add("c1", "p1", a=shared, b=b"text " * 30_000, c=b"")
    bank.keys.rotate_project("p1")
    add("c2", "p1", a=shared + noise(9_000, 2), d=bytes(CHUNK) + noise(3_000, 3))
    add("c3", "p2", a=shared)
    bank.keys.add(Source())
    add("c4", "p1", e=noise(20_000, 4))
    bank.keys.rotate(
        ONCE
    )  # two more epochs: one of the keys has come in the last, one before the first of them
    add("c6", "p2", a=shared, f=noise(8_000, 7))
    bank.keys.rotate(KEY)
    add("c7", "p1", a=shared, g=noise(8_000, 8))
    protect(bank, "gone", {"a": noise(500)}, project="p3")
    bank.erase_project("p3")
    with bank.writer("c5", "p2") as writer:
        ref = writer.put_data([noise(7_000, 5)])
        until = datetime.now(UTC) + timedelta(days=9)
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}}, keep_until=until)
    content["c5", "a"] = noise(7_000, 5)
    bank.holds.place("c1", "somebody", "case 12", datetime(2031, 1, 31))
    writer = bank.writer("dead", "p1")
    writer.put_data([noise(30_000, 6)])
    writer.close()
    return content


def flip(rng: random.Random, content: bytes, times: int = 1) -> bytes:
    bad = bytearray(content)
    for _ in range(times):
        bit = rng.randrange(min(len(bad), HEADER.size) * 8 if rng.random() < 0.2 else len(bad) * 8)
        bad[bit // 8] ^= 1 << bit % 8
    return bytes(bad)


def zeros(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return (content[:start] + bytes(rng.randint(1, 600)) + content[start:])[: len(content)]


DAMAGE: dict[str, Callable[[random.Random, bytes], bytes | None]] = {
    "one bit": flip,
    "three bits": lambda rng, content: flip(rng, content, 3),
    "cut": lambda rng, content: content[: rng.randrange(len(content))],
    "deleted": lambda rng, content: None,
    "zeros": zeros,
    "appended": lambda rng, content: content + rng.randbytes(rng.randint(1, 90)),
    "empty": lambda rng, content: b"",
    "overwritten": lambda rng, content: rng.randbytes(len(content)),
}
KINDS = [*DAMAGE, "swapped"]


def kind_of(name: str) -> str:
    first = name.partition("/")[0]
    end = name.rpartition(".")[2]
    if first == "data":
        return end
    if first == "keys":
        return next((what for what in ("head", "project", "erased", "root", "bank") if what in name), "slot")
    return first.partition(".")[0]


class Trial:
    """One bank, damaged again and again, each time from whole."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        self.content = build(root)
        self.whole = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and ".tmp" not in p.parts}
        for path in self.whole:
            path.chmod(0o600)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.unnamed: Counter[str] = Counter()

    def run(self, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        names = sorted(self.whole)
        # Every kind of object gets its turn, however many there are of it.
        kinds = sorted({self._kind(path) for path in names})
        chosen = kinds[number // len(KINDS) % len(kinds)]
        path = self.rng.choice([each for each in names if self._kind(each) == chosen])
        touched = {path: b""}
        if kind == "swapped":
            other = self.rng.choice([each for each in names if self.whole[each] != self.whole[path]])
            touched = {path: self.whole[other], other: self.whole[path]}
            for each, content in touched.items():
                each.write_bytes(content)
        elif (bad := DAMAGE[kind](self.rng, self.whole[path])) is None:
            path.unlink()
        else:
            path.write_bytes(bad)
        changed = [p for p in touched if not p.exists() or p.read_bytes() != self.whole[p]]
        try:
            if changed:
                verdict = self.judge([str(each.relative_to(self.root)) for each in changed])
                self.counts[kind, verdict] += 1
        finally:
            for each in touched:
                each.parent.mkdir(exist_ok=True)
                each.write_bytes(self.whole[each])

    def _kind(self, path: Path) -> str:
        return kind_of(str(path.relative_to(self.root)))

    def judge(self, damaged: list[str]) -> str:
        try:
            bank, other = [Bank.open(str(self.root), key) for key in (KEY, Source())]
        except BankError as error:
            raise AssertionError(f"unreadable by {damaged}") from error
        assert bank.id == other.id
        named = {each.object for each in bank.verify_all().damages}
        hurt = [each for each in self.content if self._is_hurt(bank, *each)]
        for held in ("c1", "c5"):
            gone = [name for name in damaged if name.startswith(f"holds/{held}.")]
            if not any(not (self.root / name).exists() for name in gone):
                with pytest.raises(Held):
                    bank.holds.refuse_held(held)
        assert not hurt or named & set(damaged), f"hurt by {damaged}, and not named: {named}"
        if named:
            return "hurt, named" if hurt else "not hurt, named"
        self.unnamed.update(map(kind_of, damaged[:1]))
        return "not hurt, not named"

    def _is_hurt(self, bank: Bank, checkpoint_id: str, name: str) -> bool:
        """Whether a piece of data cannot be restored. If it can, every byte has to be right."""
        try:
            with bank.open_data(bank.checkpoint(checkpoint_id).sections[name]["data"]) as reader:
                found = reader.read()
        except (BankError, NotFound):
            return True
        assert found == self.content[checkpoint_id, name], "wrong bytes"
        return False


def test_no_random_damage_gives_a_wrong_byte_or_stays_unnamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", 48 << 10)
    trial = Trial(tmp_path / "bank", random.Random(SEED))
    assert Bank.open(str(trial.root), KEY).verify_all().damages == []
    for number in range(DAMAGES):
        trial.run(number)
    verdicts = ["hurt, named", "not hurt, named", "not hurt, not named"]
    print(f"\nseed {SEED}, {sum(trial.counts.values())} damages of {len(trial.whole)} objects")
    print(f"| damage | {' | '.join(verdicts)} |\n|--|{'--:|' * 3}")
    for kind in KINDS:
        print(f"| {kind} | {' | '.join(str(trial.counts[kind, verdict]) for verdict in verdicts)} |")
    print(f"not named: {dict(trial.unnamed)}")
    # What nobody needs: of the dead writer, markers, the reserve; heads and second copies that are gone.
    expected = {"writers", "alive", "pack", "index", "reserve", "erased", "head", "bank", "slot", "root"}
    assert set(trial.unnamed) <= expected
    assert Bank.open(str(trial.root), KEY).verify_all().damages == []
