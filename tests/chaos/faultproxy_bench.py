"""A project behind the fault proxy, and one protect or restore in it with one fault."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
import yaml

from demo.command import Answer, Command
from demo.inventory import Inventory, inventory
from tests.chaos.faultproxy import Call, Fault, FaultProxy
from tests.chaos.faultproxy_app import build, extra, marked, purge, shape

CALL_SECONDS = 10
"""After so many seconds without an answer the client gives a call up."""
RETRIES = 2
RUN_SECONDS = 900.0
SPOILT = "spoilt"
PLAN = "faulty"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one run.

    :param calls: what was spoilt; several only when each of them was spoilt in the same run.
    :param outcome: ``succeeded``, ``undone``, ``undone later`` (parked or not wholly undone while the service
        was broken; ``refloat operation cancel`` undid it when it was not) or ``refused`` (nothing was begun).
    :param reached: those of them that were made, and so spoilt.
    :param left: what should not be there; and what is missing.
    """

    operation: str
    calls: tuple[str, ...]
    fault: str
    outcome: str
    reached: tuple[str, ...]
    left: tuple[str, ...]
    seconds: int
    said: str

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Spoilt(Command):
    """The command, with a ``clouds.yaml`` that leads through the proxy."""

    config: Path = Path()

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the command runs in."""
        return {**super().environment, "OS_CLIENT_CONFIG_FILE": str(self.config)}


class Bench:
    """An application in a project, the proxy before it, and a command that goes through the proxy.

    :param entry: the user, as an entry of ``clouds.yaml`` (its content).
    """

    def __init__(self, entry: Mapping[str, Any], home: Path) -> None:
        self.cloud = openstack.connect(load_yaml_config=False, load_envvars=False, **entry, api_timeout=120)
        self.proxy = FaultProxy(_addresses(self.cloud))
        self.home = home
        self.calls: list[Call] = []
        self._reference: list[str] = []
        self._checkpoint = ""
        auth = dict(entry["auth"])
        auth["auth_url"] = f"{self.proxy.address('identity')}{urlsplit(auth['auth_url']).path}"
        spoilt = {**entry, "auth": auth, "api_timeout": CALL_SECONDS, "refloat_retries": RETRIES}
        home.mkdir(parents=True, exist_ok=True)
        config = home / "clouds.yaml"
        config.write_text(yaml.safe_dump({"clouds": {SPOILT: spoilt}}))
        self.command = Spoilt(home, SPOILT, config=config)

    def __enter__(self) -> Bench:
        self.proxy.__enter__()
        self.empty = self.held()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.proxy.heal()
        purge(self.cloud, self.empty, self.held())
        self.proxy.__exit__()
        self.cloud.close()

    def held(self) -> Inventory:
        """What the project holds."""
        return inventory(self.cloud)

    def ready_to_protect(self, *, server: bool = True) -> None:
        """Build the application, and a plan for it."""
        named = build(self.cloud, server=server)
        words = [word for name in named for word in ("--resource", name)]
        self.command.run("plan", "create", PLAN, *words)

    def ready_to_restore(self) -> None:
        """Have a checkpoint of the application, and lose the application."""
        made = self.command.json("protect", PLAN)
        self._checkpoint = str(made["id"])
        now = self.held()
        purge(self.cloud, {**self.empty, "backups": now["backups"]}, now)

    def run(self, operation: str, calls: Iterable[Call] = (), fault: Fault | None = None) -> Row:
        """One run; afterwards the project is as before."""
        spoilt = tuple(calls)
        before, banked = self.held(), self._banked()
        self.proxy.spoil(spoilt, fault or Fault("503"))
        words = ("protect", PLAN) if operation == "protect" else ("restore", self._checkpoint)
        begun = time.monotonic()
        answer = self.command.answer(*words, "-f", "json", seconds=RUN_SECONDS)
        seconds = time.monotonic() - begun
        said = answer.stderr.strip().splitlines()[-1:] if answer.status else []
        self.calls = [call for call, _how in self.proxy.calls()]
        self.proxy.heal()
        made = set(self.calls)
        outcome = self._outcome(answer)
        left = self._judge(operation, outcome, answer, before)
        if self._banked() != banked:
            left.append("a checkpoint in the bank")
        purge(self.cloud, before, self.held())
        return Row(
            operation,
            tuple(f"{call.what} #{call.nth}" for call in spoilt),
            str(fault or "none"),
            outcome,
            tuple(f"{call.what} #{call.nth}" for call in spoilt if call in made),
            tuple(left),
            round(seconds),
            " ".join(said)[:400],
        )

    def _outcome(self, answer: Answer) -> str:
        if answer.status == 0:
            return "succeeded"
        if not isinstance(answer.data, dict):
            return "refused"
        identity = str(answer.data.get("operation_id") or answer.data["id"])
        state = str(answer.data["status"])
        if state in {"failed", "cancelled"} and "Left behind" not in str(answer.data.get("error", "")):
            return "undone"
        again = self.command.answer("operation", "cancel", identity, "-f", "json", seconds=RUN_SECONDS)
        ended = (again.data or {}).get("status") if isinstance(again.data, dict) else ""
        return (
            "undone later"
            if ended in {"cancelled", "failed"}
            else f"not undone: {again.stderr.strip()[-300:]}"
        )

    def _judge(self, operation: str, outcome: str, answer: Answer, before: Inventory) -> list[str]:
        """What is wrong."""
        if outcome != "succeeded":
            return extra(before, self.held()) + marked(self.cloud)
        if operation == "protect":
            after = self.held()
            left = extra(before, after, ["backups"])
            if len(after["backups"]) != len(before["backups"]) + 1:
                left.append(f"{len(after['backups']) - len(before['backups'])} backups")
            if answer.data["status"] != "available":
                left.append(f"a checkpoint that is {answer.data['status']}")
            self.command.run("checkpoint", "delete", str(answer.data["id"]))
            return left + extra(before, self.held()) + marked(self.cloud)
        found = shape(self.cloud)
        if not self._reference:
            self._reference = found
        left = [f"extra: {line}" for line in _less(found, self._reference)]
        left += [f"missing: {line}" for line in _less(self._reference, found)]
        return left + marked(self.cloud)

    def _banked(self) -> list[str]:
        place = self.command.bank / "checkpoints"
        return sorted(str(path) for path in place.rglob("*") if path.is_file()) if place.is_dir() else []


def _less(many: list[str], few: list[str]) -> list[str]:
    rest = list(few)
    return [line for line in many if line not in rest or rest.remove(line)]  # type: ignore[func-returns-value]


def _addresses(cloud: Any) -> dict[str, str]:
    """The services' addresses by a short name."""
    names = {"compute": "compute", "network": "network", "image": "image", "identity": "identity"}
    names |= {"block-storage": "volume", "placement": "placement"}
    access = cloud.session.auth.get_access(cloud.session)
    found = {}
    for kind, name in names.items():
        url = urlsplit(access.service_catalog.url_for(service_type=kind, interface="public"))
        found[name] = f"{url.scheme}://{url.netloc}"
    return found


def member_of(admin: Any, name: str) -> dict[str, Any]:
    """Make a project with a user in it, both called so; how it logs in."""
    identity = admin.identity
    project = identity.find_project(name) or identity.create_project(name=name, domain_id="default")
    if identity.find_user(name) is None:
        user = identity.create_user(
            name=name, password=name, domain_id="default", default_project_id=project.id
        )
        role = identity.find_role("member", ignore_missing=False)
        identity.assign_project_role_to_user(project, user, role)
    own = admin.config.get_auth_args()
    return {
        "auth": {
            "auth_url": own["auth_url"],
            "username": name,
            "password": name,
            "project_name": name,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": "RegionOne",
        "identity_api_version": 3,
        "interface": "public",
    }


def remove_member(admin: Any, name: str) -> None:
    """Remove what :func:`member_of` made."""
    identity = admin.identity
    project = identity.find_project(name)
    if project is not None:
        for group in admin.network.security_groups(project_id=project.id):
            admin.network.delete_security_group(group.id)
        identity.delete_project(project)
    user = identity.find_user(name)
    if user is not None:
        identity.delete_user(user)


def entry_of(cloud: str) -> dict[str, Any]:
    """An entry of the ``clouds.yaml`` that is in force."""
    config = yaml.safe_load(Path(os.environ["OS_CLIENT_CONFIG_FILE"]).read_text())
    return dict(config["clouds"][cloud])


__all__ = ["Bench", "Row", "entry_of", "member_of", "remove_member"]
