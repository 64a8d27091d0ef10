"""Protected into Swift, copied into S3, lost with all that the cloud had: it comes back from each alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.application import Application
from demo.command import Command
from demo.guests import known_hash, known_regions
from demo.inventory import Inventory, difference, inventory
from tests.fullstack.object_store import container, keys, member, s3_options, use_keys
from tests.fullstack.restored import VOLUME
from tests.fullstack.small import DISK, SHORT, SIZE, Small
from tests.projects import project_of

__all__ = ["container", "keys", "member", "s3_options", "use_keys"]

pytestmark = pytest.mark.timeout(1200)

IMAGE = "OS::Glance::Image"
READER = Path(__file__).parents[2] / "tools/read_bank.py"
PROVIDER = """
[provider]
name = elsewhere
id = 6b7b1f0a-4a52-4f43-8f0c-0e4c2e6a9d01
enabled = True
plugin = volume-bank
[refloat_bank]
url = {url}
key_file = {key}
"""


@pytest.fixture
def empty(member: Any) -> Inventory:
    """What the project holds before."""
    return inventory(member)


@pytest.fixture
def small(empty: Inventory, member: Any) -> Iterator[Small]:
    """The small application, in a project of its own."""
    made = Small(member, Application("out-"))
    try:
        made.build()
        yield made
    finally:
        made.lose()


def restored(small: Small, command: Command, checkpoint: str) -> dict[str, dict[str, str]]:
    """Restore, listen to the guest, lose it again; what the guest found on its disks."""
    answer = command.json("restore", checkpoint)
    assert answer["status"] == "succeeded"
    images = tuple(
        item["new_id"]
        for item in answer["resources"]
        if item["type"] == IMAGE and item["status"] == "created"
    )
    try:
        (volume,) = (v for v in small.cloud.block_storage.volumes() if v.name == small.app.name("data"))
        assert volume.metadata == {"kept": "yes"}
        return small.contents()
    finally:
        small.lose(images)


def extract(member: Any, container: str, checkpoint: str, folder: Path) -> None:
    """Without Refloat: fetch the bank's objects, and read the volume with the script of 200 lines."""
    bank = folder / "fetched"
    for found in member.object_store.objects(container, prefix="first/"):
        path = bank / found.name.removeprefix("first/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.object_store.download_object(found.name, container))
    reader = [sys.executable, str(READER), "--bank", str(bank), "--key", str(folder / "bank.key")]
    shown = json.loads(subprocess.check_output([*reader, "show", checkpoint], timeout=60))
    (section,) = (key for key in shown["sections"] if key.startswith(VOLUME))
    target = folder / "volume"
    subprocess.run([*reader, "--to", str(target), "extract", checkpoint, section], check=True, timeout=120)
    assert target.stat().st_size == SIZE << 30
    with target.open("rb") as file:
        for at in known_regions(SIZE << 10):
            file.seek(at << 20)
            assert hashlib.sha256(file.read(1 << 20)).hexdigest() == known_hash(SHORT, f"{DISK} {at}")


@pytest.mark.usefixtures("use_keys")
def test_from_swift_and_from_a_copy_in_s3(
    member: Any, empty: Inventory, small: Small, tmp_path: Path, container: str, s3_options: str
) -> None:
    contents = small.contents()
    whole = inventory(member)
    command = Command(tmp_path, project_of(__file__), bank_url=f"swift://{container}/first")
    (tmp_path / "providers.d").mkdir()
    url = f"s3://{container}/second?{s3_options}"
    key = tmp_path / "second.key"
    (tmp_path / "providers.d/elsewhere.conf").write_text(PROVIDER.format(url=url, key=key))

    server = f"server={small.app.name(SHORT)}"
    command.run("plan", "create", "small", "--resource", server, "--provider", "bank")
    checkpoint = command.json("protect", "small")["id"]
    assert difference(whole, inventory(member)) == []
    command.run("bank", "create", "--provider", "elsewhere")
    copy = command.json("checkpoint", "copy", checkpoint, "--to", "elsewhere")
    assert (copy["complete"], copy["provider"]) == (True, "elsewhere")

    small.lose()
    assert difference(empty, inventory(member)) == []
    assert restored(small, command, checkpoint) == contents
    assert difference(empty, inventory(member)) == []

    extract(member, container, checkpoint, tmp_path)
    for found in list(member.object_store.objects(container, prefix="first/")):
        member.object_store.delete_object(found)
    shutil.rmtree(command.state)
    alone = replace(command, bank_url=url, home=tmp_path / "alone")
    alone.home.mkdir()
    shutil.copy(key, alone.home / "bank.key")
    assert [item["id"] for item in alone.json("checkpoint", "list")] == [copy["id"]]
    assert restored(small, alone, copy["id"]) == contents
    assert difference(empty, inventory(member)) == []
    assert alone.json("checkpoint", "delete", copy["id"])[0]["status"] == "deleted"
