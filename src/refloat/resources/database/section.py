"""What a database instance is besides its data, as a section keeps it."""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud, explained
from refloat.cloud.rest import Thing
from refloat.errors import ServiceMissing


def describe(cloud: Cloud, instance: Thing) -> dict[str, Any]:
    datastore = instance.get("datastore") or {}
    configuration = instance.get("configuration") or {}
    addresses = instance.get("addresses") or [{"address": ip} for ip in instance.get("ip") or ()]
    return {
        "id": str(instance.id),
        "name": instance.name,
        "flavor": str((instance.get("flavor") or {}).get("id", "")),
        "volume_size": (instance.get("volume") or {}).get("size"),
        "datastore": {key: datastore[key] for key in ("type", "version") if datastore.get(key)},
        "configuration": {key: configuration[key] for key in ("id", "name") if configuration.get(key)},
        "access": dict(instance.get("access") or {}),
        "networks": networks_of(cloud, instance),
        "addresses": [str(item["address"]) for item in addresses],
        "replica_of": (instance.get("replica_of") or {}).get("id", ""),
        "replicas": [str(item["id"]) for item in instance.get("replicas") or ()],
        "created": instance.get("created"),
    }


def networks_of(cloud: Cloud, instance: Thing) -> list[str]:
    """The ids of the networks that an instance is on.

    Trove tells them with the addresses. One that is too old for that only tells addresses: Neutron knows
    whose they are.
    """
    addresses = [item for item in instance.get("addresses") or () if item.get("type") != "public"]
    told = [str(item["network"]) for item in addresses if item.get("network")]
    if told or not addresses:
        return list(dict.fromkeys(told))
    found: dict[str, None] = {}
    try:
        with explained("find the ports of a database instance"):
            for item in addresses:
                ports = cloud.network.ports(fixed_ips=f"ip_address={item['address']}")
                found.update((str(port.network_id), None) for port in ports)
    except ServiceMissing:
        return []
    return list(found) if len(found) == len(addresses) else []
