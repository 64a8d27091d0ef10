"""What a plan finds now, beside what its last checkpoint that lacks nothing has. Pure.

What is there under another id and the same name counts as the same: restores make such things.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from refloat.graph import Resource
from refloat.operations.discovery import Survey, Unfit


@dataclass(frozen=True, slots=True)
class Before:
    """A checkpoint of the plan, made since the plan was last changed.

    :param made_at: as people read it.
    """

    id: str
    made_at: str
    nodes: Sequence[Resource]


def before(identity: str, made_at: str, graph: Mapping[str, Any]) -> Before:
    nodes = (Resource(node["type"], node["id"], node["name"]) for node in graph["nodes"])
    return Before(identity, made_at, tuple(nodes))


def not_found_again(survey: Survey, last: Before) -> list[Unfit]:
    """What the last checkpoint has, and is neither found now nor known to be unfit or left out."""
    known = {node.key for node in survey.graph} | {(each.type, each.id) for each in survey.unfit}
    known |= set(survey.excluded)
    again = Counter((node.type, node.name) for node in found_new(survey, last) if node.name)
    reason = f"it is not found any more: checkpoint {last.id} of {last.made_at} has it"
    missed = []
    for node in last.nodes:
        if node.key in known:
            continue
        if again[node.type, node.name] > 0:
            again[node.type, node.name] -= 1
        else:
            missed.append(Unfit(node.type, node.id, node.name, reason))
    return missed


def found_new(survey: Survey, last: Before | None) -> list[Resource]:
    """What the last checkpoint does not have."""
    there = {node.key for node in last.nodes} if last is not None else set()
    return [node for node in survey.graph if node.key not in there]


def most_is_lost(missed: Sequence[Unfit], last: Before) -> bool:
    """Whether a checkpoint without these must not push that one out: somebody may have made a mistake."""
    return len(missed) * 2 > len(last.nodes)


def findings(survey: Survey, last: Before | None) -> dict[str, Any]:
    """What a protection would find now, for people and programs."""

    def lines(nodes: Sequence[Any]) -> list[dict[str, str]]:
        return [{name: str(getattr(node, name, "")) for name in ("type", "id", "name")} for node in nodes]

    missed = not_found_again(survey, last) if last is not None else []
    return {
        "checkpoint_id": last.id if last is not None else "",
        "resources": lines(list(survey.graph)),
        "new": lines(found_new(survey, last)),
        "gone": [asdict(each) for each in missed],
        "unfit": survey.lacks,
        "excluded": lines(survey.excluded),
    }
