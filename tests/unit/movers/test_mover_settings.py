"""Who uses a cluster at the same time shares it: librbd's process is a large one."""

from __future__ import annotations

import pytest

from refloat.errors import InvalidInput
from refloat.movers.settings import Ceph, Movers


def test_all_that_use_a_cluster_at_a_time_share_it() -> None:
    ceph = Ceph("/nowhere/ceph.conf")
    with ceph.cluster() as first:
        with (
            Ceph("/nowhere/ceph.conf").cluster() as second,
            Ceph("/nowhere/ceph.conf", "x").cluster() as other,
        ):
            assert second is first
            assert other is not first
        with pytest.raises(ZeroDivisionError), ceph.cluster():
            raise ZeroDivisionError
        with ceph.cluster() as third:
            assert third is first
    with ceph.cluster() as later:
        assert later is not first


def test_nothing_is_removed_in_a_pool_that_the_file_does_not_name() -> None:
    with pytest.raises(InvalidInput, match="the pool images is none of this provider's: volumes"):
        Movers().forget("images", "volume-1", "c")
