"""What of a checkpoint stays in the cloud: a snapshot or a backup that a service keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from refloat.cloud.kinds import KINDS
from refloat.cloud.removal import removal
from refloat.cloud.services import EVERYWHERE
from refloat.errors import Conflict
from refloat.resources.base import HookBody, HookContext, Hooks, PlanContext, Section, hooks
from refloat.resources.verifying import checked


@dataclass(frozen=True)
class KeptInCloud:
    """A thing of a service without which a checkpoint cannot be restored.

    :param kind: its name in ``refloat.cloud.kinds``.
    :param item: what a section tells of it: a mapping with its ``id`` and, in GiB, its ``size``.
    :param called: as people call it, such as ``Cinder snapshot``.
    :param usable: the states in which it can be used.
    :param fine: what a verification says when nothing is wrong.
    :param caveat: said when it is gone.
    :param sized: whether the service tells a size that can be compared.
    :param counted: numbers that must not have changed, by name, and what they count.
    """

    kind: str
    item: str
    called: str
    usable: Collection[str]
    fine: str
    caveat: str = ""
    sized: bool = True
    counted: Mapping[str, str] = field(default_factory=dict)

    def id(self, section: Section) -> str:
        return str(section[self.item]["id"])

    def text(self, section: Section) -> str:
        return f"the {self.called} {self.id(section)}"

    def problem(self, found: Any | None, section: Section) -> str:
        """What is wrong with it as it was found; empty: nothing that the service would tell."""
        name, expected = self.text(section), section[self.item]
        if found is None:
            return f"{name} is gone; {self.caveat}" if self.caveat else f"{name} is gone"
        kind = KINDS[self.kind]
        if kind.state(found) not in self.usable:
            told = getattr(found, "fail_reason", None)
            return f"the status of {name} is '{getattr(found, kind.status)}'" + (f": {told}" if told else "")
        if self.sized and int(found.size) != expected["size"]:
            return f"{name} is of {found.size} GiB, it should be of {expected['size']}"
        for name_of, what in self.counted.items():
            number = getattr(found, name_of)
            if int(number or 0) != expected[name_of]:
                return f"{name} has {number} {what}, it should have {expected[name_of]}"
        return ""

    def planned(self, context: PlanContext) -> str:
        """What is wrong with it now, in a restore plan."""
        service = KINDS[self.kind].service
        if service not in EVERYWHERE and not context.cloud.has(service):
            return f"this cloud has no {service.replace('_', ' ')} service"
        return self.problem(context.listed(self.kind, self.id(context.section)), context.section)

    @property
    def verify(self) -> type[Hooks]:
        def ask(context: HookContext) -> Mapping[str, Any]:
            found = context.cloud.find(self.kind, self.id(context.section))
            return {**checked(self.problem(found, context.section), self.fine), "read": False}

        return hooks(on_main=ask)

    def refuse_needed(self, context: HookContext, reason: str, advice: str) -> None:
        """Refuse to delete, before anything is, what others need. :raises Conflict: always."""
        raise Conflict(
            f"{self.text(context.section)} cannot be deleted",
            resource=str(context.resource),
            reason=reason,
            advice=advice,
        )

    @property
    def delete(self) -> type[Hooks]:
        return hooks(on_main=self.remove)

    def remove(self, context: HookContext) -> HookBody:
        yield from removal(context.cloud, self.kind, self.id(context.section))
        return None


def name_of_kept(context: HookContext, option: str, name: str) -> str:
    """What is kept is called as the option says, ``{name}`` standing for the resource's."""
    text = context.parameters[option] or "{name}@{checkpoint}"
    return str(text).replace("{name}", name).replace("{checkpoint}", context.checkpoint_id)[:255]


def description_of_kept(context: HookContext) -> str:
    return str(context.parameters["description"] or f"Checkpoint {context.checkpoint_id}")[:255]
