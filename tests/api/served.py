"""The service in this process, over HTTP, in the catalog of an identity service: for its clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import waitress
from api_helpers import DEMO, Running, make_banks, overrides

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from tests.unit.support.cli_helpers import Command, new_user, serve_identity

TOKEN = "secret-token"


@dataclass
class Roles:
    """Whose token it is."""

    roles: str = "member,reader"


@dataclass
class Served:
    """A user of the service.

    :param requests: what it was asked: ``GET /v1/...`` with the query.
    """

    running: Running
    command: Command
    who: Roles
    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve(folder: Path, who: Roles | None = None, **more: Any) -> Iterator[Served]:
    """The service with a worker, and a user who has a clouds.yaml."""
    from api_helpers import Notes

    who = who or Roles()
    requests: list[str] = []

    def authenticate(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            requests.append("{REQUEST_METHOD} {PATH_INFO}?{QUERY_STRING}".format(**environ))
            if environ.get("HTTP_X_AUTH_TOKEN") == TOKEN:
                environ |= {
                    "HTTP_X_IDENTITY_STATUS": "Confirmed",
                    "HTTP_X_PROJECT_ID": DEMO,
                    "HTTP_X_USER_ID": "tester",
                    "HTTP_X_ROLES": who.roles,
                    "HTTP_X_PROJECT_NAME": "admin",
                    "HTTP_X_PROJECT_DOMAIN_NAME": "Default",
                }
            return application(environ, start_response)

        return answer

    authority = Notes()
    deployment = Deployment(config.load([], overrides(folder, **more)), authority)
    make_banks(deployment)
    running = Running(deployment, make_application(deployment, authenticate), authority)
    server = waitress.create_server(running.application, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    url = f"http://127.0.0.1:{server.effective_port}"
    identity = serve_identity(data_protect=f"{url}/v1/{DEMO}")
    running.work()
    try:
        home = folder / "home"
        home.mkdir()
        yield Served(running, new_user(home, identity.server_address[1]), who, url, requests)
    finally:
        identity.shutdown()
        server.close()
        running.close()
