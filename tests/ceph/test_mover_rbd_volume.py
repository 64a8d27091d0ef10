"""A volume on Ceph goes into the bank and back without Glance; the second time only what has changed.

Ceph and the bank are real, Cinder is a double that does to the cluster what Cinder's RBD driver does.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refloat.bank import Bank, BankKey
from refloat.cloud import Marker, fence
from refloat.cloud.fence import fenced
from refloat.errors import BankError, CloudError, Conflict, LeaseLost, RefloatError
from refloat.graph import Resource, ResourceKey
from refloat.movers import baselines, disagreements
from refloat.movers.settings import Ceph, Movers
from refloat.operations.data import BankData
from refloat.operations.protect import ProtectProgram
from refloat.resources.creations import BASELINE
from refloat.resources.volume import by_rbd
from refloat.resources.volume.bank import VolumeBankProtect, VolumeBankRestore
from refloat.resources.volume.capture import SNAPSHOT
from refloat.resources.volume.protectable import TYPE
from refloat.resources.volume.temporary import cut_snapshot
from tests.ceph.rbd_place import POOL, Images, images, place
from tests.unit.resources.test_volume_bank_pure import (
    OPERATION,
    RESTORE,
    SOURCE,
    Answer,
    Fake,
    Journal,
    context,
    run,
)
from tests.unit.support.bank_helpers import CHUNK, NOW, noise

__all__ = ["images", "place"]

IMAGE = f"volume-{SOURCE}"
SIZE = 64 * CHUNK
"""Of a GiB, here."""

KEY = ResourceKey(TYPE, SOURCE)
OTHER = "99999999-aaaa-3333-4444-555555555555"
CHECKPOINTS = [f"00000000-0000-0000-0000-{number:012}" for number in range(40)]


class Cinder(Fake):
    """Volumes of one GiB in the pool; what of them is in another project is not told."""

    def __init__(self, place: Images) -> None:
        super().__init__(("available",) * 9, ("active",) * 9)
        self.place = place
        self.encrypts = False
        self.others: set[str] = set()
        self.settings: dict[str, Any] = {}

    def find(self, kind: str, identity: str) -> Any:
        return None if identity in self.others else super().find(kind, identity)

    def create_snapshot(self, **fields: Any) -> Any:
        made = super().create_snapshot(**fields)
        self.place.snapshot(f"volume-{fields['volume_id']}", f"snapshot-{made.id}")
        return made

    def create_volume(self, **fields: Any) -> Any:
        fields = {"is_encrypted": self.encrypts, "is_bootable": False, "description": None, **fields}
        made = super().create_volume(**{"volume_image_metadata": {}, **fields})
        self.place.make(f"volume-{made.id}", made.size * SIZE, {})
        return made

    def remove(self, kind: str, identity: str) -> bool:
        if kind == "snapshot":
            self.place.drop(f"volume-{self.things[kind, identity].volume_id}", f"snapshot-{identity}")
        elif kind == "volume":
            self.place.remove(f"volume-{identity}")
        return super().remove(kind, identity)

    def get(self, what: str, identity: str = "", **query: Any) -> Any:
        found = super().get(what, identity, **query)
        return Answer(200, {**found.json(), "size": SIZE}) if what.startswith("/images/") else found

    def set_volume_bootable_status(self, identity: str, bootable: bool) -> None:
        self.settings["bootable"] = (identity, bootable)

    def set_volume_image_metadata(self, identity: str, **metadata: str) -> None:
        self.settings["image_metadata"] = (identity, metadata)

    def put(self, path: str, **how: Any) -> Any:
        self.settings[path] = how["json"]
        return SimpleNamespace(status_code=200, content=b"")


class Entries(Journal):
    """A journal that tells what is in it."""

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        super().intend(source, role, kind, clue)
        self.kept[role].source = source

    def entries(self) -> list[Any]:
        return list(self.kept.values())


class Nights:
    """Protects the volume again and again."""

    def __init__(self, place: Images, folder: Path) -> None:
        self.place, self.cinder = place, Cinder(place)
        self.bank = Bank.open(str(folder), BankKey(bytes(32)), create=True)
        ceph = Ceph(place.conf, "worker", place.keyring, ("none", POOL))
        self.movers = Movers(("rbd", "glance"), ceph)
        self.number = 0
        self.journal = Entries()
        self.refs: list[Any] = []

    @property
    def checkpoint(self) -> str:
        """The latest."""
        return CHECKPOINTS[self.number - 1]

    def context(self, **more: Any) -> Any:
        self.journal = Entries()
        data = BankData(self.bank, self.checkpoint, "p1", writing=True)
        known = {"checkpoint_id": self.checkpoint, "data": data, "movers": self.movers}
        return replace(context(self.cinder, **known, journal=self.journal), **more)

    def protect(self, between: Callable[[], Any] = lambda: None, **more: Any) -> Mapping[str, Any]:
        """One night; what its checkpoint has of the volume."""
        self.number += 1
        at = self.context(**more)
        run(cut_snapshot(at, self.cinder.things["volume", SOURCE]), self.cinder)
        between()
        section: Mapping[str, Any] = run(VolumeBankProtect().on_main(at), self.cinder)
        at.data.writer.commit(created_at=NOW, graph={}, sections={str(KEY): section})
        return section

    def content(self, section: Mapping[str, Any]) -> bytes:
        with self.bank.open_data(section["data"]) as reader:
            read: bytes = reader.read()
            return read

    @property
    def baselines(self) -> list[str]:
        return sorted(name for name in self.place.names() if "baseline" in name)

    def undo(self) -> Any:
        """What the cancelled operation does in the cloud."""
        provider = SimpleNamespace(movers=self.movers)
        services: Any = SimpleNamespace(
            cloud=self.cinder,
            providers=SimpleNamespace(find=lambda _name: provider),
            journal_of=lambda _operation: self.journal,
        )
        payload = {"provider": "p", "checkpoint_id": self.checkpoint}
        return run(ProtectProgram(OPERATION, payload, services).rolled_back(), self.cinder)


@pytest.fixture
def nights(place: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setattr("refloat.resources.volume.bank.GIB", SIZE)
    place.make(IMAGE, SIZE, {0: noise(9 * CHUNK, "a"), 50 * CHUNK: noise(CHUNK, "b")})
    return Nights(place, tmp_path / "bank")


def test_the_second_night_reads_what_has_changed(nights: Nights) -> None:
    first = nights.protect()
    assert first["mover"]["name"] == "rbd"
    assert first["mover"]["read_all_for"] == "there is no earlier protection to compare with"
    with nights.place.image(IMAGE) as image:
        image.write(noise(5000, "new"), 4 * CHUNK)
        image.discard(50 * CHUNK, CHUNK)
    second = nights.protect()
    assert (second["mover"]["changes_since"], second["mover"]["read_all_for"]) == (CHECKPOINTS[0], "")
    assert second["data"]["stored"] < 2 * CHUNK
    assert second["_said"] == f"what changed since checkpoint {CHECKPOINTS[0]} was read by rbd"
    assert nights.content(second) == nights.place.content(IMAGE)
    with nights.bank.writer(CHECKPOINTS[9], "p1") as writer:  # the same as of one who reads all of it
        assert writer.put_data([nights.content(second)])["digest"] == second["data"]["digest"]
        writer.abandon()
    nights.bank.verify(CHECKPOINTS[1])
    kept = {f"{IMAGE}@{baselines.baseline_name(each)}" for each in CHECKPOINTS[:2]}
    assert nights.place.names() == {IMAGE, *kept}
    assert [thing for thing in nights.cinder.things if thing[0] != "volume"] == [], "nothing through Glance"


@pytest.mark.parametrize("what", ["deleted", "resized", "other bank", "other project", "forged"])
def test_what_an_earlier_protection_is_good_for(nights: Nights, tmp_path: Path, what: str) -> None:
    """What it says of an image is compared with the volume that is protected, and opens none."""
    before = nights.protect()
    if what == "deleted":
        nights.bank.delete(CHECKPOINTS[0], young=True)
    elif what == "other bank":
        nights.bank = Bank.open(str(tmp_path / "other"), BankKey(bytes(32)), create=True)
    elif what in ("other project", "forged"):
        nights.bank.delete(CHECKPOINTS[0], young=True)
        mover = before["mover"]
        forged = {**mover, "state": {**mover["state"], "pool": "images", "image": "base"}}
        project, mover = ("p2", mover) if what == "other project" else ("p1", forged)
        with nights.bank.writer(CHECKPOINTS[0], project) as writer:
            ref = writer.put_data([noise(CHUNK, "forged"), bytes(SIZE - CHUNK)])
            section = {**before, "data": ref, "mover": mover}
            writer.commit(created_at=NOW, graph={}, sections={str(KEY): section})
    else:
        with nights.place.image(IMAGE) as image:
            image.resize(SIZE // 4)
            image.resize(SIZE)
    second = nights.protect()
    assert second["mover"]["changes_since"] == (CHECKPOINTS[0] if what == "resized" else "")
    if what == "forged":
        assert "its pool was images then" in second["mover"]["read_all_for"]
    assert nights.content(second) == nights.place.content(IMAGE)


@pytest.mark.parametrize(
    "state",
    [None, [], {}, {"baseline": 1}, {"baseline": {"name": "snapshot-s1", "id": 1}}, {"differs": [["a", 1]]}],
)
def test_a_state_that_means_nothing_is_not_used(nights: Nights, state: Any) -> None:
    before = nights.protect()
    if isinstance(state, dict) and "differs" in state:
        state = {**before["mover"]["state"], **state}
    nights.bank.delete(CHECKPOINTS[0], young=True)
    with nights.bank.writer(CHECKPOINTS[0], "p1") as writer:
        ref = writer.put_data([bytes(SIZE)])
        section = {**before, "data": ref, "mover": {**before["mover"], "state": state}}
        writer.commit(created_at=NOW, graph={}, sections={str(KEY): section})
    second = nights.protect()
    assert second["mover"]["read_all_for"]
    assert nights.content(second) == nights.place.content(IMAGE)


def test_a_former_index_that_is_damaged_means_a_full_read(nights: Nights, tmp_path: Path) -> None:
    first = nights.protect()
    index = tmp_path / "bank" / first["data"]["object"]
    index.chmod(0o600)
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    second = nights.protect()
    assert f"the data of checkpoint {CHECKPOINTS[0]} cannot be used" in second["mover"]["read_all_for"]
    assert nights.content(second) == nights.place.content(IMAGE)
    index.unlink()
    assert nights.protect()["mover"]["changes_since"] == CHECKPOINTS[1]


def test_every_third_reads_all_and_counts_what_is_not_as_it_was_told(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nights.movers = replace(nights.movers, full_every=2)
    assert [nights.protect()["mover"]["since_full"] for _night in range(3)] == [0, 1, 0]
    assert nights.protect()["mover"]["since_full"] == 1
    asked = nights.protect(parameters={"full_read": True})["mover"]
    assert (asked["since_full"], asked["read_all_for"]) == (0, "full_read is asked for")
    assert nights.protect()["mover"]["since_full"] == 1
    with nights.place.image(IMAGE) as image:
        image.write(noise(CHUNK, "silent"), 7 * CHUNK)
    monkeypatch.setattr(by_rbd.RbdSource, "changed", lambda *_args: iter(()))
    counted = disagreements.total()
    with caplog.at_level(logging.ERROR):
        found = nights.protect()
    assert found["mover"]["differing"] == 1
    assert found["mover"]["read_all_for"] == "every 2th protection reads all"
    assert disagreements.total() == counted + 1
    assert (
        f"1 MiB have changed of which the cluster said that they had not, since checkpoint {CHECKPOINTS[5]}"
        in (caplog.text)
    )
    assert nights.content(found) == nights.place.content(IMAGE)


def restoring(nights: Nights, section: Mapping[str, Any]) -> Any:
    data = BankData(nights.bank, CHECKPOINTS[0], "p1", writing=False)
    return context(
        nights.cinder, data=data, section={**RESTORE, **section}, movers=nights.movers, journal=Entries()
    )


def test_it_is_restored_into_a_new_volume_as_one_made_of_an_image(nights: Nights) -> None:
    """With the flag that it can be booted from, and what Nova knows of its image."""
    section = {**nights.protect(), "bootable": True, "image_metadata": {"hw_disk_bus": "scsi"}}
    with nights.place.image(IMAGE) as image:
        image.write(noise(CHUNK, "later"), 0)
        image.rollback_to_snap(baselines.baseline_name(CHECKPOINTS[0]))
    at = restoring(nights, section)
    result = run(VolumeBankRestore().on_main(at), nights.cinder)
    made = result["restored"][0]["new_id"]
    assert nights.place.content(f"volume-{made}") == nights.place.content(IMAGE)
    assert nights.cinder.list("image") == []
    assert nights.cinder.settings["bootable"] == (made, True)
    assert nights.cinder.settings["image_metadata"] == (made, {"hw_disk_bus": "scsi"})
    with nights.place.image(f"volume-{made}") as image:  # an attempt that was cut off had got here
        image.write(noise(2 * CHUNK, "half"), 40 * CHUNK)
    again = run(VolumeBankRestore().on_main(at), nights.cinder)
    assert again["restored"] == result["restored"]
    assert nights.place.content(f"volume-{made}") == nights.place.content(IMAGE)


@pytest.mark.parametrize("why", ["encrypted", "elsewhere", "fails"])
def test_what_cannot_be_written_goes_through_glance(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    section = nights.protect()
    says = "the new volume is encrypted, by its type"
    if why == "encrypted":
        nights.cinder.encrypts = True
    elif why == "elsewhere":
        nights.movers = replace(nights.movers, ceph=replace(nights.movers.ceph, pools=("none",)))
        says = "could not open none/volume-"
    else:

        def fail(*_args: Any) -> None:
            raise BankError("could not write it", reason="the cluster is full")

        monkeypatch.setattr(by_rbd.RbdSink, "write", fail)
        says = "could not write it (the cluster is full)"
    at = restoring(nights, section)

    def fill(context: Any, role: str, fields: Any, *_more: Any) -> Any:
        def create(marker: Marker) -> Any:
            return nights.cinder.add("image", "i0", "active", tags=[marker.text], **fields)

        return context.ensure("image", role, create)
        yield

    monkeypatch.setattr("refloat.resources.volume.bank.filled", fill)
    result = run(VolumeBankRestore().on_main(at), nights.cinder)["restored"][0]
    assert "it was written through Glance: the mover rbd could not: " in result["reason"]
    assert says in result["reason"]
    assert nights.cinder.things["volume", result["new_id"]].image_id == "i0"
    assert len(nights.place.listed()) == 2, "the volume that could not be written is gone"


def test_a_volume_that_is_not_this_operations_any_more_is_not_written(nights: Nights) -> None:
    at = restoring(nights, nights.protect())
    body = VolumeBankRestore().on_main(at)
    kind, identity = next(body)
    volume = nights.cinder.things[kind, identity]
    volume.metadata = {}
    with pytest.raises(Conflict, match="somebody else has it now"):
        body.send(volume)
    assert nights.place.content(f"volume-{identity}") == bytes(SIZE)


@pytest.mark.parametrize("why", ["elsewhere", "fails"])
def test_what_cannot_be_read_goes_through_glance(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Also when that turns out in the middle; no baseline is left, and nothing that was temporary."""
    before = nights.protect()
    content = noise(SIZE, "glance")
    says = "could not read it (an OSD is gone)"
    if why == "elsewhere":
        nights.movers = replace(nights.movers, ceph=replace(nights.movers.ceph, pools=("none",)))
        says = "could not open none/volume-"

    def fail(*_args: Any) -> None:
        raise BankError("could not read it", reason="an OSD is gone")

    monkeypatch.setattr(by_rbd.RbdSource, "read_into", fail)
    monkeypatch.setattr("refloat.resources.volume.bank.download", lambda *_args: iter([content]))
    with nights.place.image(IMAGE) as image:
        image.write(noise(CHUNK, "later"), 0)
    section = nights.protect(parameters={"full_read": True})
    assert section["mover"]["name"] == "glance"
    assert says in section["mover"]["not"]["rbd"]
    assert section["_said"].startswith("it was read through Glance: the mover rbd could not: ")
    assert nights.content(section) == content
    assert [kind for kind, _identity in nights.cinder.things] == ["volume"]
    assert nights.baselines == [f"{IMAGE}@{baselines.baseline_name(CHECKPOINTS[0])}"]
    monkeypatch.undo()
    assert before["mover"]["name"] == "rbd"


def test_what_speaks_against_it_on_this_host(nights: Nights) -> None:
    assert nights.movers.problems(connect=True) == {"rbd": "", "glance": ""}
    nobody = replace(nights.movers, ceph=replace(nights.movers.ceph, user="nobody"))
    assert nobody.problems()["rbd"] == ""
    assert "could not connect to the Ceph cluster" in nobody.problems(connect=True)["rbd"]


def test_without_glance_it_says_why_it_cannot(nights: Nights) -> None:
    nights.movers = replace(nights.movers, names=("rbd",), ceph=replace(nights.movers.ceph, pools=("none",)))
    with pytest.raises(CloudError, match=r"no mover can.*rbd could not: could not open none/volume-"):
        nights.protect()
    assert nights.baselines == []


def test_a_deleted_checkpoint_leaves_no_baseline(nights: Nights) -> None:
    section = nights.protect()
    at = context(nights.cinder, checkpoint_id=CHECKPOINTS[0], section=section)
    by_rbd.forget(at)  # a provider that does not use it leaves it alone
    assert len(nights.baselines) == 1
    by_rbd.forget(replace(at, movers=nights.movers, checkpoint_id=CHECKPOINTS[5]))  # so does a copy
    assert len(nights.baselines) == 1
    elsewhere = replace(nights.movers, ceph=replace(nights.movers.ceph, pools=("none",)))
    by_rbd.forget(replace(at, movers=elsewhere))
    assert len(nights.baselines) == 1
    by_rbd.forget(replace(at, movers=nights.movers))
    assert nights.place.names() == {IMAGE}
    by_rbd.forget(replace(at, movers=nights.movers))


def test_a_protection_that_fails_leaves_no_baseline(nights: Nights) -> None:
    with pytest.raises(RefloatError, match="cancelled"):
        nights.protect(data=SimpleNamespace(section=lambda *_args: None, put_changed=cancelled))
    assert nights.baselines == []
    assert nights.journal.find("", BASELINE) is None


def cancelled(*_args: Any) -> Any:
    from refloat.errors import Cancelled

    raise Cancelled("storing the data was cancelled")


class Killed(BaseException):
    """The end of the process, but for what it would still do."""


def killed_protection(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its hook ends when all is stored, as by kill -9; returns its context."""
    nights.number += 1
    at = nights.context()

    def kill(*_args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(by_rbd, "_stored", kill)
        patched.setattr(by_rbd, "_take_back", lambda *_args: None)
        run(cut_snapshot(at, nights.cinder.things["volume", SOURCE]), nights.cinder)
        with pytest.raises(Killed):
            run(VolumeBankProtect().on_main(at), nights.cinder)
    assert any(nights.checkpoint in name for name in nights.baselines)
    return at


def test_a_protection_that_was_killed_is_undone_with_its_baseline(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_protection(nights, monkeypatch)
    removed = [each["kind"] for each in nights.undo()["undone"]]
    assert removed == [BASELINE, "snapshot"]
    assert nights.place.names() == {IMAGE}
    assert nights.journal.entries() == []


def test_a_protection_that_was_killed_goes_on(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    at = killed_protection(nights, monkeypatch)
    with nights.place.image(IMAGE) as image:  # behind the snapshot, and the baseline
        image.write(noise(CHUNK, "later"), 3 * CHUNK)
    section = run(VolumeBankProtect().on_main(at), nights.cinder)
    at.data.writer.commit(created_at=NOW, graph={}, sections={str(KEY): section})
    assert len(nights.baselines) == 1
    second = nights.protect()
    assert second["mover"]["changes_since"] == CHECKPOINTS[0]
    assert nights.content(second) == nights.place.content(IMAGE)


def test_a_baseline_that_cannot_be_removed_is_left_behind_by_name(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_protection(nights, monkeypatch)
    nights.movers = replace(nights.movers, ceph=replace(nights.movers.ceph, pools=("none",)))
    with pytest.raises(RefloatError, match=r"Left behind: baseline backup\.refloat-") as raised:
        nights.undo()
    assert "the pool volumes is none of this provider's: none" in str(raised.value)
    assert nights.journal.find("", BASELINE) is not None


class Lease:
    """That of an operation which another process takes over after some questions."""

    def __init__(self, left: int) -> None:
        self.left, self.lock = left, threading.Lock()

    def check(self) -> None:
        with self.lock:
            self.left -= 1
            if self.left < 0:
                raise LeaseLost("another process has taken the operation over")


def test_who_has_lost_the_operation_writes_nothing_more(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is restored may be somebody's volume by then."""
    section = nights.protect()
    at = restoring(nights, section)
    seconds = itertools.count()
    monkeypatch.setattr("time.clock_gettime", lambda _clock: next(seconds))
    lease = Lease(4)
    with fenced(lease.check), pytest.raises(LeaseLost):
        run(VolumeBankRestore().on_main(at), nights.cinder)
    made = at.created("volume")
    written = nights.place.content(f"volume-{made}")
    assert written != nights.place.content(IMAGE)
    assert written.count(bytes(CHUNK)) > 64 - 5
    assert ("volume", made) in nights.cinder.things, "it is left to who has the operation now"
    result = run(VolumeBankRestore().on_main(at), nights.cinder)
    assert result["restored"][0]["new_id"] == made
    assert nights.place.content(f"volume-{made}") == nights.place.content(IMAGE)


def test_who_has_lost_the_operation_removes_no_baseline(nights: Nights) -> None:
    with fenced(Lease(1).check), pytest.raises(LeaseLost):
        nights.protect(
            data=SimpleNamespace(section=lambda *_args: None, put_changed=lambda *_args: fence.check())
        )
    assert len(nights.baselines) == 1, "the other one's has its name"
    with fenced(Lease(0).check), pytest.raises(LeaseLost):
        by_rbd.forget(nights.context(section={"mover": {"state": state_of(nights)}}))
    assert len(nights.baselines) == 1


def state_of(nights: Nights) -> Any:
    return {"pool": POOL, "baseline": {"name": baselines.baseline_name(nights.checkpoint), "id": 1}}


@pytest.mark.parametrize("seed", range(2))
def test_many_nights(nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Writers, discards, reverts; two banks; checkpoints that are deleted; protections that are killed."""
    chance = random.Random(seed)
    nights.movers = replace(nights.movers, full_every=4)
    banks = [nights.bank, Bank.open(str(tmp_path / "other"), BankKey(bytes(32)), create=True)]
    there: dict[str, tuple[Bank, Mapping[str, Any], bytes]] = {}
    told = 0
    for _night in range(8):
        with nights.place.image(IMAGE) as image:
            for _each in range(chance.randrange(5)):
                at = chance.randrange(SIZE - 2 * CHUNK)
                if chance.random() < 0.6:
                    image.write(noise(chance.choice([1, 4096, CHUNK]), chance.random()), at)
                else:
                    image.discard(at, chance.choice([4096, CHUNK, 2 * CHUNK]))
            if nights.baselines and chance.random() < 0.2:
                image.rollback_to_snap(chance.choice(nights.baselines).partition("@")[2])
        nights.bank = chance.choice(banks)
        if chance.random() < 0.2:
            killed = killed_protection(nights, monkeypatch)
            nights.undo()
            killed.data.abandon()
        section = nights.protect()
        content = nights.place.content(IMAGE)
        assert nights.content(section) == content
        assert section["mover"]["differing"] == 0
        told += bool(section["mover"]["changes_since"])
        there[nights.checkpoint] = nights.bank, section, content
        for gone in [each for each in there if chance.random() < 0.15]:
            bank, section, _content = there.pop(gone)
            by_rbd.forget(nights.context(checkpoint_id=gone, section=section))
            bank.delete(gone, young=True)
            bank.collect()
    assert told >= 2, "it can tell often"
    for checkpoint, (bank, section, content) in there.items():
        bank.verify(checkpoint)
        with bank.open_data(section["data"]) as reader:
            assert reader.read() == content


# What a member might try so that a worker reads what is not his


def test_another_ones_volume_cannot_be_named(nights: Nights) -> None:
    """By an id in a plan, with a snapshot of one's own; also if both are his, none is read for the other."""
    nights.movers = replace(nights.movers, names=("rbd",))
    nights.place.make(f"volume-{OTHER}", SIZE, {0: noise(CHUNK, "secret")})
    nights.cinder.add("volume", OTHER, "available", size=1)
    for others in ({OTHER}, set()):
        nights.cinder.others = others
        with pytest.raises(CloudError, match="does not tell of the volume that the snapshot was made of"):
            nights.protect(resource=Resource(TYPE, OTHER, "data"))
    assert nights.baselines == []


@pytest.mark.parametrize("what", ["volume", "snapshot"])
def test_a_volume_that_was_given_away_meanwhile_is_not_read(nights: Nights, what: str) -> None:
    nights.movers = replace(nights.movers, names=("rbd",))
    gone = {"volume": SOURCE, "snapshot": "s0"}[what]
    with pytest.raises(CloudError, match="no mover can"):
        nights.protect(between=lambda: nights.cinder.others.add(gone))
    assert nights.baselines == []


def test_a_snapshot_of_another_volume_is_not_read(nights: Nights) -> None:
    """The journal's is; one that was given its mark is none of this volume's image."""
    nights.movers = replace(nights.movers, names=("rbd",))

    def other() -> None:
        nights.cinder.things["snapshot", "s0"].volume_id = OTHER

    with pytest.raises(CloudError, match="does not tell of the volume"):
        nights.protect(between=other)

    def renamed() -> None:  # the image has no such snapshot
        nights.place.drop(IMAGE, "snapshot-s1")

    with pytest.raises(CloudError, match="could not open volumes/volume-"):
        nights.protect(between=renamed)
    assert nights.baselines == []


def test_parameters_name_nothing(nights: Nights) -> None:
    given = {"pool": "images", "image": "base", "mover": "x", "conf": "/etc/passwd"}
    section = nights.protect(parameters=given)
    assert section["mover"]["state"]["pool"] == POOL
    assert nights.content(section) == nights.place.content(IMAGE)


def test_an_encrypted_volume_is_not_read(nights: Nights) -> None:
    nights.movers = replace(nights.movers, names=("rbd",))
    nights.cinder.things["volume", SOURCE].is_encrypted = True
    with pytest.raises(CloudError, match="the volume is encrypted"):
        nights.protect()
    assert nights.journal.find("", SNAPSHOT) is not None  # which undoing removes
