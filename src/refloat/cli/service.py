"""``refloat serve``, ``api`` and ``worker``: the REST service. They need the extra ``refloat[service]``."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from refloat.cli.base import Args, Argument, BaseCommand
from refloat.errors import InvalidInput

_CONFIG = Argument(
    "--config-file",
    "can be repeated (default: REFLOAT_CONFIG, or /etc/refloat/refloat.conf when it is there)",
    metavar="FILE",
    action="append",
)
_LISTEN = (
    Argument("--host", "where to listen (default: 127.0.0.1)", metavar="ADDRESS"),
    Argument("--port", "default: 8799", type=int),
    Argument(
        "--noauth",
        "believe every token USER:PROJECT, and work as --os-cloud: only for trying out",
        action="store_true",
    ),
)


class _Service(BaseCommand):
    """What they share."""

    args: ClassVar[Args] = (_CONFIG,)
    api: ClassVar[bool] = False
    worker: ClassVar[bool] = False

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

    api = worker = True
    args = (_CONFIG, *_LISTEN)
    examples = """
        refloat serve --config-file /etc/refloat/refloat.conf
        refloat --os-cloud mycloud serve --noauth      # trying it out, on this machine alone
    """


class Api(_Service):
    """Run the REST API. Workers do what it is asked for: see 'refloat worker'."""

    api = True
    args = (_CONFIG, *_LISTEN)


class Work(_Service):
    """Run a worker: it does what the REST API was asked for. Several may share one PostgreSQL database."""

    worker = True
