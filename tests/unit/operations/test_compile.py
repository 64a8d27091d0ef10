"""The order of hooks: the promise that every plugin builds on."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from refloat.engine.dag import Dag
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.compile import compile_hooks, lane_of, step_name, step_of
from refloat.resources.base import HOOKS

BEGIN, FINISH, MAIN, COMPLETE = HOOKS


def key(number: int) -> ResourceKey:
    return ResourceKey("OS::Test::Thing", str(number))


def make_graph(count: int, edges: set[tuple[int, int]], references: set[tuple[int, int]]) -> Graph:
    graph = Graph()
    for number in range(count):
        graph.add(Resource(key(number).type, str(number)))
    for low, high in edges:  # a parent has the lower number: no circles
        if low < high < count:
            graph.link(key(low), key(high))
    for source, target in references:
        if source < count and target < count:
            graph.refer(key(source), key(target))
    return graph


def promised(graph: Graph) -> set[tuple[tuple[ResourceKey, str], tuple[ResourceKey, str]]]:
    """The order as design.md words it, transitively closed."""
    direct = {}
    for node in graph:
        own = [(node.key, hook) for hook in HOOKS]
        for earlier, later in pairwise(own):
            direct.setdefault(later, set()).add(earlier)
        for child in graph.children(node.key):
            direct.setdefault((child.key, BEGIN), set()).add((node.key, BEGIN))
            direct.setdefault((node.key, FINISH), set()).add((child.key, FINISH))
            direct.setdefault((node.key, COMPLETE), set()).add((child.key, COMPLETE))
        for target in graph.references(node.key):
            direct.setdefault((node.key, COMPLETE), set()).add((target.key, MAIN))
    return closure(direct)


def closure(direct):  # type: ignore[no-untyped-def]
    pairs = set()
    for later in direct:
        pending, seen = list(direct[later]), set()
        while pending:
            earlier = pending.pop()
            if earlier not in seen:
                seen.add(earlier)
                pending.extend(direct.get(earlier, ()))
        pairs |= {(earlier, later) for earlier in seen}
    return pairs


def order_in(dag: Dag):  # type: ignore[no-untyped-def]
    return closure({step_of(step.name): {step_of(name) for name in step.after} for step in dag})


pairs = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14)


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 8), edges=pairs, references=pairs, data=st.data())
def test_hooks_that_exist_run_in_exactly_the_promised_order(count, edges, references, data) -> None:  # type: ignore[no-untyped-def]
    graph = make_graph(count, edges, references)
    chosen = {node.key: data.draw(st.sets(st.sampled_from(HOOKS))) for node in graph}
    dag = compile_hooks(graph, lambda node: chosen[node.key])
    real = {(node, hook) for node, hooks in chosen.items() for hook in hooks}
    assert {step_of(step.name) for step in dag} >= real
    compiled = {pair for pair in order_in(dag) if set(pair) <= real}
    assert compiled == {pair for pair in promised(graph) if set(pair) <= real}


def test_mains_of_a_parent_and_its_child_do_not_wait_for_each_other() -> None:
    graph = make_graph(2, {(0, 1)}, set())
    order = order_in(compile_hooks(graph, lambda _node: HOOKS))
    assert ((key(0), MAIN), (key(1), MAIN)) not in order
    assert ((key(1), MAIN), (key(0), MAIN)) not in order


def test_groups_that_name_each_other_complete_after_both_exist() -> None:
    graph = make_graph(2, set(), {(0, 1), (1, 0)})
    order = order_in(compile_hooks(graph, lambda _node: (MAIN, COMPLETE)))
    assert ((key(1), MAIN), (key(0), COMPLETE)) in order
    assert ((key(0), MAIN), (key(1), COMPLETE)) in order


def test_hooks_that_do_not_exist_become_no_steps() -> None:
    graph = make_graph(4, {(0, 1), (0, 2), (0, 3)}, set())
    dag = compile_hooks(graph, lambda _node: (MAIN,))
    assert len(dag) == 4


def test_steps_and_edges_grow_linearly_even_where_many_meet_many() -> None:
    """300 servers on 300 networks, of which no plugin has a completion in between."""
    graph = Graph()
    graph.add(Resource("Middle", "m"))
    for number in range(300):
        parent = graph.add(Resource("Parent", str(number)))
        child = graph.add(Resource("Child", str(number)))
        graph.link(parent.key, ResourceKey("Middle", "m"))
        graph.link(ResourceKey("Middle", "m"), child.key)
    dag = compile_hooks(graph, lambda node: () if node.type == "Middle" else HOOKS)
    assert sum(len(step.after) for step in dag) < 6000


def test_compiling_again_gives_the_same_steps() -> None:
    written = make_graph(6, {(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)}, {(4, 5)}).to_json()
    first, second = (compile_hooks(Graph.from_json(written), lambda _node: HOOKS) for _ in range(2))
    assert list(first) == list(second)


def test_a_step_name_tells_its_resource_and_hook() -> None:
    name = step_name(ResourceKey("OS::Nova::KeyPair", "my own #1 key"), MAIN)
    assert step_of(name) == (ResourceKey("OS::Nova::KeyPair", "my own #1 key"), MAIN)


def test_steps_of_one_service_share_a_lane() -> None:
    assert lane_of(ResourceKey("OS::Cinder::Volume", "1")) == "cinder"
    assert lane_of(ResourceKey("Refloat::Noop", "1")) == ""
