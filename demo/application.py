"""The demo's application, as a description: two servers in two tiers, and all that they stand on.

::

    public -- app-router -- app-net ------ web   (disk from an image; volume web-data; a floating IP)
                               |
                               +---------- db    (boots from volume db-root; volumes db-data1, db-data2)
                            db-net --------+
"""

from __future__ import annotations

from dataclasses import dataclass

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0c4cnd8gbyBh4vG3ZDYYzuW0TTpyHyVcGm1sB2kEZg demo"
APP_CIDR, APP_GATEWAY = "10.21.0.0/24", "10.21.0.1"
DB_CIDR = "10.22.0.0/24"
DB_ADDRESSES = {"app-net": "10.21.0.50", "db-net": "10.22.0.50"}
DB_MACS = {"app-net": "fa:16:3e:21:00:50", "db-net": "fa:16:3e:22:00:50"}
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume of the application.

    :param size: GiB.
    :param device: the disk's name in the guest.
    """

    name: str
    size: int
    type: str
    server: str
    device: str
    metadata: tuple[tuple[str, str], ...] = ()
    bootable: bool = False

    @property
    def is_root(self) -> bool:
        """Whether its server boots from it."""
        return self.device == "vda"


VOLUMES = (
    VolumeSpec("web-data", 1, "nfs2", "web", "vdb", (("purpose", "pages"), ("owner", "shop"))),
    VolumeSpec("db-root", 1, "nfs", "db", "vda", (("purpose", "system"),), bootable=True),
    # bootable, and yet only a data disk
    VolumeSpec("db-data1", 1, "nfs2", "db", "vdb", (("purpose", "tables"), ("order", "1")), bootable=True),
    VolumeSpec("db-data2", 2, "nfs", "db", "vdc", (("purpose", "journal"), ("order", "2"))),
)

SERVERS = ("web", "db")


@dataclass(frozen=True, slots=True)
class Application:
    """Which application, and what of the cloud it uses.

    :param prefix: of every name, so that several can live in one project.
    :param servers: with which of the servers, and their volumes, it is built.
    """

    prefix: str = ""
    image: str = "guest"
    public: str = "public"
    web_flavor: str = "tiny"
    db_flavor: str = "tiny0"
    servers: tuple[str, ...] = SERVERS

    @property
    def volumes(self) -> tuple[VolumeSpec, ...]:
        """The volumes of its servers."""
        return tuple(volume for volume in VOLUMES if volume.server in self.servers)

    def name(self, short: str) -> str:
        """The name in the cloud of what is called ``short`` here."""
        return f"{self.prefix}{short}"

    def short(self, name: str) -> str:
        """The inverse of :meth:`name`."""
        return name.removeprefix(self.prefix)

    def disks(self, server: str) -> tuple[str, ...]:
        """The data disks of a server, as its guest names them, in order."""
        return tuple(sorted(v.device for v in VOLUMES if v.server == server and not v.is_root))

    def size(self, server: str, device: str) -> int:
        """A disk's size in MiB."""
        found = [v.size for v in VOLUMES if (v.server, v.device) == (server, device)]
        return (found[0] if found else 1) * 1024
