"""When something recurs: iCalendar's rules and cron's five fields, on a clock without time zones. Pure.

Time zones are :mod:`refloat.schedule.timetable`'s; here a day has 24 hours. Patterns are what tenants write:
finding the next time of any costs a bounded number of steps (:class:`Budget`), where libraries look for what
never comes until the year 9999.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from heapq import merge
from itertools import pairwise, product
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from croniter import croniter
from icalendar import Component
from icalendar.prop import vRecur

from refloat.errors import InvalidInput

_CRON = re.compile(r"[\d*,/-]+|[a-zA-Z]{3}([,-][a-zA-Z]{3})*")
_LONGEST = 4096
_SUB_DAILY = {"MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1)}
_FREQUENCIES = (*_SUB_DAILY, "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RANGES = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "INTERVAL": (1, 100_000_000),
    "COUNT": (1, 100_000_000),
}
_PARTS = {"FREQ", "UNTIL", "WKST", "BYDAY", *_RANGES}
_RARELY = 9
"""No day of cron's is further away than so many years: 29 February, around 2100."""
_MOST_A_DAY = 1440
_MOST_COUNTED = 10_000
_LAST = datetime(9000, 1, 1)


class Budget:
    """So many steps may be made until the next time is found: days looked at, and times of a day.

    The rarest that people have use for, 29 February on a certain day of the week, takes 15,000.
    """

    def __init__(self, steps: int = 40_000) -> None:
        self._steps = self._left = steps

    def spend(self, steps: int) -> None:
        """:raises InvalidInput: there are no more."""
        self._left -= steps
        if self._left < 0:
            raise InvalidInput(
                "the pattern takes too long to work out",
                reason="its next time is too rare, too far from its start, or never comes",
                advice="Make its rule simpler, or let it start later",
            )

    def found(self) -> None:
        """A time was found: for the next there are as many."""
        self._left = self._steps


class TotalBudget(Budget):
    """So many steps for all times together."""

    def found(self) -> None:
        """Nothing is given back."""


class Pattern(Protocol):
    """A pattern.

    :ivar sub_daily: it recurs with the hours of a day, rather than at some hours of it.
    """

    sub_daily: bool

    def check_new(self) -> None:
        """:raises InvalidInput: new triggers may not have such a pattern."""

    def from_on(self, moment: datetime, budget: Budget) -> Iterator[datetime]:
        """The times from a moment on, that moment included, in order.

        :raises InvalidInput: the budget does not suffice for the next.
        """
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
    """The shortest time between two of the next times; None when there are not two.

    Of what comes rarely, as many are compared as can be found without much ado.
    """
    times: list[datetime] = []
    with suppress(InvalidInput):
        for moment, _n in zip(pattern.from_on(start, TotalBudget(10_000)), range(among), strict=False):
            times.append(moment)
    return min((later - earlier for earlier, later in pairwise(times)), default=None)


class Cron:
    """``minute hour day-of-month month day-of-week``."""

    def __init__(self, pattern: str, start: datetime, _zone: ZoneInfo) -> None:
        fields = pattern.split()
        if len(pattern) > _LONGEST or len(fields) != 5 or not all(_CRON.fullmatch(field) for field in fields):
            raise InvalidInput(
                f"'{pattern}' is not a crontab pattern",
                advice="Five fields: minute, hour, day of month, month, day of week",
            )
        self._pattern = " ".join(fields)
        self._start = start
        self.sub_daily = fields[1].startswith("*")
        try:
            self._times(start)
        except (ValueError, KeyError) as exc:
            raise InvalidInput(f"'{pattern}' is not a crontab pattern", reason=str(exc)) from exc

    def check_new(self) -> None:
        """Nothing more."""

    def _times(self, moment: datetime) -> Any:
        return croniter(self._pattern, moment, max_years_between_matches=_RARELY)

    def from_on(self, moment: datetime, budget: Budget) -> Iterator[datetime]:
        times = self._times(max(moment, self._start) - timedelta(seconds=1))
        while True:
            budget.spend(100)
            try:
                found = times.get_next(datetime)
            except (ValueError, OverflowError):  # as 31 February: there is none
                return
            if found >= _LAST:
                return
            budget.found()
            yield found


class Calendar:
    """The recurrence rules (RRULE) of an iCalendar VEVENT; its DTSTART does not count."""

    def __init__(self, pattern: str, start: datetime, zone: ZoneInfo) -> None:
        if len(pattern) > _LONGEST:
            raise _no_calendar(f"it is longer than {_LONGEST} characters")
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
        try:
            self._rules = [
                _Rule(rule, start, zone) for rule in (rules if isinstance(rules, list) else [rules])
            ]
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as exc:
            raise _no_calendar(str(exc)) from exc
        if not self._rules:
            raise _no_calendar("it has no RRULE")
        self.sub_daily = any(rule.sub_daily for rule in self._rules)

    def check_new(self) -> None:
        """Older triggers may still have what is refused here."""
        if len(self._rules) > 1:
            raise InvalidInput("the pattern has several RRULEs", advice="Make a trigger for each")
        if self._rules[0].count > _MOST_COUNTED:
            raise _no_calendar(f"COUNT is at most {_MOST_COUNTED}")

    def from_on(self, moment: datetime, budget: Budget) -> Iterator[datetime]:
        """The times from a moment on; one of two rules that agree counts once."""
        before: datetime | None = None
        for found in merge(*(rule.from_on(moment, budget) for rule in self._rules)):
            if found != before:
                yield found
            before = found


class _Rule:
    """One rule: a period after the other, the days of it that fit, the times of the day."""

    def __init__(self, recur: vRecur, start: datetime, zone: ZoneInfo) -> None:
        parts = {str(name).upper(): list(values) for name, values in recur.items()}
        unknown = sorted(set(parts) - _PARTS)
        if unknown:
            raise _no_calendar(f"{unknown[0]} is not understood")
        frequency = str(parts.get("FREQ", [""])[0])
        if frequency not in _FREQUENCIES:
            raise _no_calendar(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
        numbers = {name: _numbers(parts, name) for name in _RANGES}
        self._frequency, self._start = frequency, start
        self._interval = next(iter(numbers["INTERVAL"]), 1)
        self.count = next(iter(numbers["COUNT"]), 0)
        self._until = _until(parts["UNTIL"][0], zone) if "UNTIL" in parts else _LAST
        self._first_weekday = _WEEKDAYS.index(_weekday(parts.get("WKST", ["MO"])[0])[1])
        self._positions = numbers["BYSETPOS"]
        self.sub_daily = frequency in _SUB_DAILY and not numbers["BYHOUR"]
        self._set_days(parts, numbers)
        self._hours = numbers["BYHOUR"] or ([start.hour] if frequency not in _SUB_DAILY else [])
        self._minutes = numbers["BYMINUTE"] or ([start.minute] if frequency != "MINUTELY" else [])
        self._seconds = numbers["BYSECOND"] or [start.second]
        if self._positions and frequency not in ("WEEKLY", "MONTHLY", "YEARLY"):
            raise _no_calendar(f"BYSETPOS does not go with FREQ={frequency}")
        if (len(self._hours) or 1) * (len(self._minutes) or 1) * len(self._seconds) > _MOST_A_DAY:
            raise _no_calendar(f"it has more than {_MOST_A_DAY} times in a day")
        self._times = [time(*parts) for parts in product(self._hours, self._minutes, self._seconds)]

    def _set_days(self, parts: dict[str, list[Any]], numbers: dict[str, list[int]]) -> None:
        """Which days fit; where nothing is said, those that are as the first."""
        months, monthdays = numbers["BYMONTH"], numbers["BYMONTHDAY"]
        weekdays = {(number, _WEEKDAYS.index(name)) for number, name in map(_weekday, parts.get("BYDAY", ()))}
        numbered = self._frequency in ("MONTHLY", "YEARLY")
        most = 53 if self._frequency == "YEARLY" and not months else 5
        for number, day in weekdays:
            if number and not numbered:
                raise _no_calendar(f"{number}{_WEEKDAYS[day]} does not go with FREQ={self._frequency}")
            if abs(number) > most:
                raise _no_calendar(f"there never is a {number}{_WEEKDAYS[day]}: {most} at most")
        if not weekdays and not monthdays:
            if self._frequency == "YEARLY" and not months:
                months = [self._start.month]
            if numbered:
                monthdays = [self._start.day]
            elif self._frequency == "WEEKLY":
                weekdays = {(0, self._start.weekday())}
        # In a leap year: 29 February comes.
        longest = max((monthrange(2028, month)[1] for month in months), default=31)
        if monthdays and min(map(abs, monthdays)) > longest:
            raise _no_calendar("no month has such a day")
        self._months, self._monthdays, self._weekdays = map(frozenset, (months, monthdays, weekdays))
        self._from_the_end = any(day < 0 for day in monthdays)

    def from_on(self, moment: datetime, budget: Budget) -> Iterator[datetime]:
        """The times from a moment on. Those before are passed over, or counted when the rule has a COUNT."""
        number = 0 if self.count or moment <= self._start else self._period_of(moment)
        seen = 0
        try:
            while True:
                budget.spend(1)
                found, number = self._in_period(number, budget)
                for each in found:
                    if each > self._until or each >= _LAST:
                        return
                    if each < self._start:
                        continue
                    seen += 1
                    if each >= moment:
                        budget.found()
                        yield each
                    else:
                        budget.spend(1)
                    if seen == self.count:
                        return
        except (ValueError, OverflowError):  # beyond the year 9999
            return

    def _period_of(self, moment: datetime) -> int:
        """The number of the period that a moment is in, or of the last before."""
        start = self._start
        if self._frequency in _SUB_DAILY:
            return (moment - self._base()) // (self._interval * _SUB_DAILY[self._frequency])
        return {
            "DAILY": (moment.date() - start.date()).days,
            "WEEKLY": (moment.date() - self._week()).days // 7,
            "MONTHLY": 12 * (moment.year - start.year) + moment.month - start.month,
            "YEARLY": moment.year - start.year,
        }[self._frequency] // self._interval

    def _base(self) -> datetime:
        minute = 0 if self._frequency == "HOURLY" else self._start.minute
        return self._start.replace(minute=minute, second=0)

    def _week(self) -> date:
        day = self._start.date()
        return day - timedelta(days=(day.weekday() - self._first_weekday) % 7)

    def _in_period(self, number: int, budget: Budget) -> tuple[Iterator[datetime], int]:
        """The times in a period, and the number of the next in which there may be any."""
        far = number * self._interval
        if self._frequency in _SUB_DAILY:
            return self._within_day(number)
        if self._frequency == "DAILY":
            first, length = self._start.date() + timedelta(days=far), 1
        elif self._frequency == "WEEKLY":
            first, length = self._week() + timedelta(days=7 * far), 7
        elif self._frequency == "MONTHLY":
            year, month = divmod(12 * self._start.year + self._start.month - 1 + far, 12)
            first, length = date(year, month + 1, 1), monthrange(year, month + 1)[1]
        else:
            first, length = date(self._start.year + far, 1, 1), 365
            length += monthrange(first.year, 2)[1] - 28
        budget.spend(length)
        days = [day for day in (first + timedelta(days=n) for n in range(length)) if self._fits(day)]
        times = self._times
        if self._positions:
            budget.spend(len(self._positions))
            size = len(days) * len(times)
            places = {place - 1 if place > 0 else size + place for place in self._positions}
            chosen = [divmod(place, len(times)) for place in sorted(places) if 0 <= place < size]
            return (datetime.combine(days[day], times[of]) for day, of in chosen), number + 1
        return (datetime.combine(day, each) for day in days for each in times), number + 1

    def _within_day(self, number: int) -> tuple[Iterator[datetime], int]:
        """The same for hours and minutes; of a day, or an hour, that does not fit, the rest is left out."""
        step = self._interval * _SUB_DAILY[self._frequency]
        at = self._base() + number * step
        skip = timedelta()
        if not self._fits(at.date()):
            skip = datetime.combine(at.date(), time()) + timedelta(days=1) - at
        elif self._hours and at.hour not in self._hours:
            skip = at.replace(minute=0) + timedelta(hours=1) - at
        if skip:
            return iter(()), number + max(1, -(-skip // step))
        minutes = self._minutes
        if self._frequency == "MINUTELY":
            minutes = [at.minute] if not minutes or at.minute in minutes else []
        parts = product(minutes, self._seconds)
        return (at.replace(minute=minute, second=second) for minute, second in parts), number + 1

    def _fits(self, day: date) -> bool:
        if self._months and day.month not in self._months:
            return False
        if not (self._monthdays or self._weekdays):
            return True
        if self._monthdays and day.day not in self._monthdays and not self._fits_from_the_end(day):
            return False
        if not self._weekdays:
            return True
        place, last = day.day - 1, monthrange(day.year, day.month)[1]
        if self._frequency == "YEARLY" and not self._months:
            place, last = day.timetuple().tm_yday - 1, 337 + monthrange(day.year, 2)[1]
        weekday = day.weekday()
        fitting = {(0, weekday), (place // 7 + 1, weekday), ((place - last) // 7, weekday)}
        return not self._weekdays.isdisjoint(fitting)

    def _fits_from_the_end(self, day: date) -> bool:
        return self._from_the_end and day.day - monthrange(day.year, day.month)[1] - 1 in self._monthdays


def _numbers(parts: dict[str, list[Any]], name: str) -> list[int]:
    """The numbers of a part, in order. :raises InvalidInput: it may not have one of them."""
    least, most = _RANGES[name]
    found = sorted({int(number) for number in parts.get(name, ())})
    for number in found:
        if not least <= number <= most or (number == 0 and least < 0):
            raise _no_calendar(f"{name} cannot be {number}: {max(least, 1 if least < 0 else 0)} to {most}")
    return found


def _weekday(text: Any) -> tuple[int, str]:
    """``-1FR`` as -1 and ``FR``; 0: every."""
    found = re.fullmatch(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", str(text).upper())
    if found is None or found[1] in ("0", "00", "+0", "-0"):
        raise _no_calendar(f"'{text}' is no day of the week")
    return int(found[1] or 0), found[2]


def _until(value: date, zone: ZoneInfo) -> datetime:
    """Until when, on the pattern's clock; a day counts to its end."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time(23, 59, 59))
    return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value


def _no_calendar(reason: str) -> InvalidInput:
    return InvalidInput(
        "the pattern is not an iCalendar event that recurs",
        reason=reason,
        advice="As in: BEGIN:VEVENT\\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\\nEND:VEVENT",
    )


_READERS: dict[str, Callable[[str, datetime, ZoneInfo], Pattern]] = {"calendar": Calendar, "crontab": Cron}

FORMATS = tuple(_READERS)
