"""Whether a folder's file system tells at once what other hosts have done in it.

File systems of a network answer from a cache, for up to a minute, unless they were mounted otherwise. What a
host does not see there yet, another checkpoint or somebody who writes one, it may take for absent when it
collects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_UNCACHED = {
    "nfs": ("lookupcache=none", "actimeo=0"),
    "cifs": ("cache=none", "actimeo=0"),
}
"""With what each has to be mounted."""
_FAMILIES = {"nfs": "nfs", "nfs4": "nfs", "cifs": "cifs", "smb3": "cifs", "smbfs": "cifs"}
_NOT_TOLD = re.compile(r"fuse\..*|fuse|9p|virtiofs")
"""Of these, no option tells."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What is known of the file system that a folder is on.

    :param needed: with what it would have to be mounted; empty: it is, or that cannot be told.
    :param unknown: that cannot be told.
    """

    kind: str
    needed: tuple[str, ...] = ()
    unknown: bool = False

    @property
    def text(self) -> str:
        if self.needed:
            return (
                f"{self.kind}, which may tell late what other hosts have done: "
                f"mount it with -o {','.join(self.needed)}"
            )
        if self.unknown:
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
        kind, _source, *options = right.split()
        if where.is_relative_to(place) and len(place.parts) >= best:
            best, found = (
                len(place.parts),
                _caching(kind, {*left.split()[5].split(","), *",".join(options).split(",")}),
            )
    return found


def _caching(kind: str, options: set[str]) -> Caching:
    family = _FAMILIES.get(kind)
    if family is None:
        return Caching(kind, unknown=_NOT_TOLD.fullmatch(kind) is not None)
    if options & {"noac", "acdirmax=0"}:  # as the kernel shows actimeo=0
        options.add("actimeo=0")
    missing = tuple(option for option in _UNCACHED[family] if option not in options)
    return Caching(kind, _UNCACHED[family] if missing else ())
