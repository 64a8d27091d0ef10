"""``refloat schedule``: what happens when a trigger fires."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from refloat.cli.base import (
    DESCRIPTION,
    NEW_DESCRIPTION,
    NEW_NAME,
    Argument,
    BaseCommand,
    Either,
    Lister,
    ShowOne,
)
from refloat.cli.output import Items, Time
from refloat.cli.running import Stopped
from refloat.cli.trigger import when

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.records.schedules import Firing, Schedule
    from refloat.schedule.view import ScheduleView

RULES = {
    "max_backups": "keep so many",
    "retention_duration": "keep none that is older, in days",
    "keep_hourly": "keep the newest of so many hours",
    "keep_daily": "... of so many days",
    "keep_weekly": "... of so many weeks",
    "keep_monthly": "... of so many months",
    "keep_yearly": "... of so many years",
}


class Runs(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """Runs of a schedule, as :func:`_run` has them."""

    def human_readable(self) -> str:
        return "\n".join(_line(run) for run in self._value)


def _run(firing: Firing) -> Mapping[str, Any]:
    times = {"due_at": firing.due_at, "started_at": firing.claimed_at, "ended_at": firing.ended_at}
    return {
        **{name: getattr(firing, name) for name in ("id", "manual", "state", "reason")},
        **{name: getattr(firing, name) for name in ("operation_id", "checkpoint_id")},
        **{name: when(moment).machine_readable() for name, moment in times.items()},
        "kept": [dict(item) for item in firing.kept],
        "deletions": [dict(item) for item in firing.deletions],
    }


def _line(run: Mapping[str, Any], parts: int = 1) -> str:
    """:param parts: so much of what it kept and deleted is told."""
    from refloat.schedule.view import retained

    text = f"{Time(run['due_at']).human_readable()} {run['state']}"
    if run["checkpoint_id"]:
        text += f" checkpoint {run['checkpoint_id']}"
    text = f"{text}: {run['reason']}" if run["reason"] else text
    told = retained(run["kept"], run["deletions"])
    return "; ".join([text, *told[:1]]) + "".join(f"\n  {line}" for line in told[1:parts])


def teller(command: BaseCommand) -> Callable[[Firing, Schedule], None]:
    """Tells the user what a run came to."""
    return lambda firing, schedule: command.say(f"{schedule.name}: {_line(_run(firing), 100)}")


def shown(view: ScheduleView) -> Mapping[str, Any]:
    schedule, runs = view.schedule, view.runs
    definition = dict(schedule.definition)
    return {
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description or "",
        "operation": schedule.operation_type,
        "trigger": view.trigger,
        "plan_id": definition.pop("plan_id"),
        "provider_id": definition.pop("provider_id"),
        "rules": Items(definition),
        "enabled": schedule.enabled,
        "next_run_at": when(schedule.next_due if schedule.enabled else None),
        "problem": schedule.reason,
        "last_run": runs[0].state if runs else "",
        "last_runs": Runs([_run(firing) for firing in runs]),
    }


_SCHEDULE = Argument("schedule", "name or id")


_MANUAL = Argument(
    "--include-manual",
    "the rules are for checkpoints that were made by hand, too",
    action="store_true",
    default=None,
)


class CreateSchedule(ShowOne):
    """Create a schedule: protect a plan whenever a trigger fires.

    With any of the rules it also deletes those of the checkpoints it has made that no rule keeps: never
    the last good one, none on hold.
    """

    examples = """
        refloat schedule create nightly-shop --trigger nightly --plan shop
        refloat schedule create shop --trigger nightly --plan shop --keep-daily 7 --keep-weekly 4
    """

    args = (
        Argument("name", "what to call it"),
        Argument("--trigger", "name or id", required=True),
        Argument("--plan", "name or id", required=True),
        DESCRIPTION,
        *(
            Argument(f"--{name.replace('_', '-')}", words, metavar="N", type=int)
            for name, words in RULES.items()
        ),
        _MANUAL,
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        given = parsed_args
        names = (*RULES, "include_manual")
        rules = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
        made = refloat.schedules.create(
            given.name, given.trigger, given.plan, rules or None, given.description
        )
        return shown(made)


class ListSchedule(Lister):
    """List the project's schedules."""

    columns = ("id", "name", "operation", "trigger", "enabled", "next_run_at", "last_run", "problem")

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        return [shown(view) for view in refloat.schedules.list()]


class ShowSchedule(ShowOne):
    """Show a schedule, its next run and its last ones."""

    args = (_SCHEDULE,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        return shown(refloat.schedules.find(parsed_args.schedule))


class SetSchedule(ShowOne):
    """Rename, enable or disable a schedule. What was missed meanwhile is not made up for."""

    args = (
        _SCHEDULE,
        NEW_NAME,
        NEW_DESCRIPTION,
        Either(
            Argument("--enable", "run it again", dest="enabled", action="store_true", default=None),
            Argument("--disable", "do not run it", dest="enabled", action="store_false"),
        ),
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        wanted = {name: getattr(parsed_args, name) for name in ("name", "description", "enabled")}
        found = refloat.schedules.find(parsed_args.schedule).schedule
        given = {name: value for name, value in wanted.items() if value is not None}
        return shown(refloat.schedules.change(found, **given))


class DeleteSchedule(BaseCommand):
    """Delete schedules. Their checkpoints stay."""

    args = (Argument("schedule", "name or id", nargs="+"),)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            wanted = [refloat.schedules.find(name).schedule for name in parsed_args.schedule]
            for found in wanted:
                refloat.schedules.delete(found)
                self.say(f"Deleted schedule {found.name} ({found.id}).")


class RunSchedule(BaseCommand):
    """Run a schedule now, and wait for it."""

    args = (_SCHEDULE,)

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        with self.open() as refloat:
            schedule = refloat.schedules.find(parsed_args.schedule).schedule
            try:
                bad = refloat.schedules.run(schedule, teller(self))
            except KeyboardInterrupt:
                if refloat.runs_elsewhere():
                    self.say(f"The run goes on. See: refloat schedule show {parsed_args.schedule}")
                    raise Stopped("told") from None
                raise
        return 1 if bad else 0


class RunDue(BaseCommand):
    """Run all that is due, and end: for cron, where neither 'refloat serve' nor 'refloat worker' runs."""

    examples = """
        */10 * * * * refloat --os-cloud mycloud -q schedule run-due
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        with self.open() as refloat:
            return 1 if refloat.schedules.run_due(teller(self)) else 0


class PreviewSchedule(Lister):
    """Say what a run of a schedule would keep and delete now, and by which rule. Deletes nothing.

    It is what comes after the checkpoint that the run makes; when it cannot be made, nothing is deleted.
    """

    columns = ("checkpoint", "created_at", "keep", "rule")
    args = (_SCHEDULE,)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        found = refloat.schedules.preview(refloat.schedules.find(parsed_args.schedule).schedule)
        if not all(verdict.keep for verdict in found.verdicts):
            whole = found.proves or "the checkpoint which the run makes"
            self.say(f"Nothing is deleted unless it can be shown then that {whole} is whole.")
        return [
            {
                "checkpoint": verdict.id,
                "created_at": when(verdict.created_at),
                "keep": verdict.keep,
                "rule": verdict.rule,
            }
            for verdict in found.verdicts
        ]
