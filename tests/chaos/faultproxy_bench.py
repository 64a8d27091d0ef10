"""A project behind the fault proxy, and one protect or restore in it with one fault."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
import yaml

from demo.command import Answer, Command
from demo.inventory import Inventory, inventory
from tests.chaos.faultproxy import Call, Choice, Fault, FaultProxy, nothing, these
from tests.chaos.faultproxy_app import build, extra, marked, purge, shape

CALL_SECONDS = 60
HANG_SECONDS = 15
"""After so many seconds without an answer the client gives a call up; and when calls are made to hang."""
RETRIES = 2
RUN_SECONDS = 900.0
SPOILT = "spoilt"
PLAN = "faulty"
OUTCOMES = ("succeeded", "undone", "undone later", "refused")
"""How a run may end."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one run.

    :param calls: what was spoilt; several only when each of them was spoilt in the same run.
    :param outcome: ``succeeded``, ``undone``, ``undone later`` (parked or not wholly undone while the service
        was broken; ``refloat operation cancel`` undid it when it was not) or ``refused`` (nothing was begun).
    :param reached: those of them that were made, and so spoilt.
    :param size: how much of the application there was.
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
    size: str = "all"

    @property
    def clean(self) -> bool:
        """Whether it ended as it may, and all was as it should be."""
        return not self.left and self.outcome in OUTCOMES

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
        self.size = "all"
        self.shape_before: list[str] = []
        self.reference: list[str] = []
        self._checkpoint = ""
        auth = dict(entry["auth"])
        auth["auth_url"] = f"{self.proxy.address('identity')}{urlsplit(auth['auth_url']).path}"
        self._entry = {**entry, "auth": auth, "refloat_retries": RETRIES}
        home.mkdir(parents=True, exist_ok=True)
        self.command = Spoilt(home, SPOILT, config=home / "clouds.yaml")
        self._give_up_after(CALL_SECONDS)

    def __enter__(self) -> Bench:
        self.proxy.__enter__()
        self.empty = self.held()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.proxy.heal()
        purge(self.cloud, self.empty, self.held())
        self.proxy.__exit__()
        self.cloud.close()

    def _give_up_after(self, seconds: int) -> None:
        entry = {**self._entry, "api_timeout": seconds}
        self.command.config.write_text(yaml.safe_dump({"clouds": {SPOILT: entry}}))

    def held(self) -> Inventory:
        """What the project holds."""
        return inventory(self.cloud)

    def ready_to_protect(self, size: str = "all") -> None:
        """Build the application, and a plan for it."""
        self.size = size
        named = build(self.cloud, size)
        words = [word for name in named for word in ("--resource", name)]
        self.command.run("plan", "create", PLAN, *words)

    def ready_to_restore(self) -> None:
        """Have a checkpoint of the application, and lose the application."""
        self._checkpoint = str(self.command.json("protect", PLAN)["id"])
        self.lose()

    def lose(self) -> None:
        """Lose the application, but not the backups."""
        self.shape_before = shape(self.cloud)
        now = self.held()
        purge(self.cloud, {**self.empty, "backups": now["backups"]}, now)

    def run(self, operation: str, calls: Iterable[Call], fault: Fault) -> Row:
        """One run in which these calls are spoilt so."""
        wanted = tuple(calls)
        row = self.run_with(operation, these(wanted, fault), str(fault))
        return replace(row, calls=tuple(str(call) for call in wanted))

    def run_with(
        self, operation: str, choose: Choice = nothing, fault: str = "none", *, keep: bool = False
    ) -> Row:
        """One run; afterwards the project is as before.

        :param keep: keep the checkpoint, for restores.
        """
        before, banked = self.held(), self._banked()
        self.proxy.spoil(choose)
        self._give_up_after(HANG_SECONDS if fault.startswith("hang") else CALL_SECONDS)
        words = ("protect", PLAN) if operation == "protect" else ("restore", self._checkpoint)
        begun = time.monotonic()
        answer = self.command.answer(*words, "-f", "json", seconds=RUN_SECONDS)
        seconds = time.monotonic() - begun
        said = answer.stderr.strip().splitlines()[-1:] if answer.status else []
        self._give_up_after(CALL_SECONDS)
        self.calls = [call for call, _how in self.proxy.calls()]
        self.proxy.heal()
        spoilt = tuple(dict.fromkeys(str(call) for call in self.proxy.spoilt()))
        outcome = self._outcome(answer)
        left = self._judge(operation, outcome, answer, before, keep)
        if keep and outcome == "succeeded":
            self._checkpoint = str(answer.data["id"])
        else:
            if self._banked() != banked:
                left.append("a checkpoint in the bank")
            purge(self.cloud, before, self.held())
        return Row(
            operation,
            spoilt,
            fault,
            outcome,
            spoilt,
            tuple(left),
            round(seconds),
            " ".join(said)[:2000],
            self.size,
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

    def _judge(
        self, operation: str, outcome: str, answer: Answer, before: Inventory, keep: bool
    ) -> list[str]:
        """What is wrong."""
        if outcome != "succeeded":
            return extra(before, self.held()) + marked(self.cloud)
        if operation == "protect":
            after = self.held()
            left = extra(before, after, ["backups"])
            if len(after["backups"]) != len(before["backups"]) + len(before["volumes"]):
                left.append(f"{len(after['backups']) - len(before['backups'])} backups")
            if answer.data["status"] != "available":
                left.append(f"a checkpoint that is {answer.data['status']}")
            if keep:
                return left + marked(self.cloud)
            self.command.run("checkpoint", "delete", str(answer.data["id"]))
            return left + extra(before, self.held()) + marked(self.cloud)
        found = shape(self.cloud)
        self.reference = self.reference or found
        left = [f"extra: {line}" for line in _less(found, self.reference)]
        left += [f"missing: {line}" for line in _less(self.reference, found)]
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
