"""Change tracking against a model: writers, snapshots, reverts, resizes, lost baselines, clones, and kills.

A wrong "unchanged" would be silent corruption.
``REFLOAT_MOVER_STEPS`` in the environment says how many steps: 1,000 (two minutes) if it does not.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from refloat.movers import CannotTell, baselines
from refloat.movers.rbd import RbdSource
from tests.ceph.rbd_place import POOL, Images, clone, images, kill_process, place
from tests.mover_contract import SIZE as LARGE
from tests.mover_contract import changed_bytes, read
from tests.unit.support.bank_helpers import CHUNK, noise

__all__ = ["images", "place"]

STEPS = int(os.environ.get("REFLOAT_MOVER_STEPS", "1000"))
SEEDS = 2
UNIT = 1 << 18
"""Of an object of the image."""

SIZE = LARGE // CHUNK * UNIT


class Volume:
    """A volume's image, and what happens to it."""

    def __init__(self, place: Images, name: str, seed: int) -> None:
        self.place, self.name = place, name
        self.chance = random.Random(seed)
        self.kept: list[str] = []
        self.done: Counter[str] = Counter()
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
        act = self.chance.choices(list(acts), list(acts.values()))[0]
        self.done[act.__name__] += 1
        act()

    def write(self) -> None:
        length = self.chance.choice((1, 4096, 70_000, 2 * UNIT))
        with self.place.image(self.name) as image:
            image.write(noise(length, self.chance.random()), self.chance.randrange(SIZE - length))

    def discard(self) -> None:
        length = self.chance.choice((4096, UNIT, 5 * UNIT))
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
                image.resize(SIZE)  # it may have been cut while it was smaller

    def resize(self) -> None:
        """Smaller, and as large as before: with zeros where there was data."""
        with self.place.image(self.name) as image:
            image.resize(self.chance.randrange(UNIT, SIZE))
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
        cut = f"snapshot-{self.done['protect']}"
        self.place.snapshot(self.name, cut)
        after = self.place.content(self.name)
        for _ in range(self.chance.randrange(3)):  # somebody goes on while it is protected
            self.chance.choice((self.write, self.discard, self.revert))()
        checkpoint = f"00000000-0000-0000-0000-{self.done['protect']:012}"
        with self.killed():
            kept = baselines.cut(self.place.worker, POOL, self.name, checkpoint)
            with RbdSource(self.place.worker, POOL, self.name, cut, kept) as source:
                self.compare(source, after)
                if self.chance.random() < 0.9:  # else it was killed before its checkpoint was there
                    self.state, self.before = source.state, after
        self.place.drop(self.name, cut)

    def compare(self, source: RbdSource, after: bytes) -> None:
        try:
            changed_bytes(self.before, after, source.changed(self.state))
            self.done["told"] += 1
        except CannotTell:
            pass
        found = bytearray(SIZE)
        for offset, length in source.extents():
            found[offset : offset + length] = read(source, offset, length)
        assert bytes(found) == after

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Now and then librbd's process ends meanwhile, at any moment."""
        if self.chance.random() > 0.1:
            yield
            return
        self.done["killed"] += 1
        later = threading.Timer(self.chance.random() * 0.15, kill_process)
        later.start()
        yield
        later.join()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_that_has_changed_is_told(place: Images, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(place, "order", UNIT.bit_length() - 1)
    with clone(place, "v", UNIT):
        volume = Volume(place, "v", seed)
        for _step in range(STEPS // SEEDS):
            volume.step()
        assert volume.done["told"] > volume.done["protect"] // 2, "it can tell most of the time"
        for each in volume.kept:
            place.drop("v", each)
        for checkpoint in baselines.baselines(place.worker, POOL, "v"):
            baselines.remove(place.worker, POOL, "v", checkpoint.checkpoint_id)
        assert place.names() == {"v"}, "what was cut off is taken away later"
