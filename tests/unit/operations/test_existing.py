"""What of a checkpoint is still there, and what a restore does about it.

Findings: 2.3 (a restore makes twins without asking), 2.7 (words in braces that stand for nothing).
"""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from refloat.cli import restore as cli_restore
from refloat.errors import CloudError, InvalidInput
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.choices import Choices
from refloat.operations.existing import EXISTING, living
from refloat.operations.restoreplan import make_restore_plan
from refloat.resources.base import RESTORE_NAME, PlanContext, Planned, ProtectionPlugin
from refloat.resources.listed import ListedProtectable
from refloat.resources.registry import plugins, protectables

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


SERVER, VOLUME, ADDRESS, PROJECT = (
    *("OS::Nova::Server", "OS::Cinder::Volume", "OS::Neutron::FloatingIP", "OS::Keystone::Project"),
)


class Doubling(Anything):
    """A server or a volume: its plan makes another one in any case."""

    doubles = True
    options: ClassVar = {"restore": (RESTORE_NAME,)}

    def plan_restore(self, context: PlanContext) -> Planned:
        return Planned("create", context.restored_name(context.resource.name))


class Serving(Anything):
    """A floating IP: of use to its server alone."""

    serves_others = True


def plugin(kind: str, way: type[ProtectionPlugin]) -> ProtectionPlugin:
    return type(way.__name__, (way,), {"resource_type": kind})()


PLUGINS = {
    SERVER: plugin(SERVER, Doubling),
    VOLUME: plugin(VOLUME, Doubling),
    ADDRESS: plugin(ADDRESS, Serving),
    PROJECT: plugin(PROJECT, Anything),
}


def shop() -> Graph:
    """A project with two servers, each with two volumes and an address."""
    graph = Graph()
    project = graph.add(Resource(PROJECT, "mine"))
    for name in ("web", "db"):
        server = graph.add(Resource(SERVER, name, name))
        graph.link(project.key, server.key)
        for kind, number in ((VOLUME, 1), (VOLUME, 2), (ADDRESS, 3)):
            part = graph.add(Resource(kind, f"{name}-{number}", f"{name}-{number}"))
            graph.link(server.key, part.key)
            graph.link(project.key, part.key)
    return graph


def decided(there: Collection[str], existing: str, **parameters: Any) -> dict[str, tuple[str, str]]:
    """What becomes of each: action and name."""
    cloud: Any = SmallCloud([thing(name) for name in there], [])
    plan = make_restore_plan(
        *(shop(), lambda _key: {}, PLUGINS, parameters.get("parameters", {}), cloud),
        existing=existing,
        twin_name="{name} (as of 2026-11-29)",
    )
    return {key.id: (planned.action, planned.name) for key, planned in plan.planned.items()}


def test_what_is_there_is_kept_and_only_what_is_gone_comes_back() -> None:
    """2.3: the default of the command."""
    told = decided(("web", "web-1", "web-2", "db-1"), "skip")
    assert {name: action for name, (action, _name) in told.items()} == {
        "web": "keep", "web-1": "keep", "web-2": "keep", "web-3": "skip",
        "db": "create", "db-1": "keep", "db-2": "create", "db-3": "create", "mine": "create",
    }  # fmt: skip
    told = decided(("web", "web-1", "web-3"), "skip")
    assert (told["web-3"][0], told["web-2"][0]) == ("keep", "create")


def test_a_gone_volume_of_a_kept_server_is_said_to_be_attached_to_nothing() -> None:
    cloud: Any = SmallCloud([thing("web"), thing("web-1")], [])
    plan = make_restore_plan(shop(), lambda _key: {}, PLUGINS, {}, cloud, existing="skip")
    (said,) = plan.planned[ResourceKey(VOLUME, "web-2")].conflicts
    assert said == "OS::Nova::Server web (web) is kept as it is: this is not given to it"
    assert plan.planned[ResourceKey(VOLUME, "db-2")].conflicts == ()


def test_twins_are_made_of_what_is_there_alone() -> None:
    told = decided(("web", "web-1"), "beside")
    assert told["web"] == ("create", "web (as of 2026-11-29)")
    assert told["web-1"] == ("create", "web-1 (as of 2026-11-29)")
    assert told["web-2"] == ("create", "web-2")
    assert told["db"] == ("create", "db")
    own = decided(("web",), "beside", parameters={SERVER: {"restore_name": "{name} again"}})
    assert own["web"] == ("create", "web again")


def test_with_repair_plugins_are_asked_what_to_give_back() -> None:
    """What is kept stays kept; what it has lost and can get again is made for it."""
    seen: dict[str, str] = {}

    class Repaired(Doubling):
        repairs = True

        def plan_restore(self, context: PlanContext) -> Planned:
            seen[context.resource.id] = context.existing(context.resource.key)
            living = seen[context.resource.id] == "keep"
            return Planned("repair", new_id=context.resource.id) if living else Planned("create")

    class Network(Anything):
        def plan_restore(self, context: PlanContext) -> Planned:
            seen[context.resource.id] = context.existing(context.resource.key)
            return Planned(context.using(lacks=True), new_id=context.resource.id)

    class Address(Serving):
        repairs = True

    graph = shop()
    graph.link(ResourceKey(SERVER, "web"), graph.add(Resource("OS::Neutron::Network", "net")).key)
    using = {SERVER: plugin(SERVER, Repaired), ADDRESS: plugin(ADDRESS, Address)}
    using["OS::Neutron::Network"] = plugin("OS::Neutron::Network", Network)
    cloud: Any = SmallCloud([thing(name) for name in ("web", "web-1", "net", "db-3")], [])
    plan = make_restore_plan(graph, lambda _key: {}, PLUGINS | using, {}, cloud, existing="repair")
    told = {key.id: planned.action for key, planned in plan.planned.items()}
    assert told == {
        "web": "repair", "web-1": "keep", "web-2": "create", "web-3": "create", "net": "repair",
        "db": "create", "db-1": "create", "db-2": "create", "db-3": "create", "mine": "create",
    }  # fmt: skip
    assert seen == {"web": "keep", "net": "repair", "db": ""}
    assert plan.planned[ResourceKey(VOLUME, "web-2")].conflicts == ()


def test_ignored_what_is_there_changes_nothing() -> None:
    """As Karbor: what a client of REST v1 that says nothing gets."""
    told = decided(("web", "web-1", "web-2", "web-3", "db"), "ignore")
    assert set(told.values()) == {("create", name) for name in told if name != "mine"} | {("create", "")}


def test_what_somebody_wants_a_second_of_gets_disks_of_its_own() -> None:
    """A name of one's own asks for a new one, also when what is there is kept."""
    told = decided(
        ("web", "web-1", "web-2", "db", "db-1"), "skip", parameters={f"{SERVER}#web": {"restore_name": "x"}}
    )
    assert [told[name][0] for name in ("web", "web-1", "web-2")] == ["create"] * 3
    assert [told[name][0] for name in ("db", "db-1", "db-2")] == ["keep", "keep", "create"]


@pytest.mark.parametrize(
    ("existing", "name", "message"),
    [
        ("replace all", "", "does not say what becomes of what is there"),
        ("skip", "{name}-2", "need existing=beside"),
        ("beside", "{nam}-2", "stands for nothing"),
    ],
)
def test_what_cannot_be_chosen_is_refused(existing: str, name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Choices(existing=existing, beside_name=name).check(None)


def test_names_with_unknown_words_in_braces_are_refused() -> None:
    """2.7: ``{nam}-x`` would have become a name."""
    with pytest.raises(InvalidInput, match="stands for nothing in restore_name") as told:
        RESTORE_NAME.convert("{nam}-x")
    assert told.value.advice == "It knows {name}"
    assert RESTORE_NAME.convert("{name}-x") == "{name}-x"


def test_the_command_knows_the_same_words() -> None:
    assert cli_restore.EXISTING == EXISTING


def test_which_kinds_have_doubles() -> None:
    """All that a restore makes anew in any case; of all others the original is used again."""
    doubling = {each.resource_type for each in plugins().values() if each.doubles}
    assert doubling == {SERVER, VOLUME, "OS::Manila::Share", "OS::Trove::Instance"}
    assert {each.resource_type for each in plugins().values() if each.serves_others} == {
        ADDRESS,
        "OS::Nova::ServerGroup",
    }
