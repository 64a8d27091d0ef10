"""A Ceph cluster for the tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ceph import cephserver


@pytest.fixture(scope="session")
def ceph() -> Iterator[cephserver.Ceph]:
    if not cephserver.is_installed():
        pytest.skip(cephserver.NOT_INSTALLED)
    cluster = cephserver.Ceph()
    try:
        yield cluster
    finally:
        cluster.close()
