"""The quick kinds: no-op, project, key pair, server group; and how servers are chosen."""

from types import SimpleNamespace
from typing import Any

import pytest

from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.graph import Graph, Resource, discover
from refloat.resources.base import HOOKS, PlanContext, Planned
from refloat.resources.keypair import KEYPAIR, free_name, ssh_fingerprint
from refloat.resources.noop import NoopPlugin, NoopProtectable
from refloat.resources.project import ProjectPlugin, ProjectProtectable
from refloat.resources.server import SERVERS
from refloat.resources.server.protectable import ServerProtectable
from refloat.resources.servergroup import SERVER_GROUP

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hVxkz1Vy5zQnB2Vd0m0e0c8f5oV7w1c1g3Yp8n2aV someone"
NOBODY: Any = None
"""These kinds need no cloud."""


def context(resource: Resource, section: Any, parameters: Any = None, **things: list[Any]) -> PlanContext:
    cloud: Any = SimpleNamespace(user_id="me", project_id="mine")
    return PlanContext(
        resource,
        section,
        Graph(),
        parameters or {},
        cloud,
        lambda _key: None,
        lambda kind: things.get(kind, []),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 10, 17, 1000])
def test_a_tree_has_as_many_resources_as_it_says(size: int) -> None:
    noop = NoopProtectable(NOBODY)
    graph = discover([noop.find(f"tree:{size}")], noop.dependants, noop.references)
    assert len(graph) == size
    assert len(graph.roots()) == 1
    again = discover([noop.find(f"tree:{size}")], noop.dependants, noop.references)
    assert graph.to_json() == again.to_json()


def test_a_tree_shares_networks_between_servers() -> None:
    noop = NoopProtectable(NOBODY)
    graph = discover([noop.find("tree:30")], noop.dependants, noop.references)
    assert any(len(graph.parents(node.key)) == 2 for node in graph)


@pytest.mark.parametrize(
    "wrong", ["tree:0", "tree-5-5", "tree", "tree:-1", "web", "tree:99999999", "tree:1001"]
)
def test_what_is_no_tree_is_not_found(wrong: str) -> None:
    with pytest.raises(NotFound):
        NoopProtectable(NOBODY).find(wrong)


def test_noop_has_all_hooks_of_all_operations() -> None:
    plugin = NoopPlugin()
    for hooks in (plugin.protect, plugin.restore, plugin.verify, plugin.delete):
        assert hooks.implemented() == HOOKS
    hook_context: Any = SimpleNamespace(
        operation_id="op",
        resource=Resource("Refloat::Noop", "tree-1", "tree:1"),
        planned=Planned("create", "x"),
    )
    first = plugin.restore().on_complete(hook_context)  # type: ignore[attr-defined]
    assert first == plugin.restore().on_complete(hook_context)  # type: ignore[attr-defined]
    assert plugin.plan_restore(context(Resource("Refloat::Noop", "tree-1"), {"name": "a"})).name == "a"


def test_only_ones_own_project_can_be_seen() -> None:
    cloud: Any = SimpleNamespace(project_id="mine")
    with pytest.raises(NotFound, match="there is no project 'foreign'"):
        ProjectProtectable(cloud).show("foreign")
    assert ProjectProtectable.parents == frozenset()


def test_a_project_is_restored_into_the_current_one() -> None:
    plugin = ProjectPlugin()
    same = plugin.plan_restore(
        context(Resource("OS::Keystone::Project", "mine"), {"id": "mine", "name": "m"})
    )
    other = plugin.plan_restore(context(Resource("OS::Keystone::Project", "old"), {"id": "old", "name": "o"}))
    assert (same.action, same.new_id) == (other.action, other.new_id) == ("reuse", "mine")
    assert same.attributes[0].fidelity == "exact"
    assert other.attributes[0].fidelity == "mapped"


def test_fingerprints() -> None:
    assert ssh_fingerprint(KEY).count(":") == 15
    assert ssh_fingerprint("nonsense") == ssh_fingerprint("ssh-rsa ***") == ""
    section = {"name": "k", "type": "ssh", "public_key": KEY, "fingerprint": ssh_fingerprint(KEY)}
    verify: Any = KEYPAIR.plugin.verify()
    assert verify.on_main(SimpleNamespace(section=section))["ok"]
    damaged = section | {"public_key": KEY.replace("1Vy", "1Vz")}
    assert not verify.on_main(SimpleNamespace(section=damaged))["ok"]


@pytest.mark.parametrize(
    ("taken", "name"),
    [({}, "k"), ({"k": "mine"}, "k"), ({"k": "other"}, "k-2"), ({"k": "other", "k-2": "third"}, "k-3")],
)
def test_a_free_name_for_a_key(taken: dict[str, str], name: str) -> None:
    assert free_name("k", "mine", taken) == name


@pytest.mark.parametrize(
    ("fingerprint", "action", "name", "conflicts"),
    [("print", "reuse", "k", 0), ("other", "create", "k-2", 1), (None, "create", "k", 0)],
)
def test_key_pairs(fingerprint: str | None, action: str, name: str, conflicts: int) -> None:
    mine = [SimpleNamespace(name="k", fingerprint=fingerprint)] if fingerprint else []
    section = {"name": "k", "type": "ssh", "public_key": KEY, "fingerprint": "print", "user_id": "me"}
    planned = KEYPAIR.plugin().plan_restore(
        context(Resource("OS::Nova::KeyPair", "k", "k"), section, keypair=mine)
    )
    assert (planned.action, planned.name, len(planned.conflicts)) == (action, name, conflicts)


def test_another_users_key_pair_is_not_taken_for_a_servers() -> None:
    cloud: Any = SimpleNamespace(user_id="me", list=lambda _kind: [SimpleNamespace(id="k", name="k")])
    keypairs = KEYPAIR.protectable(cloud)
    own = Resource("OS::Nova::Server", "s", extra={"key_name": "k", "user_id": "me"})
    others = Resource("OS::Nova::Server", "s", extra={"key_name": "k", "user_id": "somebody"})
    none = Resource("OS::Nova::Server", "s", extra={"key_name": "", "user_id": "me"})
    assert [key.id for key in keypairs.dependants(own)] == ["k"]
    assert keypairs.dependants(others) == keypairs.dependants(none) == []


def test_server_groups() -> None:
    plugin, resource = SERVER_GROUP.plugin(), Resource("OS::Nova::ServerGroup", "g", "apart")
    section = {"name": "apart", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}, "members": []}
    told = {"name": "apart", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}, "member_ids": []}
    live = [SimpleNamespace(id=identity, **told) for identity in ("g", "x")]
    assert plugin.plan_restore(context(resource, section, server_group=live)).new_id == "g"
    beside = plugin.plan_restore(context(resource, section, {"restore_name": "{name} 2"}, server_group=live))
    assert (beside.action, beside.name) == ("create", "apart 2")
    assert (
        plugin.plan_restore(context(resource, section, {"duplicate": True}, server_group=live)).action
        == "create"
    )
    gone = plugin.plan_restore(context(resource, section, server_group=live[1:]))
    assert (gone.action, gone.needs) == ("create", {"server_groups": 1})


def server(identity: str, status: str = "ACTIVE", **fields: Any) -> Any:
    usual = {"name": identity, "tags": [], "metadata": {}, "fault": None, "key_name": None, "user_id": "me"}
    return SimpleNamespace(id=identity, status=status, **(usual | fields))


def servers(*found: Any) -> ServerProtectable:
    cloud: Any = SimpleNamespace(
        list=lambda _kind: list(found),
        get=lambda _kind, identity: next(item for item in found if item.id == identity),
    )
    return SERVERS.protectable(cloud)


def test_servers_are_chosen_by_tag_and_metadata() -> None:
    found = servers(
        server("a", tags=["gold"]), server("b", metadata={"tier": "web=1"}), server("c", "DELETED")
    )
    assert [item.id for item in found.select("tag:gold")] == ["a"]
    assert [item.id for item in found.select("metadata:tier=web=1")] == ["b"]
    assert found.select("tag:silver") == []
    for wrong in ("tag:", "metadata:tier", "metadata:=x", "name:a"):
        with pytest.raises(InvalidInput):
            found.select(wrong)


@pytest.mark.parametrize("status", ["ERROR", "UNKNOWN", "RESCUE", "BUILD"])
def test_servers_that_cannot_be_protected(status: str) -> None:
    found = servers(server("a"), server("b", status, fault={"message": "no host"}))
    assert [item.id for item in found.list()] == ["a"]
    with pytest.raises(Conflict, match=rf"OS::Nova::Server b \(b\).*{status}.*no host"):
        found.show("b")
    # What a project has is found, and is then unfit: it is not left out without a word.
    members = {item.id: item for item in found.dependants(Resource("OS::Keystone::Project", "p"))}
    assert set(members) == {"a", "b"}
    graph = Graph()
    assert found.unfit(graph.add(members["a"]), graph) is None
    unfit = found.unfit(graph.add(members["b"]), graph)
    assert status in str(unfit)
    assert "no host" in str(unfit)


def test_deleted_servers_are_not_there() -> None:
    found = servers(server("a", "SOFT_DELETED"))
    assert found.list() == []
    assert found.dependants(Resource("OS::Keystone::Project", "p")) == []
    with pytest.raises(NotFound):
        found.show("a")
