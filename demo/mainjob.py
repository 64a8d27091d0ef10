"""The main job: build, protect, lose, restore, compare. The demo shows it, a test asserts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from demo.application import SERVERS, Application
from demo.build import Builder, find_server, wait_for_guests
from demo.command import Command
from demo.compare import Row, compare
from demo.describe import Describer, Description
from demo.destroy import destroy
from demo.inventory import Inventory, counts, difference, inventory

KEPT = {"default": frozenset({"backups"})}
"""What a checkpoint of each provider keeps in the cloud; of others, nothing."""


class MainJob:
    """One run of the main job, phase by phase.

    :param cloud: a connection of the user who builds and protects.
    :param manager: a connection of the user who restores: one who may choose floating addresses.
    :param command: the ``refloat`` of the first user.
    :param say: tells the user what happens.
    :param provider: how it is protected.
    """

    def __init__(
        self,
        cloud: Any,
        manager: Any,
        command: Command,
        manager_cloud: str,
        app: Application,
        say: Callable[[str], None] = print,
        provider: str = "default",
    ) -> None:
        self.cloud = cloud
        self.manager = manager
        self.command = command
        self.manager_command = command.as_user(manager_cloud)
        self.app = app
        self.say = say
        self.provider = provider
        self.plan = app.name("shop")
        self.checkpoint = ""
        self.times: dict[str, float] = {}
        self.empty: Inventory = {}
        self.whole: Inventory = {}
        self.before: Description = {}
        self.after: Description = {}
        self.restored: list[dict[str, Any]] = []
        self.problems: list[str] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and tell of it."""
        self.say(f"\n== {name}")
        start = time.monotonic()
        yield
        self.times[name] = time.monotonic() - start
        self.say(f"== {name}: {self.times[name]:.0f} s")

    # --- the phases

    def build(self) -> None:
        """Build the application; note what the project holds before and after."""
        with self.phase("build the application"):
            self.empty = inventory(self.cloud)
            spoken = Builder(self.cloud, self.app).build()
        with self.phase("look at it"):
            self.whole = inventory(self.cloud)
            self.before = Describer(self.cloud, self.app).describe(spoken)
        self.say(_told(counts(self.whole)))

    def protect(self) -> None:
        """Protect the two servers and all that they need."""
        with self.phase("protect"):
            chosen = [find_server(self.cloud, self.app.name(short)).id for short in SERVERS]
            named = [word for identity in chosen for word in ("--resource", f"OS::Nova::Server={identity}")]
            self.command.json("plan", "create", self.plan, *named, "--provider", self.provider)
            answer = self.command.json("protect", self.plan)
            self.checkpoint = str(answer["id"])
            self.say(f"checkpoint {self.checkpoint} is {answer['status']}")
            if answer["status"] != "available":
                self.problems.append(f"the checkpoint is {answer['status']}")
        self._expect_only(self.whole, inventory(self.cloud), "after protecting")

    def lose(self) -> None:
        """Delete the application."""
        with self.phase("delete the application"):
            destroy(self.cloud, self.app)
        self._expect_only(self.empty, inventory(self.cloud), "after deleting")

    def plan_restore(self) -> None:
        """Show what a restore by an ordinary member would not bring back, and the manager's restore plan."""
        with self.phase("what a restore would do"):
            plan = self.command.json("restore", self.checkpoint, "--dry-run")
            conflicts = [
                f"{item['type']} {item['source_name']}: {conflict}"
                for item in plan["resources"]
                for conflict in item["conflicts"]
            ]
            self.say(f"{self.command.cloud}: " + ("; ".join(conflicts) or "everything as it was"))
            words = ("restore", "plan", "create", self.checkpoint, "--name", self.plan)
            self.say(self.manager_command.run(*words).stdout)

    def restore(self) -> None:
        """Run the restore plan, and hear what the restored guests find on their disks."""
        with self.phase("restore"):
            answer = self.manager_command.json("restore", "plan", "run", self.plan)
            self.restored = list(answer["resources"])
            self.say(f"the restore {answer['id']} {answer['status']}: {len(self.restored)} resources")
        with self.phase("look at what came back"):
            spoken = wait_for_guests(self.manager, self.app)
            self.after = Describer(self.manager, self.app).describe(spoken)

    def compare(self) -> list[Row]:
        """Before and after."""
        return compare(self.before, self.after)

    def clean_up(self) -> None:
        """Delete the restored application and the checkpoint; nothing may be left."""
        with self.phase("clean up"):
            self.delete_application()
            if self.checkpoint:
                self._delete_checkpoint()
                self.checkpoint = ""
            if self.empty:
                left = difference(self.empty, inventory(self.cloud))
                self.problems += [f"after cleaning up: {line}" for line in left]

    def _delete_checkpoint(self) -> None:
        self.command.run("checkpoint", "delete", self.checkpoint, "-f", "json")

    def delete_application(self) -> None:
        """Delete what is there of the application, and the images that a restore made for it."""
        images = [
            item["new_id"]
            for item in self.restored
            if item["type"] == "OS::Glance::Image" and item["status"] == "created"
        ]
        destroy(self.cloud, self.app, others=[self.manager], images=images)

    def _expect_only(self, wanted: Inventory, found: Inventory, when: str) -> None:
        lines = [
            line
            for line in difference(wanted, found)
            if not any(line.startswith(f"new in {kind}:") for kind in KEPT.get(self.provider, ()))
        ]
        self.problems += [f"{when}: {line}" for line in lines]


def _told(numbers: dict[str, int]) -> str:
    return "the project holds " + ", ".join(f"{number} {kind}" for kind, number in numbers.items() if number)
