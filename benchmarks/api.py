"""The service's lists and shows with 10,000 checkpoints, beside Keystone's own ``GET /v3/projects``.

    devcloud exec -- python benchmarks/api.py [--seconds N] [--rounds N] [--clients N] [--json]

The service runs here as Keystone does in the cloud: uwsgi, one process, eight threads, a connection for each
request; once on SQLite and once on PostgreSQL (Debian's package, run from a temporary folder). Its tokens are
the cloud's, validated by the cloud's Keystone. Client processes send one request after the other, to
one thing at a time; the things take turns. ``ratio``: requests per second as a part of Keystone's.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import openstack

from refloat.database import now
from refloat.graph import discover
from refloat.records.checkpoints import AVAILABLE
from refloat.records.database import Database
from refloat.records.tables import CheckpointRow
from refloat.resources.noop import NoopProtectable

CHECKPOINTS = 10_000
RESOURCES = 12
"""Of an application: a server, its disks, networks."""
NOOP = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03"
UWSGI = (
    "--module", "refloat.wsgi:application", "--processes", "1", "--threads", "8", "--enable-threads",
    "--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535", "--add-header",
    "Connection: close", "--disable-logging",
)  # fmt: skip


class Target(NamedTuple):
    """What is asked for."""

    name: str
    url: str
    token: str


def items(target: Target) -> int:
    """How many things one answer tells of."""
    request = urllib.request.Request(target.url, headers={"X-Auth-Token": target.token})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = next(value for name, value in json.load(answer).items() if name != "links")
    return len(found) if isinstance(found, list) else 1


def ask(target: Target, seconds: float) -> list[float]:
    """Ask again and again; the seconds that each answer took."""
    url = urlsplit(target.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
        connection.request("GET", path, headers={"X-Auth-Token": target.token})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{target.url}: {answer.status} {body[:300]!r}")
        took.append(time.perf_counter() - begun)
    return took


def measure(targets: list[Target], seconds: float, rounds: int, clients: int) -> list[dict[str, Any]]:
    """Requests per second, and how long they took."""
    took: dict[str, list[float]] = {target.name: [] for target in targets}
    with multiprocessing.get_context("fork").Pool(clients) as pool:
        for target in targets:
            ask(target, 1.0)  # caches are warm
        for number in range(rounds):
            for target in targets[:: 1 if number % 2 else -1]:
                for found in pool.starmap(ask, [(target, seconds)] * clients):
                    took[target.name] += found
    rows = []
    for target in targets:
        times = sorted(took[target.name])
        rows.append(
            {
                "what": target.name,
                "items": items(target),
                "requests": len(times),
                "per_s": round(len(times) / (seconds * rounds), 1),
                "median_ms": round(statistics.median(times) * 1000, 1),
                "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
            }
        )
    for row in rows:
        row["ratio"] = round(row["per_s"] / rows[0]["per_s"], 2)
    return rows


def fill(database_url: str, project_id: str) -> str:
    """Write down the checkpoints; the id of one of them."""
    finder = NoopProtectable(None)  # type: ignore[arg-type]
    root = finder.show(f"tree-{RESOURCES}")
    graph = discover([root], finder.dependants, lambda _resource: ()).to_json()
    plan = {
        "id": str(uuid.uuid4()),
        "name": "shop",
        "resources": [{"type": root.type, "id": root.id, "name": "x"}],
    }
    ids = [str(uuid.uuid4()) for _ in range(CHECKPOINTS)]
    start = now()
    database = Database(database_url)
    with database.session() as session:
        session.add_all(
            CheckpointRow(
                id=identity,
                project_id=project_id,
                provider_id=NOOP,
                plan_id=plan["id"],
                plan=plan,
                status=AVAILABLE,
                reason="",
                extra_info={"created_by": "manual"},
                graph=graph,
                created_at=start - timedelta(minutes=number),
            )
            for number, identity in enumerate(ids)
        )
    database.close()
    return ids[CHECKPOINTS // 2]


@contextmanager
def served(folder: Path, database_url: str, auth: dict[str, str]) -> Iterator[str]:
    """The service; its URL."""
    options = "\n".join(f"{name} = {value}" for name, value in auth.items())
    (folder / "refloat.conf").write_text(
        f"[database]\nconnection = {database_url}\n"
        f"[bank]\nurl = {folder}/bank\nkey_file = {folder}/bank.key\n"
        f"[providers]\nfolder = {folder}/providers.d\nnoop = true\n"
        f"[keystone_authtoken]\nauth_type = password\n{options}\n"
        f"[trustee]\nauth_type = v3password\n{options}\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uwsgi = Path(sys.executable).with_name("uwsgi")
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--virtualenv", sys.prefix, *UWSGI],
            env={**os.environ, "REFLOAT_CONFIG": f"{folder}/refloat.conf"},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit((folder / "log").read_text()) from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server, and the URL of an empty database."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    home = folder / "pg"
    home.mkdir()
    become: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        folder.chmod(0o711)
        os.chown(home, user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def run(*command: str) -> None:
        subprocess.run([*become, *command], cwd=home, check=True, capture_output=True, timeout=120)

    data = str(home / "data")
    run(f"{programs}/initdb", "-D", data, "-U", "refloat", "-A", "trust", "-E", "UTF8")
    options = f"-k {home} -c listen_addresses="
    run(f"{programs}/pg_ctl", "-D", data, "-w", "-l", f"{home}/log", "-o", options, "start")
    try:
        run(f"{programs}/createdb", "-h", f"{home}", "-U", "refloat", "refloat")
        yield f"postgresql://refloat@/refloat?host={home}"
    finally:
        run(f"{programs}/pg_ctl", "-D", data, "-m", "fast", "stop")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="for each thing in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=4, help="processes that ask at once")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()

    cloud = openstack.connect(cloud="admin")
    token, project_id = str(cloud.auth_token), str(cloud.current_project_id)
    wanted = ("auth_url", "username", "password", "user_domain_name", "project_name", "project_domain_name")
    auth = {name: str(cloud.config.auth[name]) for name in wanted}
    identity = Target("Keystone: GET /v3/projects", f"{auth['auth_url']}/projects", token)
    folder = Path(tempfile.mkdtemp(prefix="refloat-bench-"))
    try:
        with postgresql(folder) as on_postgresql:
            databases = {"SQLite": f"sqlite:///{folder}/refloat.sqlite", "PostgreSQL": on_postgresql}
            rows: list[dict[str, Any]] = []
            for (name, url), number in zip(databases.items(), itertools.count()):
                place = folder / str(number)
                place.mkdir()
                some = fill(url, project_id)
                with served(place, url, auth) as service:
                    below = f"{service}/v1/{project_id}/providers/{NOOP}/checkpoints"
                    targets = [
                        identity,
                        Target(f"{name}: list 20", f"{below}?limit=20", token),
                        Target(f"{name}: list 20 in the middle", f"{below}?limit=20&marker={some}", token),
                        Target(f"{name}: list 1000", f"{below}?limit=1000", token),
                        Target(f"{name}: show", f"{below}/{some}", token),
                    ]
                    rows += measure(targets, chosen.seconds, chosen.rounds, chosen.clients)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    head = list(rows[0])
    print("| " + " | ".join(head) + " |\n|--" + "|--:" * (len(head) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in head) + " |")


if __name__ == "__main__":
    main()
