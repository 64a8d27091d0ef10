"""A first day, a worst day and the night after it, by the command: an application of a server and a network.

Findings: 1.1 and 1.2 (a schedule's preview, and what is made by hand), 1.3 (plans after a restore), 1.4 (one
missing resource), 1.6 (a bank that is not there), 1.7 (the plan of a schedule), 1.8 (nothing runs a schedule
here), 2.1, 2.2 and 2.4 to 2.6 (the screen of a restore plan), 2.3 (no twins), 2.7 (words in braces).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openstack
import pytest

from demo.application import Application
from demo.command import Command
from demo.inventory import difference, inventory
from demo.waiting import wait_for
from tests.fullstack.restored import IMAGE, NETWORK, SERVER, created
from tests.fullstack.small import SHORT, Small
from tests.projects import project_of

pytestmark = pytest.mark.timeout(900)

CLOUD = project_of(__file__)


@pytest.fixture
def small() -> Iterator[Small]:
    made = Small(openstack.connect(cloud=CLOUD, api_timeout=180), Application("day-"), volume=False)
    try:
        made.build()
        yield made
    finally:
        made.lose()


def server_of(small: Small) -> Any:
    (found,) = (s for s in small.cloud.compute.servers() if s.name == small.app.name(SHORT))
    return found


def resources_of(command: Command) -> dict[str, str]:
    """The ids that the plan names, by type."""
    return {item["type"]: item["id"] for item in command.json("plan", "show", "shop")["resources"]}


def a_first_day(command: Command) -> tuple[str, str]:
    """A checkpoint by hand, and one by a schedule that does what it has said."""
    by_hand = command.json("protect", "shop", "--name", "by hand")["id"]
    command.run("trigger", "create", "nightly", "--cron", "30 2 * * *")
    schedule = ("schedule", "create", "nightly", "--trigger", "nightly", "--plan", "shop")
    made = command.run(*schedule, "--max-backups", "1")
    assert "refloat schedule install" in made.stderr
    refused = command.answer("plan", "delete", "shop")
    assert (refused.status, "in use by the schedule nightly" in refused.stderr) == (1, True)

    (said,) = command.json("schedule", "preview", "nightly")
    assert (said["checkpoint"], said["keep"]) == (by_hand, True)
    assert "made by hand" in said["rule"]
    told = command.run("schedule", "run", "nightly").stderr
    assert "kept 2 (" in told
    (run,) = command.json("schedule", "show", "nightly")["last_runs"]
    assert (run["state"], run["deletions"]) == ("succeeded", [])
    assert {item["checkpoint_id"] for item in run["kept"]} == {by_hand, run["checkpoint_id"]}
    assert {item["id"] for item in command.json("checkpoint", "list")} == {by_hand, run["checkpoint_id"]}
    return by_hand, run["checkpoint_id"]


def what_is_left_is_protected(command: Command, lost: str) -> str:
    """The server is gone: the network is protected, and what is missing is told."""
    partial = command.answer("protect", "shop", "-f", "json")
    assert partial.status == 0
    assert any("partial" in line and lost in line for line in partial.stderr.splitlines())
    (lacked,) = partial.data["lacks"]
    assert lacked["id"] == lost
    assert {item["type"] for item in partial.data["resources"]} >= {NETWORK}
    return str(partial.data["id"])


def a_restore_plan_brings_back_what_is_gone(command: Command, checkpoint: str, lost: str) -> Any:
    """Made, read, run: the server comes back, the network that lives is used."""
    words = ("restore", "plan", "create", checkpoint)
    refused = command.answer(*words, "--parameter", "server:restore_name={nam}-x")
    assert refused.status != 0
    assert "{nam}" in refused.stderr
    screen = command.run(*words, "--name", "back").stdout.splitlines()
    assert screen[1].startswith("It is possible: ")
    assert f"The checkpoint {checkpoint[:8]} of shop is of " in screen[2]
    assert any(" move. " in line for line in screen)
    (needs,) = (line for line in screen if line.startswith("It needs: "))
    assert "128 MiB of ram" in needs
    assert "1 server" in needs
    assert any(line.startswith("create  server ") and lost in line for line in screen)
    assert any(line.startswith("create  image ") and " (disk)" in line for line in screen)
    assert len(screen) < 30, screen
    answer = command.json("restore", "plan", "run", "back")
    assert answer["status"] == "succeeded"
    assert set(created(answer, SERVER)) == {lost}
    assert created(answer, NETWORK) == {}
    return answer


def what_was_restored_is_known(command: Command, small: Small, checkpoint: str, lost: str) -> None:
    """The same checkpoint once more: nothing is made twice, and what was made gets back what it has lost."""
    cloud, new = small.cloud, server_of(small).id
    again = command.json("restore", checkpoint)
    assert (again["status"], created(again)) == ("succeeded", {})
    told = {line["source_id"]: line for line in again["resources"]}
    assert (told[lost]["status"], told[lost]["new_id"]) == ("kept", new)
    assert f"it was restored as {small.app.name(SHORT)} ({new}) on 20" in told[lost]["reason"]

    (port,) = cloud.network.ports(device_id=new)
    cloud.compute.delete_server_interface(port.id, server=new)
    wait_for("the card to be gone", lambda: not list(cloud.network.ports(device_id=new)), 120)
    if any(each.id == port.id for each in cloud.network.ports()):
        cloud.network.delete_port(port.id)
    repaired = command.json("restore", checkpoint, "--existing", "repair")
    (line,) = (line for line in repaired["resources"] if line["type"] == SERVER)
    assert (line["status"], line["source_id"], line["new_id"]) == ("repaired", lost, new)
    (card,) = cloud.network.ports(device_id=new)
    assert card.mac_address == port.mac_address
    assert [each["ip_address"] for each in card.fixed_ips] == [each["ip_address"] for each in port.fixed_ips]
    assert server_of(small).id == new


def test_the_server_is_lost_and_the_next_night_is_protected(small: Small, tmp_path: Path) -> None:
    cloud, before = small.cloud, inventory(small.cloud)
    command = Command(tmp_path, CLOUD)
    lost = server_of(small).id
    network = small.app.name("net")
    resources = ("--resource", f"server={small.app.name(SHORT)}", "--resource", f"network={network}")
    command.run("plan", "create", "shop", *resources)
    nowhere = replace(command, bank_url=str(tmp_path / "mistyped")).answer("checkpoint", "list")
    assert (nowhere.status, "there is no bank in" in nowhere.stderr) == (1, True)

    made = [*a_first_day(command)]
    assert difference(before, inventory(cloud)) == []

    small.lose_server()
    made.append(what_is_left_is_protected(command, lost))
    answer = a_restore_plan_brings_back_what_is_gone(command, made[1], lost)
    new = server_of(small).id
    assert created(answer, SERVER) == {lost: new}
    assert resources_of(command)[SERVER] == new
    what_was_restored_is_known(command, small, made[1], lost)

    night = command.json("protect", "shop")
    assert "lacks" not in night
    assert new in {item["id"] for item in night["resources"]}
    kept = command.json("restore", night["id"])
    assert (kept["status"], created(kept)) == ("succeeded", {})
    assert server_of(small).id == new
    command.run("schedule", "delete", "nightly")
    deleted = command.json("checkpoint", "delete", *made, night["id"])
    assert [item["status"] for item in deleted] == ["deleted"] * 4
    small.lose(tuple(created(answer, IMAGE).values()))
