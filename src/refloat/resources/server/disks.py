"""In which order a server's volumes are, and which one it boots from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
