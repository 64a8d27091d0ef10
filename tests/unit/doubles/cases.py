"""How an original of each kind is made and lost, and what there is of it, in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from refloat.graph import Graph, Resource
from refloat.resources.pod.protectable import identity_of
from refloat.resources.registry import plugins
from tests.fullstack.hookrig import Rig, Run
from tests.kind_contract import Case
from tests.unit.doubles import openstack
from tests.unit.doubles.world import DATABASE, POD, SHARE, World

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hVxkz1Vy5zQnB2Vd0m0e0c8f5oV7w1c1g3Yp8n2aV somebody"


class DoubleCase(Case):
    """A kind that doubles hold.

    :cvar created: the request that creates what a restore makes.
    :cvar kept_request: the request that creates what a protect keeps; empty when that is in the bank.
    """

    created = kept_request = ""

    def __init__(self, world: World) -> None:
        super().__init__(world.cloud())
        self.world = world

    def rig(self) -> Rig:
        rig = self.world.rig()
        rig.plugins.setdefault(self.type, plugins()[self.plugin]())  # the no-op ones are off by default
        return rig

    def new_id(self, line: Mapping[str, Any]) -> bool:
        """Whether what a restore says it made is there."""
        raise NotImplementedError


class ShareCase(DoubleCase):
    plugin = "share-manila-snapshot"
    created, kept_request = "POST /v2/shares", "POST /v2/snapshots"

    def make(self) -> Resource:
        manila = self.world.manila
        share = manila.make_share("files", b"all files", description="of the shop", metadata={"replace": "1"})
        manila.allow(share, "10.0.0.0/24")
        manila.allow(share, "10.0.0.7", "ro", why="audit")
        return Resource(SHARE, share, "files")

    def lose(self) -> None:
        # Manila keeps a share that has snapshots: what can be lost is what is in it.
        manila = self.world.manila
        for share in list(manila.shares):
            manila.content[share] = b"nothing"
            manila.shares[share]["name"] = "lost"

    def living(self) -> list[Any]:
        manila = self.world.manila
        items = ("name", "description", "size", "share_proto", "share_type", "share_network_id", "metadata")
        return [
            ({item: share[item] for item in items}, manila.content[share["id"]], manila.rules_of(share["id"]))
            for share in manila.shares.values()
            if share["name"] != "lost"
        ]

    def kept(self) -> list[str]:
        return list(self.world.manila.snapshots)

    def new_id(self, line: Mapping[str, Any]) -> bool:
        return line["new_id"] in self.world.manila.shares and f"/shares/{line['new_id']}" in line["reason"]


class DatabaseCase(DoubleCase):
    plugin = "database-trove-backup"
    created, kept_request = "POST /v1.0/", "POST /v1.0/"
    network = "11111111-1111-4111-8111-111111111111"

    def make(self) -> Resource:
        world = self.world
        world.neutron.networks[self.network] = {
            "id": self.network,
            "name": "inside",
            "project_id": openstack.PROJECT,
        }
        group = {"id": "c1", "name": "tuned"}
        world.trove.configurations["c1"] = group
        content = {"databases": {"orders": ["1", "2"]}, "users": ["shop"]}
        made = world.trove.make_instance("orders", content, self.network, configuration=group)
        for number in range(3):  # more than a page
            world.trove.make_instance(f"other-{number}", {}, status="SHUTDOWN")
        return Resource(DATABASE, made, "orders")

    def lose(self) -> None:
        instances = self.world.trove.instances
        for identity in [i for i, item in instances.items() if item["name"] == "orders"]:
            del instances[identity]

    def living(self) -> list[Any]:
        trove = self.world.trove
        items = ("name", "flavor", "datastore", "access", "configuration")
        return [
            ({item: made.get(item) for item in items}, made["volume"]["size"], trove.content[made["id"]])
            for made in trove.instances.values()
            if made["status"] != "SHUTDOWN"
        ]

    def kept(self) -> list[str]:
        return list(self.world.trove.backups)

    def new_id(self, line: Mapping[str, Any]) -> bool:
        made = self.world.trove.instances[line["new_id"]]
        return bool(made["addresses"][0]["network"] == f"new-{self.network}")


class PodCase(DoubleCase):
    plugin = "pod-manifest"
    created = "POST /api/v1/namespaces/shop/pods"
    volume, inline = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"

    def make(self) -> Resource:
        world, there = self.world, self.world.kubernetes
        for identity in (self.volume, self.inline):
            world.cinder.volumes.append(
                {"id": identity, "name": "", "status": "in-use", "attachments": [], "metadata": {}, "size": 1}
            )
        there.put(
            "persistentvolumes",
            "pvc-7",
            {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "fast",
                "csi": {"driver": "cinder.csi.openstack.org", "fsType": "ext4", "volumeHandle": self.volume},
            },
        )
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        there.put(
            "persistentvolumeclaims", "data", {**claim, "storageClassName": "fast", "volumeName": "pvc-7"}
        )
        there.put("persistentvolumeclaims", "logs", {**claim, "volumeName": "nfs-1"})
        there.put("persistentvolumes", "nfs-1", {"nfs": {"server": "192.0.2.1", "path": "/logs"}})
        spec = {
            "containers": [
                {
                    "name": "web",
                    "image": "registry/web:7",
                    "command": ["serve"],
                    "env": [{"name": "PASSWORD", "value": "opensesame"}],
                    "ports": [{"containerPort": 80}],
                    "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                    "brandNewField": {"kept": True},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "restartPolicy": "Always",
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "logs", "persistentVolumeClaim": {"claimName": "logs"}},
                {"name": "old", "cinder": {"volumeID": self.inline, "fsType": "ext4"}},
                {"name": "settings", "configMap": {"name": "web-settings"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        }
        there.put("pods", "web", spec, labels={"app": "web"}, annotations={"who": "us"})
        there.pods["web"]["status"]["phase"] = "Running"
        return Resource(POD, identity_of("shop", "web"), "shop:web")

    def lose(self) -> None:
        there = self.world.kubernetes.objects
        there["pods"].clear()
        del there["persistentvolumeclaims"]["data"], there["persistentvolumes"]["pvc-7"]

    def living(self) -> list[Any]:
        """Pods with what is behind their claims, under the original names of volumes and tokens."""
        there = self.world.kubernetes.objects
        found = []
        for name, pod in there["pods"].items():
            token = pod["spec"]["volumes"][-1]["name"]
            text = json.dumps(pod["spec"], sort_keys=True).replace(token, "token").replace("new-", "")
            about = {key: pod["metadata"].get(key) for key in ("labels", "annotations")}
            data = there["persistentvolumeclaims"][
                pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
            ]
            volume = json.loads(json.dumps(there["persistentvolumes"][data["spec"]["volumeName"]]["spec"]))
            volume["csi"]["volumeHandle"] = volume["csi"]["volumeHandle"].removeprefix("new-")
            volume.pop("claimRef", None)
            claim = {**data["spec"], "volumeName": ""}
            found.append((name, about, text, volume, claim, data["metadata"].get("annotations") or {}))
        return found

    def new_id(self, line: Mapping[str, Any]) -> bool:
        there = self.world.kubernetes.objects
        claim = there["persistentvolumeclaims"]["data"]["spec"]["volumeName"]
        handle = there["persistentvolumes"][claim]["spec"]["csi"]["volumeHandle"]
        return (line["new_id"], handle) == (identity_of("shop", "web"), f"new-{self.volume}")


class KeypairCase(DoubleCase):
    plugin = "keypair"
    created = "POST /v2.1/os-keypairs"

    def make(self) -> Resource:
        self.cloud.compute.create_keypair(name="mine", public_key=PUBLIC_KEY)
        return Resource(self.type, "mine", "mine")

    def lose(self) -> None:
        self.world.nova.keypairs.clear()

    def living(self) -> list[Any]:
        return [dict(keypair) for keypair in self.world.nova.keypairs.values()]

    def new_id(self, line: Mapping[str, Any]) -> bool:
        return line["new_id"] in self.world.nova.keypairs


class ServerGroupCase(DoubleCase):
    plugin = "server-group"
    created = "POST /v2.1/os-server-groups"

    def make(self) -> Resource:
        made = self.cloud.compute.create_server_group(
            name="apart", policy="anti-affinity", rules={"max_server_per_host": 2}
        )
        return Resource(self.type, made.id, "apart")

    def lose(self) -> None:
        self.world.nova.groups.clear()

    def living(self) -> list[Any]:
        items = ("name", "policy", "rules")
        return [{item: group[item] for item in items} for group in self.world.nova.groups.values()]

    def new_id(self, line: Mapping[str, Any]) -> bool:
        return line["new_id"] in self.world.nova.groups


class ProjectCase(DoubleCase):
    plugin = "project"
    creates = False

    def make(self) -> Resource:
        return Resource(self.type, openstack.PROJECT, "shop")

    def protect(self, rig: Rig, resource: Resource, *, hand_over: bool = True) -> None:
        """Without what is in it."""
        rig.graph = Graph()
        rig.graph.add(resource)
        run = Run(rig, "protect", rig.graph, {})
        run.all()
        rig.sections = run.results

    def lose(self) -> None:
        """Nobody loses the project he is logged in to."""

    def living(self) -> list[Any]:
        return [openstack.PROJECT]


class NoopCase(DoubleCase):
    plugin = "noop"
    creates = listed = False

    def make(self) -> Resource:
        return Resource(self.type, "tree-3", "tree:3")

    def lose(self) -> None:
        """It is nowhere."""

    def living(self) -> list[Any]:
        return []


CASES = (ShareCase, DatabaseCase, PodCase, KeypairCase, ServerGroupCase, ProjectCase, NoopCase)
