"""A part of the fault proxy's table, on a real cloud: each call of a protect and of a restore fails once.

How each fails is drawn by a fixed seed. The whole table: ``python -m tests.chaos.faultproxy_table``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import openstack
import pytest

from tests.chaos.faultproxy import Call, Fault, every_first
from tests.chaos.faultproxy_bench import Bench, Row, member_of, remove_member

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(1500)]

PROJECT = "faults-test"
"""A project of its own: whatever comes into it is removed."""
SEED = 20
KINDS = ("500", "503", "429", "closed", "lost", "torn")
"""A service that says nothing takes too long to be waited for here."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A network, a router and a security group, behind the proxy."""
    admin = openstack.connect(cloud="admin", api_timeout=180)
    try:
        home = tmp_path_factory.mktemp("faults")
        with Bench(member_of(admin, PROJECT), home) as made:
            made.ready_to_protect("networks")
            yield made
    finally:
        remove_member(admin, PROJECT)


def check(row: Row) -> None:
    """Nothing is there that should not be, and nothing is missing."""
    assert row.left == (), row
    assert row.outcome in {"succeeded", "undone", "undone later"}, row


def test_each_call_fails_once_then_one_stays_broken(bench: Bench) -> None:
    protected = bench.run_with("protect", every_first(KINDS, SEED), "one of each", keep=True)
    check(protected)
    assert protected.outcome == "succeeded", protected
    assert "GET network /v2.0/networks/{id} #1" in protected.calls

    bench.lose()
    expected = bench.shape_before
    restored = bench.run_with("restore", every_first(KINDS, SEED), "one of each")
    check(restored)
    assert restored.outcome == "succeeded", restored
    assert "POST network /v2.0/networks #1" in restored.calls
    assert bench.reference == expected

    broken = bench.run("restore", [Call("POST network /v2.0/subnets", 1)], Fault("503", stays=True))
    check(broken)
    assert broken.outcome == "undone", broken
    assert re.match(r"refloat: OS::Neutron::Network faulty-net .*subnet", broken.said), broken
    assert "Nothing is left behind" in broken.said, broken
