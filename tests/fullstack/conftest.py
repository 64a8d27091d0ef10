"""Fixtures for the tests on a real cloud.

The application of the demo is built once, protected once (as its whole project), and used by all tests of
this folder that do not change it. The test that deletes and restores it comes last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openstack
import pytest

from demo.application import Application
from demo.build import Builder
from demo.command import Command
from demo.describe import Describer, Description
from demo.destroy import destroy
from demo.inventory import Inventory, difference, inventory
from refloat.bank import Bank, create_key
from refloat.cloud import Cloud
from tests.fullstack.storagerig import Yard
from tests.projects import FIRST, project_of

CALL_SECONDS = 180
LAST = ("test_only.py", "test_beside.py", "test_bad_days.py", "test_main_job.py")
"""Files whose tests share the application, in the order in which they must run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of single plugins first; then those that share the application."""
    items.sort(key=lambda item: LAST.index(item.path.name) if item.path.name in LAST else -1)


@pytest.fixture(scope="module")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The cloud as an ordinary user of the file's project, through Refloat's own door."""
    cloud = Cloud(project_of(request.path))
    yield cloud
    cloud.close()


@pytest.fixture
def yard(cloud: Cloud) -> Iterator[Yard]:
    yard = Yard(cloud)
    yield yard
    yard.clear()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    with Bank.open(str(folder / "bank"), create_key(folder / "key"), create=True) as bank:
        yield bank


def connect(name: str) -> Any:
    """The cloud as openstacksdk shows it to a user, with a limit on each call."""
    return openstack.connect(cloud=name, api_timeout=CALL_SECONDS)


@pytest.fixture(scope="session")
def member() -> Any:
    """An ordinary user of the first project."""
    return connect(FIRST)


@pytest.fixture(scope="session")
def manager() -> Any:
    """A manager of project demo."""
    return connect("demo-manager")


@pytest.fixture(scope="session")
def admin() -> Any:
    """The operator."""
    return connect("admin")


@pytest.fixture(scope="session")
def deployed(member: Any) -> str:
    """The URL of the service that the cloud runs, as the catalogue has it, without the project at its end."""
    found = member.session.get_endpoint(service_type="data-protect", interface="public")
    assert found, "the cloud runs no Refloat: devcloud up --with-refloat"
    return str(found).removesuffix(f"/{member.current_project_id}")


@dataclass(frozen=True)
class Built:
    """The application as it was built.

    :param empty: what the project held before.
    :param whole: what it holds with the application.
    """

    app: Application
    empty: Inventory
    whole: Inventory
    description: Description


@pytest.fixture(scope="session")
def web_flavor(admin: Any) -> Iterator[str]:
    """A flavor of the web server's own, which a test may delete."""
    found = admin.compute.find_flavor("app-web") or admin.compute.create_flavor(
        name="app-web", ram=128, disk=1, vcpus=1
    )
    yield "app-web"
    admin.compute.delete_flavor(found.id)


@pytest.fixture(scope="session")
def built(member: Any, manager: Any, web_flavor: str) -> Iterator[Built]:
    """The application, in project demo."""
    app = replace(Application(), web_flavor=web_flavor)
    empty = inventory(member)
    try:
        spoken = Builder(member, app).build()
        yield Built(app, empty, inventory(member), Describer(member, app).describe(spoken))
    finally:
        destroy(member, app, others=[manager])


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command of the ordinary user, with a bank of its own."""
    return Command(tmp_path_factory.mktemp("refloat"), "demo")


@pytest.fixture(scope="session")
def checkpoint(built: Built, command: Command, member: Any) -> Iterator[str]:
    """A checkpoint of the whole project. Refloat forgets right after: all tests work from the bank."""
    command.run("plan", "create", "everything", "--resource", f"project={member.current_project_id}")
    made = command.json("protect", "everything")
    assert made["status"] == "available"
    shutil.rmtree(command.state)
    yield str(made["id"])
    command.run("checkpoint", "delete", str(made["id"]))


@pytest.fixture
def tidy(member: Any) -> Iterator[None]:
    """After the test the project holds what it held before it, neither more nor less."""
    before = inventory(member)
    yield
    assert difference(before, inventory(member)) == []


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """A command with an empty bank and no memory, for the file's project."""
    return Command(tmp_path, project_of(request.path))
