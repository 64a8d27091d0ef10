"""Kinds whose services are doubles: cut off, answers lost, services that are not there or fail."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.errors import CloudError, NotFound
from refloat.graph import Resource
from refloat.operations.discovery import Discovery
from refloat.providers.provider import Providers
from refloat.resources.base import PROJECT
from refloat.resources.creations import Creations
from refloat.resources.database import DATABASE as DATABASES
from refloat.resources.pod import PODS, cluster
from refloat.resources.share import SHARE as SHARES
from tests.fullstack.hookrig import Run
from tests.unit.doubles import openstack
from tests.unit.doubles.cases import CASES, DoubleCase
from tests.unit.doubles.world import DATABASE, POD, SHARE, World

CREATING = [case for case in CASES if case.creates]


@pytest.fixture(params=CREATING, ids=lambda case: case.plugin)
def case(request: pytest.FixtureRequest, world: World) -> DoubleCase:
    made: DoubleCase = request.param(world)
    return made


# --- the contract


def test_protect_lose_restore_compare(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    before = case.living()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    case.lose()
    assert case.living() == []
    lines = rig.restore()
    assert case.living() == before
    assert case.new_id(lines[case.type, resource.id])


def test_a_restore_that_is_cut_off_anywhere_makes_nothing_twice(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    before = case.living()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    case.lose()
    rig.restore(cuts=range(7))
    assert case.living() == before


def test_a_protect_that_is_cut_off_keeps_one(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    discovery = Discovery(rig.cloud)
    rig.graph = discovery.graph([discovery.of_type(case.type).show(resource.id)])
    world.lose_answer(case.kept_request or "nothing")
    run = Run(rig, "protect", rig.graph, {})
    with suppress(CloudError):
        run.all()
    again = Run(rig, "protect", rig.graph, {}, run.operation_id)
    again.all()
    assert len(case.kept()) == bool(case.kept_request)
    assert again.results[resource.key]


def test_a_creation_whose_answer_was_lost_is_found_again(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    before = case.living()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    case.lose()
    plan = rig.plan()
    run = Run(rig, "restore", plan.graph, plan.planned)
    rig.journal.kept.clear()
    world.lose_answer(case.created)
    with suppress(CloudError):  # whether it is found at once, or when the hook is run again
        run.all()
    assert [double for double in world.doubles if not double.lose]  # an answer was lost indeed
    Run(rig, "restore", plan.graph, plan.planned, run.operation_id).all()
    Creations(rig.cloud, run.operation_id, rig.journal).hand_over()
    assert case.living() == before


def test_undo_leaves_nothing(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    case.lose()
    objects = json.dumps(world.kubernetes.objects)
    rig.restore(hand_over=False)
    assert case.living()
    rig.roll_back()
    assert case.living() == []
    assert json.dumps(world.kubernetes.objects) == objects


def test_beside_the_living_original(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    lines = rig.restore(parameters={case.type: {"restore_name": "{name}-2"}})
    assert len(case.living()) == 2
    assert lines[case.type, resource.id]["name"].endswith("-2")
    told = rig.plan({case.type: {"restore_name": "{name}-3"}}).planned[resource.key]
    outcome = next(item for item in told.attributes if item.name == "name")
    assert outcome.fidelity == "mapped"
    assert outcome.restored.endswith("-3")


def test_every_attribute_is_told_and_has_a_reason_unless_exact(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    case.lose()
    told = rig.plan().planned[resource.key].attributes
    assert {item.name for item in told} == {item.name for item in rig.plugins[case.type].attributes}
    assert [item.name for item in told if item.fidelity != "exact" and not item.reason] == []
    assert "opensesame" not in json.dumps([item.to_json() for item in told])


def test_verify_says_what_is_missing_and_a_restore_then_is_impossible(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    assert rig.verify()[resource.key]["ok"]
    if not case.kept_request and not world.data.kept:
        rig.sections[resource.key] = {}
        assert "the checkpoint lacks" in rig.verify()[resource.key]["reason"]
        return
    if not case.kept_request:
        world.data.kept = dict.fromkeys(world.data.kept, b"x")
        assert "not what was written" in rig.verify()[resource.key]["reason"]
        return
    world.manila.snapshots.clear()
    world.trove.backups.clear()
    assert "is gone" in rig.verify()[resource.key]["reason"]
    assert [problem for problem in rig.plan().problems if "is gone" in problem]


def test_delete_frees_what_the_checkpoint_has_in_the_cloud(case: DoubleCase, world: World) -> None:
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(case.type).show(resource.id))
    stays = rig.plugins[case.type].stays_in_cloud(rig.sections[resource.key])
    assert [identity for identity in case.kept() if not any(identity in text for text in stays)] == []
    Run(rig, "delete", rig.graph, {}).all()
    assert case.kept() == []
    Run(rig, "delete", rig.graph, {}).all()  # again, as after a crash


# --- clouds without these services, and services that fail


@pytest.mark.parametrize("kind", [SHARES.protectable, DATABASES.protectable, PODS.protectable])
def test_without_the_service_there_are_none_and_nobody_is_asked(
    kind: Callable[[Cloud], Any], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keystone.catalog = {}
    monkeypatch.delenv(cluster.VARIABLE)
    found = kind(world.cloud())
    assert found.list() == []
    assert " no " in found.absence().lower()
    assert list(found.dependants(Resource(PROJECT, openstack.PROJECT))) == []
    assert {request.path for request in world.keystone.asked} <= {"/v3/", "/v3", "/v3/auth/tokens"}
    assert world.manila.asked == world.trove.asked == world.kubernetes.asked == []
    with pytest.raises((NotFound, CloudError), match=r"not present in the service catalog|no Kubernetes"):
        found.show(str(uuid.uuid4()))


def test_a_service_that_is_there_and_fails_fails_the_discovery(case: DoubleCase, world: World) -> None:
    case.make()
    for double in world.doubles:
        double.broken = double is not world.keystone
    with pytest.raises(CloudError, match="out of order"):
        Discovery(world.cloud()).of_type(case.type).dependants(Resource(PROJECT, openstack.PROJECT))


def test_providers_of_karbors_files_know_the_plugins() -> None:
    chosen = Providers().find("default").plugins()
    assert [chosen[kind].name for kind in (SHARE, DATABASE, POD)] == [
        "share-manila-snapshot",
        "database-trove-backup",
        "pod-manifest",
    ]
