"""The service in this process: real but for the identity service and the cloud."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falcon import testing

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.api.routes import ROUTES
from refloat.api.schemas import FAULT
from refloat.api.server import make_runner, make_worker
from refloat.api.validation import check
from refloat.cloud import Cloud
from refloat.cloud.authority import AuthorityGone, Caller, SessionCloud
from refloat.control.worker import Worker
from refloat.schedule.runner import Runner

DEMO = "5a1f7c3e5a1f7c3e5a1f7c3e5a1f7c3e"
OTHER = "0123456789abcdef0123456789abcdef"
NOWHERE = "e3631e1e-6cc9-485a-8588-d2a2f3c6c268"
NOOP = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03"
DEFAULT = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b01"
DEADLINE = 60.0


class Notes:
    """An authority that notes what is granted and given back; its clouds are nowhere."""

    def __init__(self) -> None:
        self.granted: list[str] = []
        self.revoked: list[str] = []
        self.gone: set[str] = set()
        self.unlisted: set[str] = set()
        self.logins: list[tuple[str, dict[str, Any]]] = []

    def caller(self, caller: Caller) -> Cloud:
        return SessionCloud(None, caller.project_id)

    def login(self, target: str, auth: Any) -> Caller:
        self.logins.append((target, dict(auth)))
        return Caller(auth["username"], "e" * 32, target="there")

    def strays(self, target: str, grantings: Any) -> list[Any]:
        left = set(self.granted) - set(self.revoked) - self.unlisted
        return [
            next(({"id": name} for name in left if name.startswith(f"{granting.user_id} ")), None)
            for granting in grantings
        ]

    def grant(self, caller: Caller, until: Any = None) -> dict[str, Any]:
        self.granted.append(f"{caller.user_id} {len(self.granted)}")
        return {"id": self.granted[-1], "project_id": caller.project_id}

    def cloud(self, granted: Any) -> Cloud:
        return SessionCloud(None, granted["project_id"])

    def revoke(self, granted: Any) -> None:
        self.revoked.append(granted["id"])

    def check(self, granted: Any) -> None:
        if granted["id"] in self.gone:
            raise AuthorityGone("the trust is good for nothing any more", reason="the owner has left")


def believe(application: Any) -> Any:
    """WSGI middleware in the place of keystonemiddleware: believes the headers."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        if "HTTP_X_ROLES" in environ:
            environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
        return application(environ, start_response)

    return answer


@dataclass
class Answer:
    """What came back, checked against the schema of the route."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def message(self) -> str:
        (fault,) = self.body.values()
        return str(fault["message"])


def _schema(method: str, path: str, status: int) -> Any:
    parts = path.strip("/").split("/")
    for route in ROUTES:
        wanted = route.path.strip("/").split("/")
        fits = len(parts) == len(wanted) and all(
            w.startswith("{") or w == p for w, p in zip(wanted, parts, strict=True)
        )
        if route.method == method and fits and route.status == status:
            return route.reply
    return None


@dataclass
class User:
    """A caller with a token."""

    application: Any
    project: str = DEMO
    roles: str = "member,reader"
    name: str = "tester"
    project_name: str = "admin"
    domain: str = "Default"
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Send a request; ``path`` is below the project unless it begins with a slash."""
        whole = path if path.startswith("/") else f"/v1/{self.project}/{path}"
        headers = {"X-Project-Id": self.project, "X-User-Id": self.name} | self.headers
        if self.roles:
            headers["X-Roles"] = self.roles
        headers |= {"X-Project-Name": self.project_name, "X-Project-Domain-Name": self.domain}
        if body is not None:
            more["body"] = body if isinstance(body, bytes) else json.dumps(body)
            headers["Content-Type"] = "application/json"
        headers |= more.pop("headers", {})

        result = testing.simulate_request(
            self.application,
            method,
            whole.partition("?")[0],
            query_string=whole.partition("?")[2],
            headers=headers,
            **more,
        )
        found = result.json if result.content else None
        if result.status_code < 400:
            schema = _schema(method, whole.partition("?")[0], result.status_code)
            if schema is not None:
                check(schema, found, "the reply")
        else:
            check(FAULT, found, "the fault")
            assert next(iter(found.values()))["code"] == result.status_code
        assert "x-openstack-request-id" in result.headers
        return Answer(result.status_code, found, dict(result.headers))

    def plan(self, name: str = "app", size: int = 5, provider: str = NOOP, **more: Any) -> Any:
        """A new plan of a made-up application."""
        resources = [{"type": "Refloat::Noop", "id": f"tree-{size}", "name": f"tree:{size}"}]
        plan = {"name": name, "provider_id": provider, "resources": resources, "parameters": {}} | more
        answer = self("POST", "plans", {"plan": plan})
        assert answer.status == 200, answer.body
        return answer.body["plan"]

    def protect(self, plan: Any, extra: Any = None) -> Any:
        """Begin to protect a plan."""
        body = {"checkpoint": {"plan_id": plan["id"], "extra-info": extra}}
        answer = self("POST", f"providers/{plan['provider_id']}/checkpoints", body)
        assert answer.status == 200, answer.body
        return answer.body["checkpoint"]

    def until(self, path: str, wanted: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + DEADLINE
        while True:
            answer = self("GET", path)
            (found,) = answer.body.values()
            if answer.status == 200 and wanted(found):
                return found
            assert time.monotonic() < deadline, answer.body
            time.sleep(0.05)

    def protected(self, plan: Any | None = None) -> Any:
        """A finished checkpoint."""
        made = self.protect(plan or self.plan())
        path = f"providers/{NOOP}/checkpoints/{made['id']}"
        return self.until(path, lambda checkpoint: checkpoint["status"] == "available")


@dataclass
class Running:
    """The service, without a worker until one is started."""

    deployment: Deployment
    application: Any
    authority: Notes
    workers: list[Worker] = field(default_factory=list)
    runners: list[Runner] = field(default_factory=list)

    def work(self) -> Worker:
        """Start a worker."""
        worker = make_worker(self.deployment)
        worker._tick = 0.05
        self.workers.append(worker)
        self.deployment.wake = worker.wake
        worker.start()
        runner = make_runner(self.deployment, wake=worker.wake)
        runner._tick = 0.05
        self.runners.append(runner)
        runner.start()
        return worker

    def all_given_back(self) -> bool:
        """Whether, in a while, nothing is granted any more."""
        deadline = time.monotonic() + DEADLINE
        while set(self.authority.granted) != set(self.authority.revoked):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        """End the workers, then the rest."""
        for each in (*self.runners, *self.workers):
            each.close()
        self.deployment.close()

    def user(self, **more: Any) -> User:
        """A caller."""
        return User(self.application, **more)


def somebody_is_told(folder: Path) -> Path:
    """A configuration by which somebody, who does not answer, is told of all that happens."""
    secret, found = folder / "secret", folder / "refloat.conf"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    secret.chmod(0o600)
    found.write_text(
        f"[notifications]\nwebhooks = ops\n[webhook_ops]\nurl = http://127.0.0.1:9/\nsecret_file = {secret}\n"
    )
    return found


def run_service(folder: Path, *, files: Sequence[Path] = (), **more: Any) -> Running:
    """The service, with everything in one folder."""
    authority = Notes()
    deployment = Deployment(config.load(files, overrides(folder, **more)), authority)
    make_banks(deployment)
    return Running(deployment, make_application(deployment, believe), authority)


def make_banks(deployment: Deployment) -> None:
    """Those of all providers, as an operator does."""
    places = {deployment.bank_location(provider) for provider in deployment.providers}
    for place in places - {found[0] for found in deployment.banks.existing(places)}:
        deployment.banks.make(place)


def overrides(folder: Path, **more: Any) -> list[tuple[str, str, Any]]:
    """Everything in one folder."""
    return [
        ("database", "connection", f"sqlite:///{folder}/refloat.sqlite"),
        ("bank", "url", str(folder / "bank")),
        ("bank", "key_file", str(folder / "bank.key")),
        ("providers", "folder", str(folder / "providers.d")),
        ("providers", "noop", True),
        # No server with so many threads is in front: tests call in as many as they like.
        ("api", "project_requests", 0),
        *((*name.split("__"), value) for name, value in more.items()),
    ]
