"""When a trigger fires: a pattern on the clock of a time zone, from a start to an end, in UTC. Pure.

Where the clock is set forward, a time that it leaves out fires as if it had not been set yet: 02:30 at what
then is 03:30. Where it is set back, a time that comes twice fires at the first; patterns that recur with the
hours of the day fire both times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

from refloat.errors import InvalidInput
from refloat.schedule.patterns import FORMATS, Budget, Pattern, closest, parse

TIME = "%Y-%m-%d %H:%M:%S"
MISFIRES = ("skip", "run_once", "run_all")
MOST = 100
"""So many firings that are dropped at once are remembered one by one; older ones in one line."""
_FURTHEST = timedelta(hours=25)
"""No clock has ever been set by more."""
_UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator allows. All in seconds.

    :param min_interval: the shortest time between two firings.
    """

    min_interval: int = 3600
    min_window: int = 900
    max_window: int = 1800


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a trigger fires.

    :param kind: ``calendar`` or ``crontab``.
    :param start: nothing fires before; UTC, without saying so, as all times here.
    :param end: nothing fires after.
    :param window: so many seconds after its time a firing still is on time.
    :param misfire: what becomes of one that is later: ``skip``, ``run_once`` (all missed ones together) or
        ``run_all``.
    """

    kind: str
    pattern: str
    start: datetime
    end: datetime | None = None
    window: int = 900
    timezone: str = _UTC
    misfire: str = "run_once"

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing after a moment; None when there is none any more.

        :raises InvalidInput: that takes too long to find out.
        """
        return next(self._after(moment), None)

    def between(self, first: datetime, last: datetime) -> list[datetime]:
        """A firing, and those that follow it until a moment, that one included."""
        return [first, *takewhile(lambda found: found <= last, self._after(first))]

    def _after(self, moment: datetime) -> Iterator[datetime]:
        found = self._endless(moment)
        end = self.end
        return found if end is None else takewhile(lambda time: time <= end, found)

    def _endless(self, moment: datetime) -> Iterator[datetime]:
        zone = ZoneInfo(self.timezone)
        margin = timedelta() if self.timezone == _UTC else _FURTHEST
        pattern = _pattern(self)
        clock = _clock(max(moment, self.start), zone)
        waiting: list[datetime] = []
        # The clock may go back: what it shows later may have come earlier.
        for shown in pattern.from_on(max(clock - margin, datetime.min + _FURTHEST), Budget()):
            while waiting and shown > _clock(waiting[0], zone) + margin:
                yield heappop(waiting)
            for found in _moments(shown, zone, twice=pattern.sub_daily):
                if found > moment and found >= self.start and found not in waiting:
                    heappush(waiting, found)
        while waiting:
            yield heappop(waiting)

    def to_json(self) -> dict[str, Any]:
        ends = {"end_time": f"{self.end:{TIME}}"} if self.end is not None else {}
        return {
            "format": self.kind,
            "pattern": self.pattern,
            "start_time": f"{self.start:{TIME}}",
            **ends,
            "window": self.window,
            "timezone": self.timezone,
            "misfire": self.misfire,
        }

    @classmethod
    def from_json(cls, properties: Mapping[str, Any]) -> Timetable:
        end = properties.get("end_time")
        return cls(
            properties["format"],
            properties["pattern"],
            datetime.strptime(properties["start_time"], TIME),
            datetime.strptime(end, TIME) if end else None,
            int(properties["window"]),
            properties["timezone"],
            properties["misfire"],
        )


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


def checked(properties: Mapping[str, Any], now: datetime, limits: Limits) -> Timetable:
    """A timetable of what a user says.

    :param properties: ``format``, ``pattern``; perhaps ``start_time`` (else now), ``end_time``, ``window``,
        ``timezone``, ``misfire``.
    :raises InvalidInput: one of them is wrong, or it would never fire, or too often.
    """
    found = Timetable(
        _one_of("format", properties.get("format"), FORMATS),
        str(properties.get("pattern", "")),
        _time("start_time", properties.get("start_time")) or now.replace(microsecond=0),
        _time("end_time", properties.get("end_time")),
        _window(properties.get("window"), limits),
        _zone(properties.get("timezone")),
        _one_of("misfire", properties.get("misfire") or "run_once", MISFIRES),
    )
    if found.end is not None and found.end <= found.start:
        raise InvalidInput("end_time must be after start_time")
    pattern = _pattern(found)
    pattern.check_new()
    shortest = closest(pattern, _clock(max(now, found.start), ZoneInfo(found.timezone)))
    if shortest is not None and shortest < timedelta(seconds=limits.min_interval):
        raise InvalidInput(
            f"the pattern fires twice within {shortest.total_seconds():.0f} seconds",
            reason=f"there must be {limits.min_interval} between two firings",
        )
    if found.next_after(now) is None:
        raise InvalidInput("the trigger would never fire", reason="no time of the pattern is still to come")
    return found


@lru_cache(maxsize=256)
def _pattern(timetable: Timetable) -> Pattern:
    zone = ZoneInfo(timetable.timezone)
    return parse(timetable.kind, timetable.pattern, _clock(timetable.start, zone), zone)


def _clock(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return moment


def _moments(shown: datetime, zone: ZoneInfo, *, twice: bool) -> list[datetime]:
    try:
        found = {
            shown.replace(tzinfo=zone, fold=fold).astimezone(UTC).replace(tzinfo=None)
            for fold in ((0, 1) if twice and _comes(shown, zone) else (0,))
        }
    except OverflowError:
        return []
    return sorted(found)


def _comes(shown: datetime, zone: ZoneInfo) -> bool:
    return _clock(shown.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None), zone) == shown


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidInput(f"{name} must be one of {', '.join(choices)}")
    return str(value)


def _time(name: str, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        found = datetime.strptime(str(value), TIME)
    except ValueError:
        raise InvalidInput(f"{name} must be a time in UTC, as 2030-12-31 02:00:00") from None
    if not 1970 <= found.year < 9000:
        raise InvalidInput(f"{name} is too far away")
    return found


def _window(value: Any, limits: Limits) -> int:
    window = limits.min_window if value is None else value
    if not limits.min_window <= window <= limits.max_window:
        raise InvalidInput(f"window must be {limits.min_window} to {limits.max_window} seconds")
    return int(window)


def _zone(value: Any) -> str:
    name = str(value or _UTC)
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise InvalidInput(f"there is no time zone '{name}'", advice="As in: Europe/Berlin") from None
    return name
