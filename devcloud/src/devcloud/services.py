"""The services of a cloud: one row each, in the order in which they are worth starting.

A row says how the service is run, what must have happened before (`after`: names of services or of the
jobs in jobs.py), and how to know that it does its work (`ready`), not merely that it runs.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from devcloud import ceph, refloat, shell
from devcloud.cloud import ADDRESS, HOSTNAME, PORTS, Cloud
from devcloud.namespaces import PROGRAMS

Ready = Callable[[], object]

OVS_DB = "/run/openvswitch/db.sock"
OVN_NB = "/run/ovn/ovnnb_db.sock"
OVN_SB = "/run/ovn/ovnsb_db.sock"


@dataclass(frozen=True)
class Service:
    """How a service is run, and when it is ready."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    ready: Ready | None = None
    env: dict[str, str] = field(default_factory=dict)
    seconds: int = 180
    # Holds data that would be lost or in need of repair without an orderly stop.
    stop_last: bool = False

    def reads(self, etc: Path) -> set[str]:
        """The folders below `etc` that its command and environment name."""
        text = " ".join((*self.command, *self.env.values()))
        return set(re.findall(rf"{re.escape(str(etc))}/([\w-]+)", text))


def http(url: str) -> Ready:
    """An answer that is not a server's error; who may see more is not the question yet."""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return int(response.status) < 500
        except urllib.error.HTTPError as error:
            return error.code < 500

    return probe


def socket_file(path: str | Path) -> Ready:
    """The socket is there."""
    return lambda: Path(path).is_socket()


def succeeds(*command: str | Path, prints: str = "") -> Ready:
    """The command succeeds, and prints a text."""
    return lambda: prints in shell.run(command, timeout=10).stdout


def prints_something(*command: str | Path) -> Ready:
    """The command succeeds, and prints anything."""
    return lambda: bool(shell.run(command, timeout=10).stdout.strip())


def chassis_registered() -> Ready:
    """The chassis is in the southbound database: without it every server fails, a minute later."""
    return prints_something(
        "ovn-sbctl", "--timeout=3", f"--db=unix:{OVN_SB}", "--bare", "--columns=_uuid", "find", "Chassis",
        f'hostname="{HOSTNAME}"',
    )  # fmt: skip


def table(cloud: Cloud) -> list[Service]:
    """The services of this cloud."""
    rows = [*_base(cloud), *_network(cloud)]
    if cloud.options.ceph:
        rows += _ceph(cloud)
    rows += [*_apis(cloud), *_workers(cloud)]
    if cloud.options.libvirt:
        rows += _libvirt(cloud)
    if cloud.options.fake_host:
        rows.append(_fake_host(cloud))
    if cloud.options.swift:
        rows += _swift(cloud)
    if cloud.options.refloat:
        rows += _refloat(cloud)
    return rows


def ports(cloud: Cloud) -> dict[str, int]:
    """The ports that the services of this cloud listen on."""
    names = {service.name for service in table(cloud)}
    return {name: port for name, port in PORTS.items() if name in names}


def _base(cloud: Cloud) -> list[Service]:
    rabbit_home = cloud.state / "rabbitmq"
    # Loopback only, one scheduler thread, no busy waiting.
    loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
    return [
        Service(
            "mariadb",
            (
                "/usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--datadir={cloud.database}/data",
                f"--socket={cloud.database_socket}", f"--pid-file={cloud.run}/mariadb.pid",
                "--skip-networking", "--skip-log-bin", "--skip-name-resolve",
                # a power cut takes the tmpfs with it anyway: no flushing
                "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
                "--innodb-flush-method=nosync", "--sync-binlog=0", "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=64M", "--max-connections=500", "--performance-schema=0",
                "--character-set-server=utf8mb4", "--table-open-cache=800",
            ),
            after=("database-files",),
            ready=succeeds(
                "mariadb-admin", "--no-defaults", f"--socket={cloud.database_socket}", "-uroot", "ping"
            ),
            stop_last=True,
        ),
        Service(
            "rabbitmq",
            ("/usr/lib/rabbitmq/bin/rabbitmq-server",),
            env={
                "HOME": str(rabbit_home),
                "RABBITMQ_NODENAME": "devcloud@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": ADDRESS,
                "RABBITMQ_NODE_PORT": str(PORTS["rabbitmq"]),
                "RABBITMQ_MNESIA_BASE": f"{rabbit_home}/mnesia",
                "RABBITMQ_LOG_BASE": str(cloud.logs / "rabbitmq"),
                "RABBITMQ_CONFIG_FILE": f"{cloud.etc}/rabbitmq",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{cloud.etc}/rabbitmq_plugins",
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "ERL_EPMD_ADDRESS": ADDRESS,
                "ERL_MAX_PORTS": "4096",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                    f"{loopback} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
                "RABBITMQ_CTL_ERL_ARGS": loopback,
            },
            # The port answers only once the broker has started; its first bytes prove that it is AMQP.
            ready=amqp_answers,
        ),
        Service(
            "memcached",
            ("/usr/bin/memcached", "-u", "root", "-l", ADDRESS, "-p", str(PORTS["memcached"]), "-U", "0",
             "-m", "64"),
        ),
    ]  # fmt: skip


def amqp_answers() -> bool:
    """A broker answers a protocol header of a version that it does not speak with its own, and hangs up."""
    import socket

    with socket.create_connection((ADDRESS, PORTS["rabbitmq"]), timeout=3) as connection:
        connection.sendall(b"AMQP\x00\x00\x00\x00")
        return connection.recv(4) == b"AMQP"


def _network(cloud: Cloud) -> list[Service]:
    ovs = cloud.state / "ovs"
    return [
        Service(
            "ovsdb",
            ("ovsdb-server", f"{ovs}/conf.db", f"--remote=punix:{OVS_DB}",
             "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
             "--unixctl=/run/openvswitch/ovsdb.ctl"),
            after=("ovs-files",), ready=socket_file(OVS_DB), stop_last=True,
        ),
        Service(
            "ovn-nb",
            ("ovsdb-server", f"{ovs}/nb.db", f"--remote=punix:{OVN_NB}", "--unixctl=/run/ovn/nb.ctl"),
            after=("ovs-files",), ready=socket_file(OVN_NB), stop_last=True,
        ),
        Service(
            "ovn-sb",
            ("ovsdb-server", f"{ovs}/sb.db", f"--remote=punix:{OVN_SB}", "--unixctl=/run/ovn/sb.ctl"),
            after=("ovs-files",), ready=socket_file(OVN_SB), stop_last=True,
        ),
        Service(
            "ovs-vswitchd",
            ("ovs-vswitchd", f"unix:{OVS_DB}", "--unixctl=/run/openvswitch/vswitchd.ctl"),
            after=("ovs-settings",),
            ready=succeeds("ovs-appctl", "--timeout=3", "-t", "/run/openvswitch/vswitchd.ctl", "version"),
        ),
        Service(
            "ovn-northd",
            ("ovn-northd", f"--ovnnb-db=unix:{OVN_NB}", f"--ovnsb-db=unix:{OVN_SB}",
             "--unixctl=/run/ovn/northd.ctl"),
            after=("ovn-nb", "ovn-sb"),
            ready=prints_something("ovn-sbctl", "--timeout=3", f"--db=unix:{OVN_SB}", "--bare",
                                   "--columns=_uuid", "list", "SB_Global"),
        ),
        # Some versions die of SIGSEGV in their first second when all databases are new: start it after
        # northd has filled the southbound one, and let the supervisor start it again if it dies.
        Service(
            "ovn-controller", ("ovn-controller", f"unix:{OVS_DB}"),
            after=("ovn-northd", "bridges"), ready=chassis_registered(), seconds=60,
        ),
    ]  # fmt: skip


def _ceph(cloud: Cloud) -> list[Service]:
    return [
        Service("ceph-mon", ceph.command("mon", "a"), ("ceph-files",), ceph.monitor_answers, stop_last=True),
        Service("ceph-osd", ceph.command("osd", "0"), ("ceph-setup",), lambda: ceph.osd_active(cloud),
                stop_last=True),
        # counts what is used, which Cinder asks for
        Service("ceph-mgr", ceph.command("mgr", "x"), ("ceph-mon",)),
    ]  # fmt: skip


def _wsgi(
    cloud: Cloud,
    name: str,
    module: str,
    *,
    after: tuple[str, ...],
    arguments: str = "",
    env: dict[str, str] | None = None,
    options: tuple[str, ...] = (),
    path: str = "/",
) -> Service:
    command = (
        str(cloud.bin / "uwsgi"), "--http-socket", f"{ADDRESS}:{PORTS[name]}",
        "--module", f"{module}:application", "--pyargv", arguments,
        "--virtualenv", str(cloud.venv), "--processes", "1", "--threads", "8", "--enable-threads",
        "--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535",
        # the clients' connection pools would otherwise hold on to connections that are closed
        "--add-header", "Connection: close",
        "--socket-timeout", "300", "--http-timeout", "300", "--disable-logging", *options,
    )  # fmt: skip
    return Service(name, command, after, http(cloud.url(name, path)), {**_python_env(cloud), **(env or {})})


def _python_env(cloud: Cloud) -> dict[str, str]:
    return {"PATH": f"{cloud.bin}:{PROGRAMS}"}


def _apis(cloud: Cloud) -> list[Service]:
    etc, storage = cloud.etc, ("ceph-osd",) if cloud.options.ceph else ()
    rows = [
        _wsgi(
            cloud, "keystone", "keystone.wsgi.api", path="/v3",
            after=("schema-keystone", "keys", "memcached"),
            env={"OS_KEYSTONE_CONFIG_FILES": f"{etc}/keystone/keystone.conf"},
        ),
        _wsgi(
            cloud, "neutron-api", "neutron.wsgi.api", after=("schema-neutron", "ovn-northd", "rabbitmq"),
            env={"OS_NEUTRON_CONFIG_DIR": f"{etc}/neutron",
                 "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini"},
        ),
        _wsgi(
            cloud, "placement", "placement.wsgi.api", after=("schema-placement",),
            env={"OS_PLACEMENT_CONFIG_DIR": f"{etc}/placement"},
        ),
        _wsgi(
            cloud, "glance-api", "glance.wsgi.api", after=("schema-glance", *storage),
            env={"OS_GLANCE_CONFIG_DIR": f"{etc}/glance"},
            # cinder uploads volumes in chunks, which uwsgi otherwise refuses
            options=("--chunked-input-limit", "67108864", "--chunked-input-timeout", "120"),
        ),
        _wsgi(
            cloud, "cinder-api", "cinder.wsgi.api", after=("schema-cinder", "rabbitmq"),
            arguments=f"--config-file {etc}/cinder/cinder.conf",
        ),
        _wsgi(
            cloud, "nova-api", "nova.wsgi.osapi_compute", after=("schema-nova", "rabbitmq"),
            env={"OS_NOVA_CONFIG_DIR": f"{etc}/nova"},
        ),
    ]  # fmt: skip
    if cloud.options.libvirt:
        rows.append(
            _wsgi(
                cloud, "nova-metadata", "nova.wsgi.metadata", after=("schema-nova", "rabbitmq"),
                env={"OS_NOVA_CONFIG_DIR": f"{etc}/nova"},
            )
        )  # fmt: skip
    return rows


def _worker(cloud: Cloud, name: str, project: str, *, after: tuple[str, ...], program: str = "",
            config: tuple[str, ...] = ()) -> Service:  # fmt: skip
    files = [f"--config-file={cloud.etc}/{project}/{file}" for file in config or (f"{project}.conf",)]
    return Service(
        name, (str(cloud.bin / (program or name)), *files), after, env=_python_env(cloud)
    )  # ready: jobs.py asks the API about all of them at once


def _workers(cloud: Cloud) -> list[Service]:
    nova = ("schema-nova", "rabbitmq")
    cinder = ("schema-cinder", "rabbitmq")
    # (servers that ran when the cloud was stopped are started again: their ports and volumes must be served)
    storage = [{"file": "nfs-export", "ceph": "ceph-osd"}[kind] for kind in cloud.options.storage]
    compute = (*nova, "nova-conductor", "placement", "neutron-api", "cinder-api", "identity", *storage)
    if cloud.options.libvirt:
        compute += ("libvirtd", "ceph-secret") if cloud.options.ceph else ("libvirtd",)
    return [
        _worker(cloud, "nova-conductor", "nova", after=nova),
        _worker(cloud, "cinder-volume", "cinder", after=(*cinder, *storage)),
        _worker(cloud, "cinder-scheduler", "cinder", after=cinder),
        _worker(cloud, "cinder-backup", "cinder", after=cinder),
        _worker(cloud, "nova-scheduler", "nova", after=(*nova, "identity")),
        _worker(cloud, "nova-compute", "nova", config=("nova-compute.conf",), after=compute),
        _worker(
            cloud, "neutron-ovn-maintenance", "neutron", program="neutron-ovn-maintenance-worker",
            config=("neutron.conf", "ml2_conf.ini"), after=("neutron-api",),
        ),
    ]  # fmt: skip


def _fake_host(cloud: Cloud) -> Service:
    """A second host, whose servers are records only."""
    service = _worker(
        cloud, "nova-compute-fake", "nova", program="python",
        config=("nova-compute.conf", "nova-fake.conf"), after=("nova-compute", "fake-chassis"),
    )  # fmt: skip
    python, *options = service.command
    env = {**service.env, "PYTHONPATH": str(Path(__file__).parents[1])}
    return replace(service, command=(python, "-m", "devcloud.nova_fake", *options), env=env)


def _libvirt(cloud: Cloud) -> list[Service]:
    return [
        Service(
            "libvirtd",
            ("/usr/sbin/libvirtd", "-f", f"{cloud.etc}/libvirt/libvirtd.conf", "-p",
             "/run/libvirt/libvirtd.pid"),
            ready=succeeds("virsh", "-c", "qemu:///system", "version"),
        ),
        _worker(
            cloud, "neutron-ovn-metadata", "neutron", program="neutron-ovn-metadata-agent",
            config=("ovn_metadata.ini",), after=("ovn-controller", "neutron-api"),
        ),
    ]  # fmt: skip


def _swift(cloud: Cloud) -> list[Service]:
    def server(name: str, kind: str, config: str, after: tuple[str, ...], ready: Ready | None) -> Service:
        command = (str(cloud.bin / f"swift-{kind}"), f"{cloud.etc}/swift/{config}.conf", "verbose")
        return Service(name, command, after, ready, _python_env(cloud))

    rows = [
        server(f"swift-{kind}", f"{kind}-server", f"{kind}-server", ("swift-rings",),
               http(cloud.url(f"swift-{kind}", "/recon/version")))
        for kind in ("account", "container", "object")
    ]  # fmt: skip
    return [
        *rows,
        # the only one of the background daemons that a single, small node needs: it keeps the listings right
        server("swift-container-updater", "container-updater", "container-server", ("swift-rings",), None),
        server("swift-proxy", "proxy-server", "proxy-server", ("swift-rings", "memcached"),
               http(cloud.url("swift-proxy", "/info"))),
    ]  # fmt: skip


def _refloat(cloud: Cloud) -> list[Service]:
    env, after = refloat.environment(cloud), ("refloat-database", "refloat-registration")
    return [
        Service("postgresql", refloat.postgresql_command(cloud), ("postgresql-files",),
                refloat.postgresql_ready(cloud), stop_last=True),
        Service("refloat-api", refloat.api_command(), (*after, "keystone"),
                http(cloud.url("refloat-api", "/healthcheck")), env),
        *(Service(name, refloat.worker_command(), after, env=env) for name in refloat.WORKERS),
    ]  # fmt: skip
