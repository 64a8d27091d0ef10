"""Fixtures for the tests on a real cloud."""

import os
from collections.abc import Iterator

import pytest

from refloat.cloud import Cloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """The cloud as an ordinary user; without one the tests are reported as not run."""
    if os.environ.get("REFLOAT_NO_CLOUD") or not os.environ.get("OS_CLIENT_CONFIG_FILE"):
        pytest.skip(f"NOT RUN: there is no cloud: {os.environ.get('REFLOAT_NO_CLOUD', 'see devcloud up')}")
    cloud = Cloud(os.environ.get("OS_CLOUD", "demo"))
    yield cloud
    cloud.close()
