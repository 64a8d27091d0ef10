"""``refloat-manage``: what an operator does to the service's database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from refloat.api import config
from refloat.engine.engine import Engine
from refloat.errors import RefloatError
from refloat.operations.settings import Settings
from refloat.records.database import HEAD, Database


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 0 done, 1 failed or not as it should be, 2 wrong use."""
    chosen = _parser().parse_args(argv)
    try:
        return int(chosen.action(chosen, config.load(chosen.config_file)) or 0)
    except RefloatError as exc:
        print(f"refloat-manage: {exc}", file=sys.stderr)
        return exc.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refloat-manage", description="What an operator does to the service's database."
    )
    parser.add_argument(
        "--config-file",
        metavar="FILE",
        action="append",
        help="can be repeated (default: REFLOAT_CONFIG, or /etc/refloat/refloat.conf when it is there)",
    )
    categories = parser.add_subparsers(required=True, metavar="COMMAND")
    database = categories.add_parser("db", help="the database").add_subparsers(required=True, metavar="DO")

    def command(group: Any, name: str, action: Callable[..., int | None]) -> argparse.ArgumentParser:
        about = (action.__doc__ or "").partition("\n")[0]
        made: argparse.ArgumentParser = group.add_parser(name, help=about, description=about)
        made.set_defaults(action=action)
        return made

    command(database, "sync", sync)
    command(database, "version", version)
    return parser


def sync(chosen: argparse.Namespace, conf: Any) -> None:
    """Make the tables, or bring them up to date. Run it once before anything else is started."""
    settings = config.settings(conf)
    database = Database(settings.database_url, migrate=False)
    try:
        before = database.version()
    finally:
        database.close()
    Database(settings.database_url).close()
    with Engine(settings.engine_url) as engine:
        engine.prepare()
    print(f"{_shown(settings)}: schema {HEAD}, was {before or 'empty'}")


def version(chosen: argparse.Namespace, conf: Any) -> None:
    """Print the version of the tables, and the one that this Refloat needs."""
    database = Database(config.settings(conf).database_url, migrate=False)
    try:
        print(f"{database.version() or 'empty'} (this Refloat needs {HEAD})")
    finally:
        database.close()


def _shown(settings: Settings) -> str:
    from sqlalchemy.engine import make_url

    return make_url(settings.database_url).render_as_string(hide_password=True)


if __name__ == "__main__":
    sys.exit(main())
