"""What of a checkpoint is still there: only a service's own answer says that something is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from refloat.errors import CloudError
from refloat.graph import Graph, Resource
from refloat.operations.existing import living
from refloat.operations.restoreplan import make_restore_plan
from refloat.resources.base import PlanContext, Planned, ProtectionPlugin
from refloat.resources.listed import ListedProtectable
from refloat.resources.registry import protectables

LISTED = {kind: way for kind, way in protectables().items() if issubclass(way, ListedProtectable)}
BY_ID = {kind: way for kind, way in LISTED.items() if not way.known_by_name}


class SmallCloud:
    """Things by id: what a listing tells, and what only who knows the id finds."""

    project_id = "mine"

    def __init__(self, listed: list[Any], hidden: list[Any]) -> None:
        self.listed, self.hidden = listed, {thing.id: thing for thing in hidden}
        self.asked: list[str] = []

    def list(self, kind: str) -> list[Any]:
        self.asked.append(f"list {kind}")
        return self.listed

    def find(self, kind: str, identity: str) -> Any:
        self.asked.append(f"{kind} {identity}")
        return self.hidden.get(identity)


def thing(identity: str, status: str = "ACTIVE") -> Any:
    return SimpleNamespace(id=identity, name=identity, status=status)


@pytest.mark.parametrize("kind", BY_ID)
def test_each_kind_is_listed_once_and_what_is_not_listed_is_asked_for(kind: str) -> None:
    cloud: Any = SmallCloud(
        [thing("here"), thing("going", "deleted")], [thing("hidden"), thing("half", "DELETED")]
    )
    nodes = [Resource(kind, name) for name in ("here", "going", "hidden", "half", "gone")]
    found = living(nodes, cloud.list, cloud)
    told = {key.id: value and value.id for key, value in found.items()}
    assert told == {"here": "here", "going": None, "hidden": "hidden", "half": None, "gone": None}
    word = BY_ID[kind].kind
    assert sorted(cloud.asked) == sorted(
        [f"list {word}", *(f"{word} {n}" for n in ("hidden", "half", "gone"))]
    )


def test_of_what_is_known_by_its_name_and_of_made_up_kinds_nothing_is_known() -> None:
    cloud: Any = SmallCloud([], [])
    assert set(LISTED) - set(BY_ID) == {"OS::Nova::KeyPair"}
    named = [
        Resource("OS::Nova::KeyPair", "shop"),
        Resource("Refloat::Noop", "tree-1"),
        Resource("Un::Known", "x"),
    ]
    assert living(named, cloud.list, cloud) == {}
    assert cloud.asked == []


def test_a_service_that_cannot_be_asked_says_nothing_and_stops_the_plan() -> None:
    cloud: Any = SmallCloud([], [])

    def ill(_kind: str, _identity: str) -> Any:
        raise CloudError("could not read it", reason="503")

    cloud.find = ill
    with pytest.raises(CloudError, match="could not read it"):
        living([Resource("OS::Cinder::Volume", "x")], cloud.list, cloud)


class Anything(ProtectionPlugin):
    """Stands for any kind."""

    resource_type = "OS::Cinder::Volume"

    def plan_restore(self, context: PlanContext) -> Planned:
        return Planned("create", context.resource.name)


@pytest.mark.parametrize(("same_place", "told"), [(True, [True, False]), (False, [None, None])])
def test_the_plan_tells_it_for_the_same_project_only(same_place: bool, told: list[bool | None]) -> None:
    graph = Graph()
    for name in ("here", "gone"):
        graph.add(Resource("OS::Cinder::Volume", name))
    cloud: Any = SmallCloud([thing("here")], [])
    plan = make_restore_plan(
        graph, lambda _key: {}, {"OS::Cinder::Volume": Anything()}, {}, cloud, same_place=same_place
    )
    assert [plan.planned[node.key].living for node in graph] == told
    assert [Planned.from_json(each.to_json()).living for each in plan.planned.values()] == told
    assert {line["source_id"]: line["living"] for line in plan.to_json()["resources"]} == dict(
        zip(("here", "gone"), told, strict=True)
    )
