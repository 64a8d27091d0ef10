"""A project of its own in a real cloud, with small things in it, for operations that are killed on the way.

What it says of the project is read by code that shares nothing with Refloat (:mod:`demo.inventory`).
"""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import openstack
import yaml

from demo.inventory import inventory
from demo.waiting import wait_for

DEFAULT = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b01"
"""The provider that protects volumes as Cinder backups."""
NETWORK, GROUP, VOLUME = "OS::Neutron::Network", "OS::Neutron::SecurityGroup", "OS::Cinder::Volume"

Things = Counter[tuple[str, str]]
"""Kinds and names."""


class Tenant:
    """The project, its user, and what was there before anything was protected.

    :param folder: where its ``clouds.yaml`` is written; the entry is called ``good``.
    """

    def __init__(self, folder: Path) -> None:
        self.admin = openstack.connect(cloud="admin", api_timeout=180)
        identity = self.admin.identity
        self.name, password = f"chaos-{uuid.uuid4().hex[:8]}", secrets.token_urlsafe(24)
        self.project = identity.create_project(name=self.name, domain_id="default")
        self.user = identity.create_user(name=self.name, password=password, domain_id="default")
        identity.assign_project_role_to_user(self.project, self.user, identity.find_role("member"))
        auth = {
            "auth_url": self.admin.config.auth["auth_url"],
            "username": self.name,
            "password": password,
            "project_id": self.project.id,
            "user_domain_name": "Default",
        }
        self.file = folder / "clouds.yaml"
        region = self.admin.config.region_name
        self.file.write_text(yaml.safe_dump({"clouds": {"good": {"auth": auth, "region_name": region}}}))
        self.admin.network.update_quota(self.project.id, networks=100, subnets=100, security_groups=100)
        self.admin.block_storage.update_quota_set(self.project.id, volumes=50, gigabytes=100, backups=50)
        self.cloud = openstack.connect(
            load_yaml_config=False, load_envvars=False, region_name=region, auth=auth, api_timeout=180
        )
        list(self.cloud.network.security_groups())  # makes the project's default group

    def things(self) -> Things:
        """What the project holds."""
        found = inventory(self.cloud)
        return Counter((kind, name) for kind, things in found.items() for name in things.values())

    def net(self, number: int) -> list[dict[str, str]]:
        """Make a network with a subnet, and a security group; the resources of a plan of them."""
        neutron, name = self.cloud.network, f"net-{number}"
        network = neutron.create_network(name=name)
        neutron.set_tags(network, ["kept"])
        neutron.create_subnet(
            network_id=network.id, name=name, cidr=f"10.8{number}.0.0/24", ip_version=4, enable_dhcp=False
        )
        group = neutron.create_security_group(name=name, description="for the chaos")
        neutron.create_security_group_rule(
            security_group_id=group.id,
            direction="ingress",
            protocol="tcp",
            port_range_min=80,
            port_range_max=80,
        )
        return [
            {"type": NETWORK, "id": network.id, "name": name},
            {"type": GROUP, "id": group.id, "name": name},
        ]

    def volume(self, number: int) -> list[dict[str, str]]:
        """Make a volume; the resources of a plan of it."""
        storage, name = self.cloud.block_storage, f"volume-{number}"
        volume = storage.create_volume(name=name, size=1, metadata={"kept": "yes"})
        wait_for(name, lambda: storage.get_volume(volume.id).status == "available", 300)
        return [{"type": VOLUME, "id": volume.id, "name": name}]

    def lose(self, resources: list[dict[str, str]]) -> None:
        """Delete networks and groups."""
        for resource in resources:
            if resource["type"] == NETWORK:
                self.cloud.network.delete_network(resource["id"])
            elif resource["type"] == GROUP:
                self.cloud.network.delete_security_group(resource["id"])

    def marks(self) -> Iterator[str]:
        """Marks of Refloat's on what it has restored."""
        neutron = self.cloud.network
        mine = {"project_id": self.project.id}
        for found in (neutron.networks(**mine), neutron.subnets(**mine), neutron.security_groups(**mine)):
            for thing in found:
                said = [thing.description or "", *(thing.tags or ())]
                yield from (f"{thing.name}: {text}" for text in said if "refloat" in text)
        for volume in self.cloud.block_storage.volumes():
            said = [volume.description or "", *volume.metadata, *volume.metadata.values()]
            yield from (f"{volume.name}: {text}" for text in said if "refloat" in text)

    def close(self) -> None:
        """Delete the project and all that it holds."""
        storage, neutron = self.cloud.block_storage, self.cloud.network
        for backup in storage.backups():
            storage.delete_backup(backup)
        wait_for("backups to be gone", lambda: not list(storage.backups()), 600)
        for snapshot in storage.snapshots():
            storage.delete_snapshot(snapshot)
        wait_for("snapshots to be gone", lambda: not list(storage.snapshots()), 600)
        for volume in storage.volumes():
            storage.delete_volume(volume)
        wait_for("volumes to be gone", lambda: not list(storage.volumes()), 600)
        for network in neutron.networks(project_id=self.project.id):
            neutron.delete_network(network)
        for group in self.admin.network.security_groups(project_id=self.project.id):
            with suppress(openstack.exceptions.ConflictException):
                self.admin.network.delete_security_group(group)
        self.admin.identity.delete_user(self.user)
        self.admin.identity.delete_project(self.project)
        # The project's default group goes when nobody can have it made anew.
        for group in self.admin.network.security_groups(project_id=self.project.id):
            self.admin.network.delete_security_group(group)
