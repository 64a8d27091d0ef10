"""``refloat-manage``: what an operator does besides running the service: database, workers, keys."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from refloat.api import config
from refloat.bank import create_key
from refloat.control import purge as purging
from refloat.control.banks import banks_of_service
from refloat.control.brought_back import Remembered, bring_back
from refloat.control.settings import Settings
from refloat.engine.engine import Engine
from refloat.errors import RefloatError
from refloat.notify.events import Notices
from refloat.providers.banks import BankLocation, Banks
from refloat.providers.provider import Providers
from refloat.records.backup import copy_database
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
    database = categories.add_parser("db", help="the database").add_subparsers(required=True, metavar="DO")
    workers = categories.add_parser("service", help="the workers").add_subparsers(required=True, metavar="DO")

    def command(group: Any, name: str, action: Callable[..., int | None]) -> argparse.ArgumentParser:
        about = (action.__doc__ or "").partition("\n")[0]
        made: argparse.ArgumentParser = group.add_parser(name, help=about, description=about)
        made.set_defaults(action=action)
        return made

    keys = categories.add_parser("key", help="keys of banks").add_subparsers(required=True, metavar="DO")
    made = command(keys, "create", create_bank_key)
    made.add_argument("file", type=Path, metavar="FILE", help="must not be there yet")
    banks = categories.add_parser("bank", help="the providers' banks").add_subparsers(
        required=True, metavar="DO"
    )
    created = command(banks, "create", create_bank)
    accepted = command(banks, "accept", accept_bank)
    for each in (created, accepted):
        each.add_argument("provider", metavar="PROVIDER", help="name or id")
    created.add_argument(
        "--instead-of", metavar="ID", default="", help="of the bank that was there, and will not come back"
    )
    accepted.add_argument("id", metavar="ID", help="of the bank that is there now")
    command(database, "sync", sync)
    command(database, "version", version)
    command(database, "check", check)
    made = command(database, "backup", backup)
    made.add_argument("file", type=Path, metavar="FILE", help="the copy; one that is there is replaced")
    command(database, "restored", restored)
    purged = command(database, "purge", purge)
    purged.add_argument("days", type=_days, metavar="DAYS", help="what is older than so many days")
    purged.add_argument("--dry-run", action="store_true", help="only tell how much it would be")
    listed = command(workers, "list", services)
    outbox = categories.add_parser("notice", help="what is told to others").add_subparsers(
        required=True, metavar="DO"
    )
    left = command(outbox, "list", notices)
    again = command(outbox, "retry", retry_notices)
    again.add_argument("--destination", metavar="NAME", help="only what this one is to be told")
    for told in (purged, listed, left):
        told.add_argument("-f", "--format", choices=("table", "json"), default="table")
    return parser


def _days(told: str) -> int:
    days = int(told)
    if days < 0:
        raise argparse.ArgumentTypeError("days must be 0 or more")
    return days


def sync(chosen: argparse.Namespace, conf: Any) -> None:
    """Make the tables, or bring them up to date. Run it once before anything else is started."""
    settings = config.settings(conf)
    database = Database(settings.database_url, migrate=False)
    try:
        before = database.version()
    finally:
        database.close()
    database = Database(settings.database_url)
    try:
        with Engine(database, OPERATIONS) as engine:
            engine.prepare()
    finally:
        database.close()
    print(f"{_shown(settings)}: schema {HEAD}, was {before or 'empty'}")


def version(chosen: argparse.Namespace, conf: Any) -> None:
    """Print the version of the tables, and the one that this Refloat needs."""
    database = Database(config.settings(conf).database_url, migrate=False)
    try:
        print(f"{database.version() or 'empty'} (this Refloat needs {HEAD})")
    finally:
        database.close()


def check(chosen: argparse.Namespace, conf: Any) -> int:
    """Is the database there, sound, and as this Refloat needs it? 0: yes, 1: no."""
    settings = config.settings(conf)
    database = Database(settings.database_url, migrate=False)
    try:
        wrong = list(faults(database))
    finally:
        database.close()
    for sentence in wrong:
        print(f"{_shown(settings)}: {sentence}", file=sys.stderr)
    if not wrong:
        print(f"{_shown(settings)}: schema {HEAD}, all tables are there")
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
    settings = config.settings(conf)
    database = Database(settings.database_url)
    try:
        seen = Remembered(settings.seen).read(Incarnations(database).read().id)
        parked = bring_back(database, seen, Notices(config.told(conf)))
    finally:
        database.close()
    print(
        f"{_shown(settings)}: {parked} operations are parked. See which have ended since the copy was made."
    )


def purge(chosen: argparse.Namespace, conf: Any) -> None:
    """Forget what ended, checkpoints that were deleted, and notices given up, more than DAYS days ago.

    Operations that tell of a checkpoint which is there, and the last firing of each schedule, stay.
    """
    settings = config.settings(conf)
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=chosen.days)
    database = Database(settings.database_url)
    try:
        old = purging.find(database, before, config.told(conf))
        if not chosen.dry_run:
            with Engine(database, OPERATIONS) as engine:
                old = purging.forget(database, engine, old, lambda told: print(told, file=sys.stderr))
    finally:
        database.close()
    counts = {name: len(found) for name, found in asdict(old).items()}
    if chosen.format == "json":
        print(json.dumps({**counts, "dry_run": chosen.dry_run}))
    else:
        word = "Would forget" if chosen.dry_run else "Forgot"
        told = (
            "ended operations",
            "deleted checkpoints",
            "firings of schedules",
            "notices that could not be told",
        )
        numbers = zip(counts.values(), told, strict=True)
        print(f"{word} {', '.join(f'{number} {what}' for number, what in numbers)}.")


def services(chosen: argparse.Namespace, conf: Any) -> None:
    """List the workers, and whether they live."""
    database = Database(config.settings(conf).database_url)
    try:
        found = ServiceRecords(database).list()
    finally:
        database.close()
    oldest = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=conf.api.service_down_time)
    rows = [
        {
            "id": item.id,
            "binary": item.binary,
            "host": item.host,
            "status": "disabled" if item.disabled else "enabled",
            "state": "up" if item.updated_at >= oldest else "down",
            "updated_at": item.updated_at.isoformat(timespec="seconds"),
            "disabled_reason": item.disabled_reason or "",
        }
        for item in found
    ]
    _print_rows(
        chosen.format, rows, ("id", "binary", "host", "status", "state", "updated_at", "disabled_reason")
    )


def notices(chosen: argparse.Namespace, conf: Any) -> None:
    """List what others are to be told and could not be told yet, and why."""
    database = Database(config.settings(conf).database_url)
    try:
        found = Outbox(database).left()
    finally:
        database.close()
    rows = [
        {
            "id": item.id,
            "destination": item.destination,
            "event_type": item.event_type,
            "subject": item.subject,
            "created_at": item.created_at.isoformat(timespec="seconds"),
            "state": "given up" if item.given_up_at else "waiting",
            "tries": item.tries,
            "reason": item.reason,
        }
        for item in found
    ]
    heads = ("id", "destination", "event_type", "subject", "created_at", "state", "tries", "reason")
    _print_rows(chosen.format, rows, heads)


def retry_notices(chosen: argparse.Namespace, conf: Any) -> None:
    """Have workers try again, now, to tell what could not be told."""
    database = Database(config.settings(conf).database_url)
    try:
        count = Outbox(database).try_again(chosen.destination)
    finally:
        database.close()
    print(f"{count} notices are tried again.")


def _print_rows(form: str, rows: Sequence[dict[str, Any]], heads: Sequence[str]) -> None:
    if form == "json":
        print(json.dumps(rows, indent=2))
        return
    lines = [tuple(heads), *(tuple(str(row[head]) for head in heads) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
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


@contextmanager
def _banks(chosen: argparse.Namespace, conf: Any) -> Iterator[tuple[Banks, BankLocation, str]]:
    """The service's banks, the place of the one that is meant, and the names of those who use it."""
    settings = config.settings(conf)
    providers = Providers(settings.providers, settings.key_file, noop=settings.noop)
    place = providers.find(chosen.provider).bank or settings.bank
    names = ", ".join(each.name for each in providers if (each.bank or settings.bank) == place)
    database = Database(settings.database_url)
    try:
        yield banks_of_service(settings, providers, database, print), place, names
    finally:
        database.close()


def _shown(settings: Settings) -> str:
    return make_url(settings.database_url).render_as_string(hide_password=True)


if __name__ == "__main__":
    sys.exit(main())
