"""What a worker begins next: every project in its turn, and of each what the operator puts first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from refloat.records.operations import OpenOperation

SCHEDULED = "scheduled"
"""In the place of a kind: whatever a schedule has asked for."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """What the operator says of who is next.

    :param priorities: by kind of operation, or ``scheduled``, whose number is added to that of the kind; 0
        where nothing is said. Within a project the highest come first: restores, which somebody waits for.
    :param weights: by project: so many turns it has where others have one.
    :param per_project: so many operations of a project run at once, over all workers; 0: no limit.
    :param project_limits: the same for some projects, in the place of ``per_project``.
    """

    priorities: Mapping[str, int] = field(default_factory=lambda: {"restore": 1})
    weights: Mapping[str, int] = field(default_factory=dict)
    per_project: int = 0
    project_limits: Mapping[str, int] = field(default_factory=dict)

    def priority(self, operation: OpenOperation) -> int:
        scheduled = self.priorities.get(SCHEDULED, 0) if operation.scheduled_operation_id else 0
        return self.priorities.get(operation.kind, 0) + scheduled

    def weight(self, project_id: str) -> int:
        return self.weights.get(project_id, 1)

    def limit(self, project_id: str) -> int:
        return self.project_limits.get(project_id, self.per_project)


def in_turn(unfinished: Iterable[OpenOperation], rules: Fairness) -> list[OpenOperation]:
    """The order in which workers look at operations, and begin those for which there is room.

    The first of every project, then the second of every project, and so on: what runs already counts as its
    project's first ones, since it was asked for earlier. So one project's thousand operations do not keep the
    others out, whichever workers there are. Of a project of weight 3, three are looked at where others have
    one. Within a project the highest priority comes first, and then what is oldest.

    What would be more than a project's limit is left out; nothing waits for what has a lower priority.

    :param unfinished: oldest first.
    """
    seen: Counter[str] = Counter()
    chosen: list[tuple[int, OpenOperation]] = []
    for operation in sorted(unfinished, key=lambda operation: -rules.priority(operation)):
        project = operation.project_id
        number, limit = seen[project], rules.limit(project)
        counts = operation.state in ("queued", "running")
        seen[project] += counts
        if not limit or number < limit or not counts:
            chosen.append((number // rules.weight(project), operation))
    return [operation for _, operation in sorted(chosen, key=lambda each: each[0])]
