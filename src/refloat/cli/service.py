"""``refloat serve``, ``api`` and ``worker``: the REST service. They need the extra ``refloat[service]``."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from refloat.cli.base import BaseCommand
from refloat.errors import InvalidInput


class _Service(BaseCommand):
    """What they share."""

    api: ClassVar[bool] = False
    worker: ClassVar[bool] = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--config-file",
            metavar="FILE",
            action="append",
            help="can be repeated (default: REFLOAT_CONFIG, or /etc/refloat/refloat.conf when it is there)",
        )
        if self.api:
            parser.add_argument("--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
            parser.add_argument("--port", metavar="PORT", type=int, help="default: 8799")
            parser.add_argument(
                "--noauth",
                action="store_true",
                help="believe every token USER:PROJECT, and work as --os-cloud: only for trying out",
            )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        try:
            from refloat.api import config, server
        except ImportError as exc:
            raise InvalidInput(
                "the service is not installed", reason=str(exc), advice="pip install 'refloat[service]'"
            ) from exc
        conf = config.load(parsed_args.config_file, self._overrides(parsed_args))
        server.run(conf, api=self.api, worker=self.worker, say=self.say)

    def _overrides(self, parsed_args: argparse.Namespace) -> list[tuple[str, str, Any]]:
        found: list[tuple[str, str, Any]] = []
        if self.app.options.os_cloud:
            found.append(("operations", "cloud", self.app.options.os_cloud))
        if not self.api:
            return found
        if parsed_args.noauth:
            found += [("api", "auth_strategy", "noauth"), ("operations", "authority", "cloud")]
        found += [("api", name, getattr(parsed_args, name)) for name in ("host", "port")]
        return [item for item in found if item[2] is not None]


class Serve(_Service):
    """Run the REST API and a worker in one process.

    Enough for a small place, on SQLite. Ctrl-C or SIGTERM stops it; operations that run are parked and go on
    at the next start.
    """

    api = True
    worker = True
    examples = """
        refloat serve --config-file /etc/refloat/refloat.conf
        refloat --os-cloud mycloud serve --noauth      # trying it out, on this machine alone
    """


class Api(_Service):
    """Run the REST API. Workers do what it is asked for: see 'refloat worker'."""

    api = True


class Work(_Service):
    """Run a worker: it does what the REST API was asked for. Several may share one PostgreSQL database."""

    worker = True
