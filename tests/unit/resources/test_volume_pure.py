"""Volumes without a cloud: discovery, chains of backups, restore plans, options."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from refloat.cloud import Cloud
from refloat.errors import Conflict, InvalidInput
from refloat.graph import Graph, Resource
from refloat.resources.base import PROJECT, PlanContext, Planned, ProtectionPlugin
from refloat.resources.options import settle
from refloat.resources.volume import BACKUPS, SNAPSHOTS
from refloat.resources.volume.chains import PARENT_KEY, dependants, parent_for
from refloat.resources.volume.protectable import SERVER, TYPE, VolumeProtectable
from refloat.resources.volume.section import ATTRIBUTES, is_readonly
from refloat.resources.volume.snapshot import in_place


def volume(identity: str, **fields: Any) -> SimpleNamespace:
    known = {
        "name": f"name of {identity}",
        "status": "available",
        "availability_zone": "nova",
        "attachments": [],
        "metadata": {},
        "is_bootable": False,
        "consumes_quota": True,
    }
    return SimpleNamespace(id=identity, **{**known, **fields})


class Listing:
    """As much of a cloud as a protectable asks for."""

    def __init__(self, *volumes: SimpleNamespace) -> None:
        self.volumes, self.asked = volumes, 0

    def list(self, kind: str) -> list[SimpleNamespace]:
        assert kind == "volume"
        self.asked += 1
        return list(self.volumes)

    def get(self, _kind: str, identity: str) -> SimpleNamespace:
        return next(v for v in self.volumes if v.id == identity)


def protectable(*volumes: SimpleNamespace) -> tuple[VolumeProtectable, Listing]:
    listing = Listing(*volumes)
    return BACKUPS.protectable(cast(Cloud, listing)), listing


def on(*servers: str) -> dict[str, Any]:
    return {"status": "in-use", "attachments": [{"server_id": server} for server in servers]}


def test_one_listing_serves_every_server_and_bootable_data_volumes_are_volumes_like_others() -> None:
    kind, listing = protectable(
        volume("boot", **on("s1"), is_bootable=True),
        volume("data", **on("s1"), is_bootable=True),
        volume("shared", **on("s1", "s2")),
        volume("free"),
    )
    first = kind.dependants(Resource(SERVER, "s1"))
    second = kind.dependants(Resource(SERVER, "s2"))
    assert [r.id for r in first] == ["boot", "data", "shared"]
    assert [r.id for r in second] == ["shared"]
    assert [r.id for r in kind.dependants(Resource(PROJECT, "p"))] == ["boot", "data", "shared", "free"]
    assert listing.asked == 1
    assert next(iter(first)).extra == {"availability_zone": "nova"}


@pytest.mark.parametrize("status", ["error", "error_restoring", "error_extending"])
def test_volume_in_error_is_unfit_and_named(status: str) -> None:
    kind, _listing = protectable(volume("bad", status=status, attachments=[{"server_id": "s1"}]))
    with pytest.raises(Conflict) as refused:
        kind.show("bad")
    for parent in (Resource(PROJECT, "p"), Resource(SERVER, "s1")):
        (node,) = kind.dependants(parent)
        for said in (str(refused.value), str(kind.unfit(node, Graph()))):
            assert "name of bad (bad)" in said
            assert f"its status is '{status}'" in said
    assert kind.list() == []


def test_volumes_on_their_way_out_and_cinders_own_are_no_part_of_a_project() -> None:
    kind, _listing = protectable(
        volume("going", status="deleting"), volume("stuck", status="error_deleting"), volume("there"),
        volume("cinders", consumes_quota=False),
    )  # fmt: skip
    assert [r.id for r in kind.dependants(Resource(PROJECT, "p"))] == ["there"]


def test_volumes_are_chosen_by_metadata() -> None:
    kind, _listing = protectable(volume("a", metadata={"tier": "db"}), volume("b", metadata={"tier": "web"}))
    assert [r.id for r in kind.select("metadata:tier=db")] == ["a"]
    with pytest.raises(InvalidInput):
        kind.select("tag:db")


def test_readonly_flag_is_told_from_the_users_own_metadata() -> None:
    assert is_readonly({"a": "b"}, {"a": "b", "readonly": "True"})
    assert is_readonly({"readonly": "mine"}, {"readonly": "True"})
    assert not is_readonly({"readonly": "True"}, {"readonly": "True"})
    assert not is_readonly({}, {"readonly": "False"})


def backup(identity: str, at: str, **fields: Any) -> SimpleNamespace:
    known = {
        "status": "available",
        "size": 1,
        "is_incremental": False,
        "metadata": {},
        "created_at": at,
        "data_timestamp": at,
    }
    return SimpleNamespace(id=identity, **{**known, **fields})


def test_parent_is_the_latest_usable_backup_cut_before() -> None:
    backups = [backup("old", "1"), backup("new", "3"), backup("bad", "4", status="error")]
    assert parent_for(backups, 1, None)[0].id == "new"  # type: ignore[union-attr]
    assert parent_for(backups, 1, "2")[0].id == "old"  # type: ignore[union-attr]
    assert parent_for(backups, 1, "1") == (None, "the volume has no earlier backup to build on")
    assert parent_for([], 1, None)[0] is None
    parent, why = parent_for(backups, 2, None)
    assert parent is None
    assert "has grown" in why


def test_what_depends_on_a_backup_is_found_through_the_whole_chain() -> None:
    chain = [
        backup("full", "1"),
        backup("inc1", "2", is_incremental=True, metadata={PARENT_KEY: "full"}),
        backup("other", "3"),
        backup("inc2", "4", is_incremental=True, metadata={PARENT_KEY: "inc1"}),
        backup("inc3", "5", is_incremental=True),  # not Refloat's: builds on the latest before it
    ]
    assert [b.id for b in dependants("full", chain)] == ["inc1", "inc2", "inc3"]
    assert [b.id for b in dependants("inc2", chain)] == ["inc3"]
    assert dependants("other", chain) == []


SECTION: dict[str, Any] = {
    "id": "old",
    "name": "data",
    "description": None,
    "size": 5,
    "type": {"id": "t1", "name": "fast"},
    "availability_zone": "nova",
    "metadata": {"a": "b"},
    "image_metadata": {},
    "bootable": True,
    "readonly": False,
    "multiattach": False,
    "encrypted": False,
    "group_id": "",
    "attachments": [],
    "snapshots": [],
    "created_at": "then",
    "backup": {"id": "b1", "size": 5, "object_count": 7},
    "snapshot": {"id": "s1", "size": 5},
}


def stored(**fields: Any) -> SimpleNamespace:
    known = {"id": "b1", "status": "available", "size": 5, "object_count": 7, "fail_reason": None}
    return SimpleNamespace(**{**known, **fields})


def plan(
    plugin: type[ProtectionPlugin] = BACKUPS.plugin,
    *,
    section: Mapping[str, Any] | None = None,
    listed: Mapping[str, list[Any]] | None = None,
    **parameters: Any,
) -> Planned:
    there = {
        "backup": [stored()],
        "snapshot": [SimpleNamespace(id="s1", status="available", size=5)],
        "volume_type": [SimpleNamespace(id="t1", name="fast")],
        "volume_zone": [SimpleNamespace(name="nova", state={"available": True})],
        **(listed or {}),
    }
    graph = Graph()
    resource = graph.add(Resource(TYPE, "old", "data"))
    options = settle(plugin.options["restore"], parameters, TYPE)
    section = {**SECTION, **(section or {})}
    return plugin().plan_restore(
        PlanContext(
            resource, section, graph, options, cast(Cloud, None), lambda _key: None, there.__getitem__
        )
    )


@pytest.mark.parametrize("plugin", [BACKUPS.plugin, SNAPSHOTS.plugin])
def test_restore_plan_says_what_it_takes(plugin: Any) -> None:
    planned = plan(plugin)
    assert (planned.action, planned.name, planned.conflicts) == ("create", "data", ())
    assert planned.needs == {"volumes": 1, "gigabytes": 5}
    assert planned.decisions == {"type": "t1", "availability_zone": "nova", "description": None}
    told = {outcome.name: outcome.fidelity for outcome in planned.attributes}
    lost = {name for name, fidelity in told.items() if fidelity in {"lost", "degraded"}}
    assert lost == {"created_at"}


def test_restore_plan_follows_wishes() -> None:
    planned = plan(restore_name="{name} again", restore_description="new")
    assert (planned.name, planned.decisions["description"]) == ("data again", "new")


def test_vanished_type_and_zone_are_said_beforehand() -> None:
    planned = plan(listed={"volume_type": [], "volume_zone": []})
    assert planned.action == "create"
    assert planned.decisions["type"] == planned.decisions["availability_zone"] == ""
    assert "no volume type 'fast'" in planned.conflicts[0]
    assert "no availability zone 'nova'" in planned.conflicts[1]
    told = {outcome.name: outcome.fidelity for outcome in planned.attributes}
    assert told["type"] == told["qos"] == told["availability_zone"] == "degraded"


def test_type_of_another_id_but_the_same_name_will_do() -> None:
    planned = plan(listed={"volume_type": [SimpleNamespace(id="t9", name="fast")]})
    assert (planned.decisions["type"], planned.conflicts) == ("t9", ())


def test_encrypted_volume_needs_its_type() -> None:
    assert plan(section={"encrypted": True}).action == "create"
    planned = plan(section={"encrypted": True}, listed={"volume_type": []})
    assert planned.action == "impossible"
    assert "encrypted" in planned.reason


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "is gone"),
        ([stored(status="error", fail_reason="disk full")], "disk full"),
        ([stored(size=4)], "of 4 GiB"),
        ([stored(object_count=6)], "6 objects"),
    ],
)
def test_unusable_backup_makes_a_restore_impossible(found: list[Any], why: str) -> None:
    planned = plan(listed={"backup": found})
    assert planned.action == "impossible"
    assert why in planned.reason


def test_vanished_snapshot_makes_a_restore_impossible() -> None:
    planned = plan(SNAPSHOTS.plugin, listed={"snapshot": []})
    assert planned.action == "impossible"
    assert "lives and dies" in planned.reason


def test_options_are_checked() -> None:
    options = BACKUPS.plugin.options["protect"]
    assert settle(options, {}, TYPE)["backup_mode"] == "full"
    with pytest.raises(InvalidInput):
        settle(options, {"backup_mode": "sometimes"}, TYPE)
    with pytest.raises(InvalidInput, match="no parameter 'forced'"):
        settle(options, {"forced": "False"}, TYPE)
    assert settle(options, {"force": "False"}, TYPE)["force"] is False


def test_every_lost_attribute_has_a_reason() -> None:
    assert all(a.how for a in ATTRIBUTES if a.fidelity != "exact")


@pytest.mark.parametrize(
    ("snapshots", "size", "safety", "why"),
    [
        ({"mine": "2031-01-01"}, 1, False, ""),
        ({"older": "2030-12-31", "mine": "2031-01-01"}, 1, False, ""),
        ({"mine": "2031-01-01", "later": "2031-01-02"}, 1, False, "is not that: the latest is later"),
        ({}, 1, False, "is not that: it has none"),
        ({"mine": "2031-01-01"}, 2, False, "has 2 GiB, and the snapshot mine is of 1"),
        ({"mine": "2031-01-01"}, 1, True, "the safety checkpoint would be a later snapshot"),
    ],
)
def test_cinder_reverts_a_volume_to_its_latest_snapshot_only(
    snapshots: Mapping[str, str], size: int, safety: bool, why: str
) -> None:
    found = [SimpleNamespace(id=name, created_at=made) for name, made in snapshots.items()]
    storage = SimpleNamespace(snapshots=lambda **_query: iter(found))
    context = SimpleNamespace(
        resource=Resource(TYPE, "v"),
        section={"size": 1, "snapshot": {"id": "mine"}},
        cloud=SimpleNamespace(block_storage=storage),
        safety=safety,
    )
    said = in_place(cast(PlanContext, context), volume("v", size=size))
    assert why in said
    assert bool(said) == bool(why)
