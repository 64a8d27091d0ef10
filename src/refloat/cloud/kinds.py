"""The kinds of things Refloat makes in a cloud, as one table.

For each kind: which service holds it, how it is read, listed and removed, and which states mean
that it is still being worked on. Waiting, undo and clean-up work from this table alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from openstack.connection import Connection
from openstack.exceptions import ConflictException, NotFoundException

Getter = Callable[[Connection, str], Any]
Lister = Callable[[Connection], Iterable[Any]]
Remover = Callable[[Connection, str], None]


def status_of_thing(thing: Any, attribute: str = "status") -> str:
    """The state of a thing, in small letters; empty when it tells none."""
    return str(getattr(thing, attribute, "") or "").lower()


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
    :param gone: states in which it is as good as not there.

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
    gone: frozenset[str] = frozenset({"deleted"})

    def state(self, thing: Any) -> str:
        """The state of a thing of this kind."""
        return status_of_thing(thing, self.status)


def _kind(
    name: str,
    service: str,
    *,
    plural: str | None = None,
    busy: Iterable[str] = (),
    waits_gone: bool = False,
    query: Mapping[str, Any] | None = None,
) -> Kind:
    many = plural or f"{name}s"
    fixed = dict(query or {})

    def get(connection: Connection, identity: str) -> Any:
        return getattr(getattr(connection, service), f"get_{name}")(identity)

    def list_all(connection: Connection) -> Iterable[Any]:
        scope = {"project_id": connection.current_project_id} if service == "network" else {}
        things: Iterable[Any] = getattr(getattr(connection, service), many)(**fixed, **scope)
        return things

    def remove(connection: Connection, identity: str) -> None:
        getattr(getattr(connection, service), f"delete_{name}")(identity, ignore_missing=False)

    return Kind(name, service, get, list_all, remove, frozenset(busy), waits_gone)


def _remove_server(connection: Connection, identity: str) -> None:
    """Delete a server, also one that was locked: Nova refuses that even to whoever locked it."""
    try:
        connection.compute.delete_server(identity, ignore_missing=False)
    except ConflictException:
        if not connection.compute.get_server(identity).is_locked:
            raise
        connection.compute.unlock_server(identity)
        connection.compute.delete_server(identity, ignore_missing=False)


def _get_interface(connection: Connection, identity: str) -> Any:
    """The port, once it is an interface: a port that was only made for one is not."""
    router, _, port_id = identity.partition(":")
    port = connection.network.get_port(port_id)
    if port.device_id != router:
        raise NotFoundException(f"port {port_id} is no interface of router {router}")
    return port


def _remove_interface(connection: Connection, identity: str) -> None:
    router, _, port = identity.partition(":")
    connection.network.remove_interface_from_router(router, port=port)


def _get_router_subnet(connection: Connection, identity: str) -> Any:
    router, _, subnet = identity.partition(":")
    for port in connection.network.ports(device_id=router):
        if any(fixed["subnet_id"] == subnet for fixed in port.fixed_ips or ()):
            return port
    raise NotFoundException(f"router {router} is not in subnet {subnet}")


def _remove_router_subnet(connection: Connection, identity: str) -> None:
    router, _, subnet = identity.partition(":")
    connection.network.remove_interface_from_router(router, subnet=subnet)


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


def _get_association(connection: Connection, identity: str) -> Any:
    return connection.network.get_ip(identity)


def _remove_association(connection: Connection, identity: str) -> None:
    connection.network.update_ip(identity, port_id=None)


def _list_none(_connection: Connection) -> Iterable[Any]:
    return ()


def _get_image(connection: Connection, identity: str) -> Any:
    return connection.image.get_image(identity)


def _list_images(connection: Connection) -> Iterable[Any]:
    return connection.image.images(owner=connection.current_project_id)


def _remove_image(connection: Connection, identity: str) -> None:
    image = connection.image.get_image(identity)
    if image.is_protected:  # a restored image has the original's protection, and is still ours to undo
        connection.image.update_image(identity, is_protected=False)
    connection.image.delete_image(identity, ignore_missing=False)


def _list_volume_types(connection: Connection) -> Iterable[Any]:
    return connection.block_storage.types()


def _list_volume_zones(connection: Connection) -> Iterable[Any]:
    storage: Any = connection.block_storage
    zones: Iterable[Any] = storage.availability_zones()
    return zones


def _not_ours(_connection: Connection, identity: str) -> Any:
    raise NotImplementedError(f"{identity} belongs to the cloud and is only listed")


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        replace(_kind("server", "compute", waits_gone=True, query={"details": True}), remove=_remove_server),
        _kind("flavor", "compute"),
        _kind("keypair", "compute"),
        _kind("server_group", "compute"),
        _kind(
            "volume",
            "block_storage",
            busy=(
                "creating",
                "downloading",
                "uploading",
                "restoring-backup",
                "backing-up",
                "attaching",
                "detaching",
                "in-use",
            ),
            waits_gone=True,
            query={"details": True},
        ),
        _kind(
            "snapshot",
            "block_storage",
            busy=("creating", "backing-up"),
            waits_gone=True,
            query={"details": True},
        ),
        _kind(
            "backup",
            "block_storage",
            busy=("creating", "restoring"),
            waits_gone=True,
            query={"details": True},
        ),
        Kind(
            "volume_type",
            "block_storage",
            lambda connection, identity: connection.block_storage.get_type(identity),
            _list_volume_types,
            _not_ours,
        ),
        Kind("volume_zone", "block_storage", _not_ours, _list_volume_zones, _not_ours),
        Kind("image", "image", _get_image, _list_images, _remove_image),
        _kind("network", "network"),
        _kind("subnet", "network"),
        _kind("port", "network"),
        _kind("router", "network"),
        Kind("router_interface", "network", _get_interface, _list_none, _remove_interface),
        Kind("router_subnet", "network", _get_router_subnet, _list_none, _remove_router_subnet),
        Kind("router_route", "network", _get_route, _list_none, _remove_route),
        _kind("security_group", "network"),
        _kind("security_group_rule", "network"),
        Kind(
            "floating_ip",
            "network",
            lambda connection, identity: connection.network.get_ip(identity),
            lambda connection: connection.network.ips(project_id=connection.current_project_id),
            lambda connection, identity: connection.network.delete_ip(identity, ignore_missing=False),
        ),
        Kind("floating_ip_association", "network", _get_association, _list_none, _remove_association),
    )
}
"""Every kind by name. A ``router_interface`` is named ``ROUTER_ID:PORT_ID``, a ``router_subnet`` (an
interface whose port Neutron makes) ``ROUTER_ID:SUBNET_ID``, a ``router_route``
``ROUTER_ID|DESTINATION|NEXTHOP``, a ``floating_ip_association`` by its floating IP's id; removing that
only disassociates."""


def add_kind(kind: Kind) -> None:
    """Make a kind of a plugin's own known. :raises ValueError: another kind has its name."""
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise ValueError(f"there is a kind '{kind.name}' already")
