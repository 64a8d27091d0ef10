"""What the guests write to their disks, and what they say about it on their consoles.

A guest is told by user data, once, what to write: when it runs, so *after* its boot. It leaves a script
on its root disk, which runs at each boot and says what the disks hold. A restored server has no user data
(a project's member may not read it), so what it says comes from the disks alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

MIB = 1024**2
RANDOM_AT = 300
"""Where (in MiB) 2 MiB are written that nobody knows beforehand and that cannot be compressed."""

Disks = Mapping[str, Mapping[str, str]]
"""For each disk the SHA-256 of regions (``300 MiB``) and of files (``/data/NAME``)."""


def known_text(server: str, where: str) -> str:
    """The line that fills a MiB of a disk, or a file."""
    return f"{server} {where}: written by the guest after its boot"


@cache
def known_hash(server: str, where: str) -> str:
    """The SHA-256 that a MiB full of :func:`known_text` must have, computed without any guest."""
    line = known_text(server, where).encode() + b"\n"
    return hashlib.sha256((line * (MIB // len(line) + 1))[:MIB]).hexdigest()


def regions(megabytes: int) -> tuple[int, ...]:
    """Which MiB of a data disk are looked at: the first, two random ones, an unwritten one, the last."""
    return (0, RANDOM_AT, RANDOM_AT + 1, 500, megabytes - 1)


def known_regions(megabytes: int) -> tuple[int, ...]:
    """Which MiB of a data disk hold a known text."""
    return (0, megabytes - 1)


ROOT_REGIONS = (500, 1023)
"""Which MiB of a root disk are looked at and hold a known text: they belong to no file."""

_AT_BOOT = """\
say() { echo "GUEST $*"; }
hash_at() { dd if=/dev/$1 bs=1048576 skip=$2 count=1 2>/dev/null | sha256sum | cut -c1-64; }
prove() {
  for at in $(eval echo \\$at_$1); do say "proof $1 $at $(hash_at $1 $at)"; done
  say "proof $1 bytes $(($(cat /sys/block/$1/size) * 512))"
  say "proof $1 end"
}
say "marker $(cat /root/marker)"
for file in /root/data/*; do say "proof vda ${file#/root} $(sha256sum < $file | cut -c1-64)"; done
seen=
while :; do
  for disk in vda vdb vdc vdd; do
    [ -e /sys/block/$disk ] || continue
    case " $seen " in *" $disk "*) continue ;; esac
    seen="$seen $disk"
    prove $disk
  done
  sleep 1
done
"""


def user_data(server: str, disks: Mapping[str, int]) -> str:
    """The script that a guest runs at its first boots; it writes once.

    :param disks: the data disks and their sizes in MiB; the guest waits for them.
    """
    looks = [f'at_vda="{_words(ROOT_REGIONS)}"']
    looks += [f'at_{disk}="{_words(regions(size))}"' for disk, size in disks.items()]
    fills = [f"fill '{known_text(server, f'vda {at}')}' | at vda {at}" for at in ROOT_REGIONS]
    for disk, size in disks.items():
        fills += [
            f"fill '{known_text(server, f'{disk} {at}')}' | at {disk} {at}" for at in known_regions(size)
        ]
        fills.append(f"head -c {2 * MIB} /dev/urandom | at {disk} {RANDOM_AT}")
    return "\n".join(
        [
            "[ ! -e /root/written ] || exit 0",
            f"for disk in {' '.join(disks)}; do",
            "  tries=0",
            "  while [ ! -e /sys/block/$disk ] && [ $tries -lt 120 ]; do sleep 1; tries=$((tries + 1)); done",
            "done",
            f'fill() {{ yes "$1" | head -c {MIB}; }}',
            "at() { dd of=/dev/$1 bs=65536 seek=$(($2 * 16)) conv=notrunc 2>/dev/null; }",
            "mkdir -p /root/data",
            f"fill '{known_text(server, '/data/known')}' > /root/data/known",
            f"head -c {3 * MIB + 17} /dev/urandom > /root/data/random",
            f"echo {server} > /root/marker",
            *fills,
            "cat > /root/at-boot <<'END'",
            *looks,
            _AT_BOOT + "END",
            "sync",
            "echo yes > /root/written",
            "sync",
            "sh /root/at-boot &",
            "",
        ]
    )


def _words(numbers: Iterable[int]) -> str:
    return " ".join(str(number) for number in numbers)


@dataclass(frozen=True)
class Spoken:
    """What a guest said since it last booted.

    :param macs: of its network interfaces, in its order.
    :param ended: the disks about which all is said.
    """

    boots: int = 0
    marker: str = ""
    uuid: str = ""
    macs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    disks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()


def listen(console: str) -> Spoken:
    """Read a console's text."""
    lines = [line.strip() for line in console.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("GUEST boot ")]
    text = "\n".join(lines[starts[-1] :]) if starts else ""
    root = re.search(r"^GUEST root marker='.*' boot-count=(\d+)", text, re.M)
    marker = re.search(r"^GUEST marker (.*)$", text, re.M)
    uuid = re.search(r"^GUEST metadata source=\S+ uuid=(\S+)", text, re.M)
    disks: dict[str, dict[str, str]] = {}
    for disk, where, value in re.findall(r"^GUEST proof (vd.) (\d+|bytes|/\S+) (\S+)$", text, re.M):
        place = f"{where} MiB" if where.isdigit() else where
        disks.setdefault(disk, {})[place] = value
    return Spoken(
        boots=int(root[1]) if root else 0,
        marker=marker[1] if marker else "",
        uuid=uuid[1] if uuid else "",
        macs=tuple(re.findall(r"^GUEST net eth\d+ mac=(\S+)", text, re.M)),
        addresses=tuple(re.findall(r"^GUEST net eth\d+ inet (\S+)", text, re.M)),
        disks=disks,
        ended=frozenset(re.findall(r"^GUEST proof (vd.) end", text, re.M)),
    )


def unknown(server: str, spoken: Spoken, disks: Mapping[str, int]) -> list[str]:
    """What of the known content a guest did not find on its disks; a sentence each."""
    wanted = [("vda", f"{at} MiB", f"vda {at}") for at in ROOT_REGIONS] + [
        ("vda", "/data/known", "/data/known")
    ]
    for disk, size in disks.items():
        wanted += [(disk, f"{at} MiB", f"{disk} {at}") for at in known_regions(size)]
    return [
        f"{server}: {disk} {place} does not hold what was written there"
        for disk, place, text in wanted
        if spoken.disks.get(disk, {}).get(place) != known_hash(server, text)
    ]
