"""A scheduled operation as users look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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
    """

    schedule: Schedule
    trigger: str
    runs: Sequence[Firing]


def ending(schedule: Schedule, now: datetime) -> tuple[str, datetime]:
    """What is to be said when what a schedule acts with ends soon, and since when; empty: nothing yet."""
    ends = schedule.authority_ends
    if ends is None or now < ends - NOTICE:
        return "", now
    return f"what it acts with ends on {ends:%Y-%m-%d}: its owner must enable it again before", ends - NOTICE
