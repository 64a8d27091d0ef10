"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_helpers import Running, User, run_service


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
