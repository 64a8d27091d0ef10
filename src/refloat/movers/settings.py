"""Which movers a provider may use, in which order, and what they need to know."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from refloat.errors import InvalidInput, RefloatError
from refloat.movers.baselines import remove
from refloat.movers.rbd import CephCluster, missing

KNOWN = ("rbd", "glance")

_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Ceph:
    """How the mover ``rbd`` reaches the cluster that Cinder keeps volumes on.

    :param user: without ``client.`` before it.
    :param keyring: the path of its key; empty: ``conf`` says where it is.
    :param pools: those of volumes: no image of another is ever opened.
    """

    conf: str = "/etc/ceph/ceph.conf"
    user: str = "refloat"
    keyring: str = ""
    pools: tuple[str, ...] = ("volumes",)

    @contextmanager
    def cluster(self) -> Iterator[CephCluster]:
        """The cluster, and so its one process, for all that use it at a time."""
        with _lock:
            shared = _used.setdefault(self, _Shared(CephCluster(self.conf, self.user, self.keyring)))
            shared.users += 1
        try:
            yield shared.cluster
        finally:
            with _lock:
                shared.users -= 1
                if not shared.users:
                    del _used[self]
            if not shared.users:
                shared.cluster.close()


@dataclass(slots=True)
class _Shared:
    cluster: CephCluster
    users: int = 0


_used: dict[Ceph, _Shared] = {}


@dataclass(frozen=True, slots=True)
class Movers:
    """What a provider's file says.

    :param names: the first of them that can is used.
    :param full_every: every so-maniest protection of a volume reads all, and compares.
    """

    names: tuple[str, ...] = ("glance",)
    ceph: Ceph = Ceph()
    full_every: int = 30

    def problems(self, *, connect: bool = False) -> dict[str, str]:
        """Why each of them does not work on this host; empty: nothing speaks against it.

        :param connect: see also whether the cluster lets one in.
        """
        return {name: self._rbd(connect) if name == "rbd" else "" for name in self.names}

    def forget(self, pool: str, image: str, checkpoint_id: str) -> None:
        """Remove the baseline of a checkpoint from an image, if it is there.

        :raises InvalidInput: the provider's file does not name the pool.
        """
        if pool not in self.ceph.pools:
            raise InvalidInput(f"the pool {pool} is none of this provider's: {', '.join(self.ceph.pools)}")
        with self.ceph.cluster() as cluster:
            remove(cluster, pool, image, checkpoint_id)

    def _rbd(self, connect: bool) -> str:
        unreadable = [
            f"{path} cannot be read by this user"
            for path in (self.ceph.conf, self.ceph.keyring)
            if path and not os.access(path, os.R_OK)
        ]
        problem = "; ".join(filter(None, (missing(), *unreadable)))
        if not connect or problem:
            return problem
        try:
            with self.ceph.cluster() as cluster:
                return "" if cluster.fsid else "the cluster does not say who it is"
        except RefloatError as exc:
            return str(exc)


DEFAULT = Movers()
"""Of a provider that says nothing."""
