"""How much more a project may have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from openstack.exceptions import NotFoundException

from refloat.cloud.connection import Cloud
from refloat.cloud.errors import explained
from refloat.cloud.kinds import request
from refloat.errors import ServiceMissing

Headroom = Mapping[str, int]
"""Free amount by name; a name that is missing has no limit. Names: those of :data:`QUOTAS`."""


UNITS = {"ram": "MiB", "gigabytes": "GiB", "share_gigabytes": "GiB", "image_megabytes": "MiB"}
"""What amounts are counted in that are not numbers of things."""

_OF = {"ram": "memory", "gigabytes": "volumes", "share_gigabytes": "shares", "image_megabytes": "images"}


def in_words(name: str, amount: int) -> str:
    """An amount with its unit: ``256 MiB of memory``, ``1 server``, ``2 floating IPs``."""
    if name in UNITS:
        return f"{amount} {UNITS[name]} of {_OF[name]}"
    word = name.replace("_", " ").replace(" ips", " IPs")
    return f"{amount} {word.removesuffix('s') if amount == 1 else word}"


@dataclass(frozen=True)
class Quota:
    """The quotas that one service keeps.

    :param names: of all that it limits: ``servers``, ``gigabytes``... Other services' are called otherwise.
    :param free: reads how much of each is free; asked only when some of it is wanted.
    """

    names: frozenset[str]
    free: Callable[[Cloud], Headroom]


def free_of(name: str, limit: object, used: object) -> Headroom:
    """What is free, from a limit and what is used as services tell them: a limit below zero is none."""
    if not isinstance(limit, int) or limit < 0:
        return {}
    return {name: max(0, limit - (used if isinstance(used, int) else 0))}


def absolute_limits(proxy: str, names: Mapping[str, tuple[str, str]]) -> Quota:
    """The quotas of a service that answers ``GET /limits`` as Cinder does.

    :param proxy: of openstacksdk.
    :param names: by name, what the service calls the limit and what is used.
    """

    def read(cloud: Cloud) -> Headroom:
        with explained(f"read the {proxy.replace('_', ' ')} limits"):
            # The raw answer: openstacksdk's resource leaves out Cinder's counts of snapshots.
            limits = request(getattr(cloud, proxy), "get", "/limits")["limits"]["absolute"]
        free: dict[str, int] = {}
        for name, (limit, used) in names.items():
            free |= free_of(name, limits.get(limit), limits.get(used))
        return free

    return Quota(frozenset(names), read)


_COMPUTE = {
    "servers": ("instances", "instances_used"),
    "cores": ("total_cores", "total_cores_used"),
    "ram": ("total_ram", "total_ram_used"),  # MiB
    "server_groups": ("server_groups", "server_groups_used"),
}
_STORAGE = {
    "volumes": ("maxTotalVolumes", "totalVolumesUsed"),
    "gigabytes": ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
    "snapshots": ("maxTotalSnapshots", "totalSnapshotsUsed"),
    "backups": ("maxTotalBackups", "totalBackupsUsed"),
    "backup_gigabytes": ("maxTotalBackupGigabytes", "totalBackupGigabytesUsed"),
}
_NETWORK = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "security_groups": "security_group",
    "security_group_rules": "security_group_rule",
    "floating_ips": "floatingip",
}


def _compute(cloud: Cloud) -> Headroom:
    with explained("read the compute limits"):
        limits = cloud.compute.get_limits().absolute
    free: dict[str, int] = {}
    for name, (limit, used) in _COMPUTE.items():
        free |= free_of(name, getattr(limits, limit, None), getattr(limits, used, None))
    return free


def _network(cloud: Cloud) -> Headroom:
    with explained("read the network quota"):
        try:
            details = request(cloud.network, "get", f"/quotas/{cloud.project_id}/details.json")["quota"]
        except NotFoundException:
            return {}
    free: dict[str, int] = {}
    for name, field in _NETWORK.items():
        entry = details.get(field, {})
        free |= free_of(name, entry.get("limit"), int(entry.get("used", 0)) + int(entry.get("reserved", 0)))
    return free


_IMAGE = {"images": "image_count_total", "image_megabytes": "image_size_total"}


def _image(cloud: Cloud) -> Headroom:
    """Where Glance keeps its limits in Keystone; else it has none that it tells."""
    with explained("read the image quota"):
        try:
            usage = request(cloud.image, "get", "/info/usage")["usage"]
        except NotFoundException:
            return {}
    free: dict[str, int] = {}
    for name, field in _IMAGE.items():
        entry = usage.get(field) or {}
        free |= free_of(name, entry.get("limit"), entry.get("usage"))
    return free


QUOTAS = [
    Quota(frozenset(_IMAGE), _image),
    Quota(frozenset(_COMPUTE), _compute),
    absolute_limits("block_storage", _STORAGE),
    Quota(frozenset(_NETWORK), _network),
]


def volume_type_headroom(cloud: Cloud) -> Headroom:
    """What is free of the types of volumes that have limits of their own: ``gigabytes_TYPE``..."""
    with explained("read the quotas of volume types"):
        path = f"/os-quota-sets/{cloud.project_id}?usage=True"
        told = request(cloud.block_storage, "get", path)["quota_set"]
    free: dict[str, int] = {}
    for name, entry in told.items():
        if isinstance(entry, dict):
            used = int(entry.get("in_use") or 0) + int(entry.get("reserved") or 0)
            free |= free_of(name, entry.get("limit"), used)
    return free


def add_quota(quota: Quota) -> None:
    """Make the quotas of a plugin's service known. :raises ValueError: another service has such a name."""
    if quota in QUOTAS:
        return
    taken = sorted(name for known in QUOTAS for name in known.names & quota.names)
    if taken:
        raise ValueError(f"there is a quota '{taken[0]}' already")
    QUOTAS.append(quota)


def headroom(cloud: Cloud, wanted: Collection[str]) -> Headroom:
    """What is free now, as far as it is wanted: only the services that know are asked.

    Services that the cloud does not have are left out.
    """
    free: dict[str, int] = {}
    for quota in QUOTAS:
        if quota.names.isdisjoint(wanted):
            continue
        try:
            free |= quota.free(cloud)
        except ServiceMissing:
            continue
    return free
