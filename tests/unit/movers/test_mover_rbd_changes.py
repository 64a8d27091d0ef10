"""Change tracking against a model: writers, snapshots, reverts, resizes, removed baselines, and images below.

A wrong "unchanged" would be silent corruption. ``STEPS`` in the environment makes it longer.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from refloat.movers import CannotTell
from tests import cephserver
from tests.mover_contract import SIZE, changed_bytes, read
from tests.unit.support.bank_helpers import CHUNK, noise

pytest.importorskip("rbd", reason=cephserver.NOT_INSTALLED)

from refloat.movers import baselines
from refloat.movers.rbd import RbdSource
from tests.unit.movers.rbd_place import POOL, Images, clone, images, place

__all__ = ["images", "place"]

STEPS = int(os.environ.get("STEPS", "1000"))
SEEDS = 4


class Volume:
    """A volume's image, and what happens to it."""

    def __init__(self, place: Images, name: str, seed: int) -> None:
        self.place, self.name = place, name
        self.chance = random.Random(seed)
        self.kept: list[str] = []
        self.nights = self.told = self.asked = 0
        self.state: Any = {}
        self.before = place.content(name)

    def step(self) -> None:
        acts = {
            self.write: 40,
            self.discard: 12,
            self.snapshot: 8,
            self.forget: 6,
            self.revert: 6,
            self.resize: 1,
            self.flatten: 1,
            self.lose_baseline: 1,
            self.protect: 25,
        }
        self.chance.choices(list(acts), list(acts.values()))[0]()

    def write(self) -> None:
        length = self.chance.choice((1, 4096, 70_000, 2 * CHUNK))
        with self.place.image(self.name) as image:
            image.write(noise(length, self.chance.random()), self.chance.randrange(SIZE - length))

    def discard(self) -> None:
        length = self.chance.choice((4096, CHUNK, 5 * CHUNK))
        with self.place.image(self.name) as image:
            image.discard(self.chance.randrange(SIZE - length), length)

    def snapshot(self) -> None:
        self.kept.append(f"kept-{self.chance.random()}")
        with self.place.image(self.name) as image:
            image.create_snap(self.kept[-1])

    def forget(self) -> None:
        if self.kept:
            with self.place.image(self.name) as image:
                image.remove_snap(self.kept.pop(self.chance.randrange(len(self.kept))))

    def revert(self) -> None:
        if self.kept:
            with self.place.image(self.name) as image:
                image.rollback_to_snap(self.chance.choice(self.kept))

    def resize(self) -> None:
        """Smaller, and as large as before: with zeros where there was data."""
        with self.place.image(self.name) as image:
            image.resize(self.chance.randrange(CHUNK, SIZE))
            if self.chance.random() < 0.7:
                self.snapshot()
            image.resize(SIZE)

    def flatten(self) -> None:
        with self.place.image(self.name) as image:
            if image.overlap():
                image.flatten()

    def lose_baseline(self) -> None:
        for each in baselines.baselines(self.place.worker, POOL, self.name)[:1]:
            baselines.remove(self.place.worker, POOL, self.name, each.checkpoint_id)

    def protect(self) -> None:
        """What is told to have changed since the last time, against what has; sometimes it is cut off."""
        self.nights += 1
        cut = f"snapshot-{self.nights}"
        self.place.snapshot(self.name, cut)
        after = self.place.content(self.name)
        for _ in range(self.chance.randrange(3)):  # somebody goes on while it is protected
            self.chance.choice((self.write, self.discard, self.revert))()
        checkpoint = f"00000000-0000-0000-0000-{self.nights:012}"
        kept = baselines.cut(self.place.worker, POOL, self.name, checkpoint)
        with RbdSource(self.place.worker, POOL, self.name, cut, kept) as source:
            self.asked += 1
            try:
                changed_bytes(self.before, after, source.changed(self.state))
                self.told += 1
            except CannotTell:
                pass
            found = bytearray(SIZE)
            for offset, length in source.extents():
                found[offset : offset + length] = read(source, offset, length)
            assert bytes(found) == after
            if self.chance.random() < 0.9:  # else it was killed before its checkpoint was there
                self.state, self.before = source.state, after
        self.place.drop(self.name, cut)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_that_has_changed_is_told(place: Images, seed: int) -> None:
    with clone(place, "v"):
        volume = Volume(place, "v", seed)
        for step in range(STEPS // SEEDS):
            volume.step()
            assert step >= 0
        assert volume.told > volume.asked // 2, "it can tell most of the time"
        for each in volume.kept:
            place.drop("v", each)
