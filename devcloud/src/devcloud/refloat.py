"""Refloat in the cloud, as operators install it: by the files and scripts of `deploy/`, on PostgreSQL.

Two things differ from docs/install.md: devcloud's supervisor takes the place of systemd, and the programs are
those of the environment that devcloud itself is installed in.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from devcloud import ceph, shell
from devcloud.cloud import PASSWORD, REGION, Cloud
from devcloud.errors import UsageError

NAME = "refloat"
DEBIAN_PACKAGES = ("postgresql",)
BIN = Path(sys.prefix) / "bin"
DEPLOY = Path(__file__).parents[3] / "deploy"
POSTGRES_USER = "postgres"
SLOW_SECONDS = 300
"""What takes seconds may take minutes while other clouds of the machine come up."""
BANKS = {
    "default": "bank",
    "6659007d-6f66-4a0f-9cb4-17d6aded0bb9": "file-system-bank/refloat-karbor",
}
"""The folders of banks, and a provider that uses each."""
WORKERS = ("refloat-worker-1", "refloat-worker-2")


def check_installed(cloud: Cloud) -> None:
    """Fail early where there is no Refloat to run, or not its configuration."""
    missing = [path for path in (BIN / "refloat-manage", BIN / "uwsgi", DEPLOY) if not path.exists()]
    if missing:
        raise UsageError(f"there is no Refloat to run: {missing[0]} is missing (make .venv/.made)")
    if cloud.options.refloat_config and not Path(cloud.options.refloat_config).is_file():
        raise UsageError(f"there is no file {cloud.options.refloat_config}")


# -- files ----------------------------------------------------------------------------------------------


def render(cloud: Cloud) -> dict[str, str]:
    """The files of `deploy/` that a service reads, by their path below etc, with this cloud's values."""
    values = {
        "@DATABASE@": f"postgresql://{NAME}@/{NAME}?host={home(cloud)}",
        "@REGION@": REGION,
        "@AUTH_URL@": cloud.url("keystone", "/v3"),
        "@PASSWORD@": PASSWORD,
        "@CEPH_CONF@": str(ceph.CONFIG / "ceph.conf") if cloud.options.ceph else "",
        "@CEPH_USER@": ceph.REFLOAT if cloud.options.ceph else "",
        "/etc/refloat": f"{cloud.etc}/refloat",
        "/var/lib/refloat": f"{cloud.state}/refloat",
        # so that a token that a test revokes is not believed any longer
        "service_type = data-protect": "service_type = data-protect\ntoken_cache_time = -1",
    }
    names = [
        "refloat.conf",
        *(f"providers.d/{path.name}" for path in (DEPLOY / "providers.d").glob("*.conf")),
    ]
    found = {}
    for name in names:
        text = (DEPLOY / name).read_text()
        if name == "refloat.conf" and cloud.options.refloat_config:
            text += f"\n{Path(cloud.options.refloat_config).read_text()}"
        for word, value in values.items():
            text = text.replace(word, value)
        found[f"refloat/{name}"] = text
    return found


def environment(cloud: Cloud) -> dict[str, str]:
    """Of everything of Refloat's."""
    return {"REFLOAT_CONFIG": f"{cloud.etc}/refloat/refloat.conf"}


# -- PostgreSQL -----------------------------------------------------------------------------------------


def home(cloud: Cloud) -> Path:
    """PostgreSQL's files and socket."""
    return cloud.database / "pg"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else Path("/usr/lib/postgresql/bin")


def _as_postgres(*command: str | Path) -> tuple[str, ...]:
    """The server refuses to run as root."""
    become = ("setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--clear-groups", "--")
    return (*become, *(str(word) for word in command))


def postgresql_command(cloud: Cloud) -> tuple[str, ...]:
    """The server, on a socket only. What a power cut takes, it takes with the tmpfs: no flushing."""
    return _as_postgres(
        _programs() / "postgres", "-D", home(cloud) / "data", "-k", home(cloud), "-c", "listen_addresses=",
        "-c", "fsync=off", "-c", "max_connections=200",
    )  # fmt: skip


def postgresql_ready(cloud: Cloud) -> Callable[[], object]:
    """The server answers."""
    command: list[str | Path] = [_programs() / "pg_isready", "-h", home(cloud), "-U", NAME, "-d", "postgres"]
    return lambda: shell.run(command, timeout=10)


def postgresql_files(cloud: Cloud) -> None:
    """PostgreSQL's own files."""
    data = home(cloud) / "data"
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(home(cloud), ignore_errors=True)
    user = pwd.getpwnam(POSTGRES_USER)
    cloud.database.chmod(0o711)
    home(cloud).mkdir(mode=0o700)
    os.chown(home(cloud), user.pw_uid, user.pw_gid)
    initdb = (_programs() / "initdb", "-D", data, "-U", NAME, "-A", "trust", "--no-sync", "-E", "UTF8")
    shell.run(
        _as_postgres(*initdb), timeout=SLOW_SECONDS, log=cloud.log("schema-postgresql"), cwd=home(cloud)
    )


# -- what is done once, and again without harm ----------------------------------------------------------


def database(cloud: Cloud) -> None:
    """The database and its tables, and the banks."""
    programs = _programs()
    where: list[str | Path] = ["-h", home(cloud), "-U", NAME]
    there = shell.run(
        [programs / "psql", *where, "-d", "postgres", "-Atc", "SELECT datname FROM pg_database"]
    )
    if NAME not in there.stdout.split():
        shell.run([programs / "createdb", *where, NAME])
    shell.run(
        [BIN / "refloat-manage", "db", "sync"],
        timeout=SLOW_SECONDS,
        log=cloud.log("schema-refloat"),
        env=environment(cloud),
    )
    for provider, folder in BANKS.items():
        if not (cloud.state / "refloat" / folder / "bank").exists():
            shell.run(
                [BIN / "refloat-manage", "bank", "create", provider],
                timeout=SLOW_SECONDS,
                log=cloud.log("bank-refloat"),
                env=environment(cloud),
            )


def registration(cloud: Cloud) -> None:
    """The service's user and endpoints in Keystone."""
    (cloud.state / "refloat").mkdir(exist_ok=True)
    shell.run(
        [sys.executable, DEPLOY / "register.py", "--os-cloud", "admin", "--region", REGION, "--url",
         cloud.url("refloat-api")],
        timeout=SLOW_SECONDS, log=cloud.log("refloat-registration"),
        env={"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml), "REFLOAT_PASSWORD": PASSWORD},
    )  # fmt: skip


def api_command() -> tuple[str, ...]:
    """The API under uwsgi."""
    return (str(BIN / "uwsgi"), "--ini", str(DEPLOY / "uwsgi.ini"))


def worker_command() -> tuple[str, ...]:
    """A worker."""
    return (str(BIN / "refloat"), "-v", "worker")
