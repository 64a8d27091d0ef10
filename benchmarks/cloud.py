"""The bank over Swift, S3 and Glance, beside plain transfers of the same bytes to and from the same server.

    devcloud exec -- python benchmarks/cloud.py [--size MIB] [--rounds N] [--json]

For Swift and its S3 API: what four parallel streams reach with plain requests that send objects of 12 MiB,
the size of the bank's packs, and read them again; beside that a protection of as much incompressible data,
encryption included, and reading all of it back and checking it. For Glance: a plain download of an image to
nowhere, and the same image into a bank in a folder. The ways take turns. CPU seconds are this process's; on
a small machine the server works on the same cores. What was made in the cloud is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

from refloat.bank import Bank, BankKey
from refloat.bank.opening import open_store
from refloat.cloud import Cloud
from refloat.cloud.objectstore import ObjectStoreLogin
from refloat.resources.glance import read_image
from refloat.resources.image_data import download

MIB = 1 << 20
OBJECT = 12 * MIB
STREAMS = 4
KEY = BankKey(bytes(32))
RATIO, CPU = 0.95, 0.6
"""What is wanted: the part of the plain streams' speed, and CPU seconds per GB."""


@dataclass
class Figures:
    """Of one way: seconds and CPU seconds of every round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Table:
    """The ways, and what was measured of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.figures: dict[tuple[str, str], Figures] = {}

    def measure(self, step: str, way: str, work: Callable[[], Any]) -> Any:
        """Do it, and note how long it took."""
        begun, cpu = time.perf_counter(), _cpu()
        result = work()
        found = self.figures.setdefault((step, way), Figures())
        found.wall.append(time.perf_counter() - begun)
        found.cpu.append(_cpu() - cpu)
        return result

    def rows(self) -> list[dict[str, Any]]:
        """One line for each step and way; ``ratio``: its speed as a part of the plain one's."""
        rows = []
        for (step, way), found in self.figures.items():
            plain = statistics.median(self.figures[step, "plain"].wall)
            wall = statistics.median(found.wall)
            rows.append(
                {
                    "step": step,
                    "way": way,
                    "mb_per_s": round(self.size / wall / 1e6, 1),
                    "cpu_s_per_gb": round(statistics.median(found.cpu) / (self.size / 1e9), 2),
                    "ratio": round(plain / wall, 2),
                }
            )
        return rows


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def noise(size: int, seed: int) -> Iterator[bytes]:
    """Data that cannot be compressed, a MiB at a time; made beforehand, so that it costs nothing here."""
    pool = [random.Random(seed + number).randbytes(MIB - 8) for number in range(8)]
    for number in range(size // MIB):
        yield b"".join((number.to_bytes(8, "big"), pool[number % len(pool)]))


class Plain:
    """Plain requests with kept connections, by four threads."""

    def __init__(self, base: str, token: Callable[[], str], size: int) -> None:
        self._base, self._token = base, token
        self._names = [f"plain-{number}" for number in range(size // OBJECT)]
        self._body = random.Random(1).randbytes(OBJECT)

    def _all(self, method: str, **options: Any) -> None:
        token = self._token()

        def some(names: list[str]) -> None:
            with requests.Session() as session:
                for name in names:
                    answer = session.request(
                        method,
                        f"{self._base}/{name}",
                        headers={"X-Auth-Token": token},
                        timeout=120,
                        **options,
                    )
                    answer.raise_for_status()

        with ThreadPoolExecutor(STREAMS) as pool:
            list(pool.map(some, [self._names[start::STREAMS] for start in range(STREAMS)]))

    def write(self) -> None:
        """Send all objects."""
        self._all("PUT", data=self._body)

    def read_image(self) -> None:
        """Get all objects."""
        self._all("GET")


def protect(bank: Bank, name: str, data: Iterator[bytes], size: int) -> dict[str, Any]:
    """Store data as a checkpoint; its reference."""
    with bank.writer(name, "benchmark") as writer:
        ref = writer.put_data(data, size=size)
        writer.commit(created_at="2031-01-31T12:00:00Z", graph=[], sections={"disk": {"data": ref}})
    return ref


def object_stores(cloud: Cloud, table: Table, rounds: int) -> None:
    """Swift and S3."""
    api = cloud.connection
    login = ObjectStoreLogin(cloud)
    container = f"benchmark-{uuid.uuid4().hex[:8]}"
    api.object_store.create_container(container)
    path = f"/users/{api.current_user_id}/credentials/OS-EC2"
    keys = api.identity.post(path, json={"tenant_id": api.current_project_id}).json()["credential"]
    os.environ.update(AWS_ACCESS_KEY_ID=keys["access"], AWS_SECRET_ACCESS_KEY=keys["secret"])
    options = urlencode({"endpoint": login.endpoint.partition("/v1")[0], "region": "us-east-1"})
    urls = {"Swift": f"swift://{container}/swift", "S3": f"s3://{container}/s3?{options}"}
    plain = Plain(f"{login.endpoint}/{container}", login.token, table.size)
    try:
        banks = {
            way: Bank.open(open_store(url, logins=lambda _name: login), KEY, create=True)
            for way, url in urls.items()
        }
        for turn in range(rounds):
            table.measure("write", "plain", plain.write)
            for way, bank in banks.items():
                data = noise(table.size, 1000 * turn)
                work = lambda b=bank, d=data, t=turn: protect(b, f"c{t}", d, table.size)  # noqa: E731
                table.measure("write", way, work)
            table.measure("read", "plain", plain.read)
            for way, bank in banks.items():
                table.measure("read", way, lambda b=bank, t=turn: b.verify(f"c{t}"))
            for bank in banks.values():
                bank.delete(f"c{turn}")
    finally:
        for found in list(api.object_store.objects(container)):
            api.object_store.delete_object(found)
        api.object_store.delete_container(container)
        api.identity.delete(f"{path}/{keys['access']}")


def glance(cloud: Cloud, table: Table, rounds: int) -> None:
    """A Glance image."""
    api = cloud.connection.image
    made = api.create_image(
        name="benchmark", disk_format="raw", container_format="bare", visibility="private"
    )
    folder = tempfile.mkdtemp(prefix="refloat-benchmark-")
    try:
        made.data = b"".join(noise(table.size, 7))
        made.upload(api)
        made.data = None
        image = read_image(cloud, made.id)

        def plain() -> None:
            answer = api.get(f"/images/{made.id}/file", stream=True)
            for _ in answer.iter_content(MIB):
                pass

        for turn in range(rounds):
            table.measure("image", "plain", plain)
            with Bank.open(f"{folder}/{turn}", KEY, create=True) as bank:
                work = lambda b=bank: protect(b, "image", download(cloud, image, ""), table.size)  # noqa: E731
                table.measure("image", "into a bank", work)
    finally:
        api.delete_image(made.id)
        shutil.rmtree(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=480, metavar="MIB", help="how much")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = Table(options.size * MIB // OBJECT * OBJECT)
    with closing(Cloud(os.environ.get("OS_CLOUD", "demo"))) as cloud:
        object_stores(cloud, table, options.rounds)
        glance(cloud, table, options.rounds)
    if options.json:
        print(json.dumps(table.rows(), indent=1))
        return
    print("| step | way | MB/s | CPU s per GB | of plain |\n|--|--|--:|--:|--:|")
    for row in table.rows():
        print("| {step} | {way} | {mb_per_s} | {cpu_s_per_gb} | {ratio} |".format(**row))
    print("\n| goal | wanted | measured | |\n|--|--:|--:|--|")
    for row in table.rows():
        if row["way"] in ("Swift", "S3"):
            what = "{way}, {step}".format(**row)
            ratio, cpu = row["ratio"], row["cpu_s_per_gb"]
            print(f"| {what}: part of four plain streams | {RATIO} | {ratio} | {_met(ratio >= RATIO)} |")
            print(f"| {what}: CPU seconds per GB | {CPU} | {cpu} | {_met(cpu <= CPU)} |")
    print(f"\nThe machine's load at the end: {os.getloadavg()[0]:.1f}.")


def _met(reached: bool) -> str:
    return "reached" if reached else "missed"


if __name__ == "__main__":
    main()
