"""The files that the services must find: databases and their schemas, OVS's files, keys, rings.

Each is made once for a cloud's state, and is marked as done there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from devcloud import namespaces, shell
from devcloud.cloud import ADDRESS, PASSWORD, PORTS, REGION, Cloud

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
    """Make the directories that the services expect."""
    wanted = [
        "cinder/mnt", "cinder/conversion", "cinder/backup", "cinder/coordination", "glance/images",
        "glance/staging", "glance/tasks", "keystone/fernet-keys", "keystone/credential-keys",
        "neutron", "nova/instances", "nova/mnt", "nova-fake/instances", "ovs",
        "rabbitmq", "swift/d1", "swift/recon", "done", "nfs",
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
    """MariaDB's own files."""
    data = cloud.database / "data"
    if (data / "mysql").is_dir():
        return
    shutil.rmtree(data, ignore_errors=True)
    shell.run(
        ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
         "--auth-root-authentication-method=normal", "--skip-test-db"],
        timeout=60, log=cloud.log("schema-mariadb"),
    )  # fmt: skip


def _manage(cloud: Cloud, project: str, program: str, *arguments: str, config: tuple[str, ...] = ()) -> None:
    files = [f"--config-file={cloud.etc}/{project}/{file}" for file in config or (f"{project}.conf",)]
    shell.run(
        [cloud.bin / program, *files, *arguments],
        timeout=SYNC_TIMEOUT, log=cloud.log(f"schema-{project}"), env={"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


def keystone(cloud: Cloud) -> None:
    """Keystone's tables, admin and roles."""
    url = cloud.url("keystone", "/v3/")
    _manage(cloud, "keystone", "keystone-manage", "db_sync")
    _manage(
        cloud, "keystone", "keystone-manage", "bootstrap", "--bootstrap-password", PASSWORD,
        "--bootstrap-region-id", REGION, "--bootstrap-admin-url", url, "--bootstrap-internal-url", url,
        "--bootstrap-public-url", url,
    )  # fmt: skip


def neutron(cloud: Cloud) -> None:
    """Neutron's tables."""
    config = ("neutron.conf", "ml2_conf.ini")
    _manage(cloud, "neutron", "neutron-db-manage", "upgrade", "heads", config=config)


def nova(cloud: Cloud) -> None:
    """Nova's tables and cells."""
    # Templates of URLs, filled from the configuration: the rows are the same in every cloud.
    url = "{scheme}://{username}@{hostname}/%s?{query}"
    for arguments in (
        ("api_db", "sync"),
        ("cell_v2", "map_cell0", "--database_connection", url % "nova_cell0"),
        ("db", "sync"),
        ("cell_v2", "create_cell", "--name", "cell1", "--database_connection", url % "nova_cell1"),
    ):
        _manage(cloud, "nova", "nova-manage", *arguments)


def cinder(cloud: Cloud) -> None:
    """Cinder's tables."""
    _manage(cloud, "cinder", "cinder-manage", "db", "sync")


def glance(cloud: Cloud) -> None:
    """Glance's tables."""
    _manage(cloud, "glance", "glance-manage", "db_sync", config=("glance-api.conf",))


def placement(cloud: Cloud) -> None:
    """Placement's tables."""
    _manage(cloud, "placement", "placement-manage", "db", "sync")


# project: its databases, and what fills them for the first time
PROJECTS: dict[str, tuple[tuple[str, ...], Callable[[Cloud], None]]] = {
    "keystone": (("keystone",), keystone),
    "nova": (("nova_api", "nova_cell0", "nova_cell1"), nova),
    "neutron": (("neutron",), neutron),
    "cinder": (("cinder",), cinder),
    "placement": (("placement",), placement),
    "glance": (("glance",), glance),
}


def schema(cloud: Cloud, project: str) -> None:
    """Make a project's databases: from the copy of an earlier cloud's, if there is one (10 times faster)."""
    names, make = PROJECTS[project]
    statements = "".join(
        f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4;" for name in names
    )
    shell.run([*_client("mariadb", cloud), "-e", statements])
    copy = copies(cloud) / f"{project}.sql"
    if copy.exists():
        shell.run([*_client("mariadb", cloud), "-e", f"source {copy}"], timeout=SYNC_TIMEOUT)
        if project == "keystone":
            (cloud.state / "done/identity").touch()
        return
    make(cloud)
    # keystone's is worth keeping with the users and endpoints in it: see resources.identity
    if project != "keystone":
        save(cloud, project)


def save(cloud: Cloud, project: str) -> None:
    """Keep a copy of a project's new databases for the next clouds."""
    names, _ = PROJECTS[project]
    copy = copies(cloud) / f"{project}.sql"
    copy.parent.mkdir(parents=True, exist_ok=True)
    new = copy.with_suffix(f".{cloud.name}")
    shell.run([*_client("mariadb-dump", cloud), "--single-transaction", "-r", new, "--databases", *names])
    new.rename(copy)


def copies(cloud: Cloud) -> Path:
    """Where the copies are: a place for each version of OpenStack and of what devcloud puts into a cloud."""
    digest = hashlib.sha256(repr(cloud.options.without).encode())
    for name in ("constraints.txt", "schemas.py", "resources.py", "render.py", "cloud.py"):
        digest.update((Path(__file__).parent / name).read_bytes())
    return cloud.shared / f"schemas-{digest.hexdigest()[:12]}"


def keys(cloud: Cloud) -> None:
    """Keystone's keys, as `keystone-manage fernet_setup` makes them: 0 is the next one, 1 the current."""
    for repository in ("fernet-keys", "credential-keys"):
        for index in ("0", "1"):
            path = cloud.state / "keystone" / repository / index
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def _client(program: str, cloud: Cloud) -> list[str]:
    return [program, "--no-defaults", f"--socket={cloud.database_socket}", "-uroot"]


def ovs_files(cloud: Cloud) -> None:
    """The databases of OVS and OVN."""
    for name, schema in (
        ("conf", "/usr/share/openvswitch/vswitch.ovsschema"),
        ("nb", "/usr/share/ovn/ovn-nb.ovsschema"),
        ("sb", "/usr/share/ovn/ovn-sb.ovsschema"),
    ):
        path = cloud.state / "ovs" / f"{name}.db"
        if not path.exists():
            shell.run(["ovsdb-tool", "create", path, schema])


# swift-ring-builder does the same in three runs for each ring, which is nine imports of all of swift.
RING_SCRIPT = """
import sys
from swift.common.ring import RingBuilder
ip, directory = sys.argv[1:3]
for word in sys.argv[3:]:
    kind, port = word.split("=")
    builder = RingBuilder(6, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": ip, "port": int(port), "replication_ip": ip,
                     "replication_port": int(port), "device": "d1", "weight": 1.0, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{directory}/{kind}.ring.gz")
"""


def swift_rings(cloud: Cloud) -> None:
    """One device, one replica: each ring says that everything is on this machine."""
    kinds = ("account", "container", "object")
    rings = cloud.etc / "swift"
    if not all((rings / f"{kind}.ring.gz").exists() for kind in kinds):
        ports = [f"{kind}={PORTS[f'swift-{kind}']}" for kind in kinds]
        shell.run(
            [cloud.bin / "python", "-c", RING_SCRIPT, ADDRESS, rings, *ports],
            timeout=60, log=cloud.log("schema-swift"),
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
