"""What a copy of a checkpoint will do, before it does it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refloat.bank import Bank, CheckpointInfo, data_references
from refloat.errors import Conflict, NotFound
from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import Section

_IDS = uuid.UUID("8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7c01")

STAYS = "its data stays in the cloud"


@dataclass(frozen=True)
class CopyPlan:
    """A checkpoint, another bank, and what a copy there would lack.

    :param there: the id of the copy, or of the original, if the other bank has it already.
    :param stays: what of each resource's data is in the cloud and would not be in the copy.
    :param sizes: bytes of data of each resource, all of which are read; only what the other bank lacks
        is stored there.
    """

    graph: Graph
    checkpoint_id: str
    to: str
    copy_id: str
    there: str
    stays: Mapping[ResourceKey, tuple[str, ...]]
    sizes: Mapping[ResourceKey, int]
    cloud: str

    def reason(self, node: Resource) -> str:
        """What a copy would lack of a resource, as a sentence; empty: nothing."""
        kept = ", ".join(self.stays.get(node.key, ()))
        return f"{STAYS}{f' {self.cloud}' if self.cloud else ''}: {kept}" if kept else ""

    def refuse_incomplete(self) -> None:
        """:raises Conflict: the copy would lack something."""
        lacking = [f"{node}: {self.reason(node)}" for node in self.graph if self.reason(node)]
        if lacking and not self.there:
            raise Conflict(
                f"a copy of checkpoint {self.checkpoint_id} would not be complete; nothing was copied",
                reason="; ".join(lacking),
                advice="Protect with the provider bank, which keeps all data in the bank; "
                "or copy the rest with --allow-incomplete",
            )

    def resources(self) -> list[dict[str, Any]]:
        """One line for each resource, for people and programs."""
        return [
            {
                "type": node.type,
                "id": node.id,
                "name": node.name,
                "status": "incomplete" if self.reason(node) else "complete",
                "size": self.sizes.get(node.key, 0),
                "reason": self.reason(node),
            }
            for node in self.graph
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.there or self.copy_id,
            "copied_from": self.checkpoint_id,
            "provider": self.to,
            "exists": bool(self.there),
            "complete": not any(self.stays.values()),
            "size": sum(self.sizes.values()),
            "resources": self.resources(),
        }


def origin_of(bank: Bank, info: CheckpointInfo) -> dict[str, str]:
    """Where a checkpoint was first made: ``bank_id`` and ``checkpoint_id``; its own, unless it is a copy."""
    found = (info.extra.get("copied_from") or {}).get("origin")
    return dict(found) if found else {"bank_id": bank.id, "checkpoint_id": info.id}


def copy_id(origin: Mapping[str, str], target: Bank) -> str:
    """The id of a checkpoint's copy in a bank: always the same one, so that copying again finds it."""
    return str(uuid.uuid5(_IDS, f"{target.id}/{origin['bank_id']}/{origin['checkpoint_id']}"))


def found_in(target: Bank, origin: Mapping[str, str]) -> str:
    """The id under which a bank has a checkpoint, or a copy of it; empty: it has not.

    :raises BankDamaged: it has one that is damaged.
    """
    ids = [copy_id(origin, target)]
    if origin["bank_id"] == target.id:
        ids.append(origin["checkpoint_id"])
    for identity in ids:
        try:
            return target.checkpoint(identity).info.id
        except NotFound:
            continue
    return ""


def size_of(section: Section) -> int:
    """Bytes of data in the bank that a section refers to."""
    return sum(int(ref["size"]) for ref in data_references(section))
