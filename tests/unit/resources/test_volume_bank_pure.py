"""Volumes in the bank without a cloud: what is refused, what is said, what is padded, what is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from openstack import exceptions as sdk_exceptions

from refloat.cloud import Cloud, Marker
from refloat.cloud.errors import explain
from refloat.errors import BankDamaged, CloudError, Conflict
from refloat.graph import Graph, Resource
from refloat.movers.streams import InOrder
from refloat.providers.provider import Providers
from refloat.resources.base import PROJECT, PlanContext, Planned
from refloat.resources.context import HookContext
from refloat.resources.options import settle
from refloat.resources.volume import IN_BANK
from refloat.resources.volume.bank import VolumeBankProtect, VolumeBankRestore
from refloat.resources.volume.capture import told_about
from refloat.resources.volume.protectable import COPY, TYPE
from refloat.resources.volume.section import ATTRIBUTES
from refloat.resources.volume.temporary import IMAGE, advised, image_of_volume
from tests.unit.resources.test_volume_pure import SECTION, volume

GIB = 1 << 30
OPERATION = "11111111-2222-3333-4444-555555555555"
SOURCE = "99999999-2222-3333-4444-555555555555"


class Answer:
    """An answer of a service."""

    def __init__(self, status: int, body: Any = None) -> None:
        self.status_code, self._body = status, body
        self.content = json.dumps(body).encode()

    def json(self) -> Any:
        return self._body


class Fake:
    """A cloud in which things are what a test says; what is waited for is there at once.

    :param fates: the status in which each volume that is made ends, in order.
    :param uploads: the status in which each image that Cinder makes ends, in order (empty: deleted).
    """

    def __init__(self, fates: tuple[str, ...] = (), uploads: tuple[str, ...] = ()) -> None:
        self.things: dict[tuple[str, str], SimpleNamespace] = {}
        self.fates, self.uploads = list(fates), list(uploads)
        self.removed: list[str] = []
        self.messages: list[Mapping[str, Any]] = []
        self.block_storage = self.image = self
        self.add("volume", SOURCE, "in-use", size=1)

    def add(self, kind: str, identity: str, status: str, **fields: Any) -> Any:
        known = {"metadata": {}, "attachments": [], "name": identity, "is_encrypted": False}
        thing = SimpleNamespace(id=identity, status=status, **{"volume_id": SOURCE, **known, **fields})
        self.things[kind, identity] = thing
        return thing

    def made(self, kind: str) -> int:
        return sum(name == kind for name, _identity in self.things) + sum(
            text.startswith(f"{kind} ") for text in self.removed
        )

    # the door

    def find(self, kind: str, identity: str) -> Any:
        return self.things.get((kind, identity))

    def list(self, kind: str) -> Any:
        return [thing for (name, _identity), thing in self.things.items() if name == kind]

    def remove(self, kind: str, identity: str) -> bool:
        self.removed.append(f"{kind} {identity}")
        return self.things.pop((kind, identity), None) is not None

    def wait(self, kind: str, identity: str, *_args: Any, **_kwargs: Any) -> Any:
        return kind, identity

    def wait_gone(self, kind: str, identity: str) -> Any:
        return kind, identity

    # the services

    def create_snapshot(self, **fields: Any) -> Any:
        return self.add("snapshot", f"s{self.made('snapshot')}", "available", size=1, **fields)

    def create_volume(self, **fields: Any) -> Any:
        return self.add("volume", f"v{self.made('volume')}", self.fates.pop(0), **{"size": 1, **fields})

    def upload_volume_to_image(self, volume_id: str, name: str, **_formats: str) -> Any:
        identity = f"i{self.made('image')}"
        status = self.uploads.pop(0)
        if status:
            self.add("image", identity, status, name=name)
        return {"image_id": identity, "volume": volume_id}

    def get(self, what: str, identity: str = "", **query: Any) -> Any:
        if what == "/messages":
            about = query["params"]["resource_uuid"]
            return Answer(200, {"messages": [m for m in self.messages if m["resource_uuid"] == about]})
        if what.startswith("/images/"):
            found = self.things["image", what.removeprefix("/images/")]
            return Answer(200, {"id": found.id, "status": found.status, "size": GIB})
        return self.things[what, identity]


class Journal:
    """A journal in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, SimpleNamespace] = {}

    def find(self, _source: str, role: str) -> Any:
        return self.kept.get(role)

    def intend(self, _source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        self.kept[role] = SimpleNamespace(role=role, kind=kind, id="", clue=clue)

    def made(self, _source: str, role: str, identity: str) -> str:
        self.kept[role].id = identity
        return identity

    def forget(self, _source: str, role: str) -> None:
        del self.kept[role]


DECISIONS = {"type": "", "availability_zone": "", "description": None}


def context(cloud: Any, **fields: Any) -> HookContext:
    known: dict[str, Any] = {
        "operation_id": OPERATION,
        "checkpoint_id": "c",
        "resource": Resource(TYPE, SOURCE, "data"),
        "graph": Graph(),
        "parameters": {},
        "cloud": cloud,
        "journal": Journal(),
        "data": None,
        "results": lambda _key: {"size": 1},
        "mapping": lambda _type, _id: None,
        "section": {},
        "decided": lambda: Planned("create", "data", decisions=DECISIONS),
        "progress": lambda _done, _total: None,
        "cancelled": lambda: False,
    }
    return HookContext(**{**known, **fields})


def run(body: Any, cloud: Fake) -> Any:
    """A hook to its end; each wait ends with the thing as it is."""
    sent = None
    while True:
        try:
            kind, identity = body.send(sent)
        except StopIteration as end:
            return end.value
        sent = cloud.find(kind, identity)


def test_encrypted_volume_is_refused_before_anything_is_made() -> None:
    cloud = Fake()
    cloud.things["volume", SOURCE].is_encrypted = True
    with pytest.raises(Conflict, match=r"encrypted volume.*key that stays in the cloud.*provider default"):
        run(VolumeBankProtect().on_prepare_begin(context(cloud)), cloud)
    assert len(cloud.things) == 1


def test_image_is_made_by_way_of_a_copy_and_only_it_is_left() -> None:
    cloud = Fake(("available",), ("active",))
    at = context(cloud)
    image = run(image_of_volume(at), cloud)
    assert image["id"] == at.created(IMAGE)
    assert cloud.removed == ["volume v1", "snapshot s0"]  # some storage keeps a snapshot as long as its copy
    assert set(cloud.things) == {("volume", SOURCE), ("image", "i0")}
    assert run(image_of_volume(at), cloud) == image  # after a crash
    assert (cloud.made("snapshot"), cloud.made("volume"), cloud.made("image")) == (1, 2, 1)


@pytest.mark.parametrize("lost", ["", "queued", "killed"])
def test_upload_that_came_to_nothing_is_tried_once_more(lost: str) -> None:
    cloud = Fake(("available",), (lost, "active"))
    assert run(image_of_volume(context(cloud)), cloud)["status"] == "active"
    assert len(cloud.list("image")) == 1

    cloud = Fake(("available",), (lost, lost))
    words = {"resource_uuid": "v1", "created_at": "2", "user_message": "upload: it was too much"}
    cloud.messages = [words, {**words, "created_at": "1", "user_message": "older"}]
    with pytest.raises(CloudError, match=r"it was too much.*limit the size of an image"):
        run(image_of_volume(context(cloud)), cloud)


def test_copy_that_failed_is_made_once_more() -> None:
    cloud = Fake(("error", "available"), ("active",))
    assert run(image_of_volume(context(cloud)), cloud)["status"] == "active"
    cloud = Fake(("error", "error"))
    with pytest.raises(CloudError, match="status became 'error'"):
        run(image_of_volume(context(cloud)), cloud)
    assert set(cloud.things) == {("volume", SOURCE), ("snapshot", "s0")}  # which the undo removes


@pytest.mark.parametrize(("kept", "size"), [(0, 3), (5, 5), (3, 3 << 20)])
def test_zeros_that_storage_leaves_out_are_put_back(kept: int, size: int) -> None:
    data = b"x" * kept
    assert b"".join(InOrder([data], size)) == data + bytes(size - kept)


def test_image_larger_than_the_volume_is_refused() -> None:
    cloud = Fake(("available",), ("active",))
    at = context(cloud, results=lambda _key: {"size": 0})
    with pytest.raises(Conflict, match="resized while it was being protected"):
        run(VolumeBankProtect().on_main(at), cloud)


RESTORE = {**SECTION, "size": 1, "data": {"size": GIB}, "hash": {}}


def restoring(cloud: Fake, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """The hook of a restore, with neither image data nor settings; and the images that were filled."""
    filled = only_volumes(cloud, monkeypatch)
    return VolumeBankRestore().on_main(context(cloud, section=RESTORE)), filled


def only_volumes(cloud: Fake, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Restores have neither image data nor settings. The images that were filled."""
    filled: list[str] = []

    def fill(at: HookContext, role: str, fields: Mapping[str, Any], *_more: Any) -> Any:
        name = f"i{len(filled)}"

        def create(marker: Marker) -> Any:
            return cloud.add("image", name, "active", tags=[marker.text], **fields)

        image_id = at.ensure("image", role, create)
        filled.append(image_id)
        return image_id
        yield

    def finish(_at: HookContext, volume: Any, *, reason: str) -> Any:
        return volume.id, reason

    monkeypatch.setattr("refloat.resources.volume.bank.filled", fill)
    monkeypatch.setattr("refloat.resources.volume.restore.finish", finish)
    return filled


def test_restore_leaves_only_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Fake(("available",))
    body, filled = restoring(cloud, monkeypatch)
    assert run(body, cloud) == ("v1", "")
    assert filled == ["i0"]
    assert cloud.removed == ["image i0"]
    assert cloud.things["volume", "v1"].image_id == "i0"


def test_volume_that_cinder_spoilt_is_made_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Fake(("error", "available"))
    assert run(restoring(cloud, monkeypatch)[0], cloud) == ("v2", "")
    assert cloud.removed == ["volume v1", "image i0"]

    cloud = Fake(("error", "error"))
    cloud.messages = [{"resource_uuid": "v2", "created_at": "1", "user_message": "create volume: no space"}]
    with pytest.raises(CloudError, match="create volume: no space"):
        run(restoring(cloud, monkeypatch)[0], cloud)


def refusal(status: int, text: str) -> CloudError:
    cause = sdk_exceptions.HttpException(message=text, http_status=status)
    error = explain(cause, "do it")
    error.__cause__ = cause
    assert isinstance(error, CloudError)
    return error


class ByReference(Fake):
    """As Ceph of some releases: an image stays as long as a volume refers to its data.

    :param fates: the status after a volume is made, and after it is written over.
    """

    def remove(self, kind: str, identity: str) -> bool:
        if kind == "image" and any(getattr(each, "image_id", "") == identity for each in self.list("volume")):
            raise refusal(409, "the image is in use")
        return super().remove(kind, identity)

    def create_volume(self, **fields: Any) -> Any:
        note = {"image_id": fields["image_id"]} if "image_id" in fields else {}
        return super().create_volume(**fields, volume_image_metadata=note)

    def get_endpoint_data(self) -> Any:
        return SimpleNamespace(max_microversion=(3, 70), min_microversion=(3, 0))

    def post(self, path: str, json: Any, **_more: Any) -> Any:
        volume = self.things["volume", path.split("/")[2]]
        if (fate := self.fates.pop(0)) == "refused":
            raise sdk_exceptions.ForbiddenException("not allowed by policy", http_status=403)
        volume.status = fate
        volume.volume_image_metadata = {"image_id": json["os-reimage"]["image_id"]}
        return Answer(202, {})


IN_USE = "the cloud refuses to delete the temporary image i0: the image is in use"


@pytest.mark.parametrize(
    ("fates", "made", "says"),
    [
        ("available available available", "v2", ""),
        ("available available error available", "v3", IN_USE),
        ("available available refused available", "v3", IN_USE),
    ],
)
def test_a_volume_that_refers_to_the_image_is_made_by_copy(
    monkeypatch: pytest.MonkeyPatch, fates: str, made: str, says: str
) -> None:
    """If the cloud refuses, or cannot, it is made by reference, and it is said what stays."""
    cloud = ByReference(tuple(fates.split()))
    monkeypatch.setattr("refloat.cloud.removal.PATIENCE", -1.0)
    monkeypatch.setattr("refloat.resources.volume.bank.LITTLE_PATIENCE", -1.0)
    assert run(restoring(cloud, monkeypatch)[0], cloud) == (made, says)
    assert [each.id for each in cloud.list("volume")] == [SOURCE, made]
    assert bool(cloud.list("image")) == bool(says)


@pytest.mark.parametrize("steps", range(2, 12))
def test_a_volume_that_was_left_empty_is_not_taken_for_complete(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """The worker was killed after any of the steps; another one goes on."""
    cloud = ByReference(("available",) * 9)
    monkeypatch.setattr("refloat.cloud.removal.PATIENCE", -1.0)
    monkeypatch.setattr("refloat.resources.volume.bank.LITTLE_PATIENCE", -1.0)
    only_volumes(cloud, monkeypatch)
    at = context(cloud, section=RESTORE)
    first = VolumeBankRestore().on_main(at)
    waited: Any = next(first)
    with suppress(StopIteration):
        for _step in range(steps):
            waited = first.send(cloud.find(*waited))
    first.close()
    made, said = run(VolumeBankRestore().on_main(at), cloud)
    assert said == ""
    assert [each.id for each in cloud.list("volume")] == [SOURCE, made]
    assert cloud.things["volume", made].volume_image_metadata == {"image_id": "i0"}
    assert cloud.list("image") == []


def test_an_old_cloud_keeps_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = ByReference(("available",))
    body, _filled = restoring(cloud, monkeypatch)
    monkeypatch.setattr("refloat.cloud.removal.PATIENCE", -1.0)
    monkeypatch.setattr("refloat.resources.volume.bank.cloud_knows", lambda *_: False)
    assert run(body, cloud) == ("v1", IN_USE)


def test_limits_are_explained() -> None:
    with pytest.raises(CloudError, match="ask for more"), advised("ask for more"):
        raise refusal(413, "Request Entity Too Large")
    with pytest.raises(CloudError) as other, advised("ask for more"):
        raise refusal(403, "Forbidden")
    assert "ask for more" not in str(other.value)


def test_clouds_without_messages_say_nothing() -> None:
    old = SimpleNamespace(block_storage=SimpleNamespace(get=lambda *_a, **_k: Answer(406)))
    assert told_about(cast(Cloud, old), "v") == ""


def test_verify_reads_the_bank_only() -> None:
    def damaged(*_args: Any) -> None:
        raise BankDamaged("chunk 7 is not what was written")

    def verdict(verify: Callable[..., None]) -> Any:
        data = SimpleNamespace(verify=verify)
        return IN_BANK.plugin.verify().on_main(context(None, data=data, section=RESTORE))

    assert verdict(lambda *_args: None) == {"ok": True, "reason": ""}
    assert "chunk 7" in verdict(damaged)["reason"]


def test_restore_needs_nothing_of_what_the_cloud_may_have_lost() -> None:
    there: dict[str, list[Any]] = {"volume_type": [SimpleNamespace(id="t1", name="fast")], "volume_zone": []}
    graph = Graph()
    resource = graph.add(Resource(TYPE, "old", "data"))
    options = settle(IN_BANK.plugin.options["restore"], {"restore_name": "{name} again"}, TYPE)
    nowhere = cast(Cloud, None)
    planned = IN_BANK.plugin().plan_restore(
        PlanContext(resource, RESTORE, graph, options, nowhere, lambda _key: None, there.__getitem__)
    )
    assert (planned.action, planned.name) == ("create", "data again")
    assert planned.needs == {"volumes": 1, "gigabytes": 1}
    assert len(planned.attributes) == len(ATTRIBUTES)
    assert Providers().find("bank").plugin(TYPE).name == "volume-bank"


def test_copies_are_no_part_of_a_project() -> None:
    copy = volume("copy", metadata={"refloat": f"refloat:{OPERATION}:{SOURCE}:{COPY}"})
    restored = volume("restored", metadata={"refloat": f"refloat:{OPERATION}:{SOURCE}:volume"})
    listing = SimpleNamespace(list=lambda _kind: [copy, restored])
    found = IN_BANK.protectable(cast(Cloud, listing)).dependants(Resource(PROJECT, "p"))
    assert [resource.id for resource in found] == ["restored"]
