"""Images without a cloud: discovery, what is captured, properties, restore plans, streams, bad days."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from refloat.cloud import Cloud
from refloat.errors import CloudError, Conflict, NotFound, WaitFailed
from refloat.graph import Graph, Resource, discover
from refloat.resources.base import PROJECT, PlanContext, Planned
from refloat.resources.context import HookContext
from refloat.resources.glance import temporary_name
from refloat.resources.image import IMAGES, ImageProtectable, disks
from refloat.resources.image.protectable import SERVER, TYPE, is_wanted_itself, servers_of
from refloat.resources.image.section import ATTRIBUTES, ITSELF, OF_SNAPSHOTS, PURPOSE, properties_of
from refloat.resources.image_data import Body, Tally, download
from refloat.resources.options import settle


def image(identity: str, **fields: Any) -> SimpleNamespace:
    known = {"name": f"name of {identity}", "status": "active", "tags": [], "properties": {}}
    return SimpleNamespace(id=identity, **{**known, **fields})


class Listing:
    """As much of a cloud as a protectable asks for."""

    def __init__(self, images: list[Any], servers: dict[str, Any], shared: tuple[Any, ...] = ()) -> None:
        self.images, self.shared, self.asked = images, shared, list[str]()
        self.servers = [SimpleNamespace(id=key, image=value) for key, value in servers.items()]

    def list(self, kind: str) -> Any:
        self.asked.append(kind)
        return {"image": self.images, "server": self.servers}[kind]

    def find(self, _kind: str, identity: str) -> Any:
        return next((i for i in [*self.images, *self.shared] if i.id == identity), None)

    def get(self, kind: str, identity: str) -> Any:
        found = self.find(kind, identity)
        if found is None:
            raise NotFound("no image")
        return found


def protectable(
    images: list[Any], servers: dict[str, Any] | None = None, shared: tuple[Any, ...] = ()
) -> tuple[ImageProtectable, Listing]:
    listing = Listing(images, servers or {}, shared)
    return IMAGES.protectable(cast(Cloud, listing)), listing


def graph_of(kind: ImageProtectable, *roots: Resource, project: str = "") -> Graph:
    def needs(resource: Resource) -> Iterator[Resource]:
        if resource.type == PROJECT:
            yield from (Resource(SERVER, server.id) for server in kind.cloud.list("server"))
        if resource.type in kind.parents:
            yield from kind.dependants(resource)

    return discover([*roots, *([Resource(PROJECT, project)] if project else [])], needs, lambda _r: ())


def test_image_of_servers_stands_for_their_disks() -> None:
    kind, listing = protectable(
        [image("i1")],
        {"s1": SimpleNamespace(id="i1"), "s2": {"id": "i1"}, "volume-booted": None, "also": ""},
    )
    graph = graph_of(kind, *(Resource(SERVER, s) for s in ("s1", "s2", "volume-booted", "also")))
    (node,) = (n for n in graph if n.type == TYPE)
    assert node.extra == {"server:s1": True, "server:s2": True}
    assert [server.id for server in servers_of(graph, node)] == ["s1", "s2"]
    assert not is_wanted_itself(graph, node)
    assert listing.asked.count("server") == 1


def test_image_named_beside_its_server_is_captured_too() -> None:
    kind, _listing = protectable([image("i1")], {"s1": {"id": "i1"}})
    for graph in (
        graph_of(kind, kind.show("i1"), Resource(SERVER, "s1")),
        graph_of(kind, Resource(SERVER, "s1"), kind.find("name of i1")),
        graph_of(kind, project="p"),
    ):
        node = next(n for n in graph if n.type == TYPE)
        assert is_wanted_itself(graph, node)
        assert [server.id for server in servers_of(graph, node)] == ["s1"]


def test_the_image_of_a_restored_servers_disk_is_nothing_of_its_own() -> None:
    """6.1 of the first user's findings: it was protected beside the disk that it stands for."""
    own = {ITSELF: "base", PURPOSE: "the disk that the server web was restored with"}
    base, inherited = image("base", properties=own), image("backup", properties=own)
    kind, _listing = protectable([base, inherited, image("golden")], {"s1": {"id": "base"}})
    graph = graph_of(kind, project="p")
    found = {node.id: node for node in graph if node.type == TYPE}
    assert set(found) == {"base", "backup", "golden"}  # an image that is made of the server inherits it all
    assert not is_wanted_itself(graph, found["base"])
    assert [server.id for server in servers_of(graph, found["base"])] == ["s1"]
    assert is_wanted_itself(graph, found["backup"])
    kind, _listing = protectable([base, inherited], {})
    assert [node.id for node in graph_of(kind, project="p") if node.type == TYPE] == ["backup"]
    named = graph_of(kind, kind.show("base"), project="p")  # but for who names it
    assert is_wanted_itself(named, next(node for node in named if node.id == "base"))
    assert properties_of({**own, "os_distro": "debian"}) == {"os_distro": "debian"}


def test_only_the_servers_of_this_graph_count() -> None:
    kind, _listing = protectable([image("i1")], {"s1": {"id": "i1"}, "s2": {"id": "i1"}})
    graph = graph_of(kind, Resource(SERVER, "s1"), Resource(SERVER, "s2"))
    node = next(n for n in graph if n.type == TYPE)
    part = graph.only([node.key, *(s.key for s in servers_of(graph, node) if s.id == "s2")])
    assert [server.id for server in servers_of(part, part[node.key])] == ["s2"]


def test_deleted_image_of_a_running_server_is_still_a_part() -> None:
    kind, _listing = protectable([], {"s1": {"id": "gone"}})
    (found,) = kind.dependants(Resource(SERVER, "s1"))
    assert (found.id, found.name) == ("gone", "")
    with pytest.raises(NotFound):
        kind.show("gone")


def test_public_image_of_another_project_has_its_name() -> None:
    kind, _listing = protectable([], {"s1": {"id": "pub"}}, (image("pub", name="debian"),))
    (found,) = kind.dependants(Resource(SERVER, "s1"))
    assert found.name == "debian"


@pytest.mark.parametrize("status", ["deactivated", "queued", "saving"])
def test_image_without_readable_data_is_refused_by_name(status: str) -> None:
    kind, _listing = protectable([image("i1", status=status)])
    with pytest.raises(Conflict, match=f"name of i1.*'{status}'"):
        kind.show("i1")
    (node,), graph = kind.dependants(Resource(PROJECT, "p")), Graph()
    assert f"'{status}'" in str(kind.unfit(graph.add(node), graph))


def test_a_projects_images_leave_out_the_dying_and_refloats_temporary_ones() -> None:
    kind, _listing = protectable(
        [image("a"), image("b", status="pending_delete"), image("c", properties={"refloat": "refloat:x"})]
    )
    assert [r.id for r in kind.dependants(Resource(PROJECT, "p"))] == ["a"]
    assert [r.id for r in kind.list()] == ["a"]


def test_images_are_chosen_by_tag() -> None:
    kind, _listing = protectable([image("a", tags=["golden"]), image("b")])
    assert [r.id for r in kind.select("tag:golden")] == ["a"]


def test_properties_are_what_the_user_set() -> None:
    raw = {
        "id": "i", "name": "n", "status": "active", "size": 1, "self": "/", "file": "/f", "schema": "/s",
        "stores": "a", "os_hash_algo": "sha512", "os_glance_import_task": "x", "refloat": "refloat:x",
        "hw_disk_bus": "virtio", "owner_specified.a": "", "os_distro": "debian",
        "hw_vif_multiqueue_enabled": "true", "kernel_id": None,
    }  # fmt: skip
    assert properties_of(raw) == {
        "hw_disk_bus": "virtio",
        "owner_specified.a": "",
        "os_distro": "debian",
        "hw_vif_multiqueue_enabled": "true",
    }
    assert "instance_uuid" in OF_SNAPSHOTS


IMAGE: dict[str, Any] = {
    "id": "i1", "name": "golden", "disk_format": "qcow2", "container_format": "bare", "min_disk": 1,
    "min_ram": 0, "visibility": "public", "protected": True, "os_hidden": False, "tags": ["t"],
    "owner": "other", "size": 9, "virtual_size": 99, "checksum": "c",
    "os_hash_algo": "sha512", "os_hash_value": "h",
    "created_at": "then", "properties": {"os_distro": "debian"}, "members": [],
}  # fmt: skip


class Answers:
    """A cloud that has one image, or none."""

    def __init__(self, found: dict[str, Any] | None, roles: frozenset[str] = frozenset({"member"})) -> None:
        self.found, self.roles, self.project_id = found, roles, "mine"
        self.image = self

    def get(self, url: str) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code = url, 200 if self.found else 404
        response.json = lambda **_kwargs: self.found  # type: ignore[method-assign]
        response._content = b"{}"
        response.headers["content-type"] = "application/json"
        return response


def plan(section: dict[str, Any], cloud: Answers, graph: Graph | None = None, **parameters: Any) -> Planned:
    graph = graph or Graph()
    resource = graph.add(Resource(TYPE, "i1", "golden"))
    options = settle(IMAGES.plugin.options["restore"], parameters, TYPE)
    return IMAGES.plugin().plan_restore(
        PlanContext(
            resource, section, graph, options, cast(Cloud, cloud), lambda _key: None, lambda _kind: []
        )
    )


WITH_DATA = {"image": IMAGE, "data": {"size": 9}, "disks": {}}


def test_image_that_is_still_there_is_used_again() -> None:
    planned = plan(WITH_DATA, Answers({**IMAGE, "status": "active"}))
    assert (planned.action, planned.new_id) == ("reuse", "i1")


@pytest.mark.parametrize(
    "found", [None, {**IMAGE, "status": "deactivated"}, {**IMAGE, "status": "active", "os_hash_value": "z"}]
)
def test_image_that_is_gone_or_different_is_made_anew_and_private(found: dict[str, Any] | None) -> None:
    planned = plan(WITH_DATA, Answers(found))
    assert (planned.action, planned.name) == ("create", "golden")
    assert planned.decisions["visibility"] == "private"
    assert "only an administrator makes an image public" in planned.conflicts[0]
    told = {outcome.name: (outcome.restored, outcome.fidelity) for outcome in planned.attributes}
    assert told["visibility"] == ("private", "degraded")


def test_administrator_makes_it_public_again() -> None:
    planned = plan(WITH_DATA, Answers(None, frozenset({"admin"})))
    assert (planned.decisions["visibility"], planned.conflicts) == ("public", ())


def test_only_the_disks_of_servers_being_restored_are_made() -> None:
    graph = Graph()
    node = graph.add(Resource(TYPE, "i1", "golden", {"server:s1": True, "server:s2": True}))
    server = graph.add(Resource(SERVER, "s2", "web"))
    graph.link(server.key, node.key)
    disk = {"ref": {"size": 5}, "name": "web", "size": 5}
    section = {"image": None, "data": None, "disks": {"s1": {**disk, "name": "db"}, "s2": disk}}
    planned = plan(section, Answers(None), graph)
    assert (planned.action, planned.name) == ("create", "web (disk)")
    assert planned.decisions["disks"] == ["s2"]
    alone = plan(section, Answers(None))  # the image asked for alone
    assert (alone.decisions["disks"], alone.name) == (["s1", "s2"], "db (disk), web (disk)")  # 2.6


def answer(data: bytes, cut: int | None = None) -> Any:
    def pieces(size: int) -> Iterator[bytes]:
        stream = io.BytesIO(data[:cut])
        while piece := stream.read(size):
            yield piece
        if cut is not None:
            raise requests.exceptions.ChunkedEncodingError("connection lost")

    response = SimpleNamespace(status_code=200, iter_content=pieces, close=lambda: None)
    return SimpleNamespace(image=SimpleNamespace(get=lambda _url, **_options: response))


DATA = bytes(range(256)) * 10_000  # no text in any encoding
FACTS = {
    "id": "i",
    "size": len(DATA),
    "os_hash_algo": "sha512",
    "os_hash_value": hashlib.sha512(DATA).hexdigest(),
}


def test_data_arrives_as_it_is() -> None:
    assert b"".join(download(answer(DATA), FACTS, "x")) == DATA


@pytest.mark.parametrize(
    ("cloud", "facts", "why"),
    [
        (answer(DATA, cut=500), FACTS, "connection lost"),
        (answer(DATA[:-1]), FACTS, "instead of"),
        (answer(DATA), {**FACTS, "os_hash_value": "0"}, "sha512 is not"),
    ],
)
def test_damaged_data_is_not_taken(cloud: Any, facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CloudError, match=why):
        list(download(cloud, facts, "x"))


def test_body_has_a_length_and_can_be_sent_twice() -> None:
    told: list[int] = []
    body = Body(lambda: io.BytesIO(DATA), len(DATA), told.append, lambda: None)
    assert len(body) == len(DATA)
    assert b"".join(body) == b"".join(body) == DATA
    assert told[-1] == len(DATA)


def test_progress_of_several_streams_adds_up() -> None:
    told: list[tuple[int, int]] = []
    tally = Tally(lambda done, total: told.append((done, total)), 0)
    tally.part(10)(10)
    tally.part(5)(5)
    assert told == [(0, 0), (10, 10), (15, 15)]


class Waiting:
    """A context whose cloud has one server and maybe one image."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.cloud = self

    def created(self, _role: str) -> str:
        return "temporary"

    def wait(self, *_args: Any, **_kwargs: Any) -> str:
        return "wait"

    def find(self, _kind: str, _identity: str) -> Any:
        return self.found


@pytest.mark.parametrize(
    ("found", "status", "later"),
    [(None, "deleted", ()), (image("t", status="queued"), "queued", (image("t", status="queued"),))],
)
def test_image_that_nova_gave_up_is_said_in_plain_words(found: Any, status: str, later: Any) -> None:
    waiting = disks.uploaded(cast(HookContext, Waiting(found)), Resource(SERVER, "s1", "web"))
    assert next(waiting) == "wait"  # type: ignore[comparison-overlap]
    with pytest.raises(WaitFailed, match=f"web.*'{status}'"):
        list(map(waiting.send, (None, *later)))


def test_image_that_glance_enters_when_nova_is_done_is_waited_for() -> None:
    """As Nova hands over a disk that is on Ceph: it is queued until Glance has looked at it."""
    found = image("t", status="queued")
    waiting = disks.uploaded(cast(HookContext, Waiting(found)), Resource(SERVER, "s1", "web"))
    assert next(waiting) == "wait"  # type: ignore[comparison-overlap]
    assert waiting.send(None) == "wait"
    with pytest.raises(StopIteration) as done:
        waiting.send(image("t", status="active"))
    assert done.value.value == "temporary"


def test_every_lost_attribute_has_a_reason() -> None:
    assert all(a.how for a in ATTRIBUTES if a.fidelity != "exact")


def test_images_on_their_way_are_no_part_of_a_project() -> None:
    on_its_way = image("i1", status="saving", name=temporary_name(str(uuid.uuid4()), str(uuid.uuid4())))
    alike = image("i2", name="refloat-temporary-but-mine")
    kind, _listing = protectable([on_its_way, alike])
    assert [node.id for node in kind.dependants(Resource(PROJECT, "p"))] == ["i2"]
    assert [node.id for node in kind.list()] == ["i2"]
