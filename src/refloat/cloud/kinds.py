"""The kinds of things Refloat makes in a cloud, as one table.

For each kind: which service holds it, how it is read, listed and removed, and which states mean
that it is still being worked on. Waiting, undo and clean-up work from this table alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection
from openstack.exceptions import ConflictException, NotFoundException, raise_from_response
from openstack.identity.v3.project import Project

from refloat.cloud.marker import METADATA_KEY

Getter = Callable[[Connection, str], Any]
Lister = Callable[[Connection], Iterable[Any]]
Remover = Callable[[Connection, str], None]
Creator = Callable[[Connection, Mapping[str, Any]], Any]
Updater = Callable[[Connection, str, Mapping[str, Any]], Any]


UUIDS = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
WORDS = re.compile(r"(?!\.{1,2}\Z)[^/?#%\\\x00-\x1f\x7f]{1,255}")
"""The ids of things that are called as somebody likes: one part of a path, and no other."""


IMAGE_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
"""Headers of what changes an image."""


def request(proxy: Any, method: str, path: str, **how: Any) -> Any:
    """The body of an answer. :raises SDKException: the service refuses."""
    answer = getattr(proxy, method)(path, **how)
    raise_from_response(answer)
    return answer.json() if answer.content else None


def status_of_thing(thing: Any, attribute: str = "status") -> str:
    """The state of a thing, in small letters; empty when it tells none."""
    return str(getattr(thing, attribute, "") or "").lower()


def usable_zones(zones: Iterable[Any]) -> set[str]:
    """The names of those availability zones of Nova or Cinder in which something can be made."""
    return {str(zone.name) for zone in zones if (zone.state or {}).get("available", True)}


@dataclass(frozen=True)
class Kind:
    """How to handle one kind of thing through openstacksdk.

    :param name: Refloat's word for it, used in journals and messages.
    :param service: the openstacksdk proxy (``block_storage``, ``network``...); empty when it is none of
        OpenStack's: its functions then raise the errors of openstacksdk all the same.
    :param get: read one by id; raises NotFoundException when it is not there.
    :param list: all of the caller's project.
    :param remove: delete one by id; may raise NotFoundException.
    :param busy: states in which the service refuses to delete it: wait for another state first.
    :param waits_gone: the service deletes it in the background.
    :param status: the attribute that tells its state (Octavia: ``provisioning_status``).
    :param failed: states that it does not come out of by itself: they end a wait.
    :param deleting: states in which it is being deleted.
    :param delete_failed: states that it is left in when it could not be deleted.
    :param may_stay: it is in one of ``deleting`` until it is gone; if the service gives up, what it was.
    :param gone: states in which it is as good as not there.
    :param create: create one; returns it. Needed, as ``update`` is, only by whoever calls ``Cloud.create``.
    :param update: set some fields of one by id.
    :param unmark: take the mark off one, where ``update`` does not: given what is to be in the mark's place.
    :param part_of: the kinds and ids of what one is a part of, where it can carry no mark itself.
    :param ids: what their ids look like, wholly: nothing else becomes part of a path. None: anything.

    States are in small letters.
    """

    name: str
    service: str
    get: Getter
    list: Lister
    remove: Remover
    busy: frozenset[str] = frozenset()
    waits_gone: bool = False
    status: str = "status"
    failed: frozenset[str] = frozenset({"error", "error_deleting", "error_restoring", "killed"})
    deleting: frozenset[str] = frozenset({"deleting"})
    delete_failed: frozenset[str] = frozenset({"error_deleting"})
    may_stay: bool = False
    gone: frozenset[str] = frozenset({"deleted"})
    create: Creator | None = None
    update: Updater | None = None
    unmark: Updater | None = None
    part_of: Callable[[str, Any], Iterable[tuple[str, str]]] = lambda _identity, _thing: ()
    ids: re.Pattern[str] | None = None

    def state(self, thing: Any) -> str:
        """The state of a thing of this kind."""
        return status_of_thing(thing, self.status)


def sdk_kind(
    name: str,
    service: str,
    *,
    word: str = "",
    query: Mapping[str, Any] | None = None,
    microversion: str = "",
    **fields: Any,
) -> Kind:
    """A kind of openstacksdk's: its proxy has ``get_NAME``, ``NAMEs``, ``create_NAME``...

    :param word: what the methods are called after, when not after the name.
    :param query: what the listing method is given.
    :param microversion: of all requests to the service.
    :param fields: of :class:`Kind`: ``busy``, ``waits_gone``... and what is otherwise done.
    """
    word = word or name

    def method(connection: Connection, called: str) -> Any:
        proxy = getattr(connection, service)
        if microversion:
            proxy.default_microversion = microversion
        return getattr(proxy, called)

    def list_all(connection: Connection) -> Iterable[Any]:
        scope = {"project_id": connection.current_project_id} if service == "network" else {}
        things: Iterable[Any] = method(connection, f"{word}s")(**(query or {}), **scope)
        return things

    def remove(connection: Connection, identity: str) -> None:
        method(connection, f"delete_{word}")(identity, ignore_missing=False)

    usual: dict[str, Any] = {
        "get": lambda connection, identity: method(connection, f"get_{word}")(identity),
        "list": list_all,
        "remove": remove,
        "create": lambda connection, values: method(connection, f"create_{word}")(**values),
        "update": lambda connection, identity, values: method(connection, f"update_{word}")(
            identity, **values
        ),
        "ids": UUIDS,
    }
    return Kind(name, service, **(usual | fields))


def _remove_server(connection: Connection, identity: str) -> None:
    """Delete a server, also one that was locked: Nova refuses that even to whoever locked it."""
    try:
        connection.compute.delete_server(identity, ignore_missing=False)
    except ConflictException:
        if not connection.compute.get_server(identity).is_locked:
            raise
        connection.compute.unlock_server(identity)
        connection.compute.delete_server(identity, ignore_missing=False)


def _unmark_server(connection: Connection, identity: str, fields: Mapping[str, Any]) -> None:
    """The lock that the original had, then its description: when the mark is gone, all is done."""
    if "locked_reason" in fields:
        connection.compute.lock_server(identity, locked_reason=fields["locked_reason"])
    connection.compute.update_server(identity, description=fields["description"])


def unmark_metadata(service: str, path: str, microversion: str | None = None) -> Updater:
    """Takes the mark out of the metadata of something, whose path is given up to its id."""

    def unmark(connection: Connection, identity: str, _fields: Mapping[str, Any]) -> None:
        where = f"{path}/{identity}/metadata/{METADATA_KEY}"
        request(getattr(connection, service), "delete", where, microversion=microversion)

    return unmark


def _unmark_image(connection: Connection, identity: str, fields: Mapping[str, Any]) -> None:
    tags = {"op": "replace", "path": "/tags", "value": fields["tags"]}
    request(connection.image, "patch", f"/images/{identity}", json=[tags], headers=IMAGE_PATCH)


def _of_router(identity: str, _thing: Any) -> Iterable[tuple[str, str]]:
    return (("router", re.split(r"[:|]", identity)[0]),)


def _port_of(owner: str) -> Getter:
    """The port, once it is that of a router or a server: one that was only made for it is not.

    :param owner: whose it is not, otherwise.
    """

    def get(connection: Connection, identity: str) -> Any:
        device, _, port_id = identity.partition(":")
        port = connection.network.get_port(port_id)
        if port.device_id != device:
            raise NotFoundException(f"port {port_id} is {owner} {device}")
        return port

    return get


def _get_router_subnet(connection: Connection, identity: str) -> Any:
    router, _, subnet = identity.partition(":")
    for port in connection.network.ports(device_id=router):
        if any(fixed["subnet_id"] == subnet for fixed in port.fixed_ips or ()):
            return port
    raise NotFoundException(f"router {router} is not in subnet {subnet}")


def _disconnect(by: str) -> Remover:
    """Takes away the interface of a router that is told by a port or a subnet."""

    def remove(connection: Connection, identity: str) -> None:
        router, _, other = identity.partition(":")
        connection.network.remove_interface_from_router(router, **{by: other})

    return remove


def _on_router(name: str, get: Getter, remove: Remover) -> Kind:
    return Kind(name, "network", get, _list_none, remove, part_of=_of_router)


def _get_gateway(connection: Connection, identity: str) -> Any:
    router_id, _, network = identity.partition(":")
    router = connection.network.get_router(router_id)
    if (router.external_gateway_info or {}).get("network_id") != network:
        raise NotFoundException(f"router {router_id} has no gateway in network {network}")
    return router


def _remove_gateway(connection: Connection, identity: str) -> None:
    connection.network.update_router(identity.partition(":")[0], external_gateway_info={})


def _of_server(name: str, other: str, get: Getter, remove: Remover) -> Kind:
    """What a server has of something else: removing it lets go of that."""

    def part_of(identity: str, _thing: Any) -> Iterable[tuple[str, str]]:
        return ((other, identity.partition(":")[2]),)

    return Kind(name, "compute", get, _list_none, remove, waits_gone=True, part_of=part_of)


def _detach_port(connection: Connection, identity: str) -> None:
    server, _, port_id = identity.partition(":")
    connection.compute.delete_server_interface(port_id, server=server, ignore_missing=False)


def _get_attachment(connection: Connection, identity: str) -> Any:
    return connection.compute.get_volume_attachment(*identity.split(":"))


def _detach_volume(connection: Connection, identity: str) -> None:
    server, _, volume = identity.partition(":")
    connection.compute.delete_volume_attachment(server, volume, ignore_missing=False)


def _get_stopped(connection: Connection, identity: str) -> Any:
    server = connection.compute.get_server(identity)
    if server.status != "SHUTOFF":
        raise NotFoundException(f"server {identity} is not switched off")
    return server


def _start(connection: Connection, identity: str) -> None:
    connection.compute.start_server(identity)


def _get_detached(connection: Connection, identity: str) -> Any:
    server, volume, *_how = identity.split("|")
    if any(found.volume_id == volume for found in connection.compute.volume_attachments(server)):
        raise NotFoundException(f"volume {volume} is attached to server {server}")
    return connection.block_storage.get_volume(volume)


def _attach_again(connection: Connection, identity: str) -> None:
    server, volume, tag, goes_too = identity.split("|")
    how = ({"tag": tag} if tag else {}) | ({"delete_on_termination": True} if goes_too else {})
    connection.compute.create_volume_attachment(server, volume, **how)


def _get_port_group(connection: Connection, identity: str) -> Any:
    port_id, _, group = identity.partition(":")
    port = connection.network.get_port(port_id)
    if group not in (port.security_group_ids or ()):
        raise NotFoundException(f"port {port_id} is not in security group {group}")
    return port


def _leave_group(connection: Connection, identity: str) -> None:
    port = _get_port_group(connection, identity)
    left = [group for group in port.security_group_ids if group != identity.partition(":")[2]]
    connection.network.update_port(port.id, security_group_ids=left)


def _of_port_and_group(identity: str, _thing: Any) -> Iterable[tuple[str, str]]:
    port, _, group = identity.partition(":")
    return (("port", port), ("security_group", group))


def _route(identity: str) -> tuple[str, dict[str, str]]:
    router, destination, nexthop = identity.split("|")
    return router, {"destination": destination, "nexthop": nexthop}


def _get_route(connection: Connection, identity: str) -> Any:
    router_id, route = _route(identity)
    router = connection.network.get_router(router_id)
    if route not in (router.routes or []):
        raise NotFoundException(f"router {router_id} has no such route")
    return router


def _remove_route(connection: Connection, identity: str) -> None:
    router_id, route = _route(identity)
    connection.network.remove_extra_routes_from_router(router_id, {"router": {"routes": [route]}})


def _list_none(_connection: Connection) -> Iterable[Any]:
    return ()


def _remove_image(connection: Connection, identity: str) -> None:
    image = connection.image.get_image(identity)
    if image.is_protected:  # a restored image has the original's protection, and is still ours to undo
        connection.image.update_image(identity, is_protected=False)
    connection.image.delete_image(identity, ignore_missing=False)


def _not_ours(_connection: Connection, identity: str) -> Any:
    raise NotImplementedError(f"{identity} belongs to the cloud and is only listed")


def _proxy(connection: Connection, service: str) -> Any:
    """The proxy of a service, of whichever version."""
    return getattr(connection, service)


def _only_listed(name: str, service: str, things: Lister) -> Kind:
    """What belongs to the cloud, or to whoever shares it."""
    return sdk_kind(name, service, get=_not_ours, list=things, remove=_not_ours)


def _own_projects(connection: Connection) -> Iterable[Any]:
    """Those of the user: nobody but an administrator may list others."""
    told = request(connection.identity, "get", "/auth/projects")["projects"]
    return [Project.existing(**project) for project in told]


_DETAILS = {"details": True}
_WORK_ON_VOLUMES = frozenset(
    {
        "creating",
        "downloading",
        "uploading",
        "restoring-backup",
        "backing-up",
        "attaching",
        "detaching",
        "in-use",
    }
)


def _in_background(name: str, *busy: str, **fields: Any) -> Kind:
    fields |= {"busy": frozenset(busy), "waits_gone": True, "may_stay": True}
    return sdk_kind(name, "block_storage", query=_DETAILS, **fields)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        sdk_kind(
            "server",
            "compute",
            waits_gone=True,
            query=_DETAILS,
            remove=_remove_server,
            unmark=_unmark_server,
        ),
        sdk_kind("flavor", "compute", ids=WORDS),
        sdk_kind("keypair", "compute", ids=WORDS),
        sdk_kind("server_group", "compute"),
        _in_background("volume", *_WORK_ON_VOLUMES, unmark=unmark_metadata("block_storage", "/volumes")),
        _in_background("snapshot", "creating", "backing-up"),
        _in_background("backup", "creating", "restoring"),
        sdk_kind("volume_type", "block_storage", word="type", remove=_not_ours),
        _only_listed(
            "volume_zone", "block_storage", lambda c: _proxy(c, "block_storage").availability_zones()
        ),
        _only_listed("server_zone", "compute", lambda c: c.compute.availability_zones()),
        _only_listed("network_zone", "network", lambda c: c.network.availability_zones()),
        _only_listed("external_network", "network", lambda c: c.network.networks(is_router_external=True)),
        _only_listed("any_network", "network", lambda c: c.network.networks()),
        _only_listed("any_subnet", "network", lambda c: c.network.subnets()),
        _only_listed("own_project", "identity", _own_projects),
        sdk_kind(
            "image",
            "image",
            list=lambda connection: connection.image.images(owner=connection.current_project_id),
            remove=_remove_image,
            unmark=_unmark_image,
        ),
        sdk_kind("network", "network"),
        sdk_kind("subnet", "network"),
        sdk_kind("port", "network"),
        sdk_kind("router", "network"),
        _on_router("router_interface", _port_of("no interface of router"), _disconnect("port")),
        _on_router("router_subnet", _get_router_subnet, _disconnect("subnet")),
        _on_router("router_route", _get_route, _remove_route),
        _on_router("router_gateway", _get_gateway, _remove_gateway),
        _of_server("server_port", "port", _port_of("not of server"), _detach_port),
        _of_server("volume_attachment", "volume", _get_attachment, _detach_volume),
        Kind(
            *("port_group", "network", _get_port_group, _list_none, _leave_group),
            part_of=_of_port_and_group,
        ),
        Kind("stopped_server", "compute", _get_stopped, _list_none, _start, waits_gone=True, ids=UUIDS),
        Kind("detached_volume", "compute", _get_detached, _list_none, _attach_again, waits_gone=True),
        sdk_kind("security_group", "network"),
        sdk_kind(
            "security_group_rule",
            "network",
            part_of=lambda _identity, rule: (("security_group", str(rule.security_group_id)),),
        ),
        sdk_kind("floating_ip", "network", word="ip"),
        sdk_kind(
            "floating_ip_association",
            "network",
            word="ip",
            list=_list_none,
            remove=lambda connection, identity: connection.network.update_ip(identity, port_id=None),
            part_of=lambda identity, address: (("floating_ip", identity), ("port", str(address.port_id))),
        ),
    )
}
"""Every kind by name. A ``router_interface`` is named ``ROUTER_ID:PORT_ID``, a ``router_subnet`` (an
interface whose port Neutron makes) ``ROUTER_ID:SUBNET_ID``, a ``router_route``
``ROUTER_ID|DESTINATION|NEXTHOP``, a ``router_gateway`` ``ROUTER_ID:NETWORK_ID``, a ``server_port``
``SERVER_ID:PORT_ID``, a ``volume_attachment`` ``SERVER_ID:VOLUME_ID``, a ``port_group`` (that a port is in a
security group) ``PORT_ID:GROUP_ID``, a ``floating_ip_association`` by its floating IP's id; removing these
only parts the two. What is taken away for a while is removed by giving it back: a ``stopped_server``, a
``detached_volume`` ``SERVER_ID|VOLUME_ID|TAG|deleted with the server``."""


def add_kind(kind: Kind) -> None:
    """Make a kind of a plugin's own known. :raises ValueError: another kind has its name."""
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise ValueError(f"there is a kind '{kind.name}' already")
