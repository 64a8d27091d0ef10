"""Retention: which checkpoints go, against rules that are read another way."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from refloat.errors import InvalidInput
from refloat.schedule.retention import PERIODS, Kept, Rules, counting, judge, last_good

NOW = datetime(2028, 3, 1, 12)
BERLIN = ZoneInfo("Europe/Berlin")


def daily(count: int, **more: Any) -> list[Kept]:
    """One a day, the newest of today."""
    return [Kept(f"c{n:04}", NOW - timedelta(days=n, hours=1), **more) for n in range(count)]


def kept(checkpoints: list[Kept], rules: Rules, zone: ZoneInfo | None = None) -> set[str]:
    return {verdict.id for verdict in judge(checkpoints, rules, NOW, zone) if verdict.keep}


def ids(*numbers: int) -> set[str]:
    return {f"c{n:04}" for n in numbers}


def test_without_rules_all_is_kept() -> None:
    assert kept(daily(50), Rules()) == ids(*range(50))


def test_max_backups_keeps_the_newest_in_whatever_order_they_are_listed() -> None:
    """Karbor deleted the newest, because a bank listed them the other way round."""
    some = daily(10)
    random.Random(1).shuffle(some)
    assert kept(some, Rules(max_backups=3)) == ids(0, 1, 2)


def test_retention_duration_by_age() -> None:
    assert kept(daily(10), Rules(retention_duration=4)) == ids(0, 1, 2, 3)


def test_both_rules_take_away() -> None:
    assert kept(daily(10), Rules(max_backups=5, retention_duration=3)) == ids(0, 1, 2)


def test_the_last_good_one_stays_however_old_it_is() -> None:
    old = [Kept("old", NOW - timedelta(days=900)), Kept("older", NOW - timedelta(days=901))]
    (first, second) = judge(old, Rules(retention_duration=1), NOW)
    assert (first.id, first.keep, first.rule) == ("old", True, "the last good checkpoint")
    assert (second.id, second.keep) == ("older", False)


def test_a_bad_one_is_not_the_last_good_one_and_does_not_count() -> None:
    some = [Kept("bad", NOW - timedelta(hours=1), bad=True), *daily(3)]
    assert kept(some, Rules(max_backups=1)) == {"bad"} | ids(0)


def test_c2_without_a_good_one_nothing_goes() -> None:
    """Neither what is bad, missing or of the future is good, nor goes what was to be deleted before."""
    some = [
        Kept("future", NOW + timedelta(days=1)),
        Kept("bad", NOW - timedelta(days=1), bad=True),
        Kept("missing", NOW - timedelta(days=2), missing=True),
        Kept("half", NOW - timedelta(days=3), unfinished=True),
    ]
    verdicts = judge(some, Rules(max_backups=1, retention_duration=1), NOW)
    assert [v.id for v in verdicts if v.keep] == ["future", "bad", "missing", "half"]
    assert verdicts[3].rule == "there is no good checkpoint"
    assert counting(some, NOW) == []


def test_c2_what_is_of_the_future_pushes_nothing_out() -> None:
    some = [Kept(f"f{n}", NOW + timedelta(days=n + 1)) for n in range(3)] + daily(3)
    for rules in (Rules(max_backups=2), Rules(periods={"keep_daily": 2})):
        assert kept(some, rules) == {"f0", "f1", "f2"} | ids(0, 1)


def test_one_that_was_not_wholly_deleted_is_deleted_again() -> None:
    some = [Kept("half", NOW - timedelta(minutes=1), unfinished=True), *daily(2)]
    verdicts = judge(some, Rules(max_backups=5), NOW)
    assert [(v.id, v.keep) for v in verdicts] == [("half", False), ("c0000", True), ("c0001", True)]
    assert "failed before" in verdicts[0].rule


def test_holds_and_the_operators_minimum_come_first() -> None:
    some = [*daily(6), Kept("held", NOW - timedelta(days=700), held="court")]
    verdicts = {v.id: v for v in judge(some, Rules(max_backups=1, minimum=timedelta(days=3)), NOW)}
    assert {i for i, v in verdicts.items() if v.keep} == {"held"} | ids(0, 1, 2)
    assert verdicts["held"].rule == "legal hold: court"
    assert verdicts["c0001"].rule == "the operator keeps everything for 3 days"
    assert verdicts["c0004"].rule == "max_backups: 1 newer ones"


def test_what_a_kept_one_builds_on_is_kept_with_all_below_it() -> None:
    """And what goes is deleted from the newest on: Cinder refuses to delete what others build on."""
    chain = [
        Kept(f"c{n:04}", NOW - timedelta(days=n), needs=frozenset({f"c{n + 1:04}"} if n % 4 != 3 else ()))
        for n in range(12)
    ]
    verdicts = judge(chain, Rules(max_backups=2), NOW)
    assert {v.id for v in verdicts if v.keep} == ids(0, 1, 2, 3)
    assert verdicts[3].rule == "checkpoint c0002 builds on it"
    gone: set[str] = set()
    for verdict in verdicts:
        if not verdict.keep:
            users = [item for item in chain if verdict.id in item.needs]
            assert all(user.id in gone for user in users)
            gone.add(verdict.id)
    assert gone == ids(*range(4, 12))


def test_grandfather_father_son_by_hand() -> None:
    """29 February and the end of a year among them."""
    some = daily(500)
    rules = Rules(periods={"keep_daily": 2, "keep_monthly": 3, "keep_yearly": 2})
    days = {item.created_at.date(): item.id for item in some}
    wanted = [(2028, 3, 1), (2028, 2, 29), (2028, 1, 31), (2027, 12, 31)]
    assert kept(some, rules) == {days[datetime(*day).date()] for day in wanted}


def by_buckets(some: list[Kept], rules: Rules, zone: ZoneInfo) -> set[str]:
    """The same, another way: a bucket for each period, the newest of each, the last buckets."""
    keys = {
        "keep_hourly": "%Y %j %H %z",
        "keep_daily": "%Y %j",
        "keep_weekly": "%G %V",
        "keep_monthly": "%Y %m",
        "keep_yearly": "%Y",
    }
    found = set()
    oldest_first = sorted(some, key=lambda item: item.created_at)
    for name, count in rules.periods.items():
        buckets: dict[str, str] = {}
        for item in oldest_first:
            key = item.created_at.replace(tzinfo=UTC).astimezone(zone).strftime(keys[name])
            buckets.pop(key, None)
            buckets[key] = item.id
        found |= set(list(buckets.values())[-count:])
    others = {item.id for item in oldest_first}
    if rules.periods and rules.max_backups is None and rules.retention_duration is None:
        others = set()
    if rules.max_backups is not None:
        others &= {item.id for item in oldest_first[-rules.max_backups :]}
    if rules.retention_duration is not None:
        limit = NOW - timedelta(days=rules.retention_duration)
        others &= {item.id for item in some if item.created_at >= limit}
    return found | others | {oldest_first[-1].id}


@pytest.mark.parametrize("seed", range(60))
def test_any_rules_on_any_checkpoints(seed: int) -> None:
    chance = random.Random(seed)
    span = chance.choice([2 * 86400, 40 * 86400, 3 * 365 * 86400])
    times = {NOW - timedelta(seconds=chance.randrange(span)) for _ in range(chance.randrange(1, 400))}
    some = [Kept(f"c{n}", time) for n, time in enumerate(times)]
    rules = Rules(
        chance.choice([None, 1, 5, 1000]),
        chance.choice([None, 1, 30, 1000]),
        {name: chance.randrange(1, 15) for name in PERIODS if chance.random() < 0.5},
    )
    zone = chance.choice([BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")])
    wanted = by_buckets(some, rules, zone)
    verdicts = judge(some, rules, NOW, zone)
    assert {v.id for v in verdicts if v.keep} == wanted
    assert [v.created_at for v in verdicts] == sorted(times, reverse=True)
    assert all(v.rule for v in verdicts)


@pytest.mark.parametrize("seed", range(30))
def test_what_lacks_something_pushes_nothing_out_that_lacks_nothing(seed: int) -> None:
    """real-life X14, kind 1: those that lack nothing are judged as if there were no others."""
    chance = random.Random(seed)
    times = {NOW - timedelta(seconds=chance.randrange(40 * 86400)) for _ in range(chance.randrange(2, 200))}
    some = [Kept(f"c{n}", time, partial=chance.random() < 0.5) for n, time in enumerate(sorted(times))]
    rules = Rules(
        chance.choice([None, 1, 5]),
        chance.choice([None, 1, 10]),
        {name: chance.randrange(1, 9) for name in PERIODS if chance.random() < 0.4},
    )
    whole = [item for item in some if not item.partial]
    found = kept(some, rules)
    assert found & {item.id for item in whole} == kept(whole, rules)
    # They themselves go by the rules, among all.
    alike = kept([replace(item, partial=False) for item in some], rules)
    assert found - {item.id for item in whole} == alike - {item.id for item in whole}
    if whole:
        assert last_good(counting(some, NOW)) == whole[-1]


def test_rules_as_clients_write_them() -> None:
    definition = {"max_backups": "7", "retention_duration": -1, "keep_daily": "0", "keep_weekly": 4}
    assert Rules.from_definition(definition) == Rules(7, None, {"keep_weekly": 4})
    assert not Rules.from_definition({"max_backups": 0}).given
    for wrong in ("many", -2, 1.5, 10**9):
        with pytest.raises(InvalidInput, match="keep_daily"):
            Rules.from_definition({"keep_daily": wrong})
