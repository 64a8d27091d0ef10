"""Fixtures of the service's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_helpers import Running, User, run_service
from served import Roles, serve

from tests.unit.support.cli_helpers import Command, new_user, serve_identity


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """The service without a worker."""
    running = run_service(tmp_path)
    yield running
    running.close()


@pytest.fixture
def working(service: Running) -> Running:
    """The service with a worker."""
    service.work()
    return service


@pytest.fixture
def member(service: Running) -> User:
    return service.user()


@pytest.fixture
def who() -> Roles:
    """What the user may do behind the service; it can be changed."""
    return Roles()


@pytest.fixture(params=["here", "service"])
def refloat(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: Roles
) -> Iterator[Command]:
    """The command, for a new user, on this machine or with a service in the catalog."""
    for name in list(os.environ):
        if name.startswith(("OS_", "REFLOAT_")):
            monkeypatch.delenv(name)

    def be(command: Command) -> Command:
        for name, value in command.environ.items():
            monkeypatch.setenv(name, value)
        return command

    if request.param == "here":
        server = serve_identity()
        yield be(new_user(tmp_path, server.server_address[1]))
        server.shutdown()
    else:
        with serve(tmp_path, who) as user:
            monkeypatch.setenv("REFLOAT_SERVICE", "catalog")
            yield be(user.command)
