"""``refloat-manage``: what an operator does besides running the service: database, workers, keys."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from refloat.api import config
from refloat.bank import create_key
from refloat.cli.bank_command import INSTEAD_OF, NEW_BANK
from refloat.cli.base import Argument
from refloat.cloud import Cloud
from refloat.control import attaching, reassigning
from refloat.control import purge as purging
from refloat.control.bank_looks import BankLooks
from refloat.control.banks import banks_of_service
from refloat.control.brought_back import Remembered, bring_back
from refloat.engine.engine import Engine
from refloat.errors import RefloatError
from refloat.notify.events import Notices
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Providers
from refloat.records.backup import copy_database
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.database import HEAD, Database
from refloat.records.incarnation import Incarnations
from refloat.records.outbox import Outbox
from refloat.records.services import ServiceRecords
from refloat.records.tables import OPERATIONS, Base


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 0 done, 1 failed or not as it should be, 2 wrong use."""
    chosen = _parser().parse_args(argv)
    try:
        conf = config.load(chosen.config_file) if chosen.action is not create_bank_key else None
        return int(chosen.action(chosen, conf) or 0)
    except RefloatError as exc:
        print(f"refloat-manage: {exc}", file=sys.stderr)
        return exc.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refloat-manage", description="What an operator does besides running the service."
    )
    parser.add_argument(
        "--config-file",
        metavar="FILE",
        action="append",
        help="can be repeated (default: REFLOAT_CONFIG, or /etc/refloat/refloat.conf when it is there)",
    )
    categories = parser.add_subparsers(required=True, metavar="COMMAND")
    for category, (about, commands) in _COMMANDS.items():
        group = categories.add_parser(category, help=about).add_subparsers(required=True, metavar="DO")
        for name, (action, *arguments) in commands.items():
            summary = (action.__doc__ or "").partition("\n")[0]
            made = group.add_parser(name, help=summary, description=summary)
            made.set_defaults(action=action)
            for each in arguments:
                each.add_to(made)
    return parser


def _days(told: str) -> int:
    days = int(told)
    if days < 0:
        raise argparse.ArgumentTypeError("days must be 0 or more")
    return days


def _opened(conf: Any, *, migrate: bool = True) -> Database:
    return Database(config.settings(conf).database_url, migrate=migrate)


def sync(chosen: argparse.Namespace, conf: Any) -> None:
    """Make the tables, or bring them up to date. Run it once before anything else is started."""
    with _opened(conf, migrate=False) as database:
        before = database.version()
    with _opened(conf) as database, Engine(database, OPERATIONS) as engine:
        engine.prepare()
    print(f"{_shown(conf)}: schema {HEAD}, was {before or 'empty'}")


def version(chosen: argparse.Namespace, conf: Any) -> None:
    """Print the version of the tables, and the one that this Refloat needs."""
    with _opened(conf, migrate=False) as database:
        print(f"{database.version() or 'empty'} (this Refloat needs {HEAD})")


def check(chosen: argparse.Namespace, conf: Any) -> int:
    """Is the database there, sound, and as this Refloat needs it? 0: yes, 1: no."""
    with _opened(conf, migrate=False) as database:
        wrong = list(faults(database))
    for sentence in wrong:
        print(f"{_shown(conf)}: {sentence}", file=sys.stderr)
    if not wrong:
        print(f"{_shown(conf)}: schema {HEAD}, all tables are there")
    return 1 if wrong else 0


def faults(database: Database) -> Sequence[str]:
    """What is wrong with a database, in sentences. :raises RefloatError: it cannot be opened."""
    found = database.version()
    if found != HEAD:
        advice = "upgrade Refloat" if (found or "") > HEAD else "run refloat-manage db sync"
        return [f"the schema is {found or 'empty'}, this Refloat needs {HEAD}: {advice}"]
    with database.engine.connect() as connection:
        there = set(inspect(connection).get_table_names())
        wrong = [f"table {name} is missing" for name in sorted(set(Base.metadata.tables) - there)]
        if database.engine.dialect.name == "sqlite":
            said = connection.scalars(text("PRAGMA quick_check")).all()
            wrong += [f"SQLite: {line}" for line in said if line != "ok"]
    return wrong


def backup(chosen: argparse.Namespace, conf: Any) -> None:
    """Make a consistent copy of an SQLite database, also while it is in use; of PostgreSQL, say what does."""
    url = config.settings(conf).database_url
    size = copy_database(url, chosen.file)
    print(f"{chosen.file}: {size} bytes. When it is brought back, say so: refloat-manage db restored")


def restored(chosen: argparse.Namespace, conf: Any) -> None:
    """Say that the database was brought back from a copy: operations that had not ended are parked.

    Workers notice it by themselves where the host, or a bank, remembers the database. What is parked goes on
    only when it is resumed, and is undone only when it is cancelled.
    """
    with _opened(conf) as database:
        seen = Remembered(config.settings(conf).seen).read(Incarnations(database).read().id)
        parked = bring_back(database, seen, Notices(config.told(conf)))
    print(f"{_shown(conf)}: {parked} operations are parked. See which have ended since the copy was made.")


def purge(chosen: argparse.Namespace, conf: Any) -> None:
    """Forget what ended, checkpoints that were deleted, and notices given up, more than DAYS days ago.

    Operations that tell of a checkpoint which is there, and the last firing of each schedule, stay.
    """
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=chosen.days)
    with _opened(conf) as database:
        old = purging.find(database, before, config.told(conf))
        if not chosen.dry_run:
            with Engine(database, OPERATIONS) as engine:
                old = purging.forget(database, engine, old, lambda told: print(told, file=sys.stderr))
    counts = {name: len(found) for name, found in asdict(old).items()}
    if chosen.format == "json":
        print(json.dumps({**counts, "dry_run": chosen.dry_run}))
        return
    told = (
        f"{counts['operations']} ended operations",
        f"{counts['checkpoints']} deleted checkpoints",
        f"{counts['firings']} firings of schedules",
        f"{counts['notices']} notices that could not be told",
    )
    print(f"{'Would forget' if chosen.dry_run else 'Forgot'} {', '.join(told)}.")


def services(chosen: argparse.Namespace, conf: Any) -> None:
    """List the workers, and whether they live."""
    with _opened(conf) as database:
        found = ServiceRecords(database).list()
    oldest = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=conf.api.service_down_time)
    _print_rows(
        chosen.format,
        ("id", "binary", "host", "status", "state", "updated_at", "disabled_reason"),
        [
            (
                *(item.id, item.binary, item.host),
                "disabled" if item.disabled else "enabled",
                "up" if item.updated_at >= oldest else "down",
                item.updated_at.isoformat(timespec="seconds"),
                item.disabled_reason or "",
            )
            for item in found
        ],
    )


def notices(chosen: argparse.Namespace, conf: Any) -> None:
    """List what others are to be told and could not be told yet, and why."""
    with _opened(conf) as database:
        found = Outbox(database).left()
    _print_rows(
        chosen.format,
        ("id", "destination", "event_type", "subject", "created_at", "state", "tries", "reason"),
        [
            (
                *(item.id, item.destination, item.event_type, item.subject),
                item.created_at.isoformat(timespec="seconds"),
                "given up" if item.given_up_at else "waiting",
                *(item.tries, item.reason),
            )
            for item in found
        ],
    )


def retry_notices(chosen: argparse.Namespace, conf: Any) -> None:
    """Have workers try again, now, to tell what could not be told."""
    with _opened(conf) as database:
        count = Outbox(database).try_again(chosen.destination)
    print(f"{count} notices are tried again.")


def _print_rows(form: str, heads: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if form == "json":
        print(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2))
        return
    lines = [tuple(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())


def create_bank_key(chosen: argparse.Namespace, _conf: None) -> None:
    """Make a key for a new bank, where the service cannot write one itself; needs no configuration."""
    create_key(chosen.file)
    print(f"{chosen.file}: keep a copy elsewhere. Without it no checkpoint can be read.")


def create_bank(chosen: argparse.Namespace, conf: Any) -> None:
    """Make the bank of a provider, where there is nothing yet, and its key, where there is none."""
    with _banks(chosen, conf) as (banks, place, names):
        bank = banks.make(place, chosen.instead_of)
        print(f"{bank.url}: the bank {bank.id} of {names}")


def accept_bank(chosen: argparse.Namespace, conf: Any) -> None:
    """Let another bank take the place of a provider's, which is known by its id."""
    with _banks(chosen, conf) as (banks, place, names):
        was = sorted(filter(None, set(banks.accept(place, chosen.id).values())))
        print(f"{place.url}: the bank {chosen.id} of {names}; it was: {', '.join(was) or 'not known'}")


def attach_bank(chosen: argparse.Namespace, conf: Any) -> None:
    """Make a bank that was found known, as that of a new provider, and take up what is in it."""
    settings = config.settings(conf)

    def known() -> Providers:
        return Providers(settings.providers, settings.key_file, noop=settings.noop)

    with _opened(conf) as database:
        path = attaching.attach(settings.providers, known(), chosen.provider, chosen.url, chosen.key)
        banks = banks_of_service(settings, known(), database, print)
        BankLooks(database, known(), banks, settings.bank).look()
    print(f"{path}: the provider {chosen.provider}. Copy it to all hosts; restart the API and the workers.")
    print("What is in it: refloat-manage checkpoint projects")


def projects(chosen: argparse.Namespace, conf: Any) -> None:
    """List the projects that have checkpoints, and whether the identity service knows them."""
    with _opened(conf) as database, closing(Cloud(chosen.os_cloud)) as cloud:
        rows = [
            (
                project_id,
                "yes" if reassigning.lives(cloud, project_id) else "no",
                count,
                origin,
                f"{newest:%Y-%m-%d %H:%M}",
            )
            for project_id, (count, origin, newest) in CheckpointRecords(database).of_projects().items()
        ]
    _print_rows(chosen.format, ("project_id", "known", "checkpoints", "reassigned_from", "newest"), rows)


def reassign(chosen: argparse.Namespace, conf: Any) -> int:
    """Give the checkpoints of a project that is gone to one that lives, or back."""
    with _opened(conf) as database:
        found = reassigning.find(database, chosen.from_project, chosen.to_project)
        with closing(Cloud(chosen.os_cloud)) as cloud:
            reassigning.refuse(cloud, found)
        for record in found.checkpoints:
            plan = str(record.plan.get("name", ""))
            print(f"{record.id}  {record.created_at:%Y-%m-%d %H:%M}  {record.status}  {plan}")
        what = f"{len(found.checkpoints)} checkpoints of the project {found.source}"
        back = ", which they came from" if found.back else ", whose members will see and restore them"
        print(f"{what} go to the project {found.target}{back}.")
        if not (chosen.yes or _agreed()):
            print("Nothing was changed. To do it without being asked: --yes", file=sys.stderr)
            return 1
        reassigning.reassign(database, found)
    print(f"Done. To take it back: --from-project {found.target} --to-project {found.source}")
    return 0


def _agreed() -> bool:
    """Whether a person at a terminal says so."""
    if not sys.stdin.isatty():
        return False
    print("Go on (yes or no)? ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def _banks(chosen: argparse.Namespace, conf: Any) -> Iterator[tuple[Banks, BankLocation, str]]:
    """The service's banks, the place of the one that is meant, and the names of those who use it."""
    settings = config.settings(conf)
    providers = Providers(settings.providers, settings.key_file, noop=settings.noop)
    place = providers.find(chosen.provider).bank or settings.bank
    names = ", ".join(each.name for each in providers if (each.bank or settings.bank) == place)
    with _opened(conf) as database:
        yield banks_of_service(settings, providers, database, print), place, names


def _shown(conf: Any) -> str:
    return make_url(config.settings(conf).database_url).render_as_string(hide_password=True)


_FORMAT = Argument("-f", None, "--format", choices=("table", "json"), default="table")
_OS_CLOUD = Argument(
    "--os-cloud",
    "the entry of clouds.yaml of one who may see projects (default: OS_CLOUD, OS_*)",
    metavar="NAME",
)
_PROVIDER = Argument("provider", "name or id")
_COMMANDS: Mapping[str, tuple[str, Mapping[str, tuple[Any, ...]]]] = {
    "db": (
        "the database",
        {
            "sync": (sync,),
            "version": (version,),
            "check": (check,),
            "backup": (backup, Argument("file", "the copy; one that is there is replaced", type=Path)),
            "restored": (restored,),
            "purge": (
                purge,
                Argument("days", "what is older than so many days", type=_days),
                Argument("--dry-run", "only tell how much it would be", action="store_true"),
                _FORMAT,
            ),
        },
    ),
    "service": ("the workers", {"list": (services, _FORMAT)}),
    "key": (
        "keys of banks",
        {"create": (create_bank_key, Argument("file", "must not be there yet", type=Path))},
    ),
    "bank": (
        "the providers' banks",
        {
            "create": (create_bank, _PROVIDER, INSTEAD_OF),
            "accept": (accept_bank, _PROVIDER, NEW_BANK),
            "attach": (
                attach_bank,
                Argument("provider", "a name for it"),
                Argument("url", "of the bank"),
                Argument("--key", "its key", metavar="FILE", type=Path, required=True),
            ),
        },
    ),
    "checkpoint": (
        "checkpoints of projects that are gone",
        {
            "projects": (projects, _OS_CLOUD, _FORMAT),
            "reassign": (
                reassign,
                Argument("--from-project", "the one that is gone", metavar="ID", required=True),
                Argument("--to-project", "the one that is to have them", metavar="ID", required=True),
                Argument("--yes", "do not ask", action="store_true"),
                _OS_CLOUD,
            ),
        },
    ),
    "notice": (
        "what is told to others",
        {
            "list": (notices, _FORMAT),
            "retry": (
                retry_notices,
                Argument("--destination", "only what this one is to be told", metavar="NAME"),
            ),
        },
    ),
}
"""What there is, in its categories: the function that does it, then its arguments."""


if __name__ == "__main__":
    sys.exit(main())
