#!/usr/bin/env python3
"""Register Refloat in Keystone: its user, and its service with endpoints. A second run changes nothing.

Run it as the cloud's administrator (OS_CLOUD, or --os-cloud), with a Python that has openstacksdk, such as
that of Refloat's own environment. It prints what it changes. What it does, in words of the openstack command:

    openstack user create --domain Default --password PASSWORD refloat
    openstack role add --user refloat --project service service
    openstack service create --name refloat --description "Data protection" data-protect
    openstack endpoint create --region RegionOne data-protect public 'http://HOST:8799/v1/%(project_id)s'
    (the same for the interfaces internal and admin)

The role "service" lets the user validate tokens. Operations act with trusts from those who ask for them, so
it needs no role in anybody's project, and no role admin.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import openstack

SERVICE_TYPE = "data-protect"
LIMITS = {
    "plans": 50,
    "checkpoints": 1000,
    "triggers": 100,
    "scheduled_operations": 100,
    "operations_queued": 200,
    "operations_running": -1,
}


def main(argv: list[str] | None = None) -> int:
    """Do it; the exit status."""
    chosen = _parser().parse_args(argv)
    password = os.environ.get("REFLOAT_PASSWORD", "")
    if chosen.password_file:
        password = chosen.password_file.read_text().strip()
    if not password:
        print("register: no password: --password-file, or REFLOAT_PASSWORD", file=sys.stderr)
        return 2
    api: Any = openstack.connect(cloud=chosen.os_cloud).identity
    user(api, chosen.user, password, chosen.project, chosen.role or ["service"], chosen.reset_password)
    urls = {
        "public": chosen.url,
        "internal": chosen.internal_url or chosen.url,
        "admin": chosen.internal_url or chosen.url,
    }
    endpoints(api, chosen.name, chosen.region, urls)
    if chosen.limits:
        limits(api, chosen.user, chosen.region)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--os-cloud", metavar="NAME", help="the administrator's entry of clouds.yaml")
    parser.add_argument("--url", default="http://127.0.0.1:8799", help="where users reach the API")
    parser.add_argument("--internal-url", metavar="URL", help="where services reach it (default: the same)")
    parser.add_argument("--region", default="RegionOne")
    parser.add_argument("--name", default="refloat", help="the service's name, when it is not there yet")
    parser.add_argument("--user", default="refloat", help="the service's user")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="default: REFLOAT_PASSWORD")
    parser.add_argument("--reset-password", action="store_true", help="set it for a user that is there")
    parser.add_argument("--limits", action="store_true", help="also register unified limits")
    parser.add_argument("--project", default="service", help="the project of services' users")
    parser.add_argument(
        "--role", action="append", help="can be repeated (default: service; before Keystone 24 also admin)"
    )
    return parser


def limits(api: Any, name: str, region: str) -> None:
    """For [quota] driver = keystone: registered limits, and the role that lets the user read them."""
    found = api.find_user(name, domain_id="default", ignore_missing=False)
    reader = api.find_role("reader", ignore_missing=False)
    if not api.validate_user_has_system_role(found, reader, "all"):
        api.assign_system_role_to_user(found, reader, "all")
        print(f"gave user {name} the role reader on the system")
    service = next(iter(api.services(type=SERVICE_TYPE)))
    there = {item.resource_name for item in api.registered_limits(service_id=service.id, region_id=region)}
    for resource, limit in LIMITS.items():
        if resource not in there:
            api.create_registered_limit(
                service_id=service.id, region_id=region, resource_name=resource, default_limit=limit
            )
            print(f"registered the limit {resource} = {limit}")


def user(
    api: Any, name: str, password: str, project_name: str, roles: list[str], reset_password: bool
) -> None:
    """The service's user, with its roles."""
    project = api.find_project(project_name, ignore_missing=True)
    if project is None:
        project = api.create_project(name=project_name, domain_id="default")
        print(f"created project {project_name}")
    found = api.find_user(name, domain_id="default", ignore_missing=True)
    if found is None:
        found = api.create_user(name=name, password=password, domain_id="default")
        print(f"created user {name}")
    elif reset_password:
        api.update_user(found, password=password)
        print(f"set the password of user {name}")
    for role_name in roles:
        role = api.find_role(role_name, ignore_missing=True)
        if role is None:
            role = api.create_role(name=role_name)
            print(f"created role {role_name}")
        if not api.validate_user_has_project_role(project, found, role):
            api.assign_project_role_to_user(project, found, role)
            print(f"gave user {name} the role {role_name} in project {project_name}")


def endpoints(api: Any, name: str, region: str, urls: dict[str, str]) -> None:
    """The service and its endpoints; those that point elsewhere are changed."""
    service = next(iter(api.services(type=SERVICE_TYPE)), None)
    if service is None:
        service = api.create_service(type=SERVICE_TYPE, name=name, description="Data protection")
        print(f"created service {name} of type {SERVICE_TYPE}")
    there = {
        endpoint.interface: endpoint
        for endpoint in api.endpoints(service_id=service.id)
        if endpoint.region_id == region
    }
    for interface, base in urls.items():
        url = f"{base.rstrip('/')}/v1/%(project_id)s"
        if interface not in there:
            api.create_endpoint(service_id=service.id, interface=interface, url=url, region_id=region)
            print(f"created the {interface} endpoint {url}")
        elif there[interface].url != url:
            api.update_endpoint(there[interface], url=url)
            print(f"changed the {interface} endpoint from {there[interface].url} to {url}")


if __name__ == "__main__":
    sys.exit(main())
