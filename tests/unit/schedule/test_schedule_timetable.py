"""When triggers fire, against a clock that is looked at every quarter of an hour for two years."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from refloat.errors import InvalidInput
from refloat.schedule.timetable import Limits, Timetable, checked

START, END = datetime(2027, 1, 1), datetime(2029, 1, 1)  # with 29 February 2028
QUARTER = timedelta(minutes=15)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")

Fits = Callable[[datetime], bool]


def rule(text: str) -> str:
    return f"BEGIN:VEVENT\\nRRULE:{text}\\nEND:VEVENT"


CASES: dict[str, tuple[str, str, bool, Fits]] = {
    "nightly": ("crontab", "30 2 * * *", False, lambda t: (t.hour, t.minute) == (2, 30)),
    "at midnight": ("crontab", "0 0 * * *", False, lambda t: (t.hour, t.minute) == (0, 0)),
    "every hour": ("crontab", "15 * * * *", True, lambda t: t.minute == 15),
    "every other hour": ("crontab", "0 */2 * * *", True, lambda t: t.hour % 2 == 0 and t.minute == 0),
    "three hours": ("crontab", "45 1-3 * * *", False, lambda t: t.hour in (1, 2, 3) and t.minute == 45),
    "leap day": (
        "crontab",
        "0 3 29 2 *",
        False,
        lambda t: (t.month, t.day, t.hour, t.minute) == (2, 29, 3, 0),
    ),
    "first or sunday": (
        "crontab",
        "0 2 1 * 0",
        False,
        lambda t: (t.day == 1 or t.weekday() == 6) and (t.hour, t.minute) == (2, 0),
    ),
    "rule nightly": (
        "calendar",
        rule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"),
        False,
        lambda t: (t.hour, t.minute) == (2, 30),
    ),
    "rule weekdays": (
        "calendar",
        rule("FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=1;BYMINUTE=0;BYSECOND=0"),
        False,
        lambda t: t.weekday() in (0, 3) and (t.hour, t.minute) == (1, 0),
    ),
    "rule last of month": (
        "calendar",
        rule("FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=22;BYMINUTE=0;BYSECOND=0"),
        False,
        lambda t: (t + timedelta(days=1)).day == 1 and (t.hour, t.minute) == (22, 0),
    ),
    "rule hourly": (
        "calendar",
        rule("FREQ=HOURLY;BYMINUTE=30;BYSECOND=0"),
        True,
        lambda t: t.minute == 30,
    ),
    "rule 90 minutes after 90 minutes in the night": (
        "calendar",
        rule("FREQ=MINUTELY;INTERVAL=60;BYSECOND=0;BYHOUR=0,1,2,3;BYMINUTE=0"),
        False,
        lambda t: t.hour in (0, 1, 2, 3) and t.minute == 0,
    ),
    "rule every third day": (
        "calendar",
        rule("FREQ=DAILY;INTERVAL=3;BYHOUR=2;BYMINUTE=0;BYSECOND=0"),
        False,
        lambda t: (t.date() - datetime(2027, 1, 1).date()).days % 3 == 0 and (t.hour, t.minute) == (2, 0),
    ),
    "two rules": (
        "calendar",
        "BEGIN:VEVENT\\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0\\n"
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=1;BYHOUR=2,12;BYMINUTE=0;BYSECOND=0\\nEND:VEVENT",
        False,
        lambda t: t.minute == 0 and (t.hour == 2 or (t.day == 1 and t.hour == 12)),
    ),
}


@cache
def clock(zone: str) -> list[tuple[datetime, datetime, int]]:
    """Every quarter of an hour: the time, what the clock shows, whether for the second time."""
    tz = ZoneInfo(zone)
    found = []
    moment = START - timedelta(days=2)
    while moment < END:
        local = moment.replace(tzinfo=UTC).astimezone(tz)
        found.append((moment, local.replace(tzinfo=None, fold=0), local.fold))
        moment += QUARTER
    return found


def by_watching(zone: str, fits: Fits, *, again: bool) -> list[datetime]:
    """The times a pattern fits, by looking at the clock."""
    found = set()
    before: datetime | None = None
    for moment, shown, fold in clock(zone):
        if fits(shown) and (again or not fold):
            found.add(moment)
        if before is not None and shown - before > QUARTER:  # set forward: what it has left out
            left_out = before + QUARTER
            while left_out < shown:
                if fits(left_out):
                    found.add(moment + (left_out - before - QUARTER))
                left_out += QUARTER
        before = shown
    return sorted(time for time in found if START <= time < END)


def table(kind: str, pattern: str, zone: str, start: datetime = START) -> Timetable:
    return Timetable(kind, pattern, start, timezone=zone)


# What recurs with the hours fires 17,500 times: in two zones.
PAIRS = [(name, zone) for name, case in CASES.items() for zone in (ZONES[1::2] if case[2] else ZONES)]


@pytest.mark.parametrize(("name", "zone"), PAIRS)
def test_two_years(name: str, zone: str) -> None:
    kind, pattern, again, fits = CASES[name]
    # Rules that count from their start begin at midnight of the zone's clock.
    start = datetime(2027, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
    made = table(kind, pattern, zone, start)
    begin = max(START, start)
    wanted = [time for time in by_watching(zone, fits, again=again) if time >= begin]
    first = made.next_after(begin - timedelta(seconds=1))
    assert first is not None
    assert made.between(first, END - timedelta(seconds=1)) == wanted
    chance = random.Random(name)
    for _ in range(20):
        moment = begin + timedelta(seconds=chance.randrange(700 * 86400))
        assert made.next_after(moment) == min((t for t in wanted if t > moment), default=made.next_after(END))


def test_the_clock_is_set_forward_and_back_in_berlin() -> None:
    nightly = table("crontab", "30 2 * * *", "Europe/Berlin")
    assert nightly.next_after(datetime(2027, 3, 27, 12)) == datetime(2027, 3, 28, 1, 30)  # shows 03:30
    assert nightly.next_after(datetime(2027, 10, 30, 12)) == datetime(2027, 10, 31, 0, 30)  # the first 02:30
    assert nightly.next_after(datetime(2027, 10, 31, 0, 30)) == datetime(2027, 11, 1, 1, 30)


def test_a_day_that_never_was() -> None:
    """Samoa went over the date line and left out 30 December 2011."""
    daily = table("crontab", "0 12 * * *", "Pacific/Apia", datetime(2011, 12, 1))
    times = daily.between(datetime(2011, 12, 29, 22), datetime(2012, 1, 1))
    assert times == [datetime(2011, 12, 29, 22), datetime(2011, 12, 30, 22), datetime(2011, 12, 31, 22)]


def test_it_ends() -> None:
    ends = Timetable("crontab", "0 2 * * *", START, datetime(2027, 1, 2, 2))
    assert ends.between(datetime(2027, 1, 1, 2), END) == [datetime(2027, 1, 1, 2), datetime(2027, 1, 2, 2)]
    assert ends.next_after(datetime(2027, 1, 2, 2)) is None
    counted = table("calendar", rule("FREQ=DAILY;COUNT=2"), "UTC")
    assert counted.between(START, END) == [START, START + timedelta(days=1)]
    until = table("calendar", rule("FREQ=DAILY;UNTIL=20270102T230000Z;BYHOUR=0"), "Europe/Berlin")
    assert until.next_after(datetime(2027, 1, 1, 23)) == datetime(2027, 1, 2, 23)
    assert until.next_after(datetime(2027, 1, 2, 23)) is None


def test_the_start_counts_and_may_be_still_to_come() -> None:
    later = table("calendar", rule("FREQ=WEEKLY"), "UTC", datetime(2027, 6, 1, 4, 5, 6))
    assert later.next_after(START) == datetime(2027, 6, 1, 4, 5, 6)
    assert later.next_after(datetime(2027, 6, 1, 4, 5, 6)) == datetime(2027, 6, 8, 4, 5, 6)


def test_a_rule_that_began_long_ago_is_not_counted_from_there() -> None:
    old = table("calendar", rule("FREQ=MINUTELY;INTERVAL=60"), "UTC", datetime(1970, 1, 1, 0, 7))
    assert old.next_after(datetime(8000, 1, 1)) == datetime(8000, 1, 1, 0, 7)


@pytest.mark.parametrize(
    "pattern",
    [
        *("BYSETPOS=2;FREQ=DAILY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;BYHOUR=99", "FREQ=DAILY;BYEASTER=1"),
        *("FREQ=NEVER", "BYHOUR=1", "FREQ=HOURLY;INTERVAL=2;BYHOUR=3"),
    ],
)
def test_rules_that_are_none(pattern: str) -> None:
    properties = {"format": "calendar", "pattern": rule(pattern), "start_time": "2027-01-01 00:00:00"}
    with pytest.raises(InvalidInput):
        checked(properties, START, Limits())


@pytest.mark.parametrize(
    "pattern", ["", "* * * *", "0 0 * * * *", "@daily", "R 0 * * *", "0 0 * * fri#2", "60 0 * * *"]
)
def test_crontabs_that_are_none(pattern: str) -> None:
    properties = {"format": "crontab", "pattern": pattern, "start_time": "2027-01-01 00:00:00"}
    with pytest.raises(InvalidInput):
        checked(properties, START, Limits())


def test_the_shortest_of_many_intervals_counts() -> None:
    """Not only that of the next two, as Karbor had it."""
    properties = {"format": "crontab", "pattern": "0,30 0 15 * *", "start_time": "2027-01-01 00:00:00"}
    with pytest.raises(InvalidInput, match="fires twice within 1800 seconds"):
        checked(properties, datetime(2027, 1, 15, 0, 15), Limits())


def test_as_json_and_back() -> None:
    made = Timetable("crontab", "0 2 * * *", START, END, 1000, "Europe/Berlin", "skip")
    assert Timetable.from_json(made.to_json()) == made
