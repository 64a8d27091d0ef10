"""What is there already: which originals still are, and what a restore does about them.

``skip``: they are kept as they are, and only what is gone is made again. ``repair``: the same, and what is
there gets back what it has lost. ``replace``: their data is put back in place. ``beside``: another one is
made beside each, whose name says so, at addresses of its own. ``ignore``: everything is made under its own
name, whatever is there, as Karbor does. Whatever can be used again, such as a network, is used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from refloat.cloud import Cloud
from refloat.errors import InvalidInput, ServiceMissing
from refloat.graph import Graph, Resource, ResourceKey
from refloat.providers.provider import settings_for
from refloat.resources.attributes import STILL_THERE
from refloat.resources.base import PROJECT, Planned, ProtectionPlugin
from refloat.resources.listed import ListedProtectable
from refloat.resources.options import refuse_unknown
from refloat.resources.planned import wants_new
from refloat.resources.registry import protectables

SKIP, REPAIR, BESIDE, REPLACE, IGNORE = EXISTING = ("skip", "repair", "beside", "replace", "ignore")
BESIDE_NAME = "{name} (as of {date})"
"""What is made beside an original is called so: after the day of the checkpoint."""
_AT_ONCE = 4


def check_existing(existing: str, beside_name: str) -> None:
    """:raises InvalidInput: there is no such word, or the names of what is made beside cannot be so."""
    if existing not in EXISTING:
        raise InvalidInput(
            f"'{existing}' does not say what becomes of what is there already",
            advice=f"Use {', '.join(EXISTING[:-1])} or {EXISTING[-1]}",
        )
    if beside_name and existing != BESIDE:
        raise InvalidInput("names of what is made beside the originals need existing=beside")
    refuse_unknown("the name of what is made beside", beside_name, ("name", "date"))


def living(
    nodes: Iterable[Resource], listing: Callable[[str], list[Any]], cloud: Cloud
) -> Mapping[ResourceKey, Any]:
    """The originals that are there, and None for those that are gone; nothing for what cannot be known.

    That a listing lacks something proves nothing: what it lacks is asked for by its id. Nothing is known of
    what has but a name, and where the service is missing. What its owner has asked to be deleted is gone.

    :param listing: all things of a kind in the project.
    """
    found: dict[ResourceKey, Any] = {}
    unlisted: list[tuple[ResourceKey, type[ListedProtectable]]] = []
    known: dict[str, dict[str, Any] | None] = {}
    for node in nodes:
        way = protectables().get(node.type)
        if way is None or not issubclass(way, ListedProtectable) or way.known_by_name:
            continue
        if way.kind not in known:
            try:
                known[way.kind] = {str(thing.id): thing for thing in listing(way.kind)}
            except ServiceMissing:
                known[way.kind] = None
        if (listed := known[way.kind]) is None:
            continue
        if (thing := listed.get(node.id)) is not None:
            found[node.key] = None if way.is_going(way.state(thing)) else thing
        else:
            unlisted.append((node.key, way))

    def ask(each: tuple[ResourceKey, type[ListedProtectable]]) -> Any:
        key, way = each
        thing = cloud.find(way.kind, key.id)
        return None if thing is None or way.is_going(way.state(thing)) else thing

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="living") as pool:
        found.update(zip((key for key, _way in unlisted), pool.map(ask, unlisted), strict=True))
    return found


class Existing:
    """What a restore does about what is there.

    :param there: as :func:`living` finds it.
    :param way: one of :data:`EXISTING`.
    :param twin_name: what is made beside is called so; ``{name}`` stands for the original's name.
    """

    def __init__(
        self,
        graph: Graph,
        there: Mapping[ResourceKey, Any],
        way: str,
        twin_name: str,
        plugins: Mapping[str, ProtectionPlugin],
        parameters: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._graph, self._there, self._plugins = graph, there, plugins
        self.twin_name = twin_name
        self._decided: dict[ResourceKey, str] = {}
        self._repairs, self._gives = way == REPAIR, way in (REPAIR, REPLACE)
        word = {SKIP: "keep", REPAIR: "keep", BESIDE: "beside", REPLACE: "replace"}.get(way, "")
        anew: set[ResourceKey] = set()
        for node in reversed(graph.bottom_up()):
            plugin = plugins.get(node.type)
            if plugin is None or there.get(node.key) is None:
                continue
            if not plugin.doubles:
                if self._repairs:
                    self._decided[node.key] = "repair"
                continue
            asked = wants_new(settings_for(plugin, "restore", parameters, node.id))
            # What somebody wants a second one of needs disks of its own.
            if asked or any(parent.key in anew for parent in graph.parents(node.key)):
                anew.add(node.key)
            else:
                self._decided[node.key] = word

    def of(self, key: ResourceKey) -> str:
        """``keep``, ``repair``, ``beside``, ``replace``; empty: it is planned as if there were nothing."""
        return self._decided.get(key, "")

    def instead(self, node: Resource) -> Planned | None:
        """What is decided in the place of its plugin, if anything is."""
        thing, kept = self._there.get(node.key), self._kept_parents(node)
        reason = STILL_THERE
        plugin = self._plugins.get(node.type)
        repaired = self._repairs and plugin is not None and plugin.repairs
        if self.of(node.key) == "keep":
            if repaired:
                return None
        elif self.of(node.key) == "replace":
            if plugin is None or plugin.replaces:
                return None
            return Planned("impossible", node.name, f"what is a {node.type} cannot be replaced in place")
        else:
            if plugin is None or not plugin.serves_others or not kept:
                return None
            needed = [parent for parent in self._graph.parents(node.key) if parent.type != PROJECT]
            if len(kept) < len(needed):
                return None
            if repaired and thing is None:
                return None
            reason = f"only what is kept as it is needs it: {', '.join(map(str, kept))}"
        if thing is None:
            return Planned("skip", node.name, reason)
        return Planned("keep", str(getattr(thing, "name", "") or node.name), reason, new_id=node.id)

    def told(self, node: Resource, planned: Planned) -> Planned:
        """The same, with what is known of the original, and with which living ones do without it."""
        if node.key in self._there:
            planned = replace(planned, living=self._there[node.key] is not None)
        kept = [p for p in self._kept_parents(node) if not (self._gives and self._plugins[p.type].repairs)]
        if planned.action != "create" or not kept:
            return planned
        said = tuple(f"{parent} is kept as it is: this is not given to it" for parent in kept)
        return replace(planned, conflicts=(*planned.conflicts, *said))

    def _kept_parents(self, node: Resource) -> list[Resource]:
        if not self._decided:
            return []
        return [
            parent for parent in self._graph.parents(node.key) if self.of(parent.key) in ("keep", "replace")
        ]
