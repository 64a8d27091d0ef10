"""``refloat trigger``: when something is to happen."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.base import BaseCommand, Lister, ShowOne
from refloat.cli.output import Time

if TYPE_CHECKING:
    from datetime import datetime

    from refloat.records.triggers import Trigger


def when(moment: datetime | None) -> Time:
    """A time that is kept in UTC without saying so."""
    return Time(f"{moment.isoformat(timespec='seconds')}Z" if moment else "")


def shown(trigger: Trigger) -> Mapping[str, Any]:
    from refloat.records.checkpoints import now
    from refloat.schedule.timetable import Timetable

    properties = dict(trigger.properties)
    return {
        "id": trigger.id,
        "name": trigger.name,
        **{
            name: properties.get(name, "")
            for name in ("format", "pattern", "timezone", "start_time", "end_time", "window", "misfire")
        },
        "next_run_at": when(Timetable.from_json(properties).next_after(now())),
        "created_at": when(trigger.created_at),
    }


def _add_properties(parser: argparse.ArgumentParser, *, required: bool) -> None:
    pattern = parser.add_mutually_exclusive_group(required=required)
    pattern.add_argument("--cron", metavar="PATTERN", help="minute, hour, day of month, month, day of week")
    pattern.add_argument("--rule", metavar="RRULE", help="as in iCalendar: FREQ=WEEKLY;BYDAY=MO;BYHOUR=2")
    parser.add_argument("--timezone", metavar="NAME", help="as Europe/Berlin (default: UTC)")
    parser.add_argument("--start", metavar="TIME", help="not before: YYYY-MM-DD HH:MM:SS, UTC (default: now)")
    parser.add_argument("--end", metavar="TIME", help="not after")
    parser.add_argument(
        "--window", metavar="SECONDS", type=int, help="how late is still on time (default: 900)"
    )
    parser.add_argument(
        "--misfire",
        choices=("skip", "run_once", "run_all"),
        help="what becomes of those that are later: none, one for all, or all (default: run_once)",
    )


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

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="what to call it")
        _add_properties(parser, required=True)
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            return shown(refloat.schedules.create_trigger(parsed_args.name, _properties(parsed_args)))


class ListTrigger(Lister):
    """List the project's triggers."""

    columns = ("id", "name", "format", "pattern", "timezone", "next_run_at")

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        with self.open() as refloat:
            return [shown(trigger) for trigger in refloat.schedules.list_triggers()]


class ShowTrigger(ShowOne):
    """Show a trigger."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("trigger", metavar="TRIGGER", help="name or id")
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            return shown(refloat.schedules.find_trigger(parsed_args.trigger))


class SetTrigger(ShowOne):
    """Change a trigger. What is not given stays as it is; what uses it goes on from now."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("trigger", metavar="TRIGGER", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="a new name")
        _add_properties(parser, required=False)
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            trigger = refloat.schedules.find_trigger(parsed_args.trigger)
            changes = _properties(parsed_args)
            properties = {**trigger.properties, **changes} if changes else None
            return shown(refloat.schedules.change_trigger(trigger, parsed_args.name, properties))


class DeleteTrigger(BaseCommand):
    """Delete triggers that no schedule uses."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("trigger", metavar="TRIGGER", nargs="+", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            for trigger in [refloat.schedules.find_trigger(wanted) for wanted in parsed_args.trigger]:
                refloat.schedules.delete_trigger(trigger)
                self.say(f"Deleted trigger {trigger.name} ({trigger.id}).")
