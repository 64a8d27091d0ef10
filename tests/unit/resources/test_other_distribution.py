"""A kind of a service that Refloat does not know, from another distribution, by the command alone."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kind_contract import known_apart
from tests.unit.doubles.gadgets import Gadgets
from tests.unit.support.cli_helpers import Command, Ran, new_user, serve_identity

DISTRIBUTION = Path(__file__).parents[2] / "fixtures" / "gadget-protection"
TYPE = "OS::Gadget::Gadget"


def install(where: Path) -> None:
    """Put the distribution into a folder of its own, as an installer would: its module and its dist-info."""
    project = tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text())["project"]
    module = DISTRIBUTION / "gadget_protection.py"
    where.mkdir()
    (where / module.name).write_text(module.read_text())
    info = where / f"gadget_protection-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def gadgets() -> Iterator[Gadgets]:
    double = Gadgets()
    yield double
    double.close()


class User:
    """A user of a cloud, where the distribution is installed.

    :param apart: whether commands are run in processes of their own.
    """

    def __init__(self, home: Path, port: int, *, apart: bool) -> None:
        install(home / "installed")
        user = new_user(home, port)
        self._command = Command(user.home, {**user.environ, "PYTHONPATH": str(home / "installed")})
        self._run = self._command.run if apart else self._command

    def __call__(self, *argv: str) -> Ran:
        return self._run(*argv)

    def done(self, *argv: str) -> Any:
        ran = self(*argv, "-f", "json")
        assert ran.status == 0, ran.err
        return ran.json

    def protected(self, *names: str) -> str:
        chosen = [word for name in names for word in ("--resource", f"{TYPE}={name}")]
        self.done("plan", "create", "all", *chosen)
        return str(self.done("protect", "all")["id"])


@pytest.fixture
def user(gadgets: Gadgets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    identity = serve_identity(gadget_maker=f"{gadgets.url}/v1")
    yield from here(User(tmp_path, identity.server_address[1], apart=False), tmp_path, monkeypatch)
    identity.shutdown()


def here(user: User, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """The user's commands in this process, which knows the distribution meanwhile."""
    for name in list(os.environ):
        if name.startswith(("OS_", "REFLOAT_")):
            monkeypatch.delenv(name)
    for name, value in user._command.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(home / "installed")
    with known_apart():
        yield user


def test_the_distribution_is_one_short_file() -> None:
    (module,) = DISTRIBUTION.glob("*.py")
    assert len(module.read_text().splitlines()) <= 60


def test_gadgets_are_protected_lost_restored_and_the_same(gadgets: Gadgets, tmp_path: Path) -> None:
    identity = serve_identity(gadget_maker=f"{gadgets.url}/v1")
    user = User(tmp_path, identity.server_address[1], apart=True)
    names = [f"g{number}" for number in range(6)]
    for number, name in enumerate(names):
        gadgets.make(name, description=f"of {name}", size=number + 1, colours=["red", name])
    before = gadgets.settings()
    checkpoint = user.protected(*names)
    assert user.done("verify", checkpoint)["status"] == "good"
    gadgets.gadgets.clear()
    lines = user.done("restore", checkpoint)["resources"]
    assert gadgets.settings() == before
    assert {line["new_id"] for line in lines} == set(gadgets.gadgets)
    # The limit is the kind's own; without it all six would be made at once.
    assert gadgets.most_pending <= 2
    identity.shutdown()


def test_the_living_one_is_used_and_what_has_changed_is_told(user: User, gadgets: Gadgets) -> None:
    identity = gadgets.make("g", colours=["red"])
    checkpoint = user.protected("g")
    gadgets.gadgets[identity]["colours"] = ["blue"]
    (line,) = user.done("restore", checkpoint)["resources"]
    assert line["new_id"] == identity
    assert line["status"] == "reused"
    assert line["reason"].endswith("left as it is though changed since: colours")


def test_the_quota_is_the_services_own_and_is_looked_at_beforehand(user: User, gadgets: Gadgets) -> None:
    gadgets.make("g")
    checkpoint = user.protected("g")
    gadgets.gadgets.clear()
    gadgets.limit = 0
    told = user("restore", checkpoint, "--dry-run", "-f", "json")
    assert told.status == 1
    assert "it needs 1 gadget, and the project's quota leaves 0" in told.out + told.err


def test_a_failed_restore_leaves_no_gadget(user: User, gadgets: Gadgets) -> None:
    for name in ("g1", "g2"):
        gadgets.make(name)
    checkpoint = user.protected("g1", "g2")
    gadgets.gadgets.clear()
    create = gadgets._create

    def fail_second(request: object) -> object:
        if gadgets.gadgets:
            raise gadgets.refusal(400, "No more of these.")
        return create(request)  # type: ignore[arg-type]

    gadgets._create = fail_second  # type: ignore[method-assign, assignment]
    failed = user("restore", checkpoint)
    assert failed.status == 1
    assert "No more of these." in failed.err
    assert gadgets.gadgets == {}


def test_where_the_service_is_not_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = serve_identity()
    for user in here(User(tmp_path, identity.server_address[1], apart=False), tmp_path, monkeypatch):
        ran = user("protectable", "list", TYPE)
        assert ran.status == 0
        assert "This cloud has no gadget maker service." in ran.out + ran.err
    identity.shutdown()
