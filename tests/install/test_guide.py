"""docs/install.md on a clean machine, typed as it stands, and then docs/operate.md on what is there.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.install import guide
from tests.install.machine import SOURCE, Machine, Shell, wait

DOCS = Path(__file__).parents[2] / "docs"
ROOT_SECTIONS = ("1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.")
UNITS = ("refloat-api", "refloat-worker@1")
# The workers of uwsgi load the application after it has started.
HEALTHY = (
    "/opt/refloat/bin/python -c 'import urllib.request as r, time\n"
    "for left in range(300):\n"
    '    try: r.urlopen("http://controller:8799/healthcheck"); break\n'
    "    except OSError: time.sleep(0.3)\n"
    'else: raise SystemExit("no answer")\''
)
USER = "newcomer"
VOLUME = "NAME"
"""The guide leaves it to its reader."""


@pytest.fixture(scope="module")
def root(machine: Machine) -> Shell:
    """The one shell of the guide."""
    shell = machine.shell()
    shell.type(f"cd /{SOURCE}")
    return shell


@pytest.fixture(scope="module")
def member(machine: Machine) -> Shell:
    """An ordinary user's."""
    machine.sh(f"useradd --create-home {USER}")
    return machine.shell(USER)


def checkpoints(member: Shell) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(member.type("refloat --service checkpoint list -f json"))
    return found


def follow(shell: Shell, document: str, section: str) -> str:
    """Type a section of a document; what was printed."""
    printed = [
        f"{command.prompt} {command.text}\n{shell.type(command.text)}"
        for command in guide.commands(DOCS / document, section)
    ]
    assert printed, f"{document} has no commands in section {section}"
    print(*printed, sep="\n")
    return "\n".join(printed)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("section", ROOT_SECTIONS)
def test_the_guide_as_root(root: Shell, section: str) -> None:
    follow(root, "install.md", section)


def test_the_services_run_as_the_units_say(machine: Machine) -> None:
    for unit in UNITS:
        told = dict(
            line.split("=", 1)
            for line in machine.sh(
                f"systemctl show {unit} -p ActiveState,UnitFileState,NRestarts,User"
            ).split()
        )
        assert told == {
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "NRestarts": "0",
            "User": "refloat",
        }
        machine.sh(f"systemctl status --no-pager {unit}")
        exposure = machine.sh(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        assert float(exposure.split(":")[1].split()[0]) < 2.5, exposure
    printed = machine.sh("systemd-analyze verify refloat-api.service refloat-worker@1.service")
    assert "refloat" not in printed
    assert "spawned uWSGI" in machine.sh("journalctl --no-pager -u refloat-api")
    # nothing runs as root, and nothing can be written but what the units say
    assert set(machine.sh("ps -o user= -C uwsgi,refloat").split()) == {"refloat"}


def test_the_guide_as_a_member_to_the_first_checkpoint(machine: Machine, member: Shell) -> None:
    machine.sh(
        '/opt/refloat/bin/python -c \'import openstack; cloud = openstack.connect(cloud="demo");'
        f' cloud.create_volume(1, name="{VOLUME}")\''
    )
    follow(member, "install.md", "9.")
    assert [item["status"] for item in checkpoints(member)] == ["available"]


def test_a_worker_that_is_restarted_goes_on(machine: Machine, member: Shell) -> None:
    begun = json.loads(member.type("refloat --service protect --no-wait -f json first 2> /dev/null"))
    machine.sh("systemctl restart refloat-worker@1")
    told = machine.sh("systemctl show refloat-worker@1 -p Result -p ActiveState --value").split()
    assert told == ["success", "active"]
    member.type(f"refloat --service operation watch {begun['operation_id']}")
    assert [item["status"] for item in checkpoints(member)] == ["available"] * 2


def test_the_api_is_restarted_without_a_failure(machine: Machine, member: Shell) -> None:
    machine.sh("systemctl restart refloat-api")
    assert machine.sh("systemctl show refloat-api -p Result --value").strip() == "success"
    assert "SIGKILL" not in machine.sh("journalctl --no-pager -u refloat-api")
    machine.sh(HEALTHY)
    assert len(checkpoints(member)) == 2


def test_everything_is_back_after_a_reboot(machine: Machine) -> None:
    machine.reboot()
    machine.sh(HEALTHY)
    machine.sh("systemctl is-active refloat-api refloat-worker@1 postgresql")
    member = machine.shell(USER)
    member.type("export OS_CLOUD=demo PATH=/opt/refloat/bin:$PATH")
    assert [item["status"] for item in checkpoints(member)] == ["available"] * 2


@pytest.mark.timeout(1800)
def test_an_upgrade_by_the_guide(machine: Machine) -> None:
    root = machine.shell()
    root.type(f"cd /{SOURCE}")
    follow(root, "operate.md", "Upgrading")
    machine.sh(HEALTHY)
    member = machine.shell(USER)
    member.type("export OS_CLOUD=demo PATH=/opt/refloat/bin:$PATH")
    assert [item["status"] for item in checkpoints(member)] == ["available"] * 2


def test_a_lost_database_is_brought_back(machine: Machine) -> None:
    member = machine.shell(USER)
    member.type("export OS_CLOUD=demo PATH=/opt/refloat/bin:$PATH")
    root = machine.shell()
    root.type(f"cd /{SOURCE}")
    root.type("runuser -u refloat -- pg_dump refloat > /var/backups/refloat.sql")
    member.type("refloat --service protect first")  # after the dump
    follow(root, "operate.md", "Bringing the database back")
    machine.sh(HEALTHY)
    assert [item["name"] for item in json.loads(member.type("refloat --service plan list -f json"))] == [
        "first"
    ]
    wait("the checkpoint that the dump does not know", lambda: len(checkpoints(member)) == 3, 600)
