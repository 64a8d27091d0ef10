"""Fixtures of the tests of the command and of stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.doubles.world import World
from tests.unit.support.cli_helpers import Command, new_user, serve_identity
from tests.unit.support.object_servers import KEYS, S3, s3_server


@pytest.fixture(scope="session")
def identity_port() -> Iterator[int]:
    server = serve_identity()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def refloat(identity_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, for a new user."""
    command = new_user(tmp_path, identity_port)
    for name in list(os.environ):
        if name.startswith(("OS_", "REFLOAT_")):
            monkeypatch.delenv(name)
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)
    return command


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 server, and its keys in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return _s3_server


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A cloud with doubles of services that not every machine can have."""
    made = World(tmp_path, monkeypatch)
    yield made
    for double in made.doubles:
        double.close()
