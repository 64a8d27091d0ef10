"""Fixtures of the command's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import Command, new_user, serve_identity


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
