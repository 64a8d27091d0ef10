"""Which checkpoints of a plan go, and by which rule. Pure: the same for doing it and for the preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from refloat.errors import InvalidInput
from refloat.records.holds import span_text

_LARGEST = 1_000_000

PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "keep_hourly": lambda time: (time.year, time.month, time.day, time.hour, time.fold),
    "keep_daily": lambda time: (time.year, time.month, time.day),
    "keep_weekly": lambda time: time.isocalendar()[:2],
    "keep_monthly": lambda time: (time.year, time.month),
    "keep_yearly": lambda time: (time.year,),
}
"""Grandfather, father, son: the newest checkpoint of so many of the latest hours, days... that have any."""

NAMES = ("max_backups", "retention_duration", *PERIODS)


@dataclass(frozen=True, slots=True)
class Rules:
    """What to keep. What no rule keeps goes; without rules everything is kept.

    :param max_backups: so many; None: any number.
    :param retention_duration: none that is older than so many days; None: of any age.
    :param periods: a number for names of :data:`PERIODS`; what these keep, the two above do not take away.
    :param minimum: the operator's: nothing younger goes, whatever the rules say.
    """

    max_backups: int | None = None
    retention_duration: int | None = None
    periods: Mapping[str, int] = field(default_factory=dict)
    minimum: timedelta = timedelta()

    @property
    def given(self) -> bool:
        return bool(self.periods) or self.max_backups is not None or self.retention_duration is not None

    def to_json(self) -> dict[str, Any]:
        two = {"max_backups": self.max_backups, "retention_duration": self.retention_duration}
        return {
            **{name: number for name, number in two.items() if number is not None},
            **self.periods,
            **({"minimum": self.minimum.total_seconds() / 3600} if self.minimum else {}),
        }

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], minimum: timedelta = timedelta()) -> Rules:
        """The rules in a scheduled operation's definition; 0, -1 and nothing mean that there is none.

        :raises InvalidInput: one is no number.
        """
        given = {name: _number(name, definition.get(name)) for name in NAMES}
        return cls(
            given["max_backups"] or None,
            given["retention_duration"] or None,
            {name: given[name] for name in PERIODS if given[name]},
            minimum,
        )


_NEITHER = "it neither counts nor goes by itself"


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that is available or missing, or was not wholly deleted.

    :param created_at: UTC, without saying so.
    :param bad: a look at it found it bad.
    :param unfinished: deleting it has failed.
    :param held: why it is on legal hold; None: it is not.
    :param needs: the checkpoints without which it cannot be restored.
    :param missing: it is not found in its bank.
    :param partial: it lacks something of its plan: it counts, but pushes none out that lacks nothing.
    :param keep: somebody has said that no retention takes it.
    :param expires_at: when nobody wants it any more; UTC, without saying so.
    :param outside: who made it, where the rules are not for it; empty: they are.
    """

    id: str
    created_at: datetime
    bad: bool = False
    unfinished: bool = False
    held: str | None = None
    needs: frozenset[str] = frozenset()
    missing: bool = False
    keep: bool = False
    expires_at: datetime | None = None
    outside: str = ""
    partial: bool = False


UPCOMING = "next"
"""The id of the checkpoint that a run is about to make, as long as it has none: it is after all others."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one checkpoint, and by which rule."""

    id: str
    created_at: datetime
    keep: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of all checkpoints of a plan.

    :param rules: as :meth:`Rules.to_json` has them.
    :param proves: the last good one. Before anything goes it is shown that all of it is there; else nothing
        goes. Empty: nothing is to go, or it is the one that the run makes.
    :param upcoming: this is what a run will do that makes a checkpoint first.
    """

    rules: Mapping[str, Any]
    verdicts: Sequence[Verdict]
    proves: str
    upcoming: bool = False


def judge(
    checkpoints: Sequence[Kept], rules: Rules, now: datetime, zone: ZoneInfo | None = None
) -> list[Verdict]:
    """What becomes of a plan's checkpoints, the newest first: also the order to delete them in.

    :param zone: whose days, weeks... count; None: UTC's.
    """
    newest_first = _newest_first(checkpoints)
    good = counting(checkpoints, now)
    wanted = [item for item in good if not _is_over(item, now)]
    whole = [item for item in wanted if not item.partial]
    keeping = _protected(newest_first, good, rules, now)
    for name, count in rules.periods.items():
        for counted in (whole, wanted):
            for item in _latest(counted, PERIODS[name], count, zone or ZoneInfo("UTC")):
                keeping.setdefault(item.id, name)
    going = _over(newest_first, rules, now)
    partial = {item.id for item in wanted if item.partial}
    going |= {key: why for key, why in _going(wanted, rules, now).items() if key in partial}
    going |= _going(whole, rules, now)  # those that lack nothing, by their like alone
    for item in newest_first:
        if item.id not in going and (item.unfinished or item in wanted):
            keeping.setdefault(item.id, "within the rules" if rules.given else "there are no rules")
    for item in newest_first:  # dependants first: what they need may itself need something
        if item.id in keeping:
            for needed in item.needs:
                keeping.setdefault(
                    needed, f"{'the next' if item.id == UPCOMING else f'checkpoint {item.id}'} builds on it"
                )
    return [
        Verdict(item.id, item.created_at, item.id in keeping, keeping.get(item.id) or going[item.id])
        for item in newest_first
    ]


def counting(checkpoints: Sequence[Kept], now: datetime) -> list[Kept]:
    """The checkpoints that rules count, the newest first: as far as anybody knows, they can be restored.

    What the rules are not for does not count either: somebody may delete it at any time.

    One of a time that has not come yet would take the place of all that are really newer.
    """
    return [
        item
        for item in _newest_first(checkpoints)
        if not (item.bad or item.unfinished or item.missing or item.keep or item.outside)
        and item.created_at <= now
    ]


def last_good(counted: Sequence[Kept]) -> Kept:
    """The newest of those that count: one that lacks nothing, if there is any."""
    return next((item for item in counted if not item.partial), counted[0])


def _is_over(item: Kept, now: datetime) -> bool:
    return item.expires_at is not None and item.expires_at <= now


def _newest_first(checkpoints: Sequence[Kept]) -> list[Kept]:
    return sorted(checkpoints, key=lambda item: (item.created_at, item.id), reverse=True)


def _protected(
    newest_first: Sequence[Kept], good: Sequence[Kept], rules: Rules, now: datetime
) -> dict[str, str]:
    """What no rule may take away, and why."""
    keeping = {item.id: why for item in newest_first if (why := _kept_for(item, rules, now))}
    if good:
        keeping.setdefault(good[0].id, "the last good checkpoint")
        last = last_good(good)
        keeping.setdefault(last.id, "the last good checkpoint that lacks nothing")
    else:
        keeping |= {item.id: "there is no good checkpoint" for item in newest_first if item.id not in keeping}
    return keeping


def _kept_for(item: Kept, rules: Rules, now: datetime) -> str:
    """Why no rule may take one away, whatever else there is; empty: one may."""
    reasons = (
        (item.held is not None, f"legal hold: {item.held}"),
        (item.keep, f"it is to be kept: {_NEITHER}"),
        (bool(item.outside) and not _is_over(item, now), f"{item.outside}: not this schedule's to delete"),
        (
            item.created_at <= now < item.created_at + rules.minimum,
            f"the operator keeps everything for {span_text(rules.minimum)}",
        ),
        (item.missing, f"it is missing: {_NEITHER}"),
        (item.bad and not item.unfinished, f"a verification found it bad: {_NEITHER}"),
        (item.created_at > now and not item.unfinished, f"it is dated in the future: {_NEITHER}"),
    )
    return next((why for applies, why in reasons if applies), "")


def _over(newest_first: Sequence[Kept], rules: Rules, now: datetime) -> dict[str, str]:
    """What goes without being counted, unless something else keeps it."""
    going: dict[str, str] = {}
    for item in newest_first:
        if _is_over(item, now):
            going[item.id] = f"it expired on {item.expires_at:%Y-%m-%d %H:%M} (UTC)"
        elif item.unfinished and rules.given:
            going[item.id] = "deleting it has failed before"
    return going


def _going(good: Sequence[Kept], rules: Rules, now: datetime) -> dict[str, str]:
    """What the rules take away, unless something else keeps it."""
    going: dict[str, str] = {}
    if rules.retention_duration is not None:
        oldest = timedelta(days=rules.retention_duration)
        words = f"retention_duration: older than {rules.retention_duration} days"
        going.update({item.id: words for item in good if now - item.created_at > oldest})
    if rules.max_backups is not None:
        words = f"max_backups: {rules.max_backups} newer ones"
        going.update({item.id: words for item in good[rules.max_backups :]})
    if rules.periods and rules.max_backups is None and rules.retention_duration is None:
        words = f"none of {', '.join(rules.periods)} keeps it"
        going.update({item.id: words for item in good})
    return going


def _latest(
    good: Sequence[Kept], period: Callable[[datetime], tuple[int, ...]], count: int, zone: ZoneInfo
) -> list[Kept]:
    found: list[Kept] = []
    before: tuple[int, ...] | None = None
    for item in good:
        this = period(item.created_at.replace(tzinfo=UTC).astimezone(zone))
        if this != before and len(found) < count:
            found.append(item)
        before = this
    return found


def _number(name: str, value: Any) -> int:
    if value is None or value == "":
        return 0
    try:
        number = int(str(value).strip())
    except ValueError:
        raise InvalidInput(f"{name} must be a whole number") from None
    if not -1 <= number <= _LARGEST:
        raise InvalidInput(f"{name} must be -1 (no such rule) to {_LARGEST}")
    return max(number, 0)
