"""Whether a folder's file system tells at once what other hosts have done in it.

File systems of a network answer from a cache, for up to a minute, unless they were mounted otherwise. What a
host does not see there yet, another checkpoint or somebody who writes one, it may take for absent when it
collects. So nothing is deleted there from a host that was not shown to see at once what others do, or to be
the only one: ``check-store`` leaves a sign of it in the store, for this host and this mount.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from refloat.bank.store import Store, exists
from refloat.bank.urls import parse
from refloat.errors import Held

_TABLE = Path("/proc/self/mountinfo")
_UNCACHED = {
    "nfs": ("lookupcache=none", "actimeo=0"),
    "cifs": ("cache=none", "actimeo=0"),
}
"""With what each has to be mounted."""
_FAMILIES = {"nfs": "nfs", "nfs4": "nfs", "cifs": "cifs", "smb3": "cifs", "smbfs": "cifs"}
_NOT_TOLD = re.compile(r"fuse\..*|fuse|9p|virtiofs")
"""Of these, no option tells."""
_LATE = frozenset({"fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.goofys"})
"""Of these, these are late unless they were told not to be."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What is known of the file system that a folder is on.

    :param needed: with what it would have to be mounted; empty: it is, or that cannot be told.
    :param unknown: that cannot be told.
    :param source: what is mounted there, and how.
    """

    kind: str
    needed: tuple[str, ...] = ()
    unknown: bool = False
    source: str = ""

    @property
    def late(self) -> bool:
        """Whether listings are, as far as is known."""
        return bool(self.needed) or self.kind in _LATE

    @property
    def sign(self) -> str:
        """The object that says that this host, with this mount, may delete all the same."""
        whole = f"{socket.gethostname()}\n{self.kind}\n{self.source}"
        return f"qualify/exact/{blake3(whole.encode()).hexdigest(length=16)}"

    @property
    def text(self) -> str:
        if self.needed:
            return (
                f"{self.kind}, which may tell late what other hosts have done: "
                f"mount it with -o {','.join(self.needed)}"
            )
        if self.late:
            return f"{self.kind}, which tells late what other hosts have done, unless it is told not to cache"
        if self.unknown and not self.late:
            return f"{self.kind}: whether it is late with what other hosts did, check-store --as finds"
        return self.kind


def caching_at(folder: Path, table: str | None = None) -> Caching:
    """What is known of the file system at a folder.

    :param table: as in /proc/self/mountinfo; None: that.
    """
    where = folder.resolve()
    best, found = -1, Caching("unknown", unknown=True)
    for line in (_TABLE.read_text() if table is None else table).splitlines():
        left, _, right = line.partition(" - ")
        place = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split()[4]))
        kind, source, *options = right.split()
        if where.is_relative_to(place) and len(place.parts) >= best:
            best, found = (
                len(place.parts),
                _caching(kind, source, {*left.split()[5].split(","), *",".join(options).split(",")}),
            )
    return found


def late_at(store: Store) -> Caching | None:
    """The file system of a store in a folder, if its listings are late as far as is known."""
    found = parse(store.url)
    caching = caching_at(Path(found.prefix)) if found.scheme == "file" else None
    return caching if caching is not None and caching.late else None


def refuse_late(store: Store) -> None:
    """:raises Held: this host might not see what others have written, and deletes nothing."""
    caching = late_at(store)
    if caching is not None and not exists(store, caching.sign):
        raise Held(
            f"nothing is deleted from the bank in {store.url} by this host",
            reason=f"it is on {caching.text}; what another host has just written, this one may not see",
            advice="Mount it so, or show that both see at once what the other does: refloat bank check-store "
            f"{store.url} --as first, on another host --as second. If no other host uses this bank: refloat "
            f"bank check-store {store.url} --only-host",
        )


def vouch(store: Store, exact: bool) -> None:
    """Leave a sign that this host may delete, where that is needed; or take it away."""
    caching = late_at(store)
    if caching is None:
        return
    if not exact:
        store.delete(caching.sign)
    elif not exists(store, caching.sign):
        store.put(caching.sign, f"{socket.gethostname()}: {caching.kind}, {caching.source}\n".encode())


def _caching(kind: str, source: str, options: set[str]) -> Caching:
    how = f"{source} {','.join(sorted(options))}"
    family = _FAMILIES.get(kind)
    if family is None:
        return Caching(kind, unknown=_NOT_TOLD.fullmatch(kind) is not None, source=how)
    if options & {"noac", "acdirmax=0"}:  # as the kernel shows actimeo=0
        options.add("actimeo=0")
    missing = tuple(option for option in _UNCACHED[family] if option not in options)
    return Caching(kind, _UNCACHED[family] if missing else (), source=how)
