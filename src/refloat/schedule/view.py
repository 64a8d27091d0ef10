"""A scheduled operation as users look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from refloat.records.schedules import Firing, Schedule

LAST_RUNS = 5
"""So many of the last runs are shown."""
NOTICE = timedelta(days=30)
"""So long before its end it is told that what a schedule acts with ends. When older, a change renews it."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A scheduled operation.

    :param trigger: what its trigger is called.
    :param runs: the last of them, newest first.
    :param run_by: who runs it when it is due; empty: nobody is known to.
    """

    schedule: Schedule
    trigger: str
    runs: Sequence[Firing]
    run_by: str = ""


def retained(kept: Sequence[Mapping[str, Any]], deletions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a run kept and deleted: how many, then each that was to go, and by which rule; empty: no word."""
    if not (kept or deletions):
        return []
    gone = sum(item["state"] == "deleted" for item in deletions)
    rules = Counter(str(item["rule"]) for item in kept)
    why = ", ".join(f"{rule}: {count}" for rule, count in rules.items())
    return [
        f"kept {len(kept) + len(deletions) - gone} ({why}), deleted {gone}",
        *(
            f"{item['state']} {item['checkpoint_id']} ({item['rule']})"
            + (f": {item['reason']}" if item["reason"] else "")
            for item in deletions
        ),
    ]


def ending(schedule: Schedule, now: datetime) -> tuple[str, datetime]:
    """What is to be said when what a schedule acts with ends soon, and since when; empty: nothing yet."""
    ends = schedule.authority_ends
    if ends is None or now < ends - NOTICE:
        return "", now
    return f"what it acts with ends on {ends:%Y-%m-%d}: its owner must enable it again before", ends - NOTICE
