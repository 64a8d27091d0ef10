"""The cloud is gone, and another one restores from the bank and its key alone: finding 1.5, acceptance.

The first cloud is a project of the test's own, with a user and an application; all three are removed. The
second is a devcloud within the first one's namespaces, with a network of its own: neither reaches the other,
and they share a folder. What is typed there is what docs/disaster.md says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml
from openstack.exceptions import NotFoundException

from demo.application import Application
from demo.build import Builder
from demo.command import Command
from demo.compare import broken, compare
from demo.describe import Describer, Description
from demo.destroy import destroy
from tests.fullstack.conftest import CALL_SECONDS
from tests.install.guide import commands

pytestmark = pytest.mark.timeout(1500)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/disaster.md"
APP = Application(servers=("web",))
LOOK = """
import json, openstack
from demo.application import Application
from demo.build import wait_for_guests
from demo.describe import Describer
cloud, app = openstack.connect(cloud="demo"), Application(servers=("web",))
print(json.dumps(Describer(cloud, app).describe(wait_for_guests(cloud, app))))
"""
"""What the second cloud has by now, told by one who is in it."""

OTHERWISE = {
    ("server web", "flavor"): ("OS::Nova::Server", "flavor"),
    ("contents of web vda", "bytes"): ("OS::Nova::Server", "flavor"),
    ("volume web-data", "type"): ("OS::Cinder::Volume", "type"),
    ("router app-router", "gateway"): ("OS::Neutron::Router", "gateway.network"),
    ("floating ips of web", "addresses"): ("OS::Neutron::FloatingIP", "floating_ip_address"),
    ("floating ips of web", "network"): ("OS::Neutron::FloatingIP", "floating_network_id"),
}
"""What is not as it was: type and attribute by which the restore plan says so."""


@dataclass(frozen=True)
class Said:
    """What a command of the page has said."""

    text: str
    status: int
    out: str
    err: str


class Second:
    """The other cloud."""

    def __init__(self) -> None:
        self.name = f"{os.environ['DEVCLOUD_NAME']}-b"

    def devcloud(self, *words: str, seconds: float = 900, **options: Any) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("devcloud")
        return subprocess.run(
            [str(program), "--name", self.name, *words], timeout=seconds, text=True, check=False, **options
        )

    def up(self) -> None:
        done = self.devcloud("up", "--isolated", "--unlike", "--without", "swift", capture_output=True)
        assert done.returncode == 0, done.stderr

    def exec(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.devcloud("exec", "--", *words, capture_output=True, cwd=ROOT, **options)


@pytest.fixture
def second() -> Iterator[Second]:
    made = Second()
    made.devcloud("down", "--wipe", capture_output=True)  # what a run that was cut off has left
    yield made
    made.devcloud("down", "--wipe", capture_output=True)


@dataclass(frozen=True)
class Shop:
    """An ordinary member of a project of the first cloud."""

    cloud: Any
    project_id: str
    user_id: str


@pytest.fixture
def shop(admin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    project = admin.identity.create_project(name=name, domain_id="default")
    user = admin.identity.create_user(name=name, password=name, domain_id="default")
    admin.identity.assign_project_role_to_user(project, user, admin.identity.find_role("member"))
    entry = yaml.safe_load(Path(os.environ["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["demo"]
    entry["auth"] |= {"username": name, "password": name, "project_name": name}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"shop": entry}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    yield Shop(openstack.connect(cloud="shop", api_timeout=CALL_SECONDS), project.id, user.id)
    for group in admin.network.security_groups(project_id=project.id):
        admin.network.delete_security_group(group.id)
    admin.identity.delete_user(user.id, ignore_missing=True)
    admin.identity.delete_project(project.id, ignore_missing=True)


def protected(shop: Shop, home: Path) -> tuple[Description, str]:
    """Built, looked at, and protected into the bank: what it is, and the checkpoint."""
    try:
        spoken = Builder(shop.cloud, APP).build()
        description = Describer(shop.cloud, APP).describe(spoken)
        command = Command(home, "shop")
        whole = f"project={shop.project_id}"
        command.run("plan", "create", "shop", "--resource", whole, "--provider", "bank")
        made = command.json("protect", "shop")
        assert made["status"] == "available"
        return json.loads(json.dumps(description)), str(made["id"])
    finally:
        destroy(shop.cloud, APP)


def typed(second: Second, folder: Path, names: Mapping[str, str]) -> list[Said]:
    """Type the section of the page in one shell of the second cloud, by a user with an empty home."""
    (folder / "home").mkdir(parents=True)
    lines = [f"export HOME={folder}/home PATH={Path(sys.executable).parent}:$PATH", "unset OS_CLOUD", "cd"]
    texts = [command.text for command in commands(PAGE, "Restore it")]
    for old in names:
        assert any(old in text for text in texts), old
    for number, text in enumerate(texts):
        for old, new in names.items():
            text = text.replace(old, new)
        at = folder / str(number)
        lines.append(f"{text} >{at}.out 2>{at}.err; echo $? >{at}.status")
        if text.endswith("--dry-run"):  # once more, for a program; the last one counts
            lines.append(f"{text} -f json >{folder}/plan.json 2>/dev/null")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("REFLOAT_", "XDG_"))}
    second.exec("bash", "-c", "\n".join(lines), env=environ)
    return [
        Said(
            text,
            int((folder / f"{number}.status").read_text()),
            (folder / f"{number}.out").read_text(),
            (folder / f"{number}.err").read_text(),
        )
        for number, text in enumerate(texts)
    ]


def test_1_5_another_cloud_restores_by_the_page(
    shop: Shop, admin: Any, second: Second, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(second.up)
        before, checkpoint = protected(shop, tmp_path / "first")
        admin.identity.delete_user(shop.user_id)
        admin.identity.delete_project(shop.project_id)
        with pytest.raises(NotFoundException):
            admin.identity.get_project(shop.project_id)
        shutil.move(tmp_path / "first/bank", tmp_path / "bucket")
        shutil.move(tmp_path / "first/bank.key", tmp_path / "safe.key")
        shutil.rmtree(tmp_path / "first")
        coming.result()
    names = {
        "newcloud": "demo",
        "s3://backup/bank": str(tmp_path / "bucket"),
        "~/bank.key": str(tmp_path / "safe.key"),
        "5d0f1c6a": checkpoint[:8],
        "flavor:m1.small=c5": "flavor:tiny=b1.web",
        "volume-type:lvm=ceph": "volume-type:nfs2=fast",
        "external-network:public=internet": "external-network:public=internet",
    }
    said = typed(second, tmp_path / "typed", names)
    told = "\n".join(f"$ {each.text}: {each.status}\n{each.out}{each.err}" for each in said)
    kinds = {tuple(each.text.split()[:3]): each for each in said}
    assert checkpoint in kinds["refloat", "checkpoint", "list"].out, told
    asked = [each for each in said if "--dry-run" in each.text]
    assert "It is NOT possible" in asked[0].out, told
    assert f"It comes from the project {shop.project_id}" in asked[0].out, told
    assert [each.text for each in said if each.status] == [asked[0].text], told

    planned = json.loads((tmp_path / "typed/plan.json").read_text())
    looked = second.exec(sys.executable, "-c", LOOK, seconds=400)
    assert looked.returncode == 0, looked.stderr
    rows = compare(before, json.loads(looked.stdout))
    disks = [row for row in rows if row.resource.startswith("contents of ")]
    assert {row.resource for row in disks if row.equal} == {"contents of web vda", "contents of web vdb"}
    different = {(row.resource, row.attribute): row for row in broken(rows)}
    assert set(different) == set(OTHERWISE), different
    for where, row in different.items():
        assert _foretold(planned, *OTHERWISE[where]), (row, planned)
    assert "a disk of 2 GiB instead of" in " ".join(asked[1].out.split()), told


def _foretold(planned: Mapping[str, Any], kind: str, attribute: str) -> bool:
    return any(
        outcome["name"] == attribute and outcome["fidelity"] != "exact"
        for item in planned["resources"]
        if item["type"] == kind
        for outcome in item["attributes"]
    )
