"""The files that the services must find: databases and their schemas, OVS's files, keys, rings.

Each is made once for a cloud's state, and is marked as done there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from devcloud import namespaces, shell
from devcloud.cloud import ADDRESS, PASSWORD, PORTS, REGION, Cloud

SCHEMAS = (
    "keystone", "glance", "placement", "cinder", "neutron", "nova_api", "nova_cell0", "nova_cell1",
)  # fmt: skip
SYNC_TIMEOUT = 300
# What is only as valid as the databases are.
VOLATILE = ("etc", "state", "run")


def wipe_without_database(cloud: Cloud) -> bool:
    """The database is on tmpfs: when it is gone (a reboot), the rest of the state describes nothing."""
    if (cloud.database / "data/mysql").is_dir() or not cloud.state.exists():
        return False
    wipe(cloud)
    return True


def wipe(cloud: Cloud) -> None:
    """Delete all state of a cloud that does not run."""
    for path in (*(cloud.home / name for name in VOLATILE), cloud.logs, cloud.database):
        shutil.rmtree(path, ignore_errors=True)


def directories(cloud: Cloud) -> None:
    wanted = [
        "cinder/mnt", "cinder/conversion", "cinder/backup", "cinder/coordination", "glance/images",
        "glance/staging", "glance/tasks", "keystone/fernet-keys", "keystone/credential-keys",
        "neutron", "nova/instances", "nova/mnt", "ovs", "rabbitmq", "swift/d1", "swift/recon", "done", "nfs",
    ]  # fmt: skip
    for name in wanted:
        (cloud.state / name).mkdir(parents=True, exist_ok=True)
    for project in ("cinder", "glance", "neutron", "nova"):
        (cloud.state / project / "lock").mkdir(exist_ok=True)
    for name in ("fernet-keys", "credential-keys"):
        (cloud.state / "keystone" / name).chmod(0o700)
    for path in (cloud.logs, cloud.run):
        path.mkdir(parents=True, exist_ok=True)
    cloud.database.mkdir(mode=0o700, parents=True, exist_ok=True)


def database_files(cloud: Cloud) -> None:
    data = cloud.database / "data"
    if (data / "mysql").is_dir():
        return
    shutil.rmtree(data, ignore_errors=True)
    shell.run(
        ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
         "--auth-root-authentication-method=normal", "--skip-test-db"],
        timeout=60, log=cloud.log("schema-mariadb"),
    )  # fmt: skip


def databases(cloud: Cloud) -> None:
    statements = "".join(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4;" for name in SCHEMAS)
    shell.run(
        ["mariadb", "--no-defaults", f"--socket={cloud.database_socket}", "-uroot", "-e", statements]
    )


def _manage(cloud: Cloud, project: str, program: str, *arguments: str, config: tuple[str, ...] = ()) -> None:
    files = [f"--config-file={cloud.etc}/{project}/{file}" for file in config or (f"{project}.conf",)]
    shell.run(
        [cloud.bin / program, *files, *arguments],
        timeout=SYNC_TIMEOUT, log=cloud.log(f"schema-{project}"), env={"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


def keystone(cloud: Cloud) -> None:
    user = ("--keystone-user", "root", "--keystone-group", "root")
    url = cloud.url("keystone", "/v3/")
    for arguments in (
        ("fernet_setup", *user),
        ("credential_setup", *user),
        ("db_sync",),
        ("bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION,
         "--bootstrap-admin-url", url, "--bootstrap-internal-url", url, "--bootstrap-public-url", url),
    ):  # fmt: skip
        _manage(cloud, "keystone", "keystone-manage", *arguments)


def neutron(cloud: Cloud) -> None:
    _manage(cloud, "neutron", "neutron-db-manage", "upgrade", "heads", config=("neutron.conf", "ml2_conf.ini"))


def nova(cloud: Cloud) -> None:
    for arguments in (
        ("api_db", "sync"),
        ("cell_v2", "map_cell0", "--database_connection", cloud.db_url("nova_cell0")),
        ("db", "sync"),
        ("cell_v2", "create_cell", "--name", "cell1"),
    ):
        _manage(cloud, "nova", "nova-manage", *arguments)


def cinder(cloud: Cloud) -> None:
    _manage(cloud, "cinder", "cinder-manage", "db", "sync")


def glance(cloud: Cloud) -> None:
    _manage(cloud, "glance", "glance-manage", "db_sync", config=("glance-api.conf",))


def placement(cloud: Cloud) -> None:
    _manage(cloud, "placement", "placement-manage", "db", "sync")


def ovs_files(cloud: Cloud) -> None:
    for name, schema in (
        ("conf", "/usr/share/openvswitch/vswitch.ovsschema"),
        ("nb", "/usr/share/ovn/ovn-nb.ovsschema"),
        ("sb", "/usr/share/ovn/ovn-sb.ovsschema"),
    ):
        path = cloud.state / "ovs" / f"{name}.db"
        if not path.exists():
            shell.run(["ovsdb-tool", "create", path, schema])


def swift_rings(cloud: Cloud) -> None:
    """One device, one replica: each ring says that everything is on this machine."""
    rings = cloud.etc / "swift"
    for kind in ("account", "container", "object"):
        if (rings / f"{kind}.ring.gz").exists():
            continue
        device = f"r1z1-{ADDRESS}:{PORTS[f'swift-{kind}']}/d1"
        for arguments in (("create", "6", "1", "0"), ("add", device, "1"), ("rebalance",)):
            shell.run(
                [cloud.bin / "swift-ring-builder", f"{kind}.builder", *arguments],
                cwd=rings, timeout=60, log=cloud.log("schema-swift"),
            )  # fmt: skip


def nfs_export(cloud: Cloud) -> None:
    """The file system that the volumes live on: one of its own, as nova asks whether it is a mount point."""
    export = cloud.state / "nfs"
    if export.is_mount():
        return
    image: Path = namespaces.nfs_image(cloud)
    if not image.exists():
        new = image.with_suffix(".new")
        with new.open("wb") as file:
            file.truncate(40 << 30)
        shell.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-m", "0", new])
        new.rename(image)
    shell.run(["mount", "-o", "loop,noatime", image, export])


def forget(cloud: Cloud) -> None:
    """Delete what is left of a cloud after a wipe: its options and its clouds.yaml."""
    shutil.rmtree(cloud.home, ignore_errors=True)
