"""What gathers while the restore of a server is planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from refloat.resources.attributes import Change, Fidelity


@dataclass
class PlanBuilder:
    """The parts of a restore plan, filled in by one planner after the other.

    :param decisions: what the hooks will follow; JSON.
    :param problems: why the restore cannot be done.
    """

    decisions: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    needs: dict[str, int] = field(default_factory=dict)

    def change(self, attribute: str, restored: Any, fidelity: Fidelity, reason: str) -> None:
        known = self.changes.get(attribute)
        if known is not None and known.reason and known.reason != reason:
            reason = f"{known.reason}; {reason}"
        self.changes[attribute] = Change(restored, fidelity, reason)

    def conflict(self, attribute: str, restored: Any, fidelity: Fidelity, sentence: str) -> None:
        """The same, because of what is taken or missing in the cloud."""
        self.change(attribute, restored, fidelity, sentence)
        self.conflicts.append(sentence)
