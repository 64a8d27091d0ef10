"""RBD on a real Ceph cluster, with exactly the rights that a worker needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refloat.errors import BankError, NotFound
from refloat.movers import CannotTell, baselines
from refloat.movers.rbd import CephCluster, RbdSink, RbdSource, missing
from tests.ceph import cephserver
from tests.ceph.rbd_place import POOL, SNAPSHOT, Images, clone, images, place
from tests.mover_contract import DATA, SIZE, ReadsAnywhere, bank, changed_bytes, keep, whole
from tests.unit.support.bank_helpers import CHUNK, noise

__all__ = ["bank", "images", "place"]

CHECKPOINTS = [f"00000000-0000-0000-0000-{number:012}" for number in range(100)]


class TestRbd(ReadsAnywhere):
    """With the place of this file."""


def protected(place: Images, name: str, number: int) -> RbdSource:
    """What a protection has: Cinder's snapshot, and a baseline, cut later."""
    place.snapshot(name, f"snapshot-{number}")
    kept = baselines.cut(place.worker, POOL, name, CHECKPOINTS[number])
    return RbdSource(place.worker, POOL, name, f"snapshot-{number}", kept)


def state_of(place: Images, name: str, number: int) -> dict[str, Any]:
    with protected(place, name, number) as source:
        state = dict(source.state)
    place.drop(name, f"snapshot-{number}")  # a protection leaves only the baseline
    return state


def test_this_host_has_librbd() -> None:
    assert missing() == ""


def test_only_what_has_changed_is_told(place: Images) -> None:
    place.make("v", SIZE, DATA)
    before, state = whole(SIZE, DATA), state_of(place, "v", 0)
    with protected(place, "v", 1) as source:
        assert list(source.changed(state)) == []
    with place.image("v") as image:
        image.write(b"new", 20 * CHUNK + 7)
        image.write(noise(5000, "x"), 3 * CHUNK)
        image.discard(8 * CHUNK, 2 * CHUNK)
    with protected(place, "v", 2) as source:
        told = changed_bytes(before, place.content("v"), source.changed(state))
    assert told <= 3 * CHUNK


def test_what_is_written_between_snapshot_and_baseline(place: Images) -> None:
    """The snapshot is protected, the baseline is cut later: what came between is in neither's way."""
    place.make("v", SIZE, DATA)
    place.snapshot("v", "snapshot-0")
    before = place.content("v")
    with place.image("v") as image:
        image.write(noise(70_000, "between"), 2 * CHUNK)
        image.write(noise(70_000, "again"), 30 * CHUNK)
    kept = baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0])
    with RbdSource(place.worker, POOL, "v", "snapshot-0", kept) as source:
        state = source.state
    with place.image("v") as image:  # as it was, also there
        image.write(bytes(70_000), 30 * CHUNK)
    with protected(place, "v", 1) as source:
        changed_bytes(before, place.content("v"), source.changed(state))


def test_a_revert_is_told_though_the_object_map_says_nothing(place: Images) -> None:
    """Ceph puts the snapshot's old object map in the place of the image's, and forgets what was changed."""
    place.make("v", SIZE, DATA)
    place.snapshot("v", "old")
    with place.image("v") as image:
        image.write(noise(CHUNK, "later"), 7 * CHUNK)
    before, state = place.content("v"), state_of(place, "v", 0)
    with place.image("v") as image:
        image.rollback_to_snap("old")
    after = place.content("v")
    assert after != before
    with protected(place, "v", 1) as source:
        changed_bytes(before, after, source.changed(state))


def resize(size: int) -> Callable[[Images], None]:
    def act(place: Images) -> None:
        with place.image("v") as image:
            image.resize(size)

    return act


def made_anew(place: Images) -> None:
    place.remove("v")
    place.make("v", SIZE, DATA)


def baseline_removed(place: Images) -> None:
    baselines.remove(place.worker, POOL, "v", CHECKPOINTS[0])


def baseline_anew(place: Images) -> None:
    baseline_removed(place)
    baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0])


@pytest.mark.parametrize(
    "act", [resize(SIZE + CHUNK), resize(SIZE - 1), made_anew, baseline_removed, baseline_anew]
)
def test_when_it_cannot_tell(place: Images, act: Callable[[Images], None]) -> None:
    place.make("v", SIZE, DATA)
    state = state_of(place, "v", 0)
    act(place)
    with protected(place, "v", 1) as source, pytest.raises(CannotTell):
        source.changed(state)
    with (
        RbdSource(place.worker, POOL, "v", "snapshot-1") as source,
        pytest.raises(CannotTell, match="nothing"),
    ):
        source.changed(source.state)


@pytest.fixture
def cloned(place: Images) -> Iterator[Images]:
    """A volume that was made of an image: it has only what has been written since."""
    with clone(place, "v"):
        yield place


def test_a_volume_made_of_an_image(cloned: Images, bank: Any) -> None:
    with cloned.image("v") as image:
        image.write(noise(9000, "own"), 5 * CHUNK + 5)
        image.discard(CHUNK, CHUNK)
        image.write(noise(CHUNK, "far"), 35 * CHUNK)
    with protected(cloned, "v", 0) as source:
        ref, content, state = keep(bank, source), cloned.content("v"), source.state
        assert sum(length for _offset, length in source.extents()) < SIZE
    with bank.open_data(ref) as reader:
        assert reader.read() == content
    with cloned.image("v") as image:
        image.write(b"second", 30 * CHUNK)
    with protected(cloned, "v", 1) as source:
        changed_bytes(content, cloned.content("v"), source.changed(state))
    with cloned.image("v") as image:
        image.flatten()
    with protected(cloned, "v", 2) as source, pytest.raises(CannotTell, match="overlap"):
        source.changed(state)


def test_shrunk_and_grown_again_it_is_not_what_it_was_made_of(cloned: Images) -> None:
    state = state_of(cloned, "v", 0)
    resize(5 * CHUNK)(cloned)
    resize(SIZE)(cloned)
    with protected(cloned, "v", 1) as source, pytest.raises(CannotTell, match="overlap"):
        source.changed(state)


def test_baselines_are_few_and_of_their_volume(place: Images) -> None:
    place.make("v", CHUNK, {0: b"x"})
    for number in (0, 1, 1, 2, 3, 4):
        baselines.cut(place.worker, POOL, "v", CHECKPOINTS[number])
    there = baselines.baselines(place.worker, POOL, "v")
    assert [each.checkpoint_id for each in there] == [CHECKPOINTS[n] for n in (4, 3, 2)]
    for each in there:  # the pattern by which Cinder finds what it removes before it deletes a volume
        assert re.search(r"^backup\.([a-z0-9\-]+?)\.snap\.(.+)$", each.name)
    for checkpoint in CHECKPOINTS[:6]:
        baselines.remove(place.worker, POOL, "v", checkpoint)
    assert place.names() == {"v"}
    baselines.remove(place.worker, POOL, "gone", CHECKPOINTS[0])


def test_what_a_worker_may_not_do(place: Images, ceph: cephserver.Ceph) -> None:
    """The rights of the operator's page, and no others."""
    ceph.ceph("osd", "pool", "create", "others", "8")
    place.make("secret", CHUNK, {0: b"x"}, "others")
    with (
        pytest.raises(BankError, match="could not open others/secret"),
        place.worker.image("others", "secret"),
    ):
        pass
    place.make("base", CHUNK, {0: b"x"}, "images")
    with pytest.raises(BankError, match=r"could not open images/base.*permission"):
        RbdSink(place.worker, "images", "base")
    place.admin.pool("images", "remove", "base")


def test_errors_say_what_and_why(place: Images, ceph: cephserver.Ceph) -> None:
    place.make("v", CHUNK, {})
    with pytest.raises(NotFound, match="could not open volumes/none"):
        RbdSource(place.worker, POOL, "none", SNAPSHOT)
    with pytest.raises(NotFound, match=r"volumes/v@none"):
        RbdSource(place.worker, POOL, "v", "none")
    with pytest.raises(NotFound, match="nowhere/v"):
        RbdSink(place.worker, "nowhere", "v")
    with (
        pytest.raises((BankError, NotFound), match=r"as client\.stranger"),
        CephCluster(str(ceph.conf), "stranger", "/dev/null") as cluster,
        cluster.image(POOL, "v"),
    ):
        pass
