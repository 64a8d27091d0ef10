"""What becomes of firings that are due, on time or too late. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from refloat.schedule.timetable import TIME, Timetable

MOST = 100
"""So many firings that are dropped at once are remembered one by one; older ones in one line."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the firings that are due.

    :param runs: those to run, the oldest first.
    :param drops: those not to run, and why.
    :param following: the first one that is not due yet.
    """

    runs: Sequence[datetime]
    drops: Sequence[tuple[datetime, str]]
    following: datetime | None


def decide(table: Timetable, due: datetime, now: datetime) -> Decision:
    """What becomes of the firings from ``due``, the first that nobody has taken up, until now."""
    times = table.between(due, now)
    window = timedelta(seconds=table.window)
    on_time = [time for time in times if now - time <= window]
    late = times[: len(times) - len(on_time)]
    following = table.next_after(times[-1])
    if table.misfire == "run_all":
        return Decision(times, (), following)
    words = f"dropped: no worker took it up within {table.window} seconds"
    if table.misfire == "run_once" and late:
        chosen = on_time[0] if on_time else late[-1]
        if not on_time:
            on_time, late = [chosen], late[:-1]
        words = f"no worker took it up in time; the run of {chosen:{TIME}} makes up for it"
    return Decision(on_time, _told(late, words), following)


def _told(late: Sequence[datetime], words: str) -> list[tuple[datetime, str]]:
    old, recent = late[:-MOST], late[-MOST:]
    first = [(old[0], f"{words}; so with {len(old) - 1} more, until {old[-1]:{TIME}}")] if old else []
    return [*first, *((time, words) for time in recent)]
