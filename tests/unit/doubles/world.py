"""A cloud of doubles, and what protects and restores there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud import Cloud, watcher
from refloat.resources import registry
from refloat.resources.base import Hooks, PlanContext, Planned, ProtectionPlugin, Restored
from refloat.resources.context import HookContext
from refloat.resources.pod import cluster
from tests.fullstack.hookrig import Rig
from tests.kind_contract import Memory
from tests.unit.doubles import openstack
from tests.unit.doubles.kubernetes import Kubernetes
from tests.unit.doubles.manila import Manila
from tests.unit.doubles.openstack import Cinder, Keystone, Neutron, Nova
from tests.unit.doubles.server import Double
from tests.unit.doubles.swift import Swift
from tests.unit.doubles.trove import Trove

SHARE, DATABASE, POD = "OS::Manila::Share", "OS::Trove::Instance", "OS::Kubernetes::Pod"
VOLUME, NETWORK = "OS::Cinder::Volume", "OS::Neutron::Network"


class NewId(Hooks):
    """Says that the resource is there under a new id."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        made = Restored(context.resource.type, context.resource.id, f"new-{context.resource.id}")
        return {"restored": [made.to_json()]}


class Nothing(Hooks):
    """Keeps nothing of it."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        return {"ok": True}


class Elsewhere(ProtectionPlugin):
    """Stands for a kind that has tests of its own."""

    resource_type = "elsewhere"
    protect = verify = Nothing
    restore = NewId

    def plan_restore(self, context: PlanContext) -> Planned:
        return Planned("create", context.resource.name)


class World:
    """A cloud of doubles, and a rig that protects and restores there."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        registry.plugins()  # makes the kinds of the plugins known
        self.keystone, self.cinder, self.neutron = Keystone(), Cinder(), Neutron()
        self.manila, self.trove, self.kubernetes, self.nova = Manila(), Trove(), Kubernetes(), Nova()
        self.swift = Swift()
        self.keystone.catalog = {
            "object-store": f"{self.swift.url}/v1/account",
            "shared-file-system": f"{self.manila.url}/v2",
            "database": f"{self.trove.url}/v1.0/{openstack.PROJECT}",
            "block-storage": f"{self.cinder.url}/v3",
            "network": self.neutron.url,
            "compute": f"{self.nova.url}/v2.1",
        }
        monkeypatch.setattr(watcher, "SHORTEST", 0.01)
        monkeypatch.setattr(watcher, "LONGEST", 0.05)
        self.kubernetes.kubeconfig(path / "kubeconfig")
        monkeypatch.setenv(cluster.VARIABLE, str(path / "kubeconfig"))
        login = {
            "auth_url": f"{self.keystone.url}/v3",
            "username": "somebody",
            "password": "secret",
            "project_name": "shop",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        clouds = {"clouds": {"here": {"auth": login, "region_name": "One", "refloat_retries": 2}}}
        (path / "clouds.json").write_text(json.dumps(clouds))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path / "clouds.json"))
        self.data = Memory()

    @property
    def doubles(self) -> list[Double]:
        return [
            self.keystone,
            self.cinder,
            self.neutron,
            self.nova,
            self.swift,
            self.manila,
            self.trove,
            self.kubernetes,
        ]

    def cloud(self) -> Cloud:
        """A fresh connection."""
        return Cloud("here")

    def rig(self) -> Rig:
        """A rig with the plugins of the default provider; volumes and networks are somebody else's job."""
        rig = Rig(self.cloud())
        rig.plugins |= {VOLUME: Elsewhere(), NETWORK: Elsewhere()}
        rig.data = self.data
        return rig

    def lose_answer(self, request: str) -> None:
        """The answer to the next such request is lost, when it has taken effect."""
        for double in self.doubles:
            double.lose = request
