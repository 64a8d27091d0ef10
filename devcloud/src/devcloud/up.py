"""Brings a cloud up, and takes it down. `bring_up` runs inside of its namespaces, the rest outside."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from devcloud import (
    ceph,
    checks,
    graph,
    guest,
    namespaces,
    network,
    packages,
    refloat,
    render,
    resources,
    schemas,
    services,
    shell,
)
from devcloud.cloud import ADDRESS, Cloud
from devcloud.errors import DevcloudError
from devcloud.progress import Progress
from devcloud.services import Service
from devcloud.supervisor import Supervisor

# Steps mostly wait, but each starting service is a CPU's worth of work; this many keep two cores busy.
WORKERS = 6
CHECK_SECONDS = 240
RESOURCE_SECONDS = 180
# A service that had to be started so often is not coming up; two or three times can be a race.
MOST_STARTS = 4
STOP_SECONDS = 5
STOP_LAST_SECONDS = 20

Job = Callable[[Cloud], None]


# -- outside ------------------------------------------------------------------------------------------


def install(cloud: Cloud, progress: Progress) -> None:
    """What needs a package registry: all of it is made once for all clouds of the machine."""
    cloud.shared.mkdir(parents=True, exist_ok=True)
    if cloud.options.refloat:
        refloat.check_installed(cloud)
    with progress.phase("packages"), ThreadPoolExecutor(2) as pool:
        debian = pool.submit(packages.install_debian, cloud)
        python = pool.submit(packages.install_python, cloud)

        def image() -> None:
            debian.result()
            guest.build(cloud)

        built = pool.submit(image) if debian.done() else None
        debian.result()
        built = built or pool.submit(image)
        python.result()
        packages.install_libvirt_binding(cloud)
        if cloud.options.ceph:
            ceph.link_modules(cloud)
        built.result()


def launch(cloud: Cloud, progress: Progress) -> bool:
    """Make the namespaces with the supervisor in them, unless they are there. True if they are new."""
    if namespaces.find(cloud):
        renew(cloud, progress)
        return False
    namespaces.destroy(cloud)  # one that is still ending
    if schemas.wipe_without_database(cloud):
        progress.say("the database is gone (a reboot?): the cloud starts empty")
    if not cloud.options.isolated:
        check_ports(cloud)
    schemas.directories(cloud)
    render.write(cloud)
    with progress.phase("supervisor"):
        namespaces.start(cloud)
    return True


def renew(cloud: Cloud, progress: Progress) -> None:
    """Let a cloud that runs have what its options say; services that read what has changed are stopped."""
    schemas.directories(cloud)
    folders = {name.split("/")[0] for name in render.write(cloud)}
    if not folders:
        return
    with progress.phase("new configuration"):
        supervisor = Supervisor(cloud.supervisor_socket)
        supervisor.reread()
        names = {row.name for row in services.table(cloud) if folders & row.reads(cloud.etc)}
        for name in names:
            supervisor.stop(name)
        try:
            shell.wait(lambda: not alive(supervisor, names), STOP_LAST_SECONDS)
        except shell.WaitTimeout as error:
            left = ", ".join(alive(supervisor, names))
            raise DevcloudError(f"{left} did not stop within {STOP_LAST_SECONDS} s") from error


def check_ports(cloud: Cloud) -> None:
    """Fail if a port that the cloud needs on the loopback is taken."""
    taken = []
    for name, port in services.ports(cloud).items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                taken.append(f"{port} ({name})")
    if taken:
        raise DevcloudError(
            f"something else listens on {ADDRESS}, port {', '.join(taken)}: stop it, or use --isolated, with"
            " which the cloud gets a network of its own"
        )


def down(cloud: Cloud, progress: Progress, *, wipe: bool) -> None:
    """Stop everything; with `wipe`, delete the state as well (and do not bother to stop in order)."""
    if namespaces.find(cloud) and not wipe:
        with progress.phase("stopping the services"):
            stop(cloud)
    with progress.phase("namespaces"):
        namespaces.destroy(cloud)
    if wipe:
        with progress.phase("deleting the state"):
            schemas.wipe(cloud)


def stop(cloud: Cloud) -> None:
    """An orderly stop: the services that hold data end after all those that write to them."""
    supervisor = Supervisor(cloud.supervisor_socket)
    rows = services.table(cloud)
    for last, seconds in ((False, STOP_SECONDS), (True, STOP_LAST_SECONDS)):
        names = {row.name for row in rows if row.stop_last is last}
        try:
            for name in names:
                supervisor.stop(name)
            shell.wait(lambda names=names: not alive(supervisor, names), seconds)  # type: ignore[misc]
        except (OSError, shell.WaitTimeout):
            continue  # what did not stop is killed with the namespaces


def alive(supervisor: Supervisor, names: set[str]) -> list[str]:
    """Which of these services have not ended yet."""
    return [p.name for p in supervisor.processes() if p.name in names and p.pid and p.state != "EXITED"]


# -- inside -------------------------------------------------------------------------------------------


def bring_up(cloud: Cloud, progress: Progress) -> None:
    """Start all services, make what a new cloud has in it, and see that all of it works."""
    begun = time.monotonic()
    graph.run(steps(cloud), progress.step, WORKERS)
    with progress.phase("checks"):
        check(cloud)
    progress.say(f"cloud '{cloud.name}' works, after {time.monotonic() - begun:.1f} s")


def jobs(cloud: Cloud) -> dict[str, tuple[Job, tuple[str, ...]]]:
    """What is done besides starting services, and after what. Names are unique among both."""
    every_time: dict[str, tuple[Job, tuple[str, ...]]] = {
        "database-files": (schemas.database_files, ()),
        "ovs-files": (schemas.ovs_files, ()),
        "ovs-settings": (network.settings, ("ovsdb",)),
        "bridges": (network.bridges, ("ovs-vswitchd",)),
        "outside": (network.outside, ("bridges",)),
        "keys": (schemas.keys, ()),
        "image": (asking("glance-api", resources.image), ("glance-api", "identity")),
        "flavors": (asking("nova-api", resources.flavors), ("nova-api", "identity")),
        "volume-types": (asking("cinder-api", resources.volume_types), ("cinder-api", "identity")),
        "public-network": (
            asking("neutron-api", resources.public_network),
            ("neutron-api", "identity", "ovn-controller"),
        ),
    }
    if "file" in cloud.options.storage:
        every_time["nfs-export"] = (schemas.nfs_export, ())
    if cloud.options.ceph:
        every_time |= {
            "ceph-files": (ceph.files, ()),
            "ceph-setup": (ceph.setup, ("ceph-mon",)),
            "ceph-secret": (ceph.secret, ("ceph-files", "libvirtd")),
        }
    if cloud.options.fake_host:
        every_time |= {
            "fake-chassis": (network.fake_chassis, ("ovn-controller",)),
            "fake-host": (asking("nova-api", resources.fake_host), ("nova-api", "nova-compute-fake")),
        }
    if cloud.options.swift:
        every_time["swift-rings"] = (schemas.swift_rings, ())
    if cloud.options.refloat:
        every_time |= {
            "postgresql-files": (refloat.postgresql_files, ()),
            "refloat-database": (refloat.database, ("postgresql",)),
            "refloat-registration": (asking("keystone", refloat.registration), ("identity",)),
        }
    once: dict[str, tuple[Job, tuple[str, ...]]] = {
        f"schema-{project}": (functools.partial(schemas.schema, project=project), ("mariadb",))
        for project in schemas.PROJECTS
    }
    # keystone's bootstrap reads the keys
    once["schema-keystone"] = (once["schema-keystone"][0], ("mariadb", "keys"))
    once["identity"] = (asking("keystone", resources.identity), ("keystone",))
    return every_time | {name: (only_once(name, job), after) for name, (job, after) in once.items()}


def asking(service: str, job: Job) -> Job:
    """A job that asks a service for things until it gets them.

    In its first second a service may refuse what it should not: Neutron answers 403 to an admin while another
    thread of it still reads the policies.
    """

    def do(cloud: Cloud) -> None:
        def done() -> bool:
            job(cloud)
            return True

        try:
            shell.wait(done, RESOURCE_SECONDS, every=1)
        except shell.WaitTimeout as error:
            raise DevcloudError(f"{service} refuses: {error}{shell.tail(cloud.log(service))}") from error

    return do


def only_once(name: str, job: Job) -> Job:
    """A job that is done once for a cloud's state."""

    def do(cloud: Cloud) -> None:
        done = cloud.state / "done" / name
        if not done.exists():
            job(cloud)
            done.touch()

    return do


def steps(cloud: Cloud) -> list[graph.Step]:
    """Everything that is to be done, as steps of a graph."""
    supervisor = Supervisor(cloud.supervisor_socket)

    def job_step(name: str, job: Job, after: tuple[str, ...]) -> graph.Step:
        return graph.Step(name, lambda _: job(cloud), after)

    def service_step(service: Service) -> graph.Step:
        return graph.Step(
            service.name, lambda cancel: start(cloud, supervisor, service, cancel), service.after
        )

    return [
        *(job_step(name, job, after) for name, (job, after) in jobs(cloud).items()),
        *(service_step(service) for service in services.table(cloud)),
    ]


def start(cloud: Cloud, supervisor: Supervisor, service: Service, cancel: threading.Event) -> None:
    """Start a service and wait until it does its work."""
    process = supervisor.process(service.name)
    if not process.alive:
        supervisor.start(service.name)

    seen: set[int] = set()

    def ready() -> bool:
        now = supervisor.process(service.name)
        seen.add(now.pid)
        if now.state == "FATAL" or len(seen - {0}) > MOST_STARTS:
            raise shell.Fatal(f"it ended again and again ({now.says or 'see its log'})")
        if not now.alive:
            return False
        return bool(service.ready()) if service.ready else True

    try:
        shell.wait(ready, service.seconds, cancel=cancel)
    except (shell.WaitTimeout, shell.Fatal) as error:
        state = supervisor.process(service.name).state
        raise DevcloudError(
            f"{service.name} did not come up (state {state}; last: {error})"
            f"{shell.tail(cloud.log(service.name))}"
        ) from error


def check(cloud: Cloud) -> None:
    """Wait until every check passes; those that passed are not made again."""
    left = checks.table(cloud)
    end = time.monotonic() + CHECK_SECONDS
    supervisor = Supervisor(cloud.supervisor_socket)
    seen: dict[str, set[int]] = {}
    while True:
        for process in supervisor.processes():
            seen.setdefault(process.name, set()).add(process.pid)
            if process.state == "FATAL" or len(seen[process.name] - {0}) > MOST_STARTS:
                raise DevcloudError(
                    f"{process.name} ended again and again{shell.tail(cloud.log(process.name))}"
                )
        results = [result for result in checks.run(cloud, left) if not result.ok]
        if not results:
            return
        left = [row for row in left if row.name in {result.name for result in results}]
        if time.monotonic() > end:
            raise DevcloudError("\n".join(explain(cloud, result) for result in results))
        time.sleep(0.5)


def explain(cloud: Cloud, result: checks.Result) -> str:
    """A failed check, with what the first dead service it depends on, or else its main one, said last."""
    states = {process.name: process for process in Supervisor(cloud.supervisor_socket).processes()}
    dead = [name for name in result.needs if name not in states or not states[name].alive]
    blamed = (dead or list(result.needs))[0]
    also = f" ({blamed} is {states[blamed].state})" if blamed in states else ""
    return f"{result.name} does not work: {result.says}{also}{shell.tail(cloud.log(blamed))}"
