"""A checkpoint as if it had been made of what earlier restores have put in the place of its originals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from refloat.bank.references import Text
from refloat.errors import CloudError
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.restoreplan import make_restore_plan
from refloat.operations.successors import Chains, InPlace, find
from tests.unit.operations.test_existing import BY_ID, PLUGINS, SERVER, VOLUME, SmallCloud, shop, thing

DAY = datetime(2026, 11, 28, 3, 0)


def chains(**made: str) -> Chains:
    """By original (``web_1`` for ``web-1``) what came after it, the newest last."""
    found: dict[ResourceKey, list[tuple[ResourceKey, datetime]]] = {}
    for old, news in made.items():
        kind = VOLUME if "_" in old else SERVER
        found[ResourceKey(kind, old.replace("_", "-"))] = [(ResourceKey(kind, n), DAY) for n in news.split()]
    return found


def looked(whole: Graph, known: Chains, there: Iterable[str]) -> dict[str, str]:
    alive = set(there)

    def living(nodes: Iterable[Resource]) -> Any:
        return {node.key: "thing" if node.id in alive else None for node in nodes}

    found = find(whole, known, lambda _key: {}, living).to_json()
    return {text.partition("#")[2]: new for text, new in found.items()}


def test_chains_are_followed_to_what_is_there() -> None:
    known = chains(web="s1 s2 s3", db="d1")
    assert looked(shop(), known, ["s2", "s3"]) == {"web": "s2"}
    assert looked(shop(), known, ["s1", "d1"]) == {"web": "s1", "db": "d1"}
    assert looked(shop(), known, ["web", "s2", "d1"]) == {"db": "d1"}  # the original is there
    assert looked(shop(), known, []) == {}  # all are gone: as if there were none


def test_what_the_checkpoint_itself_holds_takes_nobodys_place() -> None:
    known = chains(web="db", db="s2")
    assert looked(shop(), known, ["db"]) == {}
    assert looked(shop(), known, ["s2"]) == {"db": "s2"}
    both = chains(web="s1", db="s1")
    assert len(looked(shop(), both, ["s1"])) == 1


def test_the_parts_of_a_successor_go_with_it() -> None:
    """Those that its section names, and that are no resources: of these each is looked for itself."""
    port, network = "OS::Neutron::Port", "OS::Neutron::Network"
    known = dict(chains(web="s1", db="d1"))
    for kind, old in ((port, "p"), (port, "other"), (network, "n")):
        known[ResourceKey(kind, old)] = [
            (ResourceKey(kind, f"{old}1"), DAY),
            (ResourceKey(kind, f"{old}2"), DAY),
        ]
    sections = {"web": {"ports": [{"id": "p", "network_id": "n"}]}, "db": {"ports": [{"id": "other"}]}}

    def living(nodes: Iterable[Resource]) -> Any:
        return {node.key: "thing" if node.id == "s1" else None for node in nodes}

    found = find(shop(), known, lambda key: sections.get(key.id, {}), living)
    assert found.to_json() == {f"{SERVER}#web": "s1", f"{port}#p": "p2"}
    assert found.section(sections["web"]) == {"ports": [{"id": "p2", "network_id": "n"}]}


def test_of_what_cannot_be_known_nothing_is_said() -> None:
    assert find(shop(), chains(web="s1"), lambda _key: {}, lambda _nodes: {}).to_json() == {}


def test_a_service_that_cannot_be_asked_for_a_successor_stops_the_plan() -> None:
    cloud: Any = SmallCloud([], [])

    def ill(_kind: str, identity: str) -> Any:
        if identity == "s1":
            raise CloudError("could not read it", reason="503")

    cloud.find = ill
    with pytest.raises(CloudError, match="could not read it"):
        make_restore_plan(
            shop(), lambda _key: {}, PLUGINS, {}, cloud, existing="skip", known=chains(web="s1")
        )


@pytest.mark.parametrize("kind", sorted(BY_ID))
def test_each_kind_that_is_looked_for_by_its_id_has_successors(kind: str) -> None:
    graph = Graph()
    graph.add(Resource(kind, "was", "name"))
    known = {ResourceKey(kind, "was"): [(ResourceKey(kind, "now"), DAY)]}
    plugin = type("Any", (type(PLUGINS[SERVER]),), {"resource_type": kind})()
    for there, said in (("now", ("keep", "now", True)), ("other", ("create", "", False))):
        cloud: Any = SmallCloud([thing(there)], [])
        plan = make_restore_plan(
            graph, lambda _key: {}, {kind: plugin}, {}, cloud, existing="skip", known=known
        )
        (line,) = plan.to_json()["resources"]
        assert (line["action"], line["new_id"], line["living"]) == said
        assert (line["source_id"], line["source_name"]) == ("was", "name")


WORDS = "it was restored as s1 (s1) on 2026-11-28, and that is still there"


@pytest.mark.parametrize(
    ("existing", "action", "words"),
    [
        ("skip", "keep", WORDS),
        ("repair", "keep", WORDS),
        ("beside", "create", "it was restored as (s1) on 2026-11-28, and that is still there"),
        ("ignore", "create", "it was restored as (s1) on 2026-11-28, and that is still there"),
        ("replace", "impossible", f"{WORDS.replace('s1 (s1)', 'web (s1)')}; what is a {SERVER} cannot be"),
    ],
)
def test_the_restore_plan_says_it(existing: str, action: str, words: str) -> None:
    cloud: Any = SmallCloud([thing("s1"), thing("v1")], [])
    plan = make_restore_plan(
        *(shop(), lambda _key: {}, PLUGINS, {}, cloud),
        existing=existing,
        twin_name="{name}-2",
        known=chains(web="s1", web_1="v1"),
    )
    lines = {line["source_id"]: line for line in plan.to_json()["resources"]}
    assert (lines["web"]["action"], lines["web"]["reason"][: len(words)]) == (action, words)
    assert lines["web-2"]["reason"] == ""
    assert plan.successors.to_json() == {f"{SERVER}#web": "s1", f"{VOLUME}#web-1": "v1"}


def test_what_the_user_says_of_the_original_holds_for_its_successor() -> None:
    """Settings, and mappings of names, are for resources as the checkpoint calls them."""
    cloud: Any = SmallCloud([thing("s1"), thing("v1")], [])
    plan = make_restore_plan(
        *(shop(), lambda _key: {}, PLUGINS, {f"{SERVER}#web": {"restore_name": "x"}}, cloud),
        existing="skip",
        mappings={"name": {"web-1": "disk"}},
        known=chains(web="s1", web_1="v1"),
    )
    lines = {line["source_id"]: line for line in plan.to_json()["resources"]}
    assert [(lines[name]["action"], lines[name]["name"]) for name in ("web", "web-1")] == [
        ("create", "x"),
        ("create", "disk"),
    ]
    (mapped,) = plan.to_json()["mappings"]
    assert (mapped["old"], mapped["new"]) == (f"{VOLUME}#web-1", "disk")


def test_sections_name_successors_and_what_people_wrote_stays() -> None:
    now = InPlace({f"{SERVER}#old": "new"})
    ref = Text(object="old", size=3, digest="old")
    section = {
        "id": "old",
        "disks": {"old": {"server": "old", "size": 3, "ref": ref}},
        "ports": [{"device_id": "old", "name": "old", "tags": ["old"], "of": f"{SERVER}#old"}],
        "metadata": {"made for": "old", "old": "old"},
        "properties": {"instance_uuid": "old"},
    }
    assert now.section(section) == {
        "id": "new",
        "disks": {"new": {"server": "new", "size": 3, "ref": ref}},
        "ports": [{"device_id": "new", "name": "old", "tags": ["old"], "of": f"{SERVER}#new"}],
        "metadata": {"made for": "old", "old": "old"},
        "properties": {"instance_uuid": "old"},
    }
    assert type(now.section(section)["disks"]["new"]["ref"]) is Text  # M2: it does not become a reference
    assert now.section({"extra": {"server:old": True, "key": "a:b"}}) == {
        "extra": {"server:new": True, "key": "a:b"}
    }
    assert InPlace({}).section(section) is section
    assert now.mappings({"address": {"old/10.0.0.1": "x"}}) == {"address": {"new/10.0.0.1": "x"}}
    assert now.was("new/10.0.0.1") == "old/10.0.0.1"
    graph = Graph()
    server, disk = graph.add(Resource(SERVER, "old", "old")), graph.add(Resource(VOLUME, "v"))
    graph.link(server.key, disk.key)
    graph.refer(disk.key, server.key)
    told = now.graph(graph)
    assert [(node.id, node.name) for node in told] == [("new", "old"), ("v", "")]
    assert [node.id for node in told.children(ResourceKey(SERVER, "new"))] == ["v"]
    assert [node.id for node in told.references(disk.key)] == ["new"]
