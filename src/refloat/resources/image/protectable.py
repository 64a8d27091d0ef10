"""Finds images: those of a project, and the ones that servers were booted from.

Why an image is part of an application is told in its node, because what is captured depends on it: for a
server booted from it, the server's disk as it is now (``extra["server:ID"]``); for itself
(``extra["named"]``) or as part of a project, its own data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from refloat.cloud.marker import METADATA_KEY
from refloat.errors import Conflict, RefloatError
from refloat.graph import Graph, Resource
from refloat.resources.base import PROJECT
from refloat.resources.glance import is_temporary_name
from refloat.resources.image.section import is_disk
from refloat.resources.listed import ListedProtectable

TYPE = "OS::Glance::Image"
SERVER = "OS::Nova::Server"

NAMED = "named"
_SERVER_PREFIX = "server:"


class ImageProtectable(ListedProtectable):
    """The images of one project, and those its servers were booted from, whoever owns them."""

    @classmethod
    def is_going(cls, state: str) -> bool:
        return state in {"deleted", "pending_delete", "killed"}

    @classmethod
    def is_broken(cls, state: str) -> bool:
        return state != "active"

    @classmethod
    def unusable(cls, resource: Resource, thing: Any) -> Conflict:
        error = super().unusable(resource, thing)
        error.advice = "Make it active or delete it, or leave it out"
        return error

    def unfit(self, resource: Resource, graph: Graph) -> RefloatError | None:
        """Where it only stands for the disks of servers, nothing is read of the image itself."""
        return super().unfit(resource, graph) if is_wanted_itself(graph, resource) else None

    def node(self, thing: Any) -> Resource:
        return Resource(TYPE, str(thing.id), thing.name or "", {NAMED: True})

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All images that a project owns, but those of restored servers' disks; the one that a server was
        booted from.

        An image that was deleted since is part of the application all the same: the server's disk is
        still there. A server booted from a volume has no image.
        """
        if parent.type == PROJECT:
            return [replace(self.node(image), extra={}) for image in self.things if not is_disk(image)]
        image_id = self._boot_images.get(parent.id, "")
        if not image_id:
            return []
        return [Resource(TYPE, image_id, self._name_of(image_id), {f"{_SERVER_PREFIX}{parent.id}": True})]

    @cached_property
    def everything(self) -> Sequence[Any]:
        """Without the temporary ones of operations of Refloat's that are running now."""
        return [image for image in self._own if not _is_ours(image)]

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


def _is_ours(image: Any) -> bool:
    """Whether it is a temporary image of some operation of Refloat's that is running now."""
    return METADATA_KEY in (image.properties or {}) or is_temporary_name(image.name or "")
