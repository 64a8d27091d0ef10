"""``refloat trigger``: when something is to happen."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.base import NEW_NAME, Argument, BaseCommand, Either, Lister, ShowOne
from refloat.cli.output import Time

if TYPE_CHECKING:
    from datetime import datetime

    from refloat.cli.backend import Backend
    from refloat.records.triggers import Trigger


def when(moment: datetime | None) -> Time:
    """A time that is kept in UTC without saying so."""
    return Time(f"{moment.isoformat(timespec='seconds')}Z" if moment else "")


def shown(trigger: Trigger) -> Mapping[str, Any]:
    properties = dict(trigger.properties)
    return {
        "id": trigger.id,
        "name": trigger.name,
        **{
            name: properties.get(name, "")
            for name in ("format", "pattern", "timezone", "start_time", "end_time", "window", "misfire")
        },
        "next_run_at": when(trigger.next_run_at),
        "created_at": when(trigger.created_at),
    }


_PATTERN = (
    Argument("--cron", "minute, hour, day of month, month, day of week", metavar="PATTERN"),
    Argument("--rule", "as in iCalendar: FREQ=WEEKLY;BYDAY=MO;BYHOUR=2", metavar="RRULE"),
)
_PROPERTIES = (
    Argument("--timezone", "as Europe/Berlin (default: UTC)", metavar="NAME"),
    Argument("--start", "not before: YYYY-MM-DD HH:MM:SS, UTC (default: now)", metavar="TIME"),
    Argument("--end", "not after", metavar="TIME"),
    Argument("--window", "how late is still on time (default: 900)", metavar="SECONDS", type=int),
    Argument(
        "--misfire",
        "what becomes of those that are later: none, one for all, or all (default: run_once)",
        choices=("skip", "run_once", "run_all"),
    ),
)
_TRIGGER = Argument("trigger", "name or id")


def _properties(parsed_args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if parsed_args.cron is not None:
        found |= {"format": "crontab", "pattern": parsed_args.cron}
    if parsed_args.rule is not None:
        found |= {"format": "calendar", "pattern": f"BEGIN:VEVENT\nRRULE:{parsed_args.rule}\nEND:VEVENT"}
    given = {"start_time": parsed_args.start, "end_time": parsed_args.end}
    given |= {name: getattr(parsed_args, name) for name in ("timezone", "window", "misfire")}
    return found | {name: value for name, value in given.items() if value is not None}


class CreateTrigger(ShowOne):
    """Create a trigger: when something is to happen."""

    examples = """
        refloat trigger create nightly --cron '30 2 * * *' --timezone Europe/Berlin
        refloat trigger create mondays --rule 'FREQ=WEEKLY;BYDAY=MO;BYHOUR=2;BYMINUTE=0;BYSECOND=0'
    """

    args = (Argument("name", "what to call it"), Either(*_PATTERN, required=True), *_PROPERTIES)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return shown(refloat.schedules.create_trigger(parsed_args.name, _properties(parsed_args)))


class ListTrigger(Lister):
    """List the project's triggers."""

    columns = ("id", "name", "format", "pattern", "timezone", "next_run_at")

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        return [shown(trigger) for trigger in refloat.schedules.list_triggers()]


class ShowTrigger(ShowOne):
    """Show a trigger."""

    args = (_TRIGGER,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return shown(refloat.schedules.find_trigger(parsed_args.trigger))


class SetTrigger(ShowOne):
    """Change a trigger. What is not given stays as it is; what uses it goes on from now."""

    args = (_TRIGGER, NEW_NAME, Either(*_PATTERN), *_PROPERTIES)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        trigger = refloat.schedules.find_trigger(parsed_args.trigger)
        changes = _properties(parsed_args)
        properties = {**trigger.properties, **changes} if changes else None
        return shown(refloat.schedules.change_trigger(trigger, parsed_args.name, properties))


class DeleteTrigger(BaseCommand):
    """Delete triggers that no schedule uses."""

    args = (Argument("trigger", "name or id", nargs="+"),)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            for trigger in [refloat.schedules.find_trigger(wanted) for wanted in parsed_args.trigger]:
                refloat.schedules.delete_trigger(trigger)
                self.say(f"Deleted trigger {trigger.name} ({trigger.id}).")
