"""Random applications, randomly damaged, restored with each word of ``--existing``.

The requests that a restore sends are those that its plan comes to, the result is what the plan said, and
nothing else in the project is touched. ``REFLOAT_APPLICATIONS`` says how many (15), ``REFLOAT_RESTORES``
how often each is damaged and restored (once); ``REFLOAT_SEED`` and ``REFLOAT_FIRST`` say which.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import openstack
import pytest
import yaml
from openstack.exceptions import SDKException

from demo.command import Command
from refloat.cli.embedded.operations import EmbeddedOperations
from refloat.control.settings import Settings
from refloat.errors import RefloatError
from refloat.graph import ResourceKey
from refloat.resources.planned import Planned
from tests.fullstack.conftest import CALL_SECONDS
from tests.fullstack.random_applications import App, clear
from tests.fullstack.random_damage import FragileApp
from tests.fullstack.restore_calls import (
    Difference,
    Recorder,
    difference,
    executed_calls,
    full_inventory,
    planned_calls,
)
from tests.fullstack.restored_state import unlike

NUMBER = int(os.environ.get("REFLOAT_APPLICATIONS", "15"))
RESTORES = int(os.environ.get("REFLOAT_RESTORES", "1"))
FIRST = int(os.environ.get("REFLOAT_FIRST", "0"))
SEED = os.environ.get("REFLOAT_SEED", "1")
WAYS = ("skip", "repair", "beside", "replace")
PROVIDERS = ("default", "default", "bank", "default", "default")  # to the bank a volume goes as a whole
BECAME = {
    "create": "created",
    "reuse": "reused",
    "repair": "repaired",
    "replace": "replaced",
    "keep": "kept",
    "skip": "skipped",
}
SECONDS = 300

pytestmark = pytest.mark.timeout(max(900, 60 * NUMBER))


@dataclass(frozen=True)
class Place:
    """A project of its own, a user of Refloat in this process, and what is nobody's business."""

    cloud: Any
    refloat: EmbeddedOperations
    bystanders: frozenset[str]
    image: str
    public: str


@pytest.fixture(scope="module")
def place(admin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, name = tmp_path_factory.mktemp("random"), f"random-{uuid.uuid4().hex[:8]}"
    project = admin.identity.create_project(name=name, domain_id="default")
    user = admin.identity.create_user(name=name, password=name, domain_id="default")
    admin.identity.assign_project_role_to_user(project, user, admin.identity.find_role("member"))
    entry = yaml.safe_load(Path(os.environ["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["demo"]
    entry["auth"] |= {"username": name, "password": name, "project_name": name}
    (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"random": entry}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(folder / "clouds.yaml"))
        command = Command(folder, "random")
        command.run("plan", "list")  # the bank is made before
        cloud = openstack.connect(cloud="random", api_timeout=CALL_SECONDS)
        refloat = EmbeddedOperations(Settings.load(command.environment), "random")
        try:
            image = cloud.image.find_image("guest", ignore_missing=False).id
            public = cloud.network.find_network("public", ignore_missing=False).id
            yield Place(cloud, refloat, _bystanders(cloud, image), image, public)
        finally:
            refloat.close()
            clear(cloud, set())
            for group in admin.network.security_groups(project_id=project.id):
                admin.network.delete_security_group(group.id)
            admin.identity.delete_user(user.id)
            admin.identity.delete_project(project.id)


def _bystanders(cloud: Any, image: str) -> frozenset[str]:
    """What is in no plan, and has much in common with what is."""
    other = App(cloud, Random(7), "other", image, cloud.network.find_network("public").id)
    other.build()
    cloud.network.create_port(network_id=other.networks[0].id, name="spare")
    return frozenset(i for things in full_inventory(cloud).values() for i in things)


def test_restores_do_what_their_plans_say_and_nothing_else(place: Place) -> None:
    wrong: dict[str, str] = {}
    for number in range(FIRST, FIRST + NUMBER):
        trial = Trial(place, f"{SEED}-{number}", PROVIDERS[number % len(PROVIDERS)])
        try:
            checkpoint = trial.protected()
            for again in range(RESTORES):
                trial.restored(checkpoint, WAYS[(number + again) % len(WAYS)])
                print(f"{trial}: as planned", flush=True)
        except (AssertionError, SDKException, RefloatError, LookupError) as exc:
            wrong[trial.seed] = f"{trial}: {type(exc).__name__}: {exc}"
            print(wrong[trial.seed], flush=True)
        finally:
            clear(place.cloud, set(place.bystanders))
    assert not wrong, "\n\n".join(wrong.values())


class Trial:
    """One application: built, protected, damaged, restored, compared."""

    def __init__(self, place: Place, seed: str, provider: str) -> None:
        self.place, self.way, self.seed, self.provider = place, "", seed, provider
        self.app = FragileApp(place.cloud, Random(seed), f"app-{seed}", place.image, place.public)
        self.actions: Counter[str] = Counter()

    def __str__(self) -> str:
        size = f"{len(self.app.servers)} servers, {len(self.app.volumes)} volumes, {self.provider}"
        return f"{self.seed} {self.way} ({size}; {', '.join(self.app.told)}) {dict(self.actions)}"

    def protected(self) -> str:
        """Build and protect it; returns the checkpoint."""
        refloat, app = self.place.refloat, self.app
        app.build()
        plan = refloat.create_plan(app.name, app.roots(), provider=self.provider)
        protected = refloat.wait(refloat.begin(refloat.protect(plan.id)).id, SECONDS)
        assert protected.state == "succeeded", protected.error
        return protected.checkpoint_id

    def restored(self, checkpoint: str, way: str) -> None:
        """Damage it, restore it so, and compare."""
        refloat, self.way = self.place.refloat, way
        self.app.damage()
        before, recorder = full_inventory(self.place.cloud), Recorder(refloat.cloud.project_id)
        choices: dict[str, Any] = {"existing": way, "no_safety": way == "replace"}
        with recorder.listening():
            told = refloat.dry_run(checkpoint, **choices)
            self.actions = Counter(line["action"] for line in told["resources"])
            assert recorder.calls == []
            operation = refloat.begin(refloat.restore(checkpoint, **choices))
            ended = refloat.wait(operation.id, SECONDS)
        after = full_inventory(self.place.cloud)
        if not told["possible"]:
            assert (ended.state, recorder.calls) == ("failed", [])
            assert difference(before, after) == Difference({}, {}, {})
            return
        assert ended.state == "succeeded", ended.error
        self._as_told(told, ended.result or {})
        prepared = self._prepared(operation.id)
        keys = {text: ResourceKey.parse(text) for text in prepared["planned"]}
        kept = {k: Planned.from_json(json.loads(prepared["planned"][text])) for text, k in keys.items()}
        decided = {(key.type, key.id): planned.to_json() for key, planned in kept.items()}
        planned = planned_calls(decided, self.provider == "bank")
        executed = executed_calls(recorder.calls, operation.id, decided)
        assert executed == planned, {"missing": planned - executed, "too many": executed - planned}
        assert unlike(self.place.cloud, decided, ended.result or {}, prepared["successors"]) == []
        assert difference(before, after).unasked(recorder.calls, before, after) == []

    def _as_told(self, told: Any, result: Any) -> None:
        """What was told of each resource is what became of it."""
        for line in told["resources"]:
            key = line["type"], line["source_id"]
            mine = [each for each in result["resources"] if (each["type"], each["source_id"]) == key]
            assert {each["status"] for each in mine} == {BECAME[line["action"]]}, (line, mine)
            assert not line["new_id"] or [each["new_id"] for each in mine] == [line["new_id"]], (line, mine)
            names = ", ".join(each["name"] for each in mine)
            assert line["name"] in ("", names), (line, mine)

    def _prepared(self, operation: str) -> dict[str, Any]:
        """What the run has decided, which its steps followed."""
        read = self.place.refloat.reader.read(operation)
        assert read is not None
        assert read[1].prepared is not None
        return dict(read[1].prepared)
