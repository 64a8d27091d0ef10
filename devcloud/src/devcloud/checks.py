"""Does the cloud work? Each check makes it do something; that a process exists proves nothing."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from devcloud import refloat, shell
from devcloud.cloud import ADDRESS, IMAGE, PORTS, Cloud, Offer
from devcloud.errors import DevcloudError
from devcloud.resources import connect
from devcloud.services import OVN_NB, chassis_registered

API_TIMEOUT = 15
VOLUME_SECONDS = 20
HEARTBEAT_SECONDS = 60
"""For how long a heartbeat may be awaited that is late; the services send one every few seconds."""


@dataclass(frozen=True)
class Check:
    """One thing that must work; `needs` names the services whose logs tell why it does not.

    :param heartbeat: it asks when a service has last been heard of, which on a busy machine may be long ago.
    """

    name: str
    probe: Callable[[Any], str]
    needs: tuple[str, ...]
    heartbeat: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    name: str
    ok: bool
    says: str
    seconds: float
    needs: tuple[str, ...]


class Bad(Exception):
    """The check's own finding."""


def _token(admin: Any) -> str:
    admin.session.invalidate()
    return f"token of {len(admin.authorize())} characters"


def _image(admin: Any) -> str:
    states = [image.status for image in admin.image.images(name=IMAGE)]
    if "active" not in states:
        raise Bad(f"image {IMAGE} is {states or 'missing'}")
    return f"image {IMAGE} is active"


def _placement(admin: Any) -> str:
    # (the SDK's own way there asks for the versions first, and has no good word for a failure)
    url = f"http://{ADDRESS}:{PORTS['placement']}/resource_providers"
    answer = admin.session.get(url, timeout=API_TIMEOUT)
    return f"{len(answer.json()['resource_providers'])} resource provider(s)"


def _network(offer: Offer, admin: Any) -> str:
    name = offer.public
    if not [network for network in admin.network.networks(name=name) if network.is_router_external]:
        raise Bad(f"network {name} is missing")
    return f"network {name} is there"


def _agents(admin: Any) -> str:
    dead = [agent.agent_type for agent in admin.network.agents() if not agent.is_alive]
    if dead:
        raise Bad(f"not alive: {', '.join(dead)}")
    return "all agents alive"


def _compute(offer: Offer, admin: Any) -> str:
    missing = set(offer.flavors) - {flavor.name for flavor in admin.compute.flavors()}
    if missing:
        raise Bad(f"flavors missing: {', '.join(sorted(missing))}")
    list(admin.compute.servers(all_projects=True, limit=1, paginated=False))
    return "servers and flavors listed"


def _up(services: Any, wanted: set[str]) -> str:
    states = {service.binary: service.state for service in services}
    bad = sorted(f"{name} {states.get(name, 'missing')}" for name in wanted if states.get(name) != "up")
    if bad:
        raise Bad(", ".join(bad))
    return "up: " + ", ".join(sorted(wanted))


def _compute_services(admin: Any) -> str:
    return _up(admin.compute.services(), {"nova-compute", "nova-scheduler", "nova-conductor"})


def _hypervisor(admin: Any) -> str:
    found = list(admin.compute.hypervisors(details=True))
    if not found:
        raise Bad("no hypervisor: the compute host is not mapped to a cell")
    if not [hypervisor for hypervisor in found if hypervisor.state == "up"]:
        raise Bad("the hypervisor is down")
    return f"{found[0].name} up"


def _volumes(wanted: Collection[str], admin: Any) -> str:
    missing = set(wanted) - {kind.name for kind in admin.block_storage.types()}
    if missing:
        raise Bad(f"volume types missing: {', '.join(sorted(missing))}")
    list(admin.block_storage.volumes(details=False, limit=1, paginated=False))
    return "volumes and types listed"


def _volume(kind: str, admin: Any) -> str:
    """That cinder-volume is up does not say that its driver is: only a volume does."""
    made = admin.block_storage.create_volume(name="devcloud-check", size=1, volume_type=kind)
    status = ""

    def settled() -> bool:
        nonlocal status
        status = admin.block_storage.get_volume(made.id).status
        return status in {"available", "error"}

    try:
        shell.wait(settled, VOLUME_SECONDS)
    except shell.WaitTimeout as error:
        raise Bad(f"a volume is still {status or error}") from error
    finally:
        admin.block_storage.delete_volume(made.id, force=True)
    if status != "available":
        raise Bad(f"a new volume is in status {status}")
    return "volume made and deleted"


def _volume_services(admin: Any) -> str:
    return _up(admin.block_storage.services(), {"cinder-volume", "cinder-scheduler", "cinder-backup"})


def _chassis(_: Any) -> str:
    if not chassis_registered()():
        raise Bad("the chassis is not registered")
    # north, northd, south and the chassis' own controller must all do their part for this to return
    shell.run(["ovn-nbctl", "--timeout=8", f"--db=unix:{OVN_NB}", "--wait=hv", "sync"], timeout=10)
    return "chassis registered and in step"


def _objects(admin: Any) -> str:
    store = admin.object_store
    content = secrets.token_hex(16)
    container, name = "devcloud-check", f"check-{content}"
    store.create_container(container)
    store.upload_object(container, name, data=content)
    try:
        if store.download_object(name, container) != content.encode():
            raise Bad("an object came back with other content")
    finally:
        store.delete_object(name, container=container)
    return "object put and got"


def _refloat(cloud: Cloud) -> str:
    """As an ordinary user, through the catalogue."""
    demo = connect(cloud, "demo", API_TIMEOUT)
    answer = demo.session.get("/providers", endpoint_filter={"service_type": "data-protect"})
    return f"{len(answer.json()['providers'])} providers listed"


def _refloat_workers(admin: Any) -> str:
    answer = admin.session.get("/os-services", endpoint_filter={"service_type": "data-protect"})
    states = [service["state"] for service in answer.json()["services"]]
    if not states or "down" in states:
        raise Bad(f"workers: {', '.join(states) or 'none'}")
    return "workers up"


def table(cloud: Cloud) -> list[Check]:
    """The checks that this cloud must pass."""
    compute = ("nova-compute", "libvirtd") if cloud.options.libvirt else ("nova-compute",)
    offer = cloud.options.offer
    rows = [
        Check("identity", _token, ("keystone",)),
        Check("image", _image, ("glance-api",)),
        Check("placement", _placement, ("placement",)),
        Check("network", partial(_network, offer), ("neutron-api",)),
        Check("network agents", _agents, ("ovn-controller", "neutron-api"), heartbeat=True),
        Check("ovn chassis", _chassis, ("ovn-controller", "ovn-northd")),
        Check("compute", partial(_compute, offer), ("nova-api",)),
        Check(
            "compute services",
            _compute_services,
            (*compute, "nova-scheduler", "nova-conductor"),
            heartbeat=True,
        ),
        Check("hypervisor", _hypervisor, compute, heartbeat=True),
        Check("volume", partial(_volumes, cloud.options.volume_types), ("cinder-api",)),
        Check(
            "volume services",
            _volume_services,
            ("cinder-volume", "cinder-scheduler", "cinder-backup"),
            heartbeat=True,
        ),
    ]
    for backend, (storage, _types) in cloud.options.backends.items():
        needs = ("cinder-volume", *(("ceph-osd", "ceph-mon") if storage == "ceph" else ()), "rabbitmq")
        rows.append(Check(f"new volume {backend}", partial(_volume, backend), (*needs, "cinder-scheduler")))
    if cloud.options.swift:
        rows.append(Check("object store", _objects, ("swift-proxy",)))
    if cloud.options.refloat:
        rows += [
            Check("refloat", lambda _: _refloat(cloud), ("refloat-api", "postgresql", "keystone")),
            Check(
                "refloat workers",
                _refloat_workers,
                (*refloat.WORKERS, "refloat-api", "postgresql"),
                heartbeat=True,
            ),
        ]
    return rows


def patiently(cloud: Cloud) -> list[Result]:
    """Make all checks; where only heartbeats are late, wait for them: one that comes says that all is well.

    Also without load: OVN's metadata agent answers up to ten seconds after it was asked, as `ovn chassis`
    does, and counts as dead meanwhile if nobody had asked for long.
    """
    rows = {check.name: check for check in table(cloud)}
    found = {result.name: result for result in run(cloud)}
    end = time.monotonic() + HEARTBEAT_SECONDS
    while time.monotonic() < end:
        late = [rows[result.name] for result in found.values() if not result.ok]
        if not late or not all(check.heartbeat for check in late):
            break
        time.sleep(2)
        found |= {result.name: result for result in run(cloud, late)}
    return list(found.values())


def run(cloud: Cloud, rows: list[Check] | None = None) -> list[Result]:
    """Make all checks at once; none takes longer than a few API timeouts."""
    rows = table(cloud) if rows is None else rows
    # what the libraries would print about a service that does not answer is in the checks' results
    logging.getLogger("keystoneauth").addHandler(logging.NullHandler())
    logging.getLogger("openstack").addHandler(logging.NullHandler())
    admin = connect(cloud, timeout=API_TIMEOUT)

    def one(check: Check) -> Result:
        begun = time.monotonic()
        try:
            says, ok = check.probe(admin), True
        except (Bad, DevcloudError) as error:
            says, ok = str(error), False
        except Exception as error:  # whatever a library raises, it is the answer to "does it work?"
            says, ok = f"{type(error).__name__}: {error}", False
        return Result(check.name, ok, says.strip(), time.monotonic() - begun, check.needs)

    with ThreadPoolExecutor(len(rows) or 1) as pool:
        return list(pool.map(one, rows))
