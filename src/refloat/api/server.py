"""Runs the API, a worker, or both, in this process, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import waitress

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.api.noauth import is_loopback
from refloat.control.fairness import Fairness
from refloat.control.metrics import Metrics, bank_sizes
from refloat.control.worker import Worker
from refloat.engine.program import Milestone
from refloat.errors import InvalidInput
from refloat.log_context import set_up_logs
from refloat.notify.delivery import Deliveries, Destination
from refloat.notify.messaging import NAME, Notifier
from refloat.records.outbox import Outbox
from refloat.schedule.firings import Firings
from refloat.schedule.runner import Runner

_LOG = logging.getLogger(__name__)


def run(conf: Any, *, api: bool, worker: bool, say: Callable[[str], None]) -> None:
    """Run until SIGTERM or Ctrl-C; what the worker runs is then parked, for the next worker to go on with.

    A second signal ends the process at once.

    :param say: told, in a sentence, what is running.
    """
    set_up_logs(conf)
    stopped = _hear_signals()
    with ExitStack() as closing:
        deployment = Deployment(conf)
        closing.callback(deployment.close)
        metrics = make_metrics(deployment) if conf.metrics.port else None
        if metrics is not None:
            closing.callback(metrics.serve(conf.metrics.host, conf.metrics.port))
        if worker:
            works = make_worker(deployment, metrics.tell if metrics else None)
            if metrics is not None:
                metrics.looks = lambda: works.bank_looks.found
            deliveries = make_deliveries(deployment)
            closing.callback(deliveries.close)
            deliveries.start()
            working: list[Worker | Runner] = [works, make_runner(deployment, wake=works.wake)]
            deployment.wake = lambda: _wake(working)
            for each in working:
                closing.callback(each.close)
                each.start()
            say("The worker is running.")
        if api:
            server = _listen(deployment)
            closing.callback(server.close)
            say(f"The API listens on http://{server.effective_host}:{server.effective_port}/v1.")
        _tell_systemd("READY=1")
        # In short pieces, so that Ctrl-C is heard everywhere.
        while not stopped.wait(1.0):
            continue
        _tell_systemd("STOPPING=1")
        say("Stopping: what runs comes to its end.")


def _hear_signals() -> threading.Event:
    """Set by the first signal; a second one ends the process: others take over what runs in it."""
    stopped = threading.Event()

    def stop(_number: int, _frame: Any) -> None:
        if stopped.is_set():
            os._exit(1)
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped


def _tell_systemd(state: str) -> None:
    """Tell how it goes to systemd, if that started this as a unit of Type=notify (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        connection.send(state.encode())


def _wake(working: Sequence[Worker | Runner]) -> None:
    for each in working:
        each.wake()


def make_metrics(deployment: Deployment) -> Metrics:
    """The metrics of this process. :raises InvalidInput: their library is not installed."""
    return Metrics(
        deployment.database,
        lambda: bank_sizes(
            deployment.banks, [provider.bank or deployment.settings.bank for provider in deployment.providers]
        ),
    )


def make_worker(deployment: Deployment, milestones: Callable[[Milestone], None] | None = None) -> Worker:
    """A worker for a deployment.

    :param milestones: told when a run of an operation begins or ends in it.
    """
    options = deployment.conf.operations
    return Worker(
        deployment.settings,
        deployment.database,
        deployment.providers,
        deployment.authority,
        deployment.grants,
        at_once=options.at_once,
        rules=Fairness(
            priorities=_numbers(options, "priorities", least=-1000),
            weights=_numbers(options, "project_weights"),
            per_project=options.per_project,
            project_limits=_numbers(options, "project_limits", least=0),
        ),
        quotas=deployment.quotas,
        max_resources=options.max_resources,
        limits=_numbers(options, "limits"),
        drain_time=options.drain_time,
        milestones=milestones,
        name=options.worker_name or "",
        notices=deployment.notices,
    )


def _numbers(options: Any, name: str, least: int = 1) -> dict[str, int]:
    """An option of ``NAME:NUMBER, ...``. :raises InvalidInput: it is not."""
    try:
        found = {key: int(number) for key, number in options[name].items()}
    except ValueError as exc:
        raise InvalidInput(f"{name} in [operations] is NAME:NUMBER, ...", reason=str(exc)) from exc
    for key, number in found.items():
        if number < least:
            raise InvalidInput(f"{name} in [operations]: {key} must be at least {least}, not {number}")
    return found


def make_runner(deployment: Deployment, *, wake: Callable[[], None] = lambda: None) -> Runner:
    """What runs a deployment's schedules, in the process of a worker.

    :param wake: called when there is a new operation for the worker.
    """
    firings = Firings(deployment.database, deployment.submitter, notices=deployment.notices)
    return Runner(deployment.database, deployment.schedules, firings, deployment.authority, wake=wake)


def make_deliveries(deployment: Deployment) -> Deliveries:
    """What carries notices to where the operator wants them, in the process of a worker."""
    destinations: list[Destination] = [*config.webhooks(deployment.conf)]
    if NAME in deployment.told:
        destinations.append(Notifier(deployment.conf, f"data_protect.{socket.gethostname()}"))
    return Deliveries(Outbox(deployment.database), destinations, deployment.conf.notifications.tries)


def _listen(deployment: Deployment) -> Any:
    conf = deployment.conf
    if conf.api.auth_strategy == "noauth" and not is_loopback(conf.api.host):
        raise InvalidInput(
            f"without authentication the API does not listen on {conf.api.host}",
            reason="everybody who reaches it is an administrator",
            advice="Leave host out: it is then this machine alone",
        )
    server = waitress.create_server(
        make_application(deployment),
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
