"""The restore plan: what a restore will do, before it does it. The restore follows this very plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refloat.cloud import Cloud
from refloat.cloud.quota import Headroom, headroom
from refloat.errors import Impossible, NotFound
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.existing import living
from refloat.providers.provider import settings_for
from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, Section


@dataclass(frozen=True)
class RestorePlan:
    """What will become of each resource.

    :param problems: why the restore cannot be done, one sentence each; empty when it can.
    """

    graph: Graph
    planned: Mapping[ResourceKey, Planned]
    needs: Mapping[str, int]
    problems: tuple[str, ...]

    def planned_texts(self) -> dict[str, str]:
        """The decisions by ``TYPE#ID``, as JSON texts: of thousands, those take a quarter of the memory."""
        return {str(key): json.dumps(planned.to_json()) for key, planned in self.planned.items()}

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
            "resources": [
                {
                    "type": node.type,
                    "source_id": node.id,
                    "source_name": node.name,
                    "action": planned.action,
                    "name": planned.name,
                    "new_id": planned.new_id,
                    "reason": planned.reason,
                    "conflicts": list(planned.conflicts),
                    "living": planned.living,
                    "attributes": [outcome.to_json() for outcome in planned.attributes],
                }
                for node in self.graph.bottom_up()
                for planned in (self.planned[node.key],)
            ],
        }


def chosen_part(graph: Graph, only: Iterable[str]) -> Graph:
    """The part of a checkpoint that the user chose, with all that it needs; all of it when nothing is chosen.

    :param only: ``TYPE#ID`` or ``TYPE#NAME``.
    :raises NotFound: the checkpoint does not hold such a resource.
    """
    wanted = [key for text in only for key in named_in(graph, text)]
    return graph.part(wanted) if wanted else graph


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
) -> RestorePlan:
    """Ask every resource's plugin, what is needed first, and compare all needs with what is free.

    :param same_place: the checkpoint is of this very project: its originals may still be there.
    """
    listed: dict[str, list[Any]] = {}
    planned: dict[ResourceKey, Planned] = {}
    problems: list[str] = []

    def listing(kind: str) -> list[Any]:
        if kind not in listed:
            listed[kind] = cloud.list(kind)
        return listed[kind]

    there = living(graph, listing, cloud) if same_place else {}
    for node in graph.bottom_up():
        plugin = plugins.get(node.type)
        if plugin is None:
            planned[node.key] = Planned("impossible", node.name, f"no protection plugin for type {node.type}")
        else:
            settings = settings_for(plugin, "restore", parameters, node.id)
            planned[node.key] = plugin.plan_restore(
                PlanContext(node, section(node.key), graph, settings, cloud, planned.get, listing)
            )
        if node.key in there:
            planned[node.key] = replace(planned[node.key], living=there[node.key] is not None)
        if planned[node.key].action == "impossible":
            problems.append(f"{node}: {planned[node.key].reason}")
    needs = sum((Counter(dict(item.needs)) for item in planned.values()), Counter())
    if needs:
        problems.extend(_over_quota(needs, headroom(cloud, needs)))
    return RestorePlan(graph, planned, dict(needs), tuple(problems))


def _over_quota(needs: Mapping[str, int], free: Headroom) -> list[str]:
    return [
        f"it needs {amount} {name.replace('_', ' ')}, and the project's quota leaves {free[name]}"
        for name, amount in sorted(needs.items())
        if name in free and amount > free[name]
    ]
