"""The restore plan: what a restore will do, before it does it. The restore follows this very plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refloat.bank import data_references
from refloat.cloud import Cloud
from refloat.cloud.quota import UNITS, Headroom, headroom, in_words
from refloat.errors import Impossible, InvalidInput, NotFound
from refloat.graph import Graph, Resource, ResourceKey
from refloat.mappings import Mappings
from refloat.operations.existing import IGNORE, Existing, living
from refloat.operations.mappings import Resolved, resolve
from refloat.operations.successors import NOTHING, Chains, InPlace, find
from refloat.providers.provider import check_parameters, settings_by_type
from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, Section
from refloat.resources.planned import MOVES_DATA


@dataclass(frozen=True)
class RestorePlan:
    """What will become of each resource.

    :param problems: why the restore cannot be done, one sentence each; empty when it can.
    :param sizes: how many bytes move for what is made.
    :param mapped: what takes the place of what the checkpoint names, by ids.
    :param successors: what is in the place of originals that are gone: the graph names that.
    """

    graph: Graph
    planned: Mapping[ResourceKey, Planned]
    needs: Mapping[str, int]
    problems: tuple[str, ...]
    sizes: Mapping[ResourceKey, int] = field(default_factory=dict)
    mapped: Resolved = field(default_factory=Resolved)
    successors: InPlace = NOTHING

    @property
    def effort(self) -> dict[str, int]:
        """What a restore has to do: ``resources`` to make, ``bytes`` to move."""
        made = sum(planned.action == "create" for planned in self.planned.values())
        return {"resources": made, "bytes": sum(self.sizes.values())}

    @property
    def replaced(self) -> list[ResourceKey]:
        """What loses the data that it has."""
        return [
            ResourceKey(key.type, planned.new_id)
            for key, planned in self.planned.items()
            if planned.action == "replace"
        ]

    def planned_texts(self) -> dict[str, str]:
        """What is followed, by ``TYPE#ID``, as JSON texts: thousands take a quarter of the memory so."""
        return {str(key): json.dumps(planned.followed()) for key, planned in self.planned.items()}

    def refuse_impossible(self) -> None:
        """:raises Impossible: the restore cannot be done."""
        if self.problems:
            raise Impossible(
                "the restore cannot be done, and nothing was changed", reason="; ".join(self.problems)
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "possible": not self.problems,
            "problems": list(self.problems),
            "needs": dict(self.needs),
            "units": {name: UNITS[name] for name in self.needs if name in UNITS},
            "effort": self.effort,
            "mappings": [{**each, "old": self.successors.was(each["old"])} for each in self.mapped.to_json()],
            "resources": [
                {
                    "type": node.type,
                    "source_id": self.successors.original(node.key).id,
                    "source_name": node.name,
                    "action": planned.action,
                    "name": planned.name,
                    "new_id": planned.new_id,
                    "reason": planned.reason,
                    "conflicts": list(planned.conflicts),
                    "proposals": [dict(proposal) for proposal in planned.proposals],
                    "living": planned.living,
                    "bytes": self.sizes.get(node.key, 0),
                    "decision": planned.digest,
                    "attributes": [outcome.to_json() for outcome in planned.attributes],
                }
                for node in self.graph.bottom_up()
                for planned in (self.planned[node.key],)
            ],
        }


def chosen_part(graph: Graph, only: Iterable[str], leave_out: Iterable[str] = ()) -> Graph:
    """The part of a checkpoint that the user chose, with all that it needs; all of it when nothing is chosen.

    :param only: ``TYPE#ID`` or ``TYPE#NAME``.
    :param leave_out: what is left out, with what only that needs.
    :raises NotFound: the checkpoint does not hold such a resource.
    :raises InvalidInput: nothing would be left.
    """
    left_out = {key for text in leave_out for key in named_in(graph, text)}
    wanted = [key for text in only for key in named_in(graph, text)]
    if not left_out:
        return graph.part(wanted) if wanted else graph
    chosen = [key for key in wanted or [root.key for root in graph.roots()] if key not in left_out]
    part = graph.part(chosen, lambda _leads, key: key in left_out)
    if not len(part):
        raise InvalidInput("all of what is to be restored is left out")
    return part


def named_in(nodes: Iterable[Resource], text: str) -> list[ResourceKey]:
    """The resources of a checkpoint that a user means by ``TYPE#ID`` or ``TYPE#NAME``.

    :raises NotFound: the checkpoint does not hold such a resource.
    """
    wanted = ResourceKey.parse(text)
    same_type = [node for node in nodes if node.type == wanted.type]
    named = [node.key for node in same_type if node.id == wanted.id] or [
        node.key for node in same_type if node.name == wanted.id
    ]
    if not named:
        raise NotFound(
            f"the checkpoint holds no {wanted.type} '{wanted.id}'", advice="See: refloat checkpoint show"
        )
    return named


def make_restore_plan(
    graph: Graph,
    section: Callable[[ResourceKey], Section],
    plugins: Mapping[str, ProtectionPlugin],
    parameters: Mapping[str, Mapping[str, object]],
    cloud: Cloud,
    *,
    same_place: bool = True,
    existing: str = IGNORE,
    twin_name: str = "",
    mappings: Mappings | None = None,
    whole: Graph | None = None,
    safety: bool = False,
    known: Chains | None = None,
) -> RestorePlan:
    """Ask every resource's plugin, what is needed first, and compare all needs with what is free.

    :param same_place: the checkpoint is of this very project: its originals may still be there.
    :param existing: what becomes of originals that are there.
    :param twin_name: what is made beside them is called so.
    :param mappings: what takes the place of what the checkpoint names.
    :param whole: all that the checkpoint holds; None: it is what is restored.
    :raises InvalidInput, NotFound: a mapping fits nothing, or several things.
    :param safety: a checkpoint of what is replaced is made before.
    :param known: what earlier restores have made in the place of originals.
    """
    listed: dict[str, list[Any]] = {}
    planned: dict[ResourceKey, Planned] = {}
    problems: list[str] = []

    def listing(kind: str) -> list[Any]:
        if kind not in listed:
            listed[kind] = cloud.list(kind)
        return listed[kind]

    mapped, successors = Resolved(), NOTHING
    if same_place and known:
        successors = find(whole or graph, known, section, lambda nodes: living(nodes, listing, cloud))
    section = successors.reading(section)
    graph, whole = successors.graph(graph), successors.graph(whole or graph)
    parameters = successors.parameters(parameters)
    if mappings:
        mapped = resolve(successors.mappings(mappings), whole, section, listing)
        parameters = mapped.settings(parameters)
        check_parameters(plugins, "restore", parameters)
    there = living(graph, listing, cloud) if same_place else {}
    decided = Existing(graph, there, existing, twin_name, plugins, parameters)
    settings_of = settings_by_type("restore", parameters)
    for node in graph.bottom_up():
        plugin = plugins.get(node.type)
        if (instead := decided.instead(node)) is not None:
            planned[node.key] = instead
        elif plugin is None:
            planned[node.key] = Planned("impossible", node.name, f"no protection plugin for type {node.type}")
        else:
            settings = settings_of(plugin, node.id)
            planned[node.key] = plugin.plan_restore(
                PlanContext(
                    *(node, section(node.key), graph, settings, cloud, planned.get, listing),
                    *(decided.of, twin_name, mapped.of, safety),
                )
            )
        planned[node.key] = successors.told(node, decided.told(node, planned[node.key]))
        if planned[node.key].action == "impossible":
            problems.append(f"{node}: {planned[node.key].reason}")
    needs = sum((Counter(dict(item.needs)) for item in planned.values() if item.needs), Counter())
    if needs:
        problems.extend(_over_quota(needs, headroom(cloud, needs)))
    sizes = {
        node.key: size
        for node in graph
        if planned[node.key].action in MOVES_DATA
        and (size := _bytes_of(plugins[node.type], section(node.key), planned[node.key]))
    }
    return RestorePlan(graph, planned, dict(needs), tuple(problems), sizes, mapped, successors)


def _bytes_of(plugin: ProtectionPlugin, section: Section, planned: Planned) -> int:
    """How many bytes move when it is made: those in the bank, or what a service keeps."""
    if "bytes" in planned.decisions:
        return int(planned.decisions["bytes"])
    stored = sum(int(ref["size"]) for ref in data_references(section))
    if not stored and plugin.stays_in_cloud(section):
        return int(section.get("size") or section.get("volume_size") or 0) << 30
    return stored


def _over_quota(needs: Mapping[str, int], free: Headroom) -> list[str]:
    return [
        f"it needs {in_words(name, amount)}, and the project's quota leaves {free[name]}"
        for name, amount in sorted(needs.items())
        if name in free and amount > free[name]
    ]


_SAID = ("action", "new_id", "name", "decision")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a restore plan decides otherwise than an earlier one, both as JSON; a sentence for each."""
    earlier, later = ({(r["type"], r["source_id"]): r for r in plan["resources"]} for plan in (before, now))
    found = []
    for key in {**earlier, **later}:
        was, item = earlier.get(key), later.get(key)
        node = item or was or {}
        what = f"{node['type']} {node['source_name'] or node['source_id']}"
        if was is None or item is None:
            found.append(f"{what} is {'new' if was is None else 'no longer part of it'}")
        elif was["action"] != item["action"]:
            why = f" ({item['reason']})" if item["reason"] else ""
            found.append(f"{what}: {was['action']} was planned, and now it is {item['action']}{why}")
        elif any(was[name] != item[name] for name in _SAID):
            said = [text for text in item["conflicts"] if text not in was["conflicts"]]
            found.append(f"{what}: {'; '.join(said) or 'it would be made otherwise than was planned'}")
    return found
