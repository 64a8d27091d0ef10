"""A scheduled operation as users look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refloat.records.schedules import Firing, Schedule

LAST_RUNS = 5
"""So many of the last runs are shown."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A scheduled operation.

    :param trigger: what its trigger is called.
    :param runs: the last of them, newest first.
    """

    schedule: Schedule
    trigger: str
    runs: Sequence[Firing]
