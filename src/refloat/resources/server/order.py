"""In which order a server's disks and its network cards are, and which disk it boots from. Pure.

Nova tells nobody but administrators in which order the cards are. What a project member can read:
``addresses`` holds a server's addresses by network name; the networks are in the order in which the cards
first use them, and the cards of one network are in their order. (The list of a server's interfaces is in the
order of port ids, which means nothing.) So the order is certain unless a card may stand between two cards of
another network: ``A B A`` and ``A A B`` look the same. Then the ports' dates decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_DEVICE = re.compile(r"(?:/dev/)?(?:x?[a-z]d)(?P<letters>[a-z]+)(?P<digits>[0-9]*)")


def device_rank(device: str | None) -> tuple[int, int, str, int]:
    """Sorts device names as systems count: ``vda``, ``vdb``, ..., ``vdz``, ``vdaa``; unknown ones last."""
    match = _DEVICE.fullmatch(device or "")
    if match is None:
        return (1, 0, device or "", 0)
    letters = match["letters"]
    return (0, len(letters), letters, int(match["digits"] or 0))


def in_device_order(attachments: Iterable[Any]) -> list[Any]:
    """Volume attachments (with ``device``) in the order in which the system sees the disks."""
    return sorted(attachments, key=lambda attachment: device_rank(attachment.device))


def root_of(ordered: list[Any], has_image: bool, root_device: str | None) -> Any | None:
    """The attachment that a server boots from; None when it boots from an image.

    A volume's own ``bootable`` flag does not tell: every volume made from an image has it.

    :param root_device: the name of the root device, when the user may see it.
    """
    if has_image or not ordered:
        return None
    named = [attachment for attachment in ordered if root_device and attachment.device == root_device]
    return (named or ordered)[0]


Addresses = Mapping[str, Sequence[Mapping[str, Any]]]
"""``{network name: [{"addr": ..., "OS-EXT-IPS-MAC:mac_addr": ..., "OS-EXT-IPS:type": ...}]}``."""


def nic_order(addresses: Addresses, ports: Iterable[Any]) -> tuple[list[Any], bool]:
    """The ports in the order of a server's cards, and whether that order is certain.

    :param ports: openstacksdk ports.
    """
    left = sorted(ports, key=_age)
    rows = [row for items in addresses.values() if (row := _take(items, left))]
    # Ports without any address are not in ``addresses`` at all: they may be anywhere.
    certain = all(len(row) == 1 for row in rows[:-1]) and (not left or len(left) + len(rows) == 1)
    return _merge(rows) + left, certain


def by_mac(ports: Iterable[Any], macs: Sequence[str]) -> list[Any] | None:
    """The ports in the order of ``macs``; None when these do not name each of them once."""
    known = {port.mac_address: port for port in ports}
    ordered = [known[mac] for mac in macs if mac in known]
    return ordered if len(ordered) == len(known) == len(list(ports)) == len(macs) else None


def _age(port: Any) -> tuple[str, str]:
    """Nova makes ports, and later plugs them, one after the other; dates are in whole seconds."""
    return str(port.created_at or ""), str(port.updated_at or "")


def _take(items: Sequence[Mapping[str, Any]], left: list[Any]) -> list[Any]:
    """Take the ports of one network out of ``left``, in the order of its addresses."""
    row = []
    for item in items:
        if item.get("OS-EXT-IPS:type", "fixed") != "fixed":
            continue
        found = next((port for port in left if _is_at(port, item)), None)
        if found is not None:
            left.remove(found)
            row.append(found)
    return row


def _is_at(port: Any, item: Mapping[str, Any]) -> bool:
    mac = item.get("OS-EXT-IPS-MAC:mac_addr")
    if mac and mac != port.mac_address:
        return False
    return any(fixed["ip_address"] == item["addr"] for fixed in port.fixed_ips)


def _merge(rows: list[list[Any]]) -> list[Any]:
    """One order that keeps that of each row and that of the rows' first ports; otherwise the oldest first."""
    ordered: list[Any] = []
    begun: list[list[Any]] = []
    waiting = [list(row) for row in rows]
    while begun or waiting:
        choices = [row for row in [*begun, *waiting[:1]] if row]
        row = min(choices, key=lambda row: _age(row[0]))
        if waiting and row is waiting[0]:
            begun.append(waiting.pop(0))
        ordered.append(row.pop(0))
        begun = [row for row in begun if row]
    return ordered
