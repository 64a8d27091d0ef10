"""Finds what a plan means today: its resources and everything they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any

from refloat.cloud import Cloud
from refloat.errors import Conflict, Gone, InvalidInput, RefloatError
from refloat.graph import LEFT_OUT, Graph, Resource, ResourceKey, discover
from refloat.resources.base import PROJECT, Protectable
from refloat.resources.networking import NETWORK, TOPOLOGY
from refloat.resources.registry import protectable, protectables

SELECTORS = ("tag:", "metadata:")

SKIP, FAIL = "skip", "fail"
"""What a plan may say of unfit resources: protect the others, or nothing."""

LEAVE_OUT = "refloat plan set PLAN --exclude TYPE=ID"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A resource of a plan that is gone, or cannot be protected now, and why."""

    type: str
    id: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{Resource(self.type, self.id, self.name)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What a plan means today.

    :param graph: what can be protected, with all that it needs.
    :param unfit: what cannot.
    :param excluded: what the plan leaves out, as far as it is there.
    """

    graph: Graph
    unfit: Sequence[Unfit]
    excluded: Sequence[ResourceKey]

    @property
    def lacks(self) -> list[dict[str, str]]:
        return [asdict(each) for each in self.unfit]

    def refuse(self, policy: str) -> None:
        """:param policy: ``fail`` or ``skip``: whether what is unfit stops the rest.

        :raises Conflict: it does, or nothing else is left.
        :raises InvalidInput: the plan stands for nothing.
        """
        left = any(node.type != PROJECT for node in self.graph)
        if self.unfit and not (left and policy == SKIP):
            one = len(self.unfit) == 1
            count = "a resource of the plan" if one else f"{len(self.unfit)} resources of the plan"
            others = "" if left else ", and nothing else is left of it"
            raise Conflict(
                f"{count} cannot be protected{others}; nothing was stored",
                reason="; ".join(map(str, self.unfit)),
                advice=f"Repair, or leave them out: {LEAVE_OUT}"
                + ("; or have the others protected: refloat plan set PLAN --unfit skip" if left else ""),
            )
        if not self.graph:
            raise InvalidInput(
                "the plan stands for no resource at the moment",
                advice="Nothing carries the tag or metadata it names",
            )


class Discovery:
    """One look at a project: what is listed is listed once.

    :param most: so many resources a graph may have; 0: any number.
    """

    def __init__(self, cloud: Cloud, most: int = 0) -> None:
        self._cloud = cloud
        self._most = most
        self._open: dict[str, Protectable] = {}

    def of_type(self, type_name: str) -> Protectable:
        """The protectable of a type. :raises InvalidInput: there is none."""
        if type_name not in self._open:
            self._open[type_name] = protectable(type_name)(self._cloud)
        return self._open[type_name]

    def dependants(self, resource: Resource) -> list[Resource]:
        """What a resource needs directly, of all types."""
        kinds = [kind for kind, found in protectables().items() if resource.type in found.parents]
        return [child for kind in kinds for child in self.of_type(kind).dependants(resource)]

    def references(self, resource: Resource) -> list[Resource]:
        return list(self.of_type(resource.type).references(resource))

    def graph(self, roots: Iterable[Resource]) -> Graph:
        """The graph of some resources and all that they need. :raises InvalidInput: these are too many."""
        return discover(roots, self.dependants, self.references, self._most)

    def topology(self, key: ResourceKey) -> Resource | None:
        """Karbor's only network: named by the project's id, it stands for all that :meth:`meant` has."""
        if key.type != NETWORK or key.id != self._cloud.project_id:
            return None
        return Resource(NETWORK, key.id, "Network Topology")

    def meant(self, key: ResourceKey) -> list[Resource]:
        """What a plan's entry stands for: a resource; or the project's networks, routers and security groups.

        :raises NotFound, Conflict: as :meth:`Protectable.show`.
        """
        if self.topology(key) is None:
            return [self.of_type(key.type).show(key.id)]
        project = Resource(PROJECT, key.id)
        return [each for kind in TOPOLOGY for each in self.of_type(kind).dependants(project)]

    def name(self, type_name: str, wanted: str) -> dict[str, str]:
        """A plan's entry for what a user named: ``{"type", "id", "name"}`` or ``{"type", "select"}``.

        :param wanted: an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``.
        :raises NotFound: no such resource.
        """
        kind = self.of_type(type_name)
        if wanted.startswith(SELECTORS):
            kind.select(wanted)
            return {"type": type_name, "select": wanted}
        found = self.topology(ResourceKey(type_name, wanted)) or kind.find(wanted)
        return {"type": type_name, "id": found.id, "name": found.name}

    def exclusion(
        self, type_name: str, wanted: str, known: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, str]:
        """Likewise for what is to be left out: also what cannot be protected, or is gone.

        :param known: entries of the plan, which may be meant.
        """
        if not wanted.startswith(SELECTORS):
            named = [entry for entry in known if entry["type"] == type_name and "id" in entry]
            there = [Resource(type_name, entry["id"], entry.get("name", "")) for entry in named]
            there += self.of_type(type_name).in_any_state()
            for name in ("id", "name"):
                meant = {each.key: each for each in there if getattr(each, name) == wanted}
                if len(meant) == 1:
                    (one,) = meant.values()
                    return {"type": one.type, "id": one.id, "name": one.name}
        return self.name(type_name, wanted)

    def survey(
        self, entries: Sequence[Mapping[str, Any]], exclude: Sequence[Mapping[str, Any]] = ()
    ) -> Survey:
        """What a plan's entries stand for now, with all that it needs, and what of it cannot be protected.

        One look at everything, before anything is done about any of it. A service that does not answer is
        an error: what it has is not known. What needs something unfit is unfit as well, but for a project.

        :param exclude: likewise, what is left out. What something protected needs stays, unless that says
            that it can do without.
        :raises RefloatError: it cannot be found out.
        """
        excluded = set().union(*(self._excluded(entry) for entry in exclude))
        unfit: dict[ResourceKey, Unfit] = {}
        roots: dict[ResourceKey, Resource] = {}
        for entry in entries:
            kind = self.of_type(entry["type"])
            if "select" in entry:
                chosen = kind.select(entry["select"])
            elif (key := ResourceKey(entry["type"], entry["id"])) in excluded:
                continue
            else:
                try:
                    chosen = self.meant(key)
                except (Gone, Conflict) as exc:
                    unfit[key] = Unfit(key.type, key.id, str(entry.get("name") or ""), _why(exc))
                    continue
            roots.update((found.key, found) for found in chosen if found.key not in excluded)

        def members(resource: Resource) -> list[Resource]:
            found = self.dependants(resource)
            return [each for each in found if resource.type != PROJECT or each.key not in excluded]

        whole = discover(roots.values(), members, self.references, self._most)
        spared = self._spared(whole, excluded)
        found = whole.part(roots, lambda parent, child: (parent, child) in spared)
        for node in found:
            if problem := self.of_type(node.type).unfit(node, found):
                unfit[node.key] = Unfit(node.type, node.id, node.name, _why(problem))
        _spread(found, unfit)
        fit = [key for key in roots if key not in unfit]
        left = found.part(fit, lambda parent, child: child in unfit or (parent, child) in spared)
        return Survey(left, tuple(unfit.values()), tuple(sorted(excluded)))

    def _excluded(self, entry: Mapping[str, Any]) -> set[ResourceKey]:
        if "select" not in entry:
            key = ResourceKey(entry["type"], entry["id"])
            return {key} if self.topology(key) is None else {found.key for found in self.meant(key)}
        return {found.key for found in self.of_type(entry["type"]).select(entry["select"])}

    def _spared(self, graph: Graph, excluded: Set[ResourceKey]) -> set[tuple[ResourceKey, ResourceKey]]:
        """Which excluded resources others do without; these are told."""
        spared = set()
        for key in (key for key in excluded if key in graph):
            for parent in graph.parents(key):
                if self.of_type(parent.type).spares(parent, graph[key]):
                    spared.add((parent.key, key))
                    told = [*graph[parent.key].extra.get(LEFT_OUT, ()), key.id]
                    graph.add(replace(parent, extra={LEFT_OUT: told}))
        return spared


def _spread(graph: Graph, unfit: dict[ResourceKey, Unfit]) -> None:
    """What needs something unfit is unfit as well. A project is only where things are."""
    pending = [key for key in unfit if key in graph]
    for key in pending:
        cause = unfit[key]
        for parent in graph.parents(key):
            if parent.type != PROJECT and parent.key not in unfit:
                reason = f"it needs {graph[key]}: {cause.reason}"
                unfit[parent.key] = Unfit(parent.type, parent.id, parent.name, reason)
                pending.append(parent.key)


def _why(error: RefloatError) -> str:
    if isinstance(error, Gone):
        return f"it is gone: {error.reason or error.message}"
    words = error.reason or error.message
    return words if words in error.message else f"{error.message}: {words}"
