"""What a worker begins next: every project in its turn, and of each what the operator puts first."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from refloat.errors import CloudError
from refloat.records.operations import OpenOperation
from refloat.records.quotas import UNLIMITED, Quotas

_LOG = logging.getLogger(__name__)

_QUOTAS_AGE = 10.0
"""Seconds for which a project's quota is remembered."""

SCHEDULED = "scheduled"
"""In the place of a kind: whatever a schedule has asked for."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """What the operator says of who is next.

    :param priorities: by kind of operation, or ``scheduled``, whose number is added to that of the kind; 0
        where nothing is said. Within a project the highest come first: restores, which somebody waits for.
    :param weights: by project: so many turns it has where others have one.
    :param per_project: so many operations of a project run at once, over all workers; 0: no limit; None: half
        of what all of them can run.
    :param project_limits: the same for some projects, in the place of ``per_project``.
    """

    priorities: Mapping[str, int] = field(default_factory=lambda: {"restore": 1})
    weights: Mapping[str, int] = field(default_factory=dict)
    per_project: int | None = 0
    project_limits: Mapping[str, int] = field(default_factory=dict)

    def priority(self, operation: OpenOperation) -> int:
        scheduled = self.priorities.get(SCHEDULED, 0) if operation.scheduled_operation_id else 0
        return self.priorities.get(operation.kind, 0) + scheduled

    def weight(self, project_id: str) -> int:
        return self.weights.get(project_id, 1)

    def limit(self, project_id: str) -> int:
        return self.project_limits.get(project_id, self.per_project or 0)


def in_turn(
    unfinished: Iterable[OpenOperation], rules: Fairness, quotas: Mapping[str, int] | None = None
) -> list[OpenOperation]:
    """The order in which workers look at operations, and begin those for which there is room.

    The first of every project, then the second of every project, and so on: what runs already counts as its
    project's first ones, since it was asked for earlier. So one project's thousand operations do not keep the
    others out, whichever workers there are. Of a project of weight 3, three are looked at where others have
    one. Within a project the highest priority comes first, and then what is oldest.

    What would be more than a project's limit is left out, and so is what begins only after another one's end:
    it would take the place that that one needs. Nothing waits for what has a lower priority; but of
    what is begun for that reason while as many as may run already do, there is one at a time.

    :param unfinished: oldest first.
    :param quotas: so many of a project run at once, whatever their priority; -1: no limit.
    """
    unfinished, quotas = list(unfinished), quotas or {}
    seen: Counter[str] = Counter()
    runs = Counter(operation.project_id for operation in unfinished if operation.state == "running")
    chosen: list[tuple[int, OpenOperation]] = []
    going = {operation.id for operation in unfinished if operation.state in ("queued", "running")}
    for operation in sorted(unfinished, key=lambda operation: -rules.priority(operation)):
        if operation.state == "queued" and not operation.requested and operation.after in going:
            continue
        project = operation.project_id
        number, limit = seen[project], rules.limit(project)
        counts = operation.state in ("queued", "running")
        seen[project] += counts
        if counts and limit and number >= limit:
            continue
        if operation.state == "queued":
            quota = quotas.get(project, UNLIMITED)
            if (limit and runs[project] > limit) or 0 <= quota <= runs[project]:
                continue
            runs[project] += 1
        chosen.append((number // rules.weight(project), operation))
    return [operation for _, operation in sorted(chosen, key=lambda each: each[0])]


class Shares:
    """How much each project may run now.

    :param quotas: those of projects; None: there are none.
    :param at_once: so many operations run in one worker.
    """

    def __init__(self, rules: Fairness, quotas: Quotas | None, at_once: int) -> None:
        self._rules = rules
        self._quotas = quotas
        self._at_once = at_once
        self._known: dict[str, tuple[float, int]] = {}
        self.workers = 1
        """So many are up."""

    def in_turn(self, unfinished: Sequence[OpenOperation]) -> list[OpenOperation]:
        """The order in which operations are looked at: :func:`in_turn`."""
        rules = self._rules
        if rules.per_project is None:
            rules = replace(rules, per_project=max(1, self._at_once * max(1, self.workers) // 2))
        waiting = {operation.project_id for operation in unfinished if operation.state == "queued"}
        return in_turn(unfinished, rules, {project: self._quota(project) for project in waiting})

    def _quota(self, project_id: str) -> int:
        """What was known a while ago is good enough; while nobody can tell, it goes on."""
        if self._quotas is None:
            return UNLIMITED
        read_at, quota = self._known.get(project_id, (float("-inf"), UNLIMITED))
        if time.monotonic() - read_at > _QUOTAS_AGE:
            try:
                quota = self._quotas.of_project(project_id)["operations_running"]
            except CloudError as exc:
                _LOG.warning("the quotas of project %s cannot be read: %s", project_id, exc)
            self._known[project_id] = time.monotonic(), quota
        return quota
