"""The services of OpenStack that kinds of resources use, and how much of each is used at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    :param name: as types of resources name it, in small letters: ``cinder`` for ``OS::Cinder::Volume``.
    :param proxy: openstacksdk's name for it (``block_storage``). A service that openstacksdk does not know is
        called by its type in the catalogue, with ``_`` for ``-``, and is there as a plain REST adapter.
    :param concurrency: so many hooks of its resources run or wait at once in one process; None: any number.
    """

    name: str
    proxy: str
    concurrency: int | None = None


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        # Most of a server's hook is waiting for Nova to build it. Nova spreads that over its hosts, and
        # limits it for each of them (``max_concurrent_builds``, 10).
        Service("nova", "compute", 24),
        Service("cinder", "block_storage", 8),
        Service("glance", "image", 2),
        Service("neutron", "network", 8),
    )
}
"""Every service that is limited, or that openstacksdk does not know, by name."""


EVERYWHERE = frozenset({"", "compute", "block_storage", "image", "network", "identity"})
"""The proxies of services that every cloud is expected to have: that one is not there is an error."""


def add_service(service: Service) -> None:
    """Make a service of a plugin's own known. :raises ValueError: another one has its name."""
    if SERVICES.setdefault(service.name, service) != service:
        raise ValueError(f"there is a service '{service.name}' already")
