"""How much more a project may have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from openstack.exceptions import raise_from_response

from refloat.cloud.connection import Cloud
from refloat.cloud.errors import explained
from refloat.errors import ServiceMissing

Headroom = Mapping[str, int]
"""Free amount by name; a name that is missing has no limit. Names: ``servers``, ``cores``,
``ram`` (MiB), ``volumes``, ``gigabytes`` (GiB), ``snapshots``, ``backups``, ``backup_gigabytes`` (GiB),
``networks``, ``subnets``, ``ports``, ``routers``, ``security_groups``, ``security_group_rules``,
``floating_ips``, ``server_groups``, ``shares``, ``share_gigabytes`` (GiB)."""

_COMPUTE = {
    "servers": ("instances", "instances_used"),
    "cores": ("total_cores", "total_cores_used"),
    "ram": ("total_ram", "total_ram_used"),
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


_SHARES = {
    "shares": ("maxTotalShares", "totalSharesUsed"),
    "share_gigabytes": ("maxTotalShareGigabytes", "totalShareGigabytesUsed"),
}


def headroom(cloud: Cloud, wanted: Collection[str]) -> Headroom:
    """What is free now, as far as it is wanted: only the services that know are asked.

    Services that the cloud does not have are left out.
    """
    free: dict[str, int] = {}
    parts = ((_COMPUTE, _compute), (_STORAGE, _storage), (_NETWORK, _network), (_SHARES, _shares))
    for names, part in parts:
        if names.keys().isdisjoint(wanted):
            continue
        try:
            free.update(part(cloud))
        except ServiceMissing:
            continue
    return free


def _free(name: str, limit: object, used: object) -> dict[str, int]:
    if not isinstance(limit, int) or limit < 0:
        return {}
    return {name: max(0, limit - (used if isinstance(used, int) else 0))}


def _compute(cloud: Cloud) -> dict[str, int]:
    with explained("read the compute limits"):
        limits = cloud.compute.get_limits().absolute
    free: dict[str, int] = {}
    for name, (limit, used) in _COMPUTE.items():
        free.update(_free(name, getattr(limits, limit, None), getattr(limits, used, None)))
    return free


def _storage(cloud: Cloud) -> dict[str, int]:
    return _absolute(cloud.block_storage, "block storage", _STORAGE)


def _shares(cloud: Cloud) -> dict[str, int]:
    return _absolute(cloud.shared_file_system, "shared file system", _SHARES)


def _absolute(service: Any, called: str, names: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    with explained(f"read the {called} limits"):
        # The raw answer: openstacksdk's resource leaves out Cinder's counts of snapshots.
        response = service.get("/limits")
        raise_from_response(response)
        limits = response.json()["limits"]["absolute"]
    free: dict[str, int] = {}
    for name, (limit, used) in names.items():
        free.update(_free(name, limits.get(limit), limits.get(used)))
    return free


def _network(cloud: Cloud) -> dict[str, int]:
    with explained("read the network quota"):
        response = cloud.network.get(f"/quotas/{cloud.project_id}/details.json")
        if response.status_code == 404:
            return {}
        raise_from_response(response)
        details = response.json()["quota"]
    free: dict[str, int] = {}
    for name, field in _NETWORK.items():
        entry = details.get(field, {})
        free.update(
            _free(name, entry.get("limit"), int(entry.get("used", 0)) + int(entry.get("reserved", 0)))
        )
    return free
