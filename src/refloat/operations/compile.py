"""Compiles a graph and the hooks its resources have into a DAG of steps. Pure.

The order, for every parent P and child C::

    P.on_prepare_begin   -> C.on_prepare_begin
    C.on_prepare_finish  -> P.on_prepare_finish
    C.on_complete        -> P.on_complete
    own on_prepare_begin -> on_prepare_finish -> on_main -> on_complete

and where R refers to T: ``T.on_main -> R.on_complete``. A hook that a plugin does not have becomes no
step; its order is passed on to its neighbours, except where that would multiply edges: there it
stays as a step that does nothing. Linear in nodes and edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from refloat.engine.dag import Dag, Step
from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import HOOKS
from refloat.resources.registry import concurrency_limits

BEGIN, FINISH, MAIN, COMPLETE = HOOKS

COPY = "bank"
"""The lane of what copies from bank to bank."""

Place = tuple[ResourceKey, str]


def step_name(key: ResourceKey, hook: str) -> str:
    """The name of a hook's step: ``on_main TYPE#ID``."""
    return f"{hook} {key}"


def step_of(name: str) -> Place:
    hook, _, key = name.partition(" ")
    return ResourceKey.parse(key), hook


def lane_of(key: ResourceKey) -> str:
    """Steps that use one service share its limit: ``cinder`` for ``OS::Cinder::Volume``."""
    return _lane_of(key.type)


@cache
def _lane_of(kind: str) -> str:
    parts = kind.split("::")
    return parts[1].lower() if parts[0] == "OS" and len(parts) > 1 else ""


def lane_limits() -> dict[str, int]:
    """How many steps of a lane run or wait at once in one process."""
    return {**concurrency_limits(), COPY: 2}


def compile_hooks(graph: Graph, implemented: Callable[[Resource], Iterable[str]]) -> Dag:
    """The DAG of an operation.

    :param implemented: the hooks that a resource's plugin has for this operation.
    """
    # Kinds are few: what they have is remembered once, not for each of thousands of resources.
    known: dict[frozenset[str], frozenset[str]] = {}
    hooks = ((node.key, frozenset(implemented(node))) for node in graph)
    real = {key: known.setdefault(found, found) for key, found in hooks}
    referring = Counter(target.key for node in graph for target in graph.references(node.key))

    passed_on: dict[str, dict[ResourceKey, tuple[str, ...]]] = {hook: {} for hook in HOOKS}
    steps: list[Step] = []
    for key, hook in _places_in_order(graph):
        ends = [passed_on[earlier][other] for other, earlier in _directly_before(graph, (key, hook))]
        # Most wait for one thing: it is the same tuple for all of them.
        waits = ends[0] if len(ends) == 1 else tuple(dict.fromkeys(end for each in ends for end in each))
        exists = hook in real[key]
        if exists or _multiplies(len(waits), _directly_after(graph, (key, hook), referring)):
            step = Step(step_name(key, hook), waits, lane_of(key) if exists else "")
            steps.append(step)
            passed_on[hook][key] = (step.name,)
        else:
            passed_on[hook][key] = waits
    del passed_on, real
    return Dag(steps)


def _directly_before(graph: Graph, place: Place) -> list[Place]:
    key, hook = place
    if hook == BEGIN:
        return [(parent.key, BEGIN) for parent in graph.parents(key)]
    if hook == FINISH:
        return [(key, BEGIN), *((child.key, FINISH) for child in graph.children(key))]
    if hook == MAIN:
        return [(key, FINISH)]
    children = [(child.key, COMPLETE) for child in graph.children(key)]
    return [(key, MAIN), *children, *((target.key, MAIN) for target in graph.references(key))]


def _directly_after(graph: Graph, place: Place, referring: Mapping[ResourceKey, int]) -> int:
    """How many hooks have this one among those :func:`_directly_before` them."""
    key, hook = place
    if hook == BEGIN:
        return 1 + len(graph.children(key))
    if hook == MAIN:
        return 1 + referring.get(key, 0)
    return len(graph.parents(key)) + (hook == FINISH)


def _multiplies(before: int, after: int) -> bool:
    return before * after > before + after


def _places_in_order(graph: Graph) -> Iterator[Place]:
    """Every hook of every resource, each after all that come before it."""
    bottom_up = [node.key for node in graph.bottom_up()]
    yield from ((key, BEGIN) for key in reversed(bottom_up))
    for hook in (FINISH, MAIN, COMPLETE):
        yield from ((key, hook) for key in bottom_up)
