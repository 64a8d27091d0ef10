"""What gathers while the restore of one resource is planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from refloat.resources.attributes import Attribute, Change, Fidelity, outcomes
from refloat.resources.context import PlanContext
from refloat.resources.planned import Planned

MOST_PROPOSALS = 3


@dataclass
class Draft:
    """A restore plan, filled in by one decision after the other.

    :param table: the attributes of the kind.
    :param changes: what will not be as the table says.
    :param decisions: what the hooks will follow; JSON.
    :param problems: why the restore cannot be done.

    For the others see :class:`Planned`.
    """

    context: PlanContext
    table: Iterable[Attribute]
    name: str = ""
    changes: dict[str, Change] = field(default_factory=dict)
    decisions: dict[str, Any] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    proposals: list[Mapping[str, str]] = field(default_factory=list)
    needs: dict[str, int] = field(default_factory=dict)

    @classmethod
    def renamed(cls, context: PlanContext, table: Iterable[Attribute]) -> Self:
        """That of something new, called as the original or as the user wants it."""
        return cls(context, table, *context.renamed(str(context.section["name"])))

    def change(self, attribute: str, restored: Any, fidelity: Fidelity, reason: str) -> None:
        known = self.changes.get(attribute)
        if known is not None and known.reason and known.reason != reason:
            reason = f"{known.reason}; {reason}"
        self.changes[attribute] = Change(restored, fidelity, reason)

    def conflict(
        self, attribute: str, restored: Any, fidelity: Fidelity, sentence: str, instead: str = ""
    ) -> None:
        """The same, because of what is taken or missing in the cloud.

        :param instead: what will be done instead, if the sentence does not say it.
        """
        self.change(attribute, restored, fidelity, sentence)
        self.conflicts.append(f"{sentence}: {instead}" if instead else sentence)

    def share_with(self, projects: Mapping[str, str]) -> None:
        """Let others use it than could use the original: new projects by the old ones."""
        if projects:
            self.decisions["projects"] = dict(projects)
            said = ", ".join(f"{new} in the place of {old}" for old, new in projects.items())
            self.change("rbac_policies", list(projects.values()), "mapped", said)

    def propose(self, kind: str, old: str, candidates: Iterable[tuple[str, str]]) -> None:
        """Say what could be mapped instead of what is missing: names or ids, and what is to know of each."""
        self.proposals += [
            {"kind": kind, "old": old, "new": new, "why": why}
            for new, why in islice(candidates, MOST_PROPOSALS)
        ]

    def planned(self, reason: str = "") -> Planned:
        """To create it, or (for the first problem, if no other reason is given) that it is impossible."""
        return Planned(
            "impossible" if self.problems else "create",
            name=self.name,
            reason=reason or next(iter(self.problems), ""),
            attributes=outcomes(self.table, self.context.section, self.changes),
            needs=self.needs,
            decisions=self.decisions,
            conflicts=tuple(self.conflicts),
            proposals=tuple(self.proposals),
        )
