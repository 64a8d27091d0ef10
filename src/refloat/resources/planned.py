"""A resource's part of a checkpoint, what a restore will do about it, and what it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from refloat.resources.attributes import AttributeOutcome

Section: TypeAlias = Mapping[str, Any]
"""A resource's part of a checkpoint: JSON, the merged results of its protect hooks."""

Action: TypeAlias = Literal["create", "reuse", "repair", "replace", "keep", "skip", "impossible"]
"""``reuse``: what is restored uses what is there. ``repair``: that gets back what it has lost. ``replace``:
its data is put back in place. ``keep``: what is there is left alone. ``skip``: it is not made again, for
nothing that is restored needs it."""

MOVES_DATA = frozenset({"create", "replace"})

_FOLLOWED = ("action", "name", "reason", "new_id", "decisions", "conflicts")

NOTHING_TO_DO = {"keep": "kept", "skip": "skipped"}
"""What has become of what needs no hooks, in a result."""


def wants_new(parameters: Mapping[str, Any]) -> bool:
    """Whether the settings of a resource ask for a new one beside the original."""
    return bool(parameters.get("restore_name") or parameters.get("duplicate"))


@dataclass(frozen=True, slots=True)
class Planned:
    """What a restore will do about one resource; decided before anything is done, and then followed.

    :param name: what it will be called.
    :param reason: why it is re-used, kept or impossible; what is different from the original.
    :param new_id: the id of what is re-used or kept.
    :param attributes: what will become of each attribute.
    :param needs: how much of each quota it takes (names of ``refloat.cloud.quota``).
    :param decisions: what the hooks will follow; JSON, only the plugin itself reads it.
    :param conflicts: what is taken or missing in the cloud and what will be done instead, one sentence each.
    :param proposals: what could be mapped: ``kind``, ``old``, ``new``, and ``why``: what is to know of it.
    :param living: whether the original is still there, by the service's own answer; None: that is not known.
    """

    action: Action
    name: str = ""
    reason: str = ""
    new_id: str = ""
    attributes: tuple[AttributeOutcome, ...] = ()
    needs: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, Any] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    living: bool | None = None
    proposals: tuple[Mapping[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "name": self.name,
            "reason": self.reason,
            "new_id": self.new_id,
            "attributes": [outcome.to_json() for outcome in self.attributes],
            "needs": dict(self.needs),
            "decisions": dict(self.decisions),
            "conflicts": list(self.conflicts),
            "living": self.living,
            "proposals": [dict(proposal) for proposal in self.proposals],
        }

    def followed(self) -> dict[str, Any]:
        """As JSON, what hooks follow and the end tells; not what is only shown beforehand, or empty."""
        told: dict[str, Any] = {name: value for name in _FOLLOWED if (value := getattr(self, name))}
        return told if self.living is None else {**told, "living": self.living}

    @property
    def uses(self) -> bool:
        """Whether what is there is used."""
        return self.action in ("reuse", "repair")

    @property
    def digest(self) -> str:
        """The same for the same decisions."""
        text = json.dumps(dict(self.decisions), sort_keys=True, default=str)
        return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Planned:
        """The inverse of :meth:`to_json`, and of :meth:`followed` as far as that goes."""
        fields = dict(data)
        fields |= {name: tuple(data[name]) for name in ("conflicts", "proposals") if name in data}
        if "attributes" in data:
            fields["attributes"] = tuple(AttributeOutcome(**outcome) for outcome in data["attributes"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Restored:
    """One thing that a restore hook made or re-used; hooks return it with :func:`restored`."""

    type: str
    source_id: str
    new_id: str
    name: str = ""
    reused: bool = False
    reason: str = ""
    status: str = ""
    """What has become of it, where that is neither created nor reused."""

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "source_id": self.source_id,
            "new_id": self.new_id,
            "name": self.name,
            "status": self.status or ("reused" if self.reused else "created"),
            "reason": self.reason,
        }


def restored(*made: Restored) -> dict[str, Any]:
    return {"restored": [line.to_json() for line in made]}


def stays(kind: str, identity: str, name: str, needed_by: str) -> dict[str, str]:
    """What a restore made that does not go with the resource that needs it; hooks return it as ``stays``."""
    command = f"openstack {kind.replace('_', ' ')} delete {identity}"
    return {"kind": kind, "id": identity, "name": name, "needed_by": needed_by, "remove": command}
