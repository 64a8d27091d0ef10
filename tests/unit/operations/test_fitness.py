"""One look at all that a plan means: what is unfit is named, the rest is protected (kinds 1, 5 and 6)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from openstack.block_storage.v3.volume import Volume
from openstack.compute.v2.server import Server
from openstack.image.v2.image import Image

from refloat.errors import CloudError, Conflict, Gone, NotFound, RefloatError
from refloat.graph import LEFT_OUT, ResourceKey
from refloat.operations.discovery import FAIL, SKIP, Discovery

PROJECT, SERVER, VOLUME, IMAGE = (
    "OS::Keystone::Project",
    "OS::Nova::Server",
    "OS::Cinder::Volume",
    "OS::Glance::Image",
)
ALL = [{"type": PROJECT, "id": "mine"}]


class Cloud:
    """A project's things by kind."""

    project_id, user_id = "mine", "me"
    connection = SimpleNamespace(
        session=SimpleNamespace(
            auth=SimpleNamespace(get_access=lambda _session: SimpleNamespace(project_name="demo"))
        )
    )

    def __init__(self, *things: Any) -> None:
        kinds = {Server: "server", Volume: "volume", Image: "image"}
        self.things: dict[str, list[Any]] = {}
        for thing in things:
            self.things.setdefault(kinds[type(thing)], []).append(thing)
        self.absent: RefloatError = Gone("could not read it", reason="no such thing", request_id="req-1")

    def has(self, service: str) -> bool:
        return service in {"compute", "block_storage", "image", "network"}

    def list(self, kind: str) -> list[Any]:
        return self.things.get(kind, [])

    def get(self, kind: str, identity: str) -> Any:
        for thing in self.list(kind):
            if thing.id == identity:
                return thing
        raise self.absent

    def find(self, kind: str, identity: str) -> Any:
        return next((thing for thing in self.list(kind) if thing.id == identity), None)


def server(name: str, status: str = "ACTIVE", *volumes: str, image: str = "", **more: Any) -> Any:
    attached = [{"id": volume} for volume in volumes]
    booted = {"id": image} if image else ""
    fields = {"attached_volumes": attached, "image": booted, "key_name": "", "user_id": "me", "tags": []}
    return Server.existing(id=name, name=name, status=status, **{**fields, **more})


def volume(name: str, status: str = "available", server_id: str = "", device: str = "/dev/vdb") -> Any:
    attachments = [{"server_id": server_id, "device": device}] if server_id else []
    if server_id and status == "available":
        status = "in-use"
    fields = {"consumes_quota": True, "metadata": {}, "availability_zone": "nova"}
    return Volume.existing(id=name, name=name, status=status, attachments=attachments, **fields)


def image(name: str, status: str = "active") -> Any:
    return Image.existing(id=name, name=name, status=status, properties={}, tags=[])


def survey(cloud: Any, entries: Any = ALL, exclude: Any = ()) -> tuple[set[str], dict[str, str]]:
    found = Discovery(cloud).survey(entries, exclude)
    return {node.id for node in found.graph} - {"mine"}, {each.id: each.reason for each in found.unfit}


def test_what_is_unfit_in_a_project_does_not_stop_the_rest() -> None:
    """BC-31, X5: a server in BUILD or ERROR, a queued image; BC-01b: a volume awaiting-transfer."""
    cloud = Cloud(
        server("good", "ACTIVE", "data"),
        server("building", "BUILD", "its"),
        server("broken", "ERROR"),
        server("ill", "ACTIVE", "in-error"),
        volume("data", server_id="good"),
        volume("its", server_id="building"),
        volume("in-error", "error_extending", "ill"),
        volume("offered", "awaiting-transfer"),
        volume("going", "deleting"),
        image("golden"),
        image("queued", "queued"),
    )
    fit, unfit = survey(cloud)
    assert fit == {"good", "data", "its", "golden"}
    assert set(unfit) == {"building", "broken", "ill", "in-error", "offered", "queued"}
    assert "BUILD" in unfit["building"]
    assert "'awaiting-transfer'" in unfit["offered"]
    assert unfit["ill"].startswith("it needs OS::Cinder::Volume in-error")
    found = Discovery(cloud).survey(ALL)  # type: ignore[arg-type]
    found.refuse(SKIP)
    with pytest.raises(Conflict) as caught:
        found.refuse(FAIL)
    for name in unfit:
        assert name in str(caught.value)
    assert "--exclude" in caught.value.advice


@pytest.mark.parametrize(
    ("status", "held"), [("SHELVED_OFFLOADED", "reserved"), ("ACTIVE", "available"), ("ACTIVE", "attaching")]
)
def test_a_server_of_which_nova_and_cinder_do_not_agree_is_not_protected_without_its_disks(
    status: str, held: str
) -> None:
    """BC-01, BC-06: the checkpoint was available, without the volume."""
    fit, unfit = survey(Cloud(server("web", status, "root"), volume("root", held)))
    assert "Nova says that it has the volume root, and Cinder does not" in unfit["web"]
    assert ("unshelve it" in unfit["web"]) == (status != "ACTIVE")
    assert ("root" in unfit) == (held == "reserved")
    assert fit == ({"root"} if held != "reserved" else set())


@pytest.mark.parametrize("booted", ["", "golden"])
def test_a_plan_leaves_out_data_volumes_but_not_what_a_server_boots_from(booted: str) -> None:
    root, data = ("/dev/vda", "/dev/vdb") if not booted else ("/dev/vdb", "/dev/vdc")
    cloud: Any = Cloud(
        server("web", "ACTIVE", "first", "scratch", image=booted),
        server("old", "ERROR"),
        volume("first", server_id="web", device=root),
        volume("scratch", "error", "web", device=data),
        volume("loose"),
    )
    left_out = [{"type": VOLUME, "id": name, "name": ""} for name in ("first", "scratch", "loose")]
    left_out.append({"type": SERVER, "id": "old", "name": "old"})
    found = Discovery(cloud).survey(ALL, left_out)
    assert not found.unfit
    assert {node.id for node in found.graph if node.type == VOLUME} == (set() if booted else {"first"})
    spared = found.graph[ResourceKey(SERVER, "web")].extra[LEFT_OUT]
    assert spared == ["scratch"] if not booted else set(spared) == {"first", "scratch"}
    assert ResourceKey(SERVER, "old") not in found.graph
    with pytest.raises(Conflict, match="nothing else is left"):  # named themselves, both are unfit
        Discovery(cloud).survey([{"type": VOLUME, "id": "scratch"}]).refuse(SKIP)


def test_only_the_services_own_answer_says_that_something_is_gone() -> None:
    cloud: Any = Cloud(server("web"))
    named = [{"type": SERVER, "id": name, "name": name} for name in ("web", "db")]
    assert survey(cloud, named) == ({"web"}, {"db": "it is gone: no such thing"})
    for silent in (NotFound("there is no server of that id"), CloudError("could not read it", reason="503")):
        cloud.absent = silent
        with pytest.raises(type(silent)):
            survey(cloud, named)
    # What is excluded is not even asked for.
    assert survey(cloud, named, named[1:]) == ({"web"}, {})
    cloud.things["server"].append(server("soft", "SOFT_DELETED"))
    assert "deleted" in survey(cloud, [*named[:1], {"type": SERVER, "id": "soft"}])[1]["soft"]


def test_what_is_to_be_left_out_is_found_in_any_state() -> None:
    cloud: Any = Cloud(server("id-1", "ERROR"), server("id-2"))
    cloud.things["server"][0].name = "web"
    discovery = Discovery(cloud)
    wanted = {"type": SERVER, "id": "id-1", "name": "web"}
    assert discovery.exclusion(SERVER, "web") == discovery.exclusion(SERVER, "id-1") == wanted
    gone = {"type": SERVER, "id": "id-0", "name": "old"}
    assert discovery.exclusion(SERVER, "old", [gone]) == gone
    with pytest.raises(NotFound):
        discovery.exclusion(SERVER, "nobody")
