"""Writes a cloud's configuration: every file below its etc directory, and its clouds.yaml.

The templates have the paths of the files that they become, so that each is easily found.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import jinja2

from devcloud import ceph, refloat, services, supervisor
from devcloud.cloud import ADDRESS, FAKE_HOSTNAME, FAKE_TRAIT, HOSTNAME, PASSWORD, PORTS, REGION, Cloud

TEMPLATES = Path(__file__).parent / "templates"
# The clouds of clouds.yaml: project, user, roles.
CLOUDS = {
    "admin": ("admin", "admin", ("admin",)),
    "demo": ("demo", "demo", ("member",)),
    "demo2": ("demo2", "demo2", ("member",)),
    "demo3": ("demo3", "demo3", ("member",)),
    "demo4": ("demo4", "demo4", ("member",)),
    "demo-manager": ("demo", "demo-manager", ("manager",)),
    "demo-reader": ("demo", "demo-reader", ("reader",)),
}


def user_password(user: str) -> str:
    """The password of a user of clouds.yaml: its name, but for the admin's."""
    return PASSWORD if user == "admin" else user


def names() -> list[str]:
    """The templates that become a file; those that start with _ are parts of others."""
    files = (path for path in TEMPLATES.rglob("*") if path.is_file() and not path.name.startswith("_"))
    return sorted(str(path.relative_to(TEMPLATES)) for path in files)


def environment() -> jinja2.Environment:
    """Jinja, with the filters that the templates use."""
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
    """What the templates know."""
    return {
        "cloud": cloud,
        "options": cloud.options,
        "services": services.table(cloud),
        "ip": ADDRESS,
        "host": HOSTNAME,
        "fake_host": FAKE_HOSTNAME,
        "fake_trait": FAKE_TRAIT,
        "password": PASSWORD,
        "region": REGION,
        "ports": PORTS,
        "ovs_db": services.OVS_DB,
        "ovn_nb": services.OVN_NB,
        "ovn_sb": services.OVN_SB,
        "ceph": ceph,
    }


def render(cloud: Cloud) -> dict[str, str]:
    """The text of every file, by its path below etc."""
    jinja = environment()
    values = context(cloud)
    found = {name: jinja.get_template(name).render(values) for name in names()}
    return found | refloat.render(cloud) if cloud.options.refloat else found


def write(cloud: Cloud) -> set[str]:
    """Write all files, and the APIs' own ones as released; which of them are new or have changed."""
    changed = set()
    for name, text in render(cloud).items():
        path = cloud.etc / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.add(name)
    (cloud.etc / "mount.nfs").chmod(0o755)
    # the APIs' own pipelines, as released
    shipped = cloud.venv / "etc"
    shutil.copy(shipped / "glance/glance-api-paste.ini", cloud.etc / "glance")
    shutil.copy(shipped / "nova/api-paste.ini", cloud.etc / "nova")
    cloud.clouds_yaml.write_text(clouds_yaml(cloud))
    return changed


def clouds_yaml(cloud: Cloud) -> str:
    """The text of the clouds.yaml."""
    template = environment().get_template("_clouds.yaml")
    return template.render(context(cloud), clouds=CLOUDS, user_password=user_password)
