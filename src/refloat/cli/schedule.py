"""``refloat schedule``: what happens when a trigger fires."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
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
from refloat.errors import InvalidInput

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.cli.installation import Installation
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
        "run_by": view.run_by or "nobody. See: refloat schedule install",
    }


_SCHEDULE = Argument("schedule", "name or id")


_RULES = tuple(
    Argument(f"--{name.replace('_', '-')}", words, metavar="N", type=int) for name, words in RULES.items()
)
_RULE_NAMES = (*RULES, "include_manual")
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
        *_RULES,
        _MANUAL,
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        given = parsed_args
        rules = _named(given, _RULE_NAMES)
        made = refloat.schedules.create(
            given.name, given.trigger, given.plan, rules or None, given.description
        )
        if not made.run_by:
            self.say(
                "Nothing on this machine runs it when it is due: see refloat schedule install, or run "
                "refloat schedule run-due from cron, or use a service (--service)."
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
    """Change a schedule: its name, its rules, its plan, its trigger; enable or disable it.

    Rules that are not named stay; one that is 0 is taken away. Its last runs stay. What was missed while it
    was disabled is not made up for.
    """

    examples = """
        refloat schedule set shop --keep-daily 14 --keep-weekly 0
        refloat schedule set shop --trigger hourly --include-manual
    """

    args = (
        _SCHEDULE,
        NEW_NAME,
        NEW_DESCRIPTION,
        Either(
            Argument("--enable", "run it again", dest="enabled", action="store_true", default=None),
            Argument("--disable", "do not run it", dest="enabled", action="store_false"),
        ),
        Argument("--trigger", "another trigger: name or id"),
        Argument("--plan", "another plan: name or id"),
        *_RULES,
        Either(
            _MANUAL,
            Argument(
                "--no-include-manual",
                "they are only for what it has made itself",
                dest="include_manual",
                action="store_false",
            ),
        ),
    )

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        names = ("name", "description", "enabled", "trigger", "plan")
        wanted = {**_named(parsed_args, names), "rules": _named(parsed_args, _RULE_NAMES)}
        found = refloat.schedules.find(parsed_args.schedule).schedule
        return shown(
            refloat.schedules.change(found, **{key: value for key, value in wanted.items() if value != {}})
        )


def _named(parsed_args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """What the user has given of some arguments."""
    return {name: value for name in names if (value := getattr(parsed_args, name)) is not None}


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


class InstallSchedule(ShowOne):
    """Have this machine run what is due, every ten minutes, as the entry of clouds.yaml that is used now.

    Writes a timer for your systemd, or where there is none a line for your crontab, with the command and
    what the environment says of where things are (variables of Refloat, OS_CLIENT_CONFIG_FILE); no
    password. Prints what it has written: scheduler, place, text, changed. Doing it again writes what has
    changed.
    """

    examples = """
        refloat --os-cloud mycloud schedule install
        refloat schedule install --with cron
    """

    args = (
        Argument(
            "--with", "the scheduler; else the one there is", dest="scheduler", choices=("systemd", "cron")
        ),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        here = _installation(self)
        written = here.install(parsed_args.scheduler or here.scheduler())
        if written.scheduler == "systemd":
            self.say("It runs while you are logged in; always, after: loginctl enable-linger")
        return asdict(written)


class UninstallSchedule(BaseCommand):
    """Take away what 'schedule install' has written. The schedules stay, and nothing here runs them."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        gone = _installation(self).uninstall()
        self.say("\n".join(f"Removed {each}." for each in gone) or "There was nothing to remove.")


def _installation(command: BaseCommand) -> Installation:
    from refloat.cli.installation import Installation

    if command.app.service:
        raise InvalidInput("the service's workers run what is due", advice="Leave it to them")
    return Installation(command.app.options.os_cloud)


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
