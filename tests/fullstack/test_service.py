"""The deployed service on a real cloud: tokens, trusts, volumes; a member uses nothing but the API."""

from __future__ import annotations

import time

from demo.service import SECONDS, Caller

BACKUPS = "6659007d-6f66-4a0f-9cb4-17d6aded0bb9"
SNAPSHOTS = "90d5bfea-a259-41e6-80c6-dcfcfcd9d827"
NOOP = "b766f37c-d011-4026-8228-28730d734a3f"
"""The fixed ids of Karbor's provider files, as deploy/ has them."""


def test_a_volume_by_the_service_alone(deployed: str) -> None:
    member = Caller(deployed, "demo")
    storage = member.cloud.block_storage
    before = {volume.id for volume in storage.volumes()}
    volume = storage.create_volume(name="kept", size=1, metadata={"tier": "db"})
    try:
        storage.wait_for_status(volume, "available", wait=SECONDS)
        found = member.ok("GET", f"protectables/OS::Cinder::Volume/instances/{volume.id}")
        assert found["name"] == "kept"

        resource = {"type": "OS::Cinder::Volume", "id": volume.id, "name": "kept"}
        plan = {"name": "v", "provider_id": BACKUPS, "resources": [resource], "parameters": {}}
        plan_id = member.ok("POST", "plans", {"plan": plan})["id"]
        checkpoints = f"providers/{BACKUPS}/checkpoints"
        made = member.ok("POST", checkpoints, {"checkpoint": {"plan_id": plan_id, "extra-info": None}})
        assert made["status"] == "protecting"
        member.new_token()  # the operation goes on without the one it was asked for with
        path = f"{checkpoints}/{made['id']}"
        done = member.until(path, "available", "error")
        assert done["status"] == "available", done

        reader = Caller(deployed, "demo-reader")
        stranger = Caller(deployed, "demo2")
        wanted = {"provider_id": BACKUPS, "checkpoint_id": made["id"], "parameters": {}}
        assert reader.ok("GET", path)["status"] == "available"
        assert reader("POST", "restores", {"restore": wanted})[0] == 403
        assert stranger("GET", path)[0] == 404
        assert stranger("POST", "restores", {"restore": wanted})[0] == 404
        assert stranger("GET", f"{checkpoints}?all_tenants=1")[1] == {"checkpoints": []}

        storage.delete_volume(volume)
        storage.wait_for_delete(volume, wait=SECONDS)
        restore = member.ok("POST", "restores", {"restore": wanted})
        restored = member.until(f"restores/{restore['id']}", "success", "fail")
        assert restored["status"] == "success", restored
        (key,) = restored["resources_status"]
        assert restored["resources_status"] == {key: "available"}
        kind, _, new_id = key.partition("#")
        assert kind == "OS::Cinder::Volume"
        again = storage.get_volume(new_id)
        assert (again.name, again.size, again.metadata["tier"]) == ("kept", 1, "db")

        verification = member.ok("POST", "verifications", {"verification": wanted})
        verified = member.until(f"verifications/{verification['id']}", "success", "fail")
        assert verified["resources_status"] == {f"OS::Cinder::Volume#{volume.id}": "available"}

        assert member("DELETE", path) == (200, {})
        assert member.until(path, "deleted", "error-deleting")["status"] == "deleted"
        assert member.ok("GET", checkpoints) == []
        assert [backup for backup in storage.backups() if backup.volume_id == volume.id] == []
        deadline = time.monotonic() + 60
        while member.trusts():  # each is deleted when its operation has ended
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        for left in [item for item in storage.volumes() if item.id not in before]:
            storage.delete_volume(left, ignore_missing=True)
            storage.wait_for_delete(left, wait=SECONDS)


def test_a_network_and_a_volume_as_a_snapshot(deployed: str) -> None:
    member = Caller(deployed, "demo")
    cloud = member.cloud
    before = {item.id for item in cloud.block_storage.volumes()}
    names = ("elsewhere-net", "elsewhere-subnet")
    volume = cloud.block_storage.create_volume(name="elsewhere-volume", size=1)
    network = cloud.network.create_network(name=names[0], mtu=1300)
    try:
        cloud.network.create_subnet(network_id=network.id, name=names[1], cidr="10.77.0.0/24", ip_version=4)
        cloud.block_storage.wait_for_status(volume, "available", wait=SECONDS)
        resources = [
            {"type": "OS::Cinder::Volume", "id": volume.id, "name": "elsewhere-volume"},
            {"type": "OS::Neutron::Network", "id": network.id, "name": names[0]},
        ]
        checkpoint = member.protected(SNAPSHOTS, resources)
        cloud.network.delete_network(network)
        wanted = {"provider_id": SNAPSHOTS, "checkpoint_id": checkpoint["id"], "parameters": {}}
        dry = {"operation": {**wanted, "type": "restore", "dry_run": True}}
        plan = member.until(f"operations/{member.ok('POST', 'operations', dry)['id']}", "succeeded", "failed")
        actions = {item["type"]: item["action"] for item in plan["result"]["resources"]}
        assert actions == dict.fromkeys((item["type"] for item in resources), "create"), plan
        restored = member.restored(wanted)
        new = {key.partition("#")[0]: key.partition("#")[2] for key in restored["resources_status"]}
        again = cloud.network.get_network(new["OS::Neutron::Network"])
        assert (again.name, again.mtu) == (names[0], 1300)
        assert [subnet.cidr for subnet in cloud.network.subnets(network_id=again.id)] == ["10.77.0.0/24"]
        assert cloud.block_storage.get_volume(new["OS::Cinder::Volume"]).name == "elsewhere-volume"
        cloud.block_storage.delete_volume(new["OS::Cinder::Volume"])
        path = f"providers/{SNAPSHOTS}/checkpoints/{checkpoint['id']}"
        assert member("DELETE", path) == (200, {})
        assert member.until(path, "deleted", "error-deleting")["status"] == "deleted"
        assert [s for s in cloud.block_storage.snapshots() if s.volume_id == volume.id] == []

        checkpoint = member.protected(NOOP, resources[:1])
        wanted = {"provider_id": NOOP, "checkpoint_id": checkpoint["id"], "parameters": {}}
        member.restored(wanted)
        verification = member.ok("POST", "verifications", {"verification": wanted})
        assert member.until(f"verifications/{verification['id']}", "success", "fail")["status"] == "success"
    finally:
        for left in list(cloud.network.networks(name=names[0])):
            cloud.network.delete_network(left)
        for item in [item for item in cloud.block_storage.volumes() if item.id not in before]:
            cloud.block_storage.delete_volume(item, ignore_missing=True)
            cloud.block_storage.wait_for_delete(item, wait=SECONDS)
