"""Heat for the benchmark of restores: installed in a folder of its own, run beside a devcloud, and removed.

Nothing of it gets into Refloat or devcloud. It runs as devcloud runs the other services: the API under uwsgi
with one process and eight threads, and an engine with a worker for each core.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keystoneauth1.exceptions import ClientException
from restore_app import CIDR, LIMIT, NAME, RULES, App

from devcloud.cloud import ADDRESS, PASSWORD, PORTS, REGION, Cloud

Connect = Callable[[str], Any]
"""Logs in as one of the users of ``clouds.yaml``."""

VERSION = "27.0.1"
PORT = 8004
CONSTRAINTS = Path(__file__).parents[1] / "devcloud/src/devcloud/constraints.txt"
START_SECONDS = 180
POLL_SECONDS = 2.0

CONFIG = """
[DEFAULT]
transport_url = rabbit://devcloud:devcloud@{address}:{rabbitmq}/
region_name_for_services = {region}
deferred_auth_method = trusts
trusts_delegated_roles = member
reauthentication_auth_method = trusts
stack_user_domain_name = heat
stack_domain_admin = heat_domain_admin
stack_domain_admin_password = {password}
num_engine_workers = {workers}
environment_dir = {venv}/etc/heat/environment.d
template_dir = {venv}/etc/heat/templates
rpc_response_timeout = 600
max_resources_per_stack = -1

[paste_deploy]
api_paste_config = {venv}/etc/heat/api-paste.ini

[clients]
endpoint_type = publicURL

[clients_keystone]
auth_uri = {keystone}

[trustee]
auth_type = password
auth_url = {keystone}/v3
username = heat
password = {password}
user_domain_name = Default

[database]
connection = {database}
max_pool_size = 5
max_overflow = 30

[keystone_authtoken]
www_authenticate_uri = {keystone}/v3
memcached_servers = {address}:{memcached}
auth_type = password
auth_url = {keystone}/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = heat
password = {password}

[oslo_concurrency]
lock_path = {home}

[oslo_messaging_notifications]
driver = noop
"""


def install(venv: Path) -> None:
    """Install Heat, unless it is there. Needs a network, which an isolated cloud has not."""
    done = venv / ".benchmark"
    if done.exists() and done.read_text() == VERSION:
        return
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([uv, "venv", "-q", "--clear", venv], check=True, env=environment)
    packages = [f"openstack-heat=={VERSION}", "pyuwsgi", "PyMySQL", "python-memcached"]
    command = [uv, "pip", "install", "-q", "--compile-bytecode", "-p", venv / "bin/python", "-c", CONSTRAINTS]
    subprocess.run([*command, *packages], check=True, env=environment)
    done.write_text(VERSION)


@contextmanager
def running(cloud: Cloud, connect: Connect, venv: Path, workers: int) -> Iterator[None]:
    """Heat, as long as this lasts."""
    home = cloud.home / "heat"
    home.mkdir(exist_ok=True)
    config = home / "heat.conf"
    config.write_text(
        CONFIG.format(
            address=ADDRESS, rabbitmq=PORTS["rabbitmq"], memcached=PORTS["memcached"], region=REGION,
            password=PASSWORD, workers=workers, venv=venv, keystone=cloud.url("keystone"),
            database=cloud.db_url("heat"), home=home,
        )
    )  # fmt: skip
    _identity(connect("admin"))
    statement = "CREATE DATABASE IF NOT EXISTS heat CHARACTER SET utf8mb4"
    client = ["mariadb", "--no-defaults", f"--socket={cloud.database_socket}", "-uroot", "-e", statement]
    subprocess.run(client, check=True)
    with (home / "schema.log").open("w") as log:
        subprocess.run(
            [venv / "bin/heat-manage", "--config-file", config, "db_sync"], check=True, stdout=log, stderr=log
        )
    api = [
        venv / "bin/uwsgi", "--http-socket", f"{ADDRESS}:{PORT}", "--module", "heat.wsgi.api:application",
        "--pyargv", f"--config-file {config}", "--virtualenv", venv, "--processes", "1", "--threads", "8",
        "--enable-threads", "--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535",
        "--add-header", "Connection: close", "--disable-logging",
    ]  # fmt: skip
    engine = [venv / "bin/heat-engine", "--config-file", config]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in (("api", api), ("engine", engine)):
            with (home / f"{name}.log").open("w") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        _until_it_answers(connect)
        yield
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)  # it has nothing to lose
            process.wait(60)


def _identity(admin: Any) -> None:
    """Heat's user, the domain for the users of stacks, and its place in the catalogue."""
    api = admin.identity
    if api.find_domain("heat") is None:
        domain = api.create_domain(name="heat")
        owner = api.create_user(name="heat_domain_admin", password=PASSWORD, domain_id=domain.id)
        api.assign_domain_role_to_user(domain, owner, api.find_role("admin", ignore_missing=False))
    if api.find_role("heat_stack_user") is None:
        api.create_role(name="heat_stack_user")
    if api.find_user("heat", domain_id="default") is None:
        user = api.create_user(name="heat", password=PASSWORD, domain_id="default")
        for role in ("admin", "service"):
            api.assign_project_role_to_user(
                api.find_project("service"), user, api.find_role(role, ignore_missing=False)
            )
    if api.find_service("heat") is None:
        service = api.create_service(type="orchestration", name="heat")
        url = f"http://{ADDRESS}:{PORT}/v1/%(project_id)s"
        for interface in ("public", "internal", "admin"):
            api.create_endpoint(service_id=service.id, interface=interface, url=url, region_id=REGION)


def _until_it_answers(connect: Connect) -> None:
    """Until the API answers, and there is an engine behind it."""
    deadline = time.monotonic() + START_SECONDS
    session = connect("admin").session  # made when Heat was in the catalogue: an older one would not know it
    place = {"service_type": "orchestration"}
    while True:
        try:
            # what is asked before there is an engine is never answered
            session.get("/services", endpoint_filter=place, timeout=10, connect_retries=0)
            return
        except (ClientException, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"Heat did not start in {START_SECONDS} s")
        time.sleep(1.0)


def template(app: App) -> dict[str, Any]:
    """The application as a Heat template."""
    resources: dict[str, Any] = {
        "net": {"type": "OS::Neutron::Net", "properties": {"name": NAME}},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {"name": NAME, "network": {"get_resource": "net"}, "cidr": CIDR},
        },
        "router": {
            "type": "OS::Neutron::Router",
            "properties": {"name": NAME, "external_gateway_info": {"network": app.external}},
        },
        "interface": {
            "type": "OS::Neutron::RouterInterface",
            "properties": {"router": {"get_resource": "router"}, "subnet": {"get_resource": "subnet"}},
        },
        "group": {
            "type": "OS::Neutron::SecurityGroup",
            "properties": {
                "name": NAME,
                "rules": [
                    {"protocol": protocol, "port_range_min": port, "port_range_max": port}
                    for protocol, port in RULES
                ],
            },
        },
    }
    for number, server in enumerate(app.servers):
        for place, disk in enumerate(server.disks):
            resources[f"volume{number}-{place}"] = {
                "type": "OS::Cinder::Volume",
                "properties": {"name": disk.name, "size": 1, "snapshot_id": disk.snapshot},
            }
        resources[f"port{number}"] = {
            "type": "OS::Neutron::Port",
            "properties": {
                "name": server.name,
                "network": {"get_resource": "net"},
                "mac_address": server.mac,
                "fixed_ips": [{"subnet": {"get_resource": "subnet"}, "ip_address": server.address}],
                "security_groups": [{"get_resource": "group"}],
            },
        }
        resources[f"server{number}"] = {
            "type": "OS::Nova::Server",
            "properties": {
                "name": server.name,
                "flavor": app.flavor,
                "user_data_format": "RAW",
                "networks": [{"port": {"get_resource": f"port{number}"}}],
                "block_device_mapping_v2": [
                    {
                        "volume_id": {"get_resource": f"volume{number}-{place}"},
                        "boot_index": 0 if place == 0 else -1,
                        "delete_on_termination": False,
                    }
                    for place, _disk in enumerate(server.disks)
                ],
            },
        }
    return {"heat_template_version": "2021-04-16", "resources": resources}


def create_stack(cloud: Any, app: App) -> str:
    """Make the application as a stack; returns its name and id when it is complete."""
    stack = cloud.orchestration.create_stack(
        name=f"{NAME}-{secrets.token_hex(4)}", template=template(app), timeout_mins=int(LIMIT // 60)
    )
    return _ended(cloud, f"{stack.name}/{stack.id}", "CREATE_COMPLETE")


def delete_stack(cloud: Any, stack: str) -> None:
    """Have Heat remove all that it made."""
    cloud.orchestration.delete(f"/stacks/{stack}", raise_exc=True)
    _ended(cloud, stack, "DELETE_COMPLETE")


def _ended(cloud: Any, stack: str, wanted: str) -> str:
    deadline = time.monotonic() + LIMIT
    while True:
        found = cloud.orchestration.get(f"/stacks/{stack}", params={"resolve_outputs": "false"})
        if found.status_code == 404 and wanted == "DELETE_COMPLETE":
            return stack
        told = found.json()["stack"]
        if told["stack_status"] == wanted:
            return stack
        if told["stack_status"].endswith("FAILED") or time.monotonic() > deadline:
            raise RuntimeError(f"the stack is {told['stack_status']}: {told['stack_status_reason']}")
        time.sleep(POLL_SECONDS)
