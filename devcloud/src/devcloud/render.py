"""Writes a cloud's configuration: every file below its etc directory, and its clouds.yaml.

The templates have the paths of the files that they become, so that each is easily found.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import jinja2
import yaml

from devcloud import cloud as addresses
from devcloud import services, supervisor
from devcloud.cloud import ADDRESS, HOSTNAME, PASSWORD, PORTS, REGION, Cloud

TEMPLATES = Path(__file__).parent / "templates"
# project name, user, roles: the clouds of clouds.yaml. A user's password is the user's name, but the admin's.
CLOUDS = {
    "admin": ("admin", "admin", ("admin",)),
    "demo": ("demo", "demo", ("member",)),
    "demo2": ("demo2", "demo2", ("member",)),
    "demo-manager": ("demo", "demo-manager", ("manager",)),
    "demo-reader": ("demo", "demo-reader", ("reader",)),
}


def user_password(user: str) -> str:
    return PASSWORD if user == "admin" else user


def names() -> list[str]:
    """The templates that become a file; those that start with _ are parts of others."""
    files = (path for path in TEMPLATES.rglob("*") if path.is_file() and not path.name.startswith("_"))
    return sorted(str(path.relative_to(TEMPLATES)) for path in files)


def environment() -> jinja2.Environment:
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    result.filters["program_command"] = supervisor.program_command
    result.filters["program_environment"] = supervisor.program_environment
    return result


def context(cloud: Cloud) -> dict[str, object]:
    return {
        "cloud": cloud,
        "options": cloud.options,
        "services": services.table(cloud),
        "ip": ADDRESS,
        "host": HOSTNAME,
        "host_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"devcloud:{cloud.home}")),
        "password": PASSWORD,
        "region": REGION,
        "ports": PORTS,
        "ovs_db": services.OVS_DB,
        "ovn_nb": services.OVN_NB,
        "ovn_sb": services.OVN_SB,
        "volume_backend": addresses.VOLUME_TYPES[0],
    }


def render(cloud: Cloud) -> dict[str, str]:
    """The text of every file, by its path below etc."""
    jinja = environment()
    values = context(cloud)
    return {name: jinja.get_template(name).render(values) for name in names()}


def write(cloud: Cloud) -> None:
    for name, text in render(cloud).items():
        path = cloud.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (cloud.etc / "mount.nfs").chmod(0o755)
    # the APIs' own pipelines, as released
    shipped = cloud.venv / "etc"
    shutil.copy(shipped / "glance/glance-api-paste.ini", cloud.etc / "glance")
    shutil.copy(shipped / "nova/api-paste.ini", cloud.etc / "nova")
    write_clouds(cloud)


def clouds(cloud: Cloud) -> dict[str, object]:
    def entry(project: str, user: str) -> dict[str, object]:
        return {
            "auth": {
                "auth_url": cloud.url("keystone", "/v3"),
                "username": user,
                "password": user_password(user),
                "project_name": project,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "identity_api_version": 3,
            "interface": "public",
        }

    return {"clouds": {name: entry(project, user) for name, (project, user, _) in CLOUDS.items()}}


def write_clouds(cloud: Cloud) -> None:
    cloud.clouds_yaml.write_text(yaml.safe_dump(clouds(cloud), sort_keys=False))
