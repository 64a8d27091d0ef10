"""Runs the API, a worker, or both, in this process, until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import waitress

from refloat.api.app import make_application
from refloat.api.site import Site
from refloat.errors import InvalidInput
from refloat.operations.worker import Worker
from refloat.schedule.runner import Runner
from refloat.schedule.starting import Starting

_LOG = logging.getLogger(__name__)


def run(conf: Any, *, api: bool, worker: bool, say: Callable[[str], None]) -> None:
    """Run until SIGTERM or Ctrl-C; what the worker runs is then parked, for the next worker to go on with.

    :param say: told, in a sentence, what is running.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    site = Site(conf)
    working: list[Worker | Runner] = []
    if worker:
        works = make_worker(site)
        working = [works, make_runner(site, wake=works.wake)]
    server = None
    try:
        site.wake = lambda: _wake(working)
        for each in working:
            each.start()
        if working:
            say("The worker is running.")
        if api:
            server = _listen(site)
            say(f"The API listens on http://{server.effective_host}:{server.effective_port}/v1.")
        # In short pieces, so that Ctrl-C is heard everywhere.
        while not stopped.wait(1.0):
            continue
        say("Stopping: what runs comes to its end.")
    finally:
        if server is not None:
            server.close()
        for each in reversed(working):
            each.close()
        site.close()


def _wake(working: Sequence[Worker | Runner]) -> None:
    for each in working:
        each.wake()


def make_worker(site: Site) -> Worker:
    """A worker for a site."""
    return Worker(
        site.settings,
        site.database,
        site.providers,
        site.authority,
        site.grants,
        at_once=site.conf.operations.at_once,
    )


def make_runner(site: Site, *, wake: Callable[[], None] = lambda: None) -> Runner:
    """What runs a site's schedules, in the process of a worker.

    :param wake: called when there is a new operation for the worker.
    """
    starting = Starting(site.database, site.providers, site.quotas)
    return Runner(site.database, site.schedules, starting, site.authority, wake=wake)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(site: Site) -> Any:
    conf = site.conf
    if conf.api.auth_strategy == "noauth" and not _is_loopback(conf.api.host):
        raise InvalidInput(
            f"without authentication the API does not listen on {conf.api.host}",
            reason="everybody who reaches it is an administrator",
            advice="Leave host out: it is then this machine alone",
        )
    server = waitress.create_server(
        make_application(site),
        host=conf.api.host,
        port=conf.api.port,
        threads=conf.api.threads,
        ident="refloat",
        # The size limit of oslo.middleware answers; this is for what comes in pieces of untold size.
        max_request_body_size=4 * conf.oslo_middleware.max_request_body_size,
        clear_untrusted_proxy_headers=False,
    )
    threading.Thread(target=server.run, name="api", daemon=True).start()
    return server
