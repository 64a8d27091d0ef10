"""Restoring into another project, and into another domain, with ``restore_target`` and ``restore_auth``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openstack
import pytest

from demo.service import SECONDS, Caller
from devcloud.cloud import PASSWORD
from tests.fullstack.deployment import THERE_USER, Deployment
from tests.projects import project_of

pytestmark = pytest.mark.timeout(1200)

BANK = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b04"
"""The built-in provider that keeps all data in the bank."""

NAME = "elsewhere-moved"


@dataclass(frozen=True)
class Tenant:
    """Somebody in another domain, or another project.

    :param auth: what ``restore_auth`` is to be.
    """

    cloud: Any
    auth: dict[str, Any]

    def volumes(self) -> list[Any]:
        return list(self.cloud.block_storage.volumes(details=True))

    def networks(self) -> list[Any]:
        return list(self.cloud.network.networks(project_id=self.cloud.current_project_id))

    def trusts(self) -> list[Any]:
        query = {"trustor_user_id": self.cloud.current_user_id}
        answer = self.cloud.identity.get("/OS-TRUST/trusts", params=query)
        return list(answer.json()["trusts"])

    def clear(self) -> None:
        for volume in self.volumes():
            self.cloud.block_storage.delete_volume(volume)
            self.cloud.block_storage.wait_for_delete(volume, wait=SECONDS)
        for network in self.networks():
            self.cloud.network.delete_network(network)


def _tenant(admin: Any, auth: dict[str, Any]) -> Tenant:
    fields = {name: value for name, value in auth.items() if name != "type"}
    config = {"auth_url": admin.config.auth["auth_url"], **fields}
    cloud = openstack.connect(
        load_envvars=False, load_yaml_config=False, auth=config, region_name=admin.config.region_name
    )
    return Tenant(cloud, auth)


@pytest.fixture
def tenants(admin: Any) -> Iterator[tuple[Tenant, Tenant]]:
    """A member of another project, and one of another domain; both with a password of their own."""
    mark = secrets.token_hex(4)
    identity = admin.identity
    domain = identity.create_domain(name=f"elsewhere-{mark}")
    role = identity.find_role("member")
    made: list[Any] = []
    users: list[Any] = []
    found: list[Tenant] = []
    try:
        for place in ("default", domain.id):
            project = identity.create_project(name=f"elsewhere-{mark}", domain_id=place)
            made.append(project)
            password = f"pass-{secrets.token_hex(16)}"
            user = identity.create_user(name=f"elsewhere-{mark}", password=password, domain_id=place)
            users.append(user)
            identity.assign_project_role_to_user(project=project, user=user, role=role)
            auth = {"type": "password", "username": user.name, "password": password, "project_id": project.id}
            if place != "default":
                auth["user_domain_name"] = domain.name
            else:
                auth["user_domain_id"] = "default"
            found.append(_tenant(admin, auth))
        yield found[0], found[1]
    finally:
        for tenant in found:
            tenant.clear()
        for project in made:
            for group in list(admin.network.security_groups(project_id=project.id)):
                admin.network.delete_security_group(group)
        for user in users:
            identity.delete_user(user)
        for project in made:
            identity.delete_project(project)
        identity.update_domain(domain, is_enabled=False)
        identity.delete_domain(domain)


@pytest.fixture
def deployment(deployed: str, admin: Any) -> Deployment:
    """The service, with a user of its own in the other cloud, as an operator makes it there.

    The user is left: processes of the service remember its id.
    """
    if not admin.identity.find_user(THERE_USER, domain_id="default"):
        admin.identity.create_user(name=THERE_USER, password=PASSWORD, domain_id="default")
    return Deployment(deployed)


def test_a_checkpoint_moves(deployment: Deployment, tenants: tuple[Tenant, Tenant]) -> None:
    there = deployment.target("there")
    assert there != tenants[0].cloud.config.auth["auth_url"]
    member = Caller(deployment.url, project_of(__file__))
    cloud = member.cloud
    network = cloud.network.create_network(name=NAME)
    volume = cloud.block_storage.create_volume(name=NAME, size=1, metadata={"tier": "db"})
    try:
        cloud.network.create_subnet(network_id=network.id, name=NAME, cidr="10.78.0.0/24", ip_version=4)
        cloud.block_storage.wait_for_status(volume, "available", wait=SECONDS)
        resources = [
            {"type": "OS::Neutron::Network", "id": network.id, "name": NAME},
            {"type": "OS::Cinder::Volume", "id": volume.id, "name": NAME},
        ]
        checkpoint = member.protected(BANK, resources)
        wanted = {"provider_id": BANK, "checkpoint_id": checkpoint["id"], "parameters": {}}

        project, domain = tenants
        for target in ("http://127.0.0.1:9/v3", f"{there}/../v2", "http://localhost/identity"):
            body = {**wanted, "restore_target": target, "restore_auth": domain.auth}
            status, refused = member("POST", "restores", {"restore": body})
            assert status == 400, refused
            assert "not among the clouds" in refused["badRequest"]["message"]
        wrong = {**domain.auth, "password": "wrong"}
        body = {**wanted, "restore_target": there, "restore_auth": wrong}
        status, refused = member("POST", "restores", {"restore": body})
        assert status == 400, refused
        assert "log in" in refused["badRequest"]["message"]

        # Into another project: just the network.
        dry = {**wanted, "type": "restore", "dry_run": True, "restore_auth": project.auth}
        begun = member.ok("POST", "operations", {"operation": dry})
        plan = member.until(f"operations/{begun['id']}", "succeeded", "failed")
        assert {item["action"] for item in plan["result"]["resources"]} == {"create"}, plan
        only = [f"OS::Neutron::Network#{network.id}"]
        member.restored({**wanted, "restore_auth": project.auth, "only": only})
        (moved,) = project.networks()
        assert (moved.name, project.volumes()) == (NAME, [])

        # Into another domain, which is another cloud as far as the service knows.
        restored = member.restored({**wanted, "restore_target": there, "restore_auth": domain.auth})
        assert restored["restore_target"] == there
        (new_network,), (new_volume,) = domain.networks(), domain.volumes()
        new = {f"OS::Neutron::Network#{new_network.id}", f"OS::Cinder::Volume#{new_volume.id}"}
        assert new < set(restored["resources_status"])  # and the subnet
        assert new_network.name == new_volume.name == NAME
        subnets = domain.cloud.network.subnets(network_id=new_network.id)
        assert [subnet.cidr for subnet in subnets] == ["10.78.0.0/24"]
        assert (new_volume.size, new_volume.metadata["tier"]) == (1, "db")

        deadline = time.monotonic() + 60
        while [*member.trusts(), *project.trusts(), *domain.trusts()]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        for tenant in tenants:
            assert deployment.holds(tenant.auth["password"]) == set()
        assert deployment.holds(checkpoint["id"]) >= {"database", "log"}  # where it looked is right
    finally:
        cloud.network.delete_network(network)
        cloud.block_storage.delete_volume(volume)
        cloud.block_storage.wait_for_delete(volume, wait=SECONDS)
