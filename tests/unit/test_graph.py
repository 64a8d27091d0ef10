"""The resource graph: discovery, order, parts, JSON."""

import pytest

from refloat.errors import CloudError, InvalidInput
from refloat.graph import Graph, Resource, ResourceKey, discover


def node(name: str) -> Resource:
    kind, _, identity = name.partition("-")
    return Resource(kind, identity or kind, name)


def graph_of(edges: dict[str, list[str]], references: dict[str, list[str]] | None = None) -> Graph:
    def find(table: dict[str, list[str]]):
        return lambda resource: [node(name) for name in table.get(resource.name, [])]

    return discover([node(name) for name in edges], find(edges), find(references or {}))


def test_what_is_shared_is_one_node_under_all_its_parents() -> None:
    graph = graph_of({"project": ["server-1", "server-2"], "server-1": ["net"], "server-2": ["net"]})
    assert len(graph) == 4
    assert {parent.name for parent in graph.parents(node("net").key)} == {"server-1", "server-2"}
    assert [root.name for root in graph.roots()] == ["project"]


def test_a_resource_is_the_same_whatever_it_is_called_now() -> None:
    """Karbor made two nodes, and a flow with two tasks of one name, of a renamed resource."""
    graph = Graph()
    graph.add(Resource("volume", "1", "old name"))
    graph.add(Resource("volume", "1", "new name"))
    assert len(graph) == 1


def test_what_several_parents_find_out_adds_up() -> None:
    graph = Graph()
    graph.add(Resource("image", "1", "i", {"server:a": True}))
    graph.add(Resource("image", "1", "i", {"server:b": True}))
    assert graph[ResourceKey("image", "1")].extra == {"server:a": True, "server:b": True}


def test_bottom_up_gives_children_before_parents() -> None:
    graph = graph_of({"project": ["server-1"], "server-1": ["volume-1", "volume-2"]})
    names = [resource.name for resource in graph.bottom_up()]
    assert names.index("volume-1") < names.index("server-1") < names.index("project")


def test_a_circle_of_needs_is_refused_and_named() -> None:
    with pytest.raises(InvalidInput, match=r"need each other in a circle: .*a"):
        graph_of({"a": ["b"], "b": ["a"]})


def test_references_may_go_in_circles_and_bring_their_targets() -> None:
    graph = graph_of({"group-web": []}, {"group-web": ["group-db"], "group-db": ["group-web"]})
    assert len(graph) == 2
    assert [target.name for target in graph.references(node("group-db").key)] == ["group-web"]


def test_a_failure_to_find_dependants_ends_the_discovery() -> None:
    """Karbor logged it, skipped the dependants and called the checkpoint available."""

    def fail(_resource: Resource) -> list[Resource]:
        raise CloudError("could not list the volumes")

    with pytest.raises(CloudError, match="list the volumes"):
        discover([node("server")], fail, lambda _resource: [])


def test_a_part_holds_all_that_is_needed_and_named_and_nothing_else() -> None:
    graph = graph_of(
        {"project": ["server-1", "server-2"], "server-1": ["volume-1", "group-a"], "server-2": ["volume-2"]},
        {"group-a": ["group-b"]},
    )
    part = graph.part([node("server-1").key])
    assert {resource.name for resource in part} == {"server-1", "volume-1", "group-a", "group-b"}
    assert [child.name for child in part.children(node("server-1").key)] == ["volume-1", "group-a"]


def test_json_brings_the_same_graph_back() -> None:
    graph = graph_of({"server-1": ["volume-1"]}, {"volume-1": ["type-1"]})
    again = Graph.from_json(graph.to_json())
    assert again.to_json() == graph.to_json()


def test_ids_may_contain_the_mark_that_separates_them() -> None:
    assert ResourceKey.parse("OS::Nova::KeyPair#my#key") == ResourceKey("OS::Nova::KeyPair", "my#key")


@pytest.mark.parametrize("text", ["", "#", "type#", "#id", "type"])
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        ResourceKey.parse(text)


def test_a_graph_of_thousands_is_built_and_walked() -> None:
    """The depth of recursion and quadratic walks were Karbor's limits."""
    chain = {f"n-{i}": [f"n-{i + 1}"] for i in range(5000)}
    graph = graph_of(chain)
    assert graph.bottom_up()[0].name == "n-5000"
