"""H5: whatever a tenant writes as a pattern, its cost is bounded; what can never be is refused.

What is counted are calls of Python functions, which do not depend on the machine.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from dateutil.rrule import rrulestr

from refloat.errors import InvalidInput
from refloat.records.schedule_tables import TriggerRow
from refloat.records.schedules import Schedules
from refloat.records.triggers import Triggers
from refloat.schedule.patterns import Budget
from refloat.schedule.timetable import Limits, Timetable, checked
from tests.unit.schedule.test_schedule_timetable import rule
from tests.unit.support.schedule_rig import CALLER, PROJECT, Rig

NOW = datetime(2027, 1, 1)
MOST_CALLS = 1_500_000
LIMITS = Limits(60, 15, 30)  # the least that an operator can set
HOURS = ",".join(map(str, range(24)))
SIXTY = ",".join(map(str, range(60)))


def calls(work: Callable[[], Any]) -> int:
    """So many functions, Python's and C's, are called by it."""
    count = 0

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")
        if count > MOST_CALLS:
            raise AssertionError("it does too much")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def made(kind: str, pattern: str, start: str, **more: Any) -> Timetable:
    properties = {"format": kind, "pattern": pattern, "start_time": start, "window": 15, **more}
    return checked(properties, NOW, LIMITS)


NEVER = {
    "sixth Monday": rule("FREQ=MONTHLY;BYDAY=6MO"),
    "sixth last Friday": rule("FREQ=MONTHLY;BYDAY=-6FR"),
    "54th Monday": rule("FREQ=YEARLY;BYDAY=54MO"),
    "sixth Monday of January": rule("FREQ=YEARLY;BYMONTH=1;BYDAY=6MO"),
    "second Monday that is the first": rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO"),
    "30 February": rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
    "30 February, the last but 29": rule("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=-30"),
    "31st of short months": rule("FREQ=DAILY;BYMONTH=4,6,9,11;BYMONTHDAY=31"),
    "30 February, day by day": rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30,31"),
    "30 February, minute by minute": rule("FREQ=MINUTELY;INTERVAL=60;BYMONTH=2;BYMONTHDAY=30"),
    "leap days of odd years": rule("FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29"),
    "hundredth of a week": rule("FREQ=WEEKLY;BYSETPOS=100"),
    "half past on the hour": rule("FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30"),
    "half past on the hour in June": rule("FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30;BYMONTH=6"),
    "odd hours of even ones": rule("FREQ=HOURLY;INTERVAL=2;BYHOUR=3"),
    "a number in a week": rule("FREQ=WEEKLY;BYDAY=2MO"),
    "many of what never is": rule("FREQ=MONTHLY;BYDAY=" + ",".join(f"{n}MO" for n in range(6, 50))),
    "ended long ago": rule("FREQ=DAILY;UNTIL=19710101"),
    "ended in year 1": rule("FREQ=DAILY;UNTIL=00010101T000000Z"),
    "ended, counted by minutes": rule("FREQ=MINUTELY;COUNT=10000"),
    "ended, counted by hours": rule("FREQ=HOURLY;COUNT=9999"),
    "counts for ever": rule("FREQ=MINUTELY;COUNT=99999999"),
    "counts below nothing": rule("FREQ=DAILY;COUNT=-1"),
    "an endless interval": rule("FREQ=DAILY;INTERVAL=99999999999999999999"),
    "beyond the calendar": rule("FREQ=YEARLY;INTERVAL=8000"),
    "every second": rule(f"FREQ=YEARLY;BYHOUR={HOURS};BYMINUTE={SIXTY};BYSECOND={SIXTY};BYSETPOS=1"),
    "every minute of days that are not": rule(
        f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR={HOURS};BYMINUTE={SIXTY}"
    ),
    "eighty rules": "BEGIN:VEVENT\\n" + "RRULE:FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO\\n" * 80 + "END:VEVENT",
    "two rules": "BEGIN:VEVENT\\nRRULE:FREQ=DAILY\\nRRULE:FREQ=WEEKLY\\nEND:VEVENT",
    "no rule": "BEGIN:VEVENT\\nEND:VEVENT",
    "events in events": "BEGIN:VEVENT\\n" * 290,
    "5,000 characters": rule("FREQ=DAILY;BYDAY=" + ",".join(["MO"] * 1700)),
    "4,096 characters": rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=" + ",".join(["2MO"] * 1000)),
    "added dates": "BEGIN:VEVENT\\nRRULE:FREQ=DAILY\\nRDATE:20300101T000000Z\\nEND:VEVENT",
    "excluded dates": "BEGIN:VEVENT\\nRRULE:FREQ=DAILY\\nEXDATE:20300101T000000Z\\nEND:VEVENT",
    "excluded rule": "BEGIN:VEVENT\\nRRULE:FREQ=DAILY\\nEXRULE:FREQ=DAILY\\nEND:VEVENT",
    "a date in another calendar": rule("FREQ=DAILY;RSCALE=HEBREW;SKIP=BACKWARD"),
    "weeks and days of the year": rule("FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=366"),
    "no numbers": rule("FREQ=DAILY;BYHOUR=x"),
    "nothing in a part": rule("FREQ=DAILY;BYHOUR="),
    "no day": rule("FREQ=MONTHLY;BYDAY=0MO"),
}


@pytest.mark.parametrize("name", NEVER)
def test_h5_what_can_never_be_is_refused_at_once(name: str) -> None:
    pattern = NEVER[name]
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(InvalidInput) as raised:
            made("calendar", pattern, "1971-01-01 00:00:00")
        said.append(str(raised.value))

    assert calls(ask) < MOST_CALLS
    assert said[0]


@pytest.mark.parametrize(
    "fields", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", f"{SIXTY} {HOURS} 31 2 *"]
)
def test_h5_crontabs_that_can_never_be_are_refused_at_once(fields: str) -> None:
    def ask() -> None:
        with pytest.raises(InvalidInput, match="never fire"):
            made("crontab", fields, "1971-01-01 00:00:00")

    assert calls(ask) < MOST_CALLS


RARE = {
    "leap day": ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", datetime(2028, 2, 29)),
    "leap day on a Monday": ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", datetime(2044, 2, 29)),
    "leap day on a Monday, by days": ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", datetime(2044, 2, 29)),
    "leap day, by minutes": ("FREQ=MINUTELY;INTERVAL=60;BYMONTH=2;BYMONTHDAY=29", datetime(2028, 2, 29)),
    "53rd Thursday": ("FREQ=YEARLY;BYDAY=53TH", datetime(2032, 12, 30)),
    "fifth Monday": ("FREQ=MONTHLY;BYDAY=5MO", datetime(2027, 3, 29)),
    "Friday the 13th": ("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR", datetime(2027, 8, 13)),
    "last working day": ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", datetime(2027, 1, 29)),
    "day or number, as RFC 5545 has it": ("FREQ=MONTHLY;BYDAY=2MO,-1FR", datetime(2027, 1, 11)),
    "by hours since 1971": ("FREQ=HOURLY;INTERVAL=7", datetime(2027, 1, 1, 7)),
    "by months, counted since 1971": ("FREQ=MONTHLY;COUNT=10000", datetime(2027, 2, 1)),
}


@pytest.mark.parametrize("name", RARE)
def test_h5_what_is_rare_is_found(name: str) -> None:
    text, wanted = RARE[name]
    found: list[Timetable] = []
    assert calls(lambda: found.append(made("calendar", rule(text), "1971-01-01 00:00:00"))) < MOST_CALLS
    assert found[0].next_after(NOW) == wanted


def test_h5_what_starts_far_away_or_long_ago_costs_no_more() -> None:
    for start in ("1970-01-01 00:00:00", "8999-12-31 00:00:00", "2027-01-01 00:00:00"):
        for text in ("FREQ=MINUTELY;INTERVAL=60", "FREQ=DAILY;BYDAY=MO", "FREQ=YEARLY"):
            cost = calls(partial(made, "calendar", rule(text), start, timezone="America/New_York"))
            assert cost < MOST_CALLS


def test_h5_a_stored_pattern_of_before_is_still_understood_or_says_why_not() -> None:
    """As triggers were made when nothing was bounded: several rules go on, what never comes is an error."""
    two = "BEGIN:VEVENT\\nRRULE:FREQ=DAILY;BYHOUR=2\\nRRULE:FREQ=DAILY;BYHOUR=3\\nEND:VEVENT"
    stored = Timetable("calendar", two, NOW)
    assert list(stored.between(datetime(2027, 1, 1, 2), datetime(2027, 1, 2))) == [
        datetime(2027, 1, 1, 2),
        datetime(2027, 1, 1, 3),
    ]
    empty = Timetable("calendar", rule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO"), NOW)
    with pytest.raises(InvalidInput, match="takes too long"):
        empty.next_after(NOW)


PARTS: dict[str, tuple[float, list[Any], str]] = {
    "BYMONTH": (0.2, list(range(1, 13)), "DWMYH"),
    "BYMONTHDAY": (0.2, [1, 2, 13, 15, 28, -1, -2, -28], "DWMYH"),
    "BYDAY": (0.3, ["MO", "TU", "WE", "TH", "FR", "SA", "SU"], "DWMYH"),
    "BYHOUR": (0.5, list(range(24)), "DWMY"),
    "BYMINUTE": (0.5, [0, 7, 30, 59], "HDWMY"),
    "BYSECOND": (0.3, [0, 30], "HDWMY"),
}
"""How often a rule has a part, with what, and for which frequencies."""


def _random_rule(chance: random.Random) -> str:
    frequency = chance.choice(["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    interval = chance.choice([1, 7, 30, 60, 90] if frequency == "MINUTELY" else [1, 1, 2, 3, 5])
    parts = [f"FREQ={frequency}", f"INTERVAL={interval}", f"WKST={chance.choice(['MO', 'SU', 'TH'])}"]
    for name, (often, choices, frequencies) in PARTS.items():
        if frequency[:2] != "MI" and frequency[0] in frequencies and chance.random() < often:
            chosen = chance.sample(choices, chance.randint(1, min(4, len(choices))))
            if name == "BYDAY" and frequency in ("MONTHLY", "YEARLY") and chance.random() < 0.5:
                chosen = [f"{chance.choice([1, 2, 4, -1, -3])}{day}" for day in chosen]
            parts.append(f"{name}={','.join(map(str, chosen))}")
    if frequency in ("MONTHLY", "YEARLY") and chance.random() < 0.3:
        parts.append(f"BYSETPOS={chance.choice([1, 2, -1, -2])}")
    parts.append(chance.choice(["COUNT=25", "UNTIL=20300615T120000", "COUNT=50"]))
    return ";".join(parts)


def found_by(times: Iterator[datetime]) -> list[datetime]:
    """What is found until that takes too long."""
    found: list[datetime] = []
    with suppress(InvalidInput):
        for each in islice(times, 60):
            found.append(each)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_rules_mean_what_the_usual_library_says(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        text = _random_rule(chance)
        start = datetime(2027, chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23), 5, 9)
        expected = list(islice(rrulestr(text, dtstart=start), 60))
        table = Timetable("calendar", rule(text), start)
        found = found_by(table._endless(start - timedelta(seconds=1)))
        assert found == expected[: len(found)], (text, start)
        later = expected[len(found) : len(found) + 1]
        assert not later or later[0] > (found or [start])[-1] + timedelta(days=30_000), (text, start)
        for moment in chance.sample(found, min(3, len(found))):
            following = [each for each in found if each > moment]
            if following:
                assert table.next_after(moment) == following[0], (text, start, moment)


def test_a_budget_is_given_anew_with_each_time_that_is_found() -> None:
    budget = Budget(3)
    budget.spend(3)
    budget.found()
    budget.spend(3)
    with pytest.raises(InvalidInput):
        budget.spend(1)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made_here = Rig(f"sqlite:///{tmp_path}/refloat.sqlite", NOW)
    yield made_here
    made_here.database.close()


def nightly(pattern: str = "0 2 * * *") -> dict[str, Any]:
    return {"format": "crontab", "pattern": pattern, "start_time": "2027-01-01 00:00:00"}


def store(rig: Rig, trigger_id: str, pattern: str) -> None:
    """As an older version has allowed it."""
    with rig.database.session() as session:
        row = session.get_one(TriggerRow, trigger_id)
        row.properties = {**row.properties, "format": "calendar", "pattern": pattern}


def test_h5_a_stored_trigger_that_costs_too_much_stops_its_schedule_alone_and_says_why(rig: Rig) -> None:
    for pattern in (NEVER["second Monday that is the first"], NEVER["sixth Monday"], NEVER["eighty rules"]):
        bad, good = rig.schedule(nightly()), rig.schedule(nightly())
        store(rig, bad.trigger_id, pattern)
        rig.now += timedelta(days=1, hours=3)
        assert calls(rig.runner().look) < 3 * MOST_CALLS
        known = Schedules(rig.database, PROJECT)
        stopped = known.get(bad.id)
        assert (stopped.enabled, stopped.next_due) == (False, None)
        assert "its trigger cannot be worked out" in stopped.reason
        assert "Change the trigger" in stopped.reason
        assert known.get(good.id).enabled
        assert [firing.state for firing in rig.firings(good)] != []
        assert Triggers(rig.database, PROJECT).get(bad.trigger_id).next_run_at is None
        # Its owner does what it says.
        with pytest.raises(InvalidInput):
            rig.desk.change(CALLER, stopped, enabled=True)
        rig.desk.change_trigger(PROJECT, bad.trigger_id, None, nightly("0 5 * * *"))
        again = rig.desk.change(CALLER, stopped, enabled=True)
        assert (again.enabled, again.reason) == (True, "")
        assert again.next_due is not None


def test_h5_the_next_run_of_a_trigger_is_stored_and_looked_up(rig: Rig) -> None:
    schedule = rig.schedule(nightly())
    idle = rig.desk.create_trigger(PROJECT, "nobody uses it", "time", nightly("0 3 * * *"))
    triggers = Triggers(rig.database, PROJECT)
    assert triggers.get(schedule.trigger_id).next_run_at == datetime(2027, 1, 1, 2)
    rig.now = datetime(2027, 1, 1, 2, 30)
    rig.runner().look()
    assert triggers.get(schedule.trigger_id).next_run_at == datetime(2027, 1, 2, 2)
    assert triggers.get(idle.id).next_run_at == datetime(2027, 1, 1, 3)
    rig.desk.change_trigger(PROJECT, idle.id, None, nightly("0 4 * * *"))
    assert triggers.get(idle.id).next_run_at == datetime(2027, 1, 1, 4)
    # What is stored is told as it is: whoever looks works nothing out, however bad the pattern.
    store(rig, idle.id, NEVER["second Monday that is the first"])
    assert calls(lambda: triggers.list()) < 20_000
    assert triggers.get(idle.id).next_run_at == datetime(2027, 1, 1, 4)
