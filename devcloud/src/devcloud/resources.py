"""What a new cloud has in it: users, endpoints, flavors, the image, volume types, the public network.

Everything is looked up first and made only if it is missing, so a second run changes nothing.
The projects demo and demo2 to demo4 are left empty.
"""

from __future__ import annotations

import os
from typing import Any

from devcloud import schemas, shell
from devcloud.cloud import (
    FAKE_FLAVORS,
    FAKE_HOSTNAME,
    FAKE_TRAIT,
    IMAGE,
    PASSWORD,
    REGION,
    Cloud,
)
from devcloud.errors import DevcloudError
from devcloud.guest import guest_image
from devcloud.render import CLOUDS, user_password

API_TIMEOUT = 60
SERVICE_USERS = ("glance", "placement", "cinder", "neutron", "nova", "swift")


def connect(cloud: Cloud, name: str = "admin", timeout: int = API_TIMEOUT) -> Any:
    """A connection as one of the users of the clouds.yaml. (The SDK's proxies are untyped in use.)"""
    import openstack  # takes a second, which the commands that need no API are spared

    os.environ["OS_CLIENT_CONFIG_FILE"] = str(cloud.clouds_yaml)
    return openstack.connect(cloud=name, api_timeout=timeout)


def endpoints(cloud: Cloud) -> list[tuple[str, str, str]]:
    """Type, name and URL of each service of the catalogue (keystone's own is made by its bootstrap)."""
    result = [
        ("image", "glance", cloud.url("glance-api")),
        ("placement", "placement", cloud.url("placement")),
        ("network", "neutron", cloud.url("neutron-api")),
        ("compute", "nova", cloud.url("nova-api", "/v2.1")),
        ("block-storage", "cinder", cloud.url("cinder-api", "/v3")),
        ("volumev3", "cinderv3", cloud.url("cinder-api", "/v3/%(project_id)s")),
    ]
    if cloud.options.swift:
        result.append(("object-store", "swift", cloud.url("swift-proxy", "/v1/AUTH_%(project_id)s")))
    return result


def identity(cloud: Cloud) -> None:
    """Users and endpoints; the copy of keystone's database that the next clouds start with has them."""
    api = connect(cloud).identity
    users(api)
    catalogue(api, endpoints(cloud))
    schemas.save(cloud, "keystone")


def users(api: Any) -> None:
    """The projects, and who has which role in them: the services' users and those of clouds.yaml."""
    wanted: list[tuple[str, str, str, tuple[str, ...]]]
    wanted = [(name, PASSWORD, "service", ("admin", "service")) for name in SERVICE_USERS]
    wanted += [(user, user_password(user), project, roles) for project, user, roles in CLOUDS.values()]
    roles = {role.name: role for role in api.roles()}
    projects = {project.name: project for project in api.projects()}
    there = {user.name: user for user in api.users()}
    for user, password, project, its_roles in wanted:
        if project not in projects:
            projects[project] = api.create_project(name=project, domain_id="default")
        if user not in there:
            there[user] = api.create_user(name=user, password=password, domain_id="default")
        for role in its_roles:
            if role not in roles:
                roles[role] = api.create_role(name=role)
            api.assign_project_role_to_user(projects[project], there[user], roles[role])


def catalogue(api: Any, wanted: list[tuple[str, str, str]]) -> None:
    """The services with their endpoints."""
    services = {service.type: service for service in api.services()}
    there = {(endpoint.service_id, endpoint.interface) for endpoint in api.endpoints()}
    for kind, name, url in wanted:
        if kind not in services:
            services[kind] = api.create_service(type=kind, name=name)
        for interface in ("public", "internal", "admin"):
            if (services[kind].id, interface) not in there:
                api.create_endpoint(
                    service_id=services[kind].id, interface=interface, url=url, region_id=REGION
                )


def flavors(cloud: Cloud) -> None:
    """The flavors."""
    api = connect(cloud).compute
    there = {flavor.name for flavor in api.flavors()}
    for name, (ram, disk, vcpus) in cloud.options.offer.flavors.items():
        if name not in there:
            api.create_flavor(name=name, ram=ram, disk=disk, vcpus=vcpus)


def fake_host(cloud: Cloud) -> None:
    """The host whose servers are records only: for the flavors that ask for it, and for no others."""
    api = connect(cloud).compute
    there = {flavor.name for flavor in api.flavors()}
    for name, (ram, disk, vcpus) in FAKE_FLAVORS.items():
        if name not in there:
            made = api.create_flavor(name=name, ram=ram, disk=disk, vcpus=vcpus)
            api.create_flavor_extra_specs(made, {f"trait:{FAKE_TRAIT}": "required"})
    if FAKE_HOSTNAME not in {hypervisor.name for hypervisor in api.hypervisors()}:
        raise DevcloudError(f"the host {FAKE_HOSTNAME} is not mapped to a cell yet")
    made = next((each for each in api.aggregates() if each.name == FAKE_HOSTNAME), None)
    if made is None:
        made = api.create_aggregate(name=FAKE_HOSTNAME)
    api.set_aggregate_metadata(made.id, {f"trait:{FAKE_TRAIT}": "required"})
    if FAKE_HOSTNAME not in (made.hosts or []):
        api.add_host_to_aggregate(made.id, FAKE_HOSTNAME)


def image(cloud: Cloud) -> None:
    """The guest image."""
    connection = connect(cloud)
    for found in connection.image.images(name=IMAGE):
        if found.status == "active":
            return
        connection.image.delete_image(found)
    raw = cloud.options.storage[0] == "ceph"
    data = guest_image(cloud)
    if raw:  # of which Ceph makes disks without a copy
        data = cloud.run / "guest.raw"
        shell.run(["qemu-img", "convert", "-O", "raw", guest_image(cloud), data])
    # Plain calls: the SDK's own upload computes more checksums than it takes to send the file.
    made = connection.image.create_image(
        name=IMAGE, disk_format="raw" if raw else "qcow2", container_format="bare", visibility="public",
        hw_disk_bus="virtio", hw_vif_model="virtio",
    )  # fmt: skip
    made.data = data.read_bytes()
    made.upload(connection.image)
    if raw:
        data.unlink()


def volume_types(cloud: Cloud) -> None:
    """The volume types."""
    api = connect(cloud).block_storage
    there = {kind.name for kind in api.types()}
    for name, backend in cloud.options.volume_types.items():
        if name not in there:
            # one backend under several names: "the same type" can then be told from "the same storage"
            api.create_type(name=name, extra_specs={"volume_backend_name": backend})


def public_network(cloud: Cloud) -> None:
    """The external network."""
    api = connect(cloud).network
    offer = cloud.options.offer
    network = api.find_network(offer.public) or api.create_network(
        name=offer.public, is_router_external=True, is_shared=False,
        provider_network_type="flat", provider_physical_network="public",
    )  # fmt: skip
    if not list(api.subnets(network_id=network.id)):
        start, end = offer.pool
        api.create_subnet(
            network_id=network.id, name=f"{offer.public}-v4", ip_version=4, cidr=offer.cidr,
            is_dhcp_enabled=False, gateway_ip=offer.gateway, allocation_pools=[{"start": start, "end": end}],
        )  # fmt: skip
