"""What a worker begins next: every project in its turn, restores first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from refloat.records.operations import Operation

FIRST = ("restore",)
"""Kinds that somebody is waiting for."""


def in_turn(unfinished: Iterable[Operation], per_project: int = 0) -> list[Operation]:
    """The order in which workers look at operations, and begin those for which there is room.

    The first of every project, then the second of every project, and so on: what runs already counts as its
    project's first ones, since it was asked for earlier. So one project's thousand operations do not keep the
    others out, whichever workers there are. Within a project restores come first, and then what is oldest.

    :param unfinished: oldest first.
    :param per_project: leave out what would be more than so many of a project at once, over all workers;
        0: no limit. Restores do not wait for what is not one.
    """
    first_first = sorted(unfinished, key=lambda operation: operation.kind not in FIRST)
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, Operation]] = []
    for operation in first_first:
        ranked.append((seen[operation.project_id], operation))
        seen[operation.project_id] += operation.state == "running"
    chosen = [
        (rank, operation)
        for rank, operation in ranked
        if not per_project or rank < per_project or operation.state != "running"
    ]
    return [operation for _, operation in sorted(chosen, key=lambda each: each[0])]
