"""One cloud: its name, its options and every path and address that belongs to it.

Nothing here touches the machine except reading and writing the cloud's own options file.
"""

from __future__ import annotations

import json
import os
import re
import uuid
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devcloud.errors import UsageError

DEFAULT_NAME = "main"
DEFAULT_BASE = Path("/var/lib/devcloud")
# Names of what all clouds share below the base directory.
SHARED_NAMES = ("venv", "shared")
# Unix socket addresses end at 107 bytes; the longest below a cloud's home is about 40.
MAX_HOME = 64

ADDRESS = "127.0.0.1"
# The name of the one host of the cloud: the hypervisor's, the chassis', every service's. It has a dot
# so that libvirt takes it as it is instead of asking a name server.
HOSTNAME = "devcloud.localhost"
# The host whose servers are records only, and what a flavor asks for to have its servers there.
FAKE_HOSTNAME = "fake.localhost"
FAKE_TRAIT = "CUSTOM_FAKE"
FAKE_FLAVORS = {"fake": (64, 1, 1), "fake2": (128, 1, 2)}
REGION = "RegionOne"
# Everything listens on loopback and holds nothing but test data: one password, and not a secret.
PASSWORD = "secret"

PORTS = {
    "ceph-mon": 3300,
    "keystone": 5000,
    "rabbitmq": 5672,
    "swift-object": 6210,
    "swift-container": 6211,
    "swift-account": 6212,
    "swift-proxy": 8080,
    "nova-api": 8774,
    "nova-metadata": 8775,
    "cinder-api": 8776,
    "placement": 8778,
    "refloat-api": 8799,
    "glance-api": 9292,
    "neutron-api": 9696,
    "memcached": 11211,
}

# The network namespace that stands for the world outside of the cloud, behind the network "public".
OUTSIDE = "devcloud-outside"
OUTSIDE_LINK = "devcloud-out"

IMAGE = "guest"


@dataclass(frozen=True)
class Offer:
    """What a cloud offers to its users, by the names that its operator chose.

    :param prefix: the beginning of all addresses in the public network.
    :param flavors: MiB, GiB, vCPUs.
    :param volume_types: of each storage; the first is its default.
    """

    public: str
    prefix: str
    flavors: dict[str, tuple[int, int, int]]
    volume_types: dict[str, tuple[str, ...]]

    @property
    def cidr(self) -> str:
        """The public network's addresses."""
        return f"{self.prefix}.0/24"

    @property
    def gateway(self) -> str:
        """Its gateway."""
        return f"{self.prefix}.1"

    @property
    def pool(self) -> tuple[str, str]:
        """The first and the last address that is given away."""
        return f"{self.prefix}.10", f"{self.prefix}.200"


USUAL = Offer(
    "public",
    "172.24.4",
    {"tiny": (128, 1, 1), "tiny0": (128, 0, 1), "small": (256, 1, 1)},
    {"file": ("nfs", "nfs2"), "ceph": ("ceph", "ceph2")},
)
UNLIKE = Offer(
    "internet",
    "198.18.7",
    {"b1.web": (160, 2, 1), "b1.db": (160, 0, 1)},
    {"file": ("fast",), "ceph": ("faster",)},
)
"""Nothing is called as usual: to restore into it what was made in another cloud."""


@dataclass(frozen=True)
class Options:
    """What a cloud is made with, or what was added to it later."""

    isolated: bool = False
    nova_driver: str = "libvirt"
    without: tuple[str, ...] = ()
    refloat: bool = False
    refloat_config: str = ""
    """A file with options of Refloat's besides those of `deploy/`; empty: none."""
    fake_host: bool = False
    """There is a second host, whose servers are records only."""
    unlike: bool = False
    """Its network, flavors and volume type are called, and are, otherwise than usual."""
    storage: tuple[str, ...] = ("file",)
    """Where volumes and images can be. The first is the default, and where servers have their own disks."""

    @property
    def offer(self) -> Offer:
        """What it offers."""
        return UNLIKE if self.unlike else USUAL

    @property
    def swift(self) -> bool:
        """Is there a Swift?"""
        return "swift" not in self.without

    @property
    def ceph(self) -> bool:
        """Is there a Ceph cluster?"""
        return "ceph" in self.storage

    @property
    def backends(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Cinder's backends, each called like its first volume type: storage and types."""
        types = self.offer.volume_types
        return {types[storage][0]: (storage, types[storage]) for storage in self.storage}

    @property
    def image_stores(self) -> list[str]:
        """Glance's stores, each called like its storage."""
        kinds = {"file": "file", "ceph": "rbd"}
        return [f"{storage}:{kinds[storage]}" for storage in self.storage]

    @property
    def volume_types(self) -> dict[str, str]:
        """The volume types, and what the backend of each calls itself (Cinder's fake driver always so)."""
        return {
            name: backend if self.libvirt else "fake"
            for backend, (_storage, names) in self.backends.items()
            for name in names
        }

    @property
    def libvirt(self) -> bool:
        """Are there real servers?"""
        return self.nova_driver == "libvirt"


@dataclass(frozen=True)
class Cloud:
    """A named cloud below a base directory."""

    name: str
    base: Path
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,23}", self.name) or self.name in SHARED_NAMES:
            raise UsageError(
                f"'{self.name}' cannot be a cloud's name: it has 1 to 24 of a-z 0-9 -,"
                f" and is none of {', '.join(SHARED_NAMES)}"
            )
        if len(str(self.home)) > MAX_HOME:
            raise UsageError(f"{self.home} is too long a path for unix sockets below it (limit {MAX_HOME})")

    # -- shared by all clouds -------------------------------------------------------------------------
    @property
    def venv(self) -> Path:
        """OpenStack's Python environment."""
        return self.base / "venv"

    @property
    def bin(self) -> Path:
        """Its programs."""
        return self.venv / "bin"

    @property
    def shared(self) -> Path:
        """What else the clouds share: the guest image, copies of schemas, locks, logs of installations."""
        return self.base / "shared"

    # -- this cloud's own -----------------------------------------------------------------------------
    @property
    def home(self) -> Path:
        """Everything of this cloud but its database."""
        return self.base / self.name

    @property
    def etc(self) -> Path:
        """The configuration."""
        return self.home / "etc"

    @property
    def state(self) -> Path:
        """The services' data."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """The services' logs."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """What is only true while the cloud runs."""
        return self.home / "run"

    @property
    def clouds_yaml(self) -> Path:
        """The clients' configuration."""
        return self.home / "clouds.yaml"

    @property
    def options_file(self) -> Path:
        """The options that the cloud was made with."""
        return self.home / "options.json"

    @property
    def database(self) -> Path:
        """The database's directory: on tmpfs, where making the schemas is ten times faster."""
        suffix = "" if self.base == DEFAULT_BASE else f"-{zlib.crc32(str(self.base).encode()):08x}"
        return Path("/dev/shm") / f"devcloud-{self.name}{suffix}"

    @property
    def database_socket(self) -> Path:
        """The database's socket."""
        return self.database / "mysqld.sock"

    @property
    def supervisor_socket(self) -> Path:
        """The supervisor's socket."""
        return self.run / "supervisor.sock"

    def log(self, name: str) -> Path:
        """A service's log, or that of the making of something."""
        return self.logs / f"{name}.log"

    @property
    def uuid(self) -> str:
        """What names its one host, and its Ceph cluster."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"devcloud:{self.home}"))

    # -- addresses ------------------------------------------------------------------------------------
    def url(self, service: str, path: str = "") -> str:
        """Where a service's API is."""
        return f"http://{ADDRESS}:{PORTS[service]}{path}"

    def db_url(self, schema: str) -> str:
        """How OpenStack reaches a database."""
        return f"mysql+pymysql://root@localhost/{schema}?unix_socket={self.database_socket}&charset=utf8mb4"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the cloud needs; the OpenStack client stands last on the PATH."""
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        if str(self.bin) not in path.split(":"):
            path = f"{path}:{self.bin}"
        return {
            "OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml),
            "OS_CLOUD": os.environ.get("OS_CLOUD") or "demo",
            "DEVCLOUD_NAME": self.name,
            "DEVCLOUD_HOME": str(self.base),
            "PATH": path,
        }

    # -- options --------------------------------------------------------------------------------------
    def save_options(self) -> None:
        """Keep the options for the commands to come."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.options_file.write_text(json.dumps(asdict(self.options), indent=1) + "\n")


def load(name: str | None = None, base: str | None = None) -> Cloud:
    """The cloud `name` with the options it was made with; defaults for one that is not there yet."""
    root = Path(base or os.environ.get("DEVCLOUD_HOME") or DEFAULT_BASE).absolute()
    cloud = Cloud(name or os.environ.get("DEVCLOUD_NAME") or DEFAULT_NAME, root)
    try:
        stored = json.loads(cloud.options_file.read_text())
    except FileNotFoundError:
        return cloud
    return Cloud(
        cloud.name,
        root,
        Options(
            bool(stored["isolated"]),
            str(stored["nova_driver"]),
            tuple(stored["without"]),
            bool(stored.get("refloat")),
            str(stored.get("refloat_config", "")),
            bool(stored.get("fake_host")),
            bool(stored.get("unlike")),
            tuple(stored.get("storage", ("file",))),
        ),
    )
