"""Puts the data of a server back in place: the same server, with its cards and volumes.

It is switched off and lets go of its volumes; when their data is back it gets them again, its own disk is
made anew of the restored image, and it is started, if it ran. What is taken away for a while is in the
journal: an operation that is undone gives it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from refloat.cloud import Marker, cloud_knows, explained
from refloat.cloud.kinds import request
from refloat.cloud.removal import removal
from refloat.cloud.retries import ensure_done
from refloat.graph import ResourceKey
from refloat.resources.attributes import Change
from refloat.resources.base import HookBody, HookContext, PlanContext, Planned, Waiting
from refloat.resources.creations import STOPPED
from refloat.resources.draft import Draft
from refloat.resources.networking import left_alone
from refloat.resources.server.protectable import unfit
from refloat.resources.server.repair import VOLUME, attach, attached, lost_volumes
from refloat.resources.server.section import ATTRIBUTES, server_section
from refloat.resources.volume.restore import set_image_metadata

IMAGE = "OS::Glance::Image"
VERSION = "2.93"
"""Since this version Nova rebuilds servers that boot from volumes."""
_TIMEOUT = 6 * 3600.0


def plan_replace(context: PlanContext) -> Planned:
    """Decide how the data of a server that is there is put back."""
    server = context.cloud.get("server", context.resource.id)
    problem = unfit(server)
    said = (problem.reason or problem.message) if problem else _unusable(server)
    if said:
        return Planned("impossible", server.name, said)
    now, section = server_section(context.cloud, server.id), context.section
    draft = Draft(context, ATTRIBUTES)
    replaced = {v["id"]: planned for v in now["volumes"] if (planned := _replaced(context, v["id"]))}
    if said := _unbootable(context, now, replaced):
        return Planned("impossible", server.name, said)
    detach = [volume for volume in now["volumes"] if volume["id"] in replaced and not volume["root"]]
    draft.decisions = {
        "runs": server.status == "ACTIVE",
        "detach": detach,
        "volumes": list(lost_volumes(context, draft, now)),
        "image": section["image_id"],
        "root": next((volume["id"] for volume in now["volumes"] if volume["root"]), ""),
    }
    back = {"image_id": Change(None, "mapped", "an image of the server's disk as it was when protected")}
    attributes, reason = left_alone(ATTRIBUTES, section, now, back)
    reason = reason.replace("and left as it is", "and its settings left as they are")
    reason = f"its disks are put back in place, with it switched off meanwhile; {reason}"
    return Planned(
        *("replace", server.name, reason, server.id, attributes),
        decisions=draft.decisions,
        conflicts=tuple(draft.conflicts),
    )


def _unusable(server: Any) -> str:
    if server.status not in ("ACTIVE", "SHUTOFF"):
        return f"its status is '{server.status}': bring it to ACTIVE or SHUTOFF"
    return "it is locked: unlock it" if server.is_locked else ""


def _replaced(context: PlanContext, volume_id: str) -> Planned | None:
    planned = context.planned(ResourceKey(VOLUME, volume_id))
    return planned if planned is not None and planned.action == "replace" else None


def _unbootable(context: PlanContext, now: Mapping[str, Any], replaced: Mapping[str, Planned]) -> str:
    """Why what it boots from cannot be put back."""
    section = context.section
    roots = [next((v["id"] for v in each["volumes"] if v["root"]), "") for each in (section, now)]
    if roots[0] != roots[1] or bool(section["image_id"]) != bool(now["image_id"]):
        return "it boots from something else than in the checkpoint"
    if section["image_id"]:
        image = context.planned(ResourceKey(IMAGE, section["image_id"]))
        if image is None or context.resource.id not in image.decisions.get("disks", ()):
            return "its own disk is not part of the restore"
        return ""
    root = replaced.get(roots[1])
    if root is None or not root.decisions["by_image"]:
        return (
            "the volume that it boots from cannot be taken off it, and only what is in the bank can then "
            "be written over it: restore beside it"
        )
    if not cloud_knows(context.cloud, VERSION):
        return f"this Nova cannot rebuild what boots from a volume: it is older than API version {VERSION}"
    return ""


def let_go(context: HookContext) -> HookBody:
    """Switch it off and take its volumes off it, the last one first: undone they come back in their order."""
    cloud, decisions, server_id = context.cloud, context.planned.decisions, context.planned.new_id
    if context.planned.action != "replace":
        return None
    yield _idle(context)
    if decisions["runs"]:

        def stop(_marker: Marker) -> str:
            if cloud.get("server", server_id).status != "SHUTOFF":
                cloud.compute.stop_server(server_id)
            return server_id

        context.ensure(STOPPED, STOPPED, stop, what="switch off the server", clue={"id": server_id})
        yield cloud.wait("server", server_id, ("SHUTOFF",), timeout=_TIMEOUT)
    for volume in reversed(decisions["detach"]):
        goes_too = "1" if volume["delete_on_termination"] else ""
        both = "|".join((server_id, volume["id"], volume["tag"] or "", goes_too))
        detach = partial(_detach, context, server_id, volume["id"], both)
        what = f"take the volume {volume['id']} off the server"
        context.ensure("detached_volume", _role(volume), detach, what=what, clue={"id": both})
        yield cloud.wait("volume", volume["id"], lambda found: found.status in _FREE)
    return None


_FREE = ("available", "in-use")
"""What is attached to several servers is in use until the last of them has let go of it."""


def _role(volume: Mapping[str, Any]) -> str:
    return f"detached-{volume['id']}"


def _detach(context: HookContext, server_id: str, volume_id: str, both: str, _marker: Marker) -> str:
    context.cloud.compute.delete_volume_attachment(server_id, volume_id, ignore_missing=True)
    return both


def _idle(context: HookContext) -> Any:
    text = f"server {context.planned.name} to finish its task"
    wait = context.cloud.wait
    return wait("server", context.planned.new_id, lambda found: not found.task_state, failed=(), text=text)


def put_back(context: HookContext) -> HookBody:
    """Give it its volumes again, make its own disk anew, start it."""
    decisions, server_id = context.planned.decisions, context.planned.new_id
    for volume in decisions["detach"]:
        yield from context.discard(_role(volume))
        yield from attached(context, volume["id"])
    for volume in decisions["volumes"]:
        yield from attach(context, server_id, volume, context.new_or_same(VOLUME, volume["id"]))
    if decisions["image"]:
        disks = context.results(ResourceKey(IMAGE, decisions["image"]))["disks"]
        yield from _rebuild(context, str(disks[context.resource.id]))
    elif left := context.results(ResourceKey(VOLUME, decisions["root"])).get("_image"):
        yield from _rebuild(context, left["id"], decisions["root"])
        volume = context.cloud.get("volume", decisions["root"])
        with explained("set up the volume that the server boots from", context.resource):
            set_image_metadata(context.cloud.block_storage, volume, left["image_metadata"])
        yield from removal(context.cloud, "image", left["id"])
    if decisions["runs"]:
        yield from context.discard(STOPPED)
        yield context.cloud.wait("server", server_id, ("ACTIVE",))
    return context.restored(server_id)


def _rebuild(context: HookContext, image_id: str, root: str = "") -> Waiting:
    """Make its disk anew of an image; Nova switches it on and off again meanwhile.

    :param root: the volume that it boots from, if it does.
    """
    cloud, server_id = context.cloud, context.planned.new_id
    context.replacing()
    server = yield _idle(context)

    def done() -> bool:
        if root:
            told = cloud.get("volume", root).volume_image_metadata or {}
            return bool(told.get("image_id") == image_id or cloud.get("server", server_id).task_state)
        return bool((cloud.get("server", server_id).image or {}).get("id") == image_id)

    def rebuild() -> None:
        version = VERSION if cloud_knows(cloud, VERSION) else None
        path, body = f"/servers/{server.id}/action", {"rebuild": {"imageRef": image_id}}
        with explained("rebuild the server", context.resource):
            request(cloud.compute, "post", path, json=body, microversion=version)

    ensure_done(done, rebuild)
    text = f"server {context.planned.name} to be rebuilt"
    yield cloud.wait(
        "server",
        server_id,
        lambda found: found.status == "SHUTOFF" and not found.task_state,
        timeout=_TIMEOUT,
        text=text,
    )
