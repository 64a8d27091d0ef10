"""Finds images: those of a project, and the ones that servers were booted from.

Why an image is part of an application is told in its node, because what is captured depends on it: for a
server booted from it, the server's disk as it is now (``extra["server:ID"]``); for itself
(``extra["named"]``) or as part of a project, its own data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from refloat.cloud.kinds import status_of_thing
from refloat.cloud.marker import METADATA_KEY
from refloat.errors import Conflict, InvalidInput
from refloat.graph import Graph, Resource
from refloat.resources.base import PROJECT, Protectable
from refloat.resources.glance import is_temporary_name

TYPE = "OS::Glance::Image"
SERVER = "OS::Nova::Server"

NAMED = "named"
_SERVER_PREFIX = "server:"

GOING = frozenset({"deleted", "pending_delete", "killed"})


class ImageProtectable(Protectable):
    """The images of one project, and those its servers were booted from, whoever owns them."""

    type = TYPE
    parents = frozenset({SERVER, PROJECT})

    def list(self) -> list[Resource]:
        """All active images that the project owns."""
        return [
            _named(image) for image in self._own if status_of_thing(image) == "active" and not _is_ours(image)
        ]

    def show(self, identity: str) -> Resource:
        """One image by id, whoever owns it."""
        image = self.cloud.get("image", identity)
        _check(image)
        return _named(image)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All images that a project owns; the one that a server was booted from.

        An image that was deleted since is part of the application all the same: the server's disk is
        still there. A server booted from a volume has no image.
        """
        if parent.type == PROJECT:
            wanted = [i for i in self._own if status_of_thing(i) not in GOING and not _is_ours(i)]
            for image in wanted:
                _check(image)
            return [_plain(image) for image in wanted]
        image_id = self._boot_images.get(parent.id, "")
        if not image_id:
            return []
        return [Resource(TYPE, image_id, self._name_of(image_id), {f"{_SERVER_PREFIX}{parent.id}": True})]

    def select(self, selector: str) -> Sequence[Resource]:
        """The project's images that carry a tag (``tag:NAME``)."""
        kind, _, wanted = selector.partition(":")
        if kind != "tag":
            raise InvalidInput(f"images cannot be chosen by '{selector}'", advice="Use tag:NAME")
        chosen = [i for i in self._own if wanted in (i.tags or ()) and status_of_thing(i) not in GOING]
        for image in chosen:
            _check(image)
        return [_named(image) for image in chosen]

    @cached_property
    def _own(self) -> Sequence[Any]:
        return self.cloud.list("image")

    @cached_property
    def _boot_images(self) -> Mapping[str, str]:
        return {str(server.id): boot_image_of(server) for server in self.cloud.list("server")}

    def _name_of(self, image_id: str) -> str:
        if image_id not in self._names:
            image = self.cloud.find("image", image_id)
            self._names[image_id] = (image.name or "") if image is not None else ""
        return self._names[image_id]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {str(image.id): image.name or "" for image in self._own}


def servers_of(graph: Graph, resource: Resource) -> Sequence[Resource]:
    """The servers of a graph whose disks stand for an image, in a lasting order."""
    wanted = {key.removeprefix(_SERVER_PREFIX) for key in resource.extra if key.startswith(_SERVER_PREFIX)}
    return sorted((p for p in graph.parents(resource.key) if p.id in wanted), key=lambda server: server.id)


def is_wanted_itself(graph: Graph, resource: Resource) -> bool:
    """Whether an image's own data is wanted: not only the disks of servers booted from it."""
    parents = graph.parents(resource.key)
    return NAMED in resource.extra or not parents or any(parent.type != SERVER for parent in parents)


def boot_image_of(server: Any) -> str:
    """The id of the image that a server was booted from; empty when from a volume."""
    image = server.image
    if not image:
        return ""
    return str((image.get("id") if isinstance(image, dict) else image.id) or "")


def _plain(image: Any) -> Resource:
    return Resource(TYPE, str(image.id), image.name or "")


def _named(image: Any) -> Resource:
    return Resource(TYPE, str(image.id), image.name or "", {NAMED: True})


def _is_ours(image: Any) -> bool:
    """Whether it is a temporary image of some operation of Refloat's that is running now."""
    return METADATA_KEY in (image.properties or {}) or is_temporary_name(image.name or "")


def _check(image: Any) -> None:
    status = status_of_thing(image)
    if status != "active":
        raise Conflict(
            "the image cannot be protected",
            resource=str(_plain(image)),
            reason=f"its status is '{status}'",
            advice="Make it active or delete it, or leave it out",
        )
