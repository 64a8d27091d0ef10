"""A machine for the tests of the guide. `make test-install` runs them; they take long, so CI does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A clean Debian beside the cloud that REFLOAT_INSTALL_CLOUD names by its folder."""
    home = os.environ.get("REFLOAT_INSTALL_CLOUD")
    if not home:
        pytest.skip("run them by tests/install/run (make test-install)")
    machine = Machine(Path(home))
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
