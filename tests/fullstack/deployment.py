"""The service as the cloud has deployed it: where it is, and what it keeps and writes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devcloud import cloud as clouds
from devcloud import refloat as installed

SECONDS = 120
THERE_USER = "refloat-there"
"""The service's user in the other cloud of refloat.conf."""


@dataclass(frozen=True)
class Deployment:
    """The deployed service, on this machine.

    :param url: as the catalogue has it, without the project at its end.
    """

    url: str

    @property
    def _cloud(self) -> clouds.Cloud:
        return clouds.load()

    def target(self, name: str) -> str:
        """The URL of a cloud to which restores may go."""
        wanted = f"{name}:"
        for line in (self._cloud.etc / "refloat" / "refloat.conf").read_text().splitlines():
            key, _, value = line.partition(" = ")
            for entry in value.split(",") if key == "allowed_targets" else ():
                if entry.startswith(wanted):
                    return entry.removeprefix(wanted)
        pytest.fail(
            "the service has no such target: devcloud up --refloat-config tests/fullstack/refloat.conf"
        )

    def holds(self, secret: str) -> set[str]:
        """Where a secret is found: ``database`` (also in what it has kept of changes), ``log``, ``bank``."""
        cloud = self._cloud
        database = installed.home(cloud)
        dump = subprocess.run(
            [*_programs("pg_dump"), "-h", database, "-U", installed.NAME, "-d", installed.NAME],
            capture_output=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        logs = [cloud.log(name) for name in ("refloat-api", "postgresql", *installed.WORKERS)]
        places = {
            "database": [dump.stdout, *_contents(database)],
            "log": [path.read_bytes() for path in logs],
            "bank": _contents(cloud.state / "refloat"),
        }
        forms = (secret.encode(), secret.encode().hex().encode())
        return {
            place for place, texts in places.items() if any(form in text for text in texts for form in forms)
        }


def _programs(name: str) -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]


def _contents(folder: Path) -> Any:
    """What is in the files of a folder, one after the other; a server may remove one meanwhile."""
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.read_bytes()
        except FileNotFoundError:
            continue
