"""When something recurs: iCalendar's rules and cron's five fields, on a clock without time zones. Pure.

Time zones are :mod:`refloat.schedule.timetable`'s; here a day has 24 hours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from heapq import merge
from itertools import pairwise
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import rrule, rrulestr
from icalendar import Component
from icalendar.prop import vRecur

from refloat.errors import InvalidInput

_CRON = re.compile(r"[\d*,/-]+|[a-zA-Z]{3}([,-][a-zA-Z]{3})*")
_STEPS = {"MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1)} | {
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(weeks=1),
}
_FREQUENCIES = (*_STEPS, "MONTHLY", "YEARLY")
_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS"} | {
    f"BY{part}" for part in ("MONTH", "MONTHDAY", "DAY", "HOUR", "MINUTE", "SECOND")
}
_LONGEST_MONTHS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class Pattern(Protocol):
    """A pattern.

    :ivar sub_daily: it recurs with the hours of a day, rather than at some hours of it.
    """

    sub_daily: bool

    def from_on(self, moment: datetime) -> Iterator[datetime]:
        """The times from a moment on, that moment included, in order."""
        ...


def parse(kind: str, pattern: str, start: datetime, zone: ZoneInfo) -> Pattern:
    """Read a pattern.

    :param kind: ``calendar`` or ``crontab``.
    :param start: the first time that can be, on the pattern's clock; rules of a calendar count from it.
    :param zone: what the pattern's clock shows; a rule's UNTIL may be in UTC.
    :raises InvalidInput: it is not of this format.
    """
    return _READERS[kind](pattern, start, zone)


def closest(pattern: Pattern, start: datetime, among: int = 100) -> timedelta | None:
    """The shortest time between two of the next times; None when there are not two."""
    times = [moment for moment, _n in zip(pattern.from_on(start), range(among), strict=False)]
    return min((later - earlier for earlier, later in pairwise(times)), default=None)


class Cron:
    """``minute hour day-of-month month day-of-week``."""

    def __init__(self, pattern: str, start: datetime, _zone: ZoneInfo) -> None:
        fields = pattern.split()
        if len(fields) != 5 or not all(_CRON.fullmatch(field) for field in fields):
            raise InvalidInput(
                f"'{pattern}' is not a crontab pattern",
                advice="Five fields: minute, hour, day of month, month, day of week",
            )
        self._pattern = " ".join(fields)
        self._start = start
        self.sub_daily = fields[1].startswith("*")
        try:
            croniter(self._pattern, start)
        except (ValueError, KeyError) as exc:
            raise InvalidInput(f"'{pattern}' is not a crontab pattern", reason=str(exc)) from exc

    def from_on(self, moment: datetime) -> Iterator[datetime]:
        times = croniter(self._pattern, max(moment, self._start) - timedelta(seconds=1))
        while True:
            try:
                yield times.get_next(datetime)
            except (ValueError, OverflowError):  # as 31 February: there is none in the next 50 years
                return


class Calendar:
    """The recurrence rules (RRULE) of an iCalendar VEVENT; its DTSTART does not count."""

    def __init__(self, pattern: str, start: datetime, zone: ZoneInfo) -> None:
        text = pattern.replace("\\r", "").replace("\\n", "\n").strip()
        try:
            events = Component.from_ical(text).walk("VEVENT")
        except (ValueError, KeyError, IndexError, AttributeError) as exc:
            raise _no_calendar(str(exc)) from exc
        if len(events) != 1:
            raise _no_calendar("it has no VEVENT, or several")
        (event,) = events
        if event.errors:
            raise _no_calendar("; ".join(f"{name}: {said}" for name, said in event.errors))
        for name in ("RDATE", "EXDATE", "EXRULE"):
            if name in event:
                raise _no_calendar(f"{name} is not understood")
        rules = event.get("RRULE", [])
        self._rules = [_Rule(rule, start, zone) for rule in (rules if isinstance(rules, list) else [rules])]
        if not self._rules:
            raise _no_calendar("it has no RRULE")
        self.sub_daily = any(rule.sub_daily for rule in self._rules)

    def from_on(self, moment: datetime) -> Iterator[datetime]:
        """The times from a moment on; one of two rules that agree counts once."""
        before: datetime | None = None
        for found in merge(*(rule.from_on(moment) for rule in self._rules)):
            if found != before:
                yield found
            before = found


class _Rule:
    """One rule."""

    def __init__(self, recur: vRecur, start: datetime, zone: ZoneInfo) -> None:
        parts = {str(name).upper(): list(values) for name, values in recur.items()}
        unknown = sorted(set(parts) - _PARTS)
        if unknown:
            raise _no_calendar(f"{unknown[0]} is not understood")
        self._frequency = str(parts.get("FREQ", [""])[0])
        if self._frequency not in _FREQUENCIES:
            raise _no_calendar(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
        self._start = start
        self._interval = int(parts.get("INTERVAL", [1])[0])
        self._counts = "COUNT" in parts
        self.sub_daily = self._frequency in ("MINUTELY", "HOURLY") and "BYHOUR" not in parts
        _refuse_never(parts, self._frequency)
        if "UNTIL" in parts:
            recur = vRecur({**recur, "UNTIL": [_until(parts["UNTIL"][0], zone)]})
        self._text: str = recur.to_ical().decode()  # type: ignore[no-untyped-call]
        try:
            self._made(start)
        except (ValueError, TypeError, OverflowError, KeyError) as exc:
            raise _no_calendar(str(exc)) from exc

    def _made(self, start: datetime) -> rrule:
        return rrulestr(self._text, dtstart=start)

    def from_on(self, moment: datetime) -> Iterator[datetime]:
        try:
            for found in self._made(self._forwarded(moment)):
                if found >= moment:
                    yield found
        except (ValueError, OverflowError):  # beyond the year 9999
            return

    def _forwarded(self, moment: datetime) -> datetime:
        """A start as good as the rule's own, many whole intervals later: not to count all from there."""
        step = _STEPS.get(self._frequency)
        if step is None or self._counts or moment <= self._start:
            return self._start
        period = step * self._interval
        return self._start + period * max(0, (moment - self._start) // period - 1)


def _until(value: date, zone: ZoneInfo) -> datetime:
    """Until when, on the pattern's clock; a day counts to its end."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time(23, 59, 59))
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value


def _refuse_never(parts: dict[str, list[Any]], frequency: str) -> None:
    """Whether there ever is such a time would take long to find out by looking at every day."""
    if int(parts.get("INTERVAL", [1])[0]) < 1:
        raise _no_calendar("INTERVAL must be 1 or more")
    if "BYSETPOS" in parts and frequency not in ("WEEKLY", "MONTHLY", "YEARLY"):
        raise _no_calendar(f"BYSETPOS does not go with FREQ={frequency}")
    days = [abs(int(day)) for day in parts.get("BYMONTHDAY", [])]
    months = [int(month) for month in parts.get("BYMONTH", range(1, 13))]
    if days and not any(1 <= day <= _LONGEST_MONTHS.get(month, 31) for day in days for month in months):
        raise _no_calendar("no month has such a day")


def _no_calendar(reason: str) -> InvalidInput:
    return InvalidInput(
        "the pattern is not an iCalendar event that recurs",
        reason=reason,
        advice="As in: BEGIN:VEVENT\\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\\nEND:VEVENT",
    )


_READERS: dict[str, Callable[[str, datetime, ZoneInfo], Pattern]] = {"calendar": Calendar, "crontab": Cron}

FORMATS = tuple(_READERS)
