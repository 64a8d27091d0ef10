"""Restores a server, when everything that it needs is ready: ports, then the server, then the rest."""

from __future__ import annotations

from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.cloud.marker import is_marked_by
from refloat.cloud.removal import LITTLE_PATIENCE, REFUSALS, removal
from refloat.cloud.retries import ensure_done
from refloat.errors import CloudError
from refloat.graph import ResourceKey
from refloat.resources.base import HookBody, HookContext, Restored, Waiting, restored
from refloat.resources.planned import stays
from refloat.resources.server.plan import IMAGE, KEYPAIR, SERVER_GROUP, VOLUME
from refloat.resources.server.plan_ports import PORT
from refloat.resources.server.ports import lead_floating_ips, make_port, not_as_planned
from refloat.resources.server.protectable import TYPE
from refloat.resources.server.repair import repair
from refloat.resources.server.replace import put_back


def restore(context: HookContext) -> HookBody:
    """Make ports, server, floating IPs, power state: in this order. The lock comes when it is handed over."""
    if context.planned.action == "repair":
        return (yield from repair(context))
    if context.planned.action == "replace":
        return (yield from put_back(context))
    cloud, section, decisions = context.cloud, context.section, context.planned.decisions
    name = context.planned.name
    originals = {port["id"]: port for port in section["ports"]}
    cards = [(originals.get(decision["source"], {}), decision) for decision in decisions["ports"]]
    ports = [make_port(context, place, decision, port) for place, (port, decision) in enumerate(cards)]
    port_ids = [str(port.id) for port in ports]
    locked = {"locked_reason": section["locked_reason"]} if section["locked"] else {}
    server_id = context.ensure(
        "server",
        "server",
        lambda marker: cloud.compute.create_server(**server_body(context, port_ids, marker)),
        what=f"create the server {name}",
        unmarked={"description": section["description"], **locked},
    )
    # It may have been switched off already when this is run again.
    text = f"server {name} ({server_id}) to be built"
    yield cloud.wait("server", server_id, ("ACTIVE", "SHUTOFF"), text=text)
    for place, (port, decision) in enumerate(cards):
        lead_floating_ips(context, place, decision, port, ports[place])
    if decisions["power"] == "SHUTOFF":
        _switch_off(context, server_id)
        yield cloud.wait("server", server_id, ("SHUTOFF",))
    lines = [Restored(TYPE, context.resource.id, server_id, name, False, context.planned.reason)]
    for (port, decision), live in zip(cards, ports, strict=True):
        reused = bool(decision["reuse"])
        said = "" if reused else not_as_planned(decision, live)
        lines.append(Restored(PORT, decision["source"], str(live.id), port.get("name", ""), reused, said))
    left = [stays("port", line.new_id, line.name, name) for line in lines[1:] if not line.reused]
    image_id = _disk_image(context)
    if not image_id:
        return {**restored(*lines), "stays": left}
    if not (yield from _let_go(context, image_id)):
        return {**restored(*lines), "stays": left, "let_go": [image_id]}
    image = context.cloud.get("image", image_id)
    return {**restored(*lines), "stays": [stays("image", image_id, image.name or "", name), *left]}


def _let_go(context: HookContext, image_id: str) -> Waiting:
    """Remove the image of the server's own disk, unless it is to be kept; whether it is there.

    Nova has copied it. Where Nova's disks are built on Glance's images, as on Ceph, Glance refuses: it stays.
    """
    image = context.cloud.find("image", image_id)
    if image is None:
        return False
    if context.parameters["keep_image"] or not is_marked_by(image, context.operation_id):
        return True
    try:
        yield from removal(context.cloud, "image", image_id, LITTLE_PATIENCE)
    except CloudError as exc:
        if status_of(exc) not in REFUSALS | {403}:
            raise
        return True
    return False


def server_body(context: HookContext, port_ids: list[str], marker: Marker) -> dict[str, Any]:
    """What Nova is asked for. The mark is the description: metadata would stay in a config drive."""
    section, decisions = context.section, context.planned.decisions
    networks: Any = [
        {"port": port_id} | ({"tag": decision["tag"]} if decision["tag"] else {})
        for port_id, decision in zip(port_ids, decisions["ports"], strict=True)
    ]
    body: dict[str, Any] = {
        "name": context.planned.name,
        "description": marker.text,
        "flavor_id": decisions["flavor"],
        "networks": networks or "none",
        "metadata": section["metadata"],
        "block_device_mapping": _block_devices(context),
        "config_drive": section["config_drive"],
        "disk_config": section["disk_config"],
    }
    optional = {
        "image_id": _boot_image(context),
        "availability_zone": decisions["availability_zone"],
        "user_data": section["user_data"],
        "tags": section["tags"],
        "access_ipv4": section["access_ipv4"],
        "access_ipv6": section["access_ipv6"],
    }
    if decisions["hostname"]:
        optional["hostname"] = section["hostname"]
    if decisions["key_name"]:
        optional["key_name"] = context.new_or_same(KEYPAIR, decisions["key_name"])
    if decisions["server_group"]:
        group = context.new_or_same(SERVER_GROUP, decisions["server_group"])
        optional["scheduler_hints"] = {"group": group}
    return body | {name: value for name, value in optional.items() if value}


def _block_devices(context: HookContext) -> list[dict[str, Any]]:
    """All disks at once, in their order, so that they are there when the system starts."""
    devices: list[dict[str, Any]] = []
    image = _boot_image(context)
    if image:
        devices.append(
            {
                "uuid": image,
                "source_type": "image",
                "destination_type": "local",
                "boot_index": 0,
                "delete_on_termination": True,
            }
        )
    for volume in context.planned.decisions["volumes"]:
        device = {
            "uuid": context.new_or_same(VOLUME, volume["id"]),
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": 0 if volume["root"] else -1,
            "delete_on_termination": volume["delete_on_termination"],
        }
        devices.append(device | ({"tag": volume["tag"]} if volume["tag"] else {}))
    return devices


def _boot_image(context: HookContext) -> str | None:
    """The image of this server's disk; without one, what its boot image has become."""
    image = context.planned.decisions["image"]
    if image is None:
        return None
    return _disk_image(context) or str(context.new_or_same(IMAGE, image["source"]))


def _disk_image(context: HookContext) -> str:
    """The image that this restore made of this server's own disk; empty: none."""
    image = context.planned.decisions["image"]
    disks = context.results(ResourceKey(IMAGE, image["source"])).get("disks") if image else None
    return str((disks or {}).get(context.resource.id) or "")


def _switch_off(context: HookContext, server_id: str) -> None:
    cloud = context.cloud

    def off() -> bool:
        server = cloud.get("server", server_id)
        return server.status == "SHUTOFF" or bool(server.task_state)

    def stop() -> None:
        with explained(f"switch off the server {context.planned.name}", context.resource):
            cloud.compute.stop_server(server_id)

    ensure_done(off, stop)
