"""Which states of a server can be protected, and what becomes of them."""

from __future__ import annotations

from typing import NamedTuple

GONE = frozenset({"DELETED", "SOFT_DELETED"})
"""As good as not there."""

UNFIT = frozenset({"ERROR", "UNKNOWN", "RESCUE", "BUILD", "REBUILD", "RESIZE", "REVERT_RESIZE"})
"""Nothing sensible can be read from a server in these states: its disks may be missing or changing."""


class PowerRestore(NamedTuple):
    """What a restored server is brought to, and why that is not the same."""

    state: str
    reason: str


_MEMORY = "a server's memory cannot be protected: it is restored switched off"

_OTHER = {
    "SHUTOFF": PowerRestore("SHUTOFF", ""),
    "PAUSED": PowerRestore("SHUTOFF", _MEMORY),
    "SUSPENDED": PowerRestore("SHUTOFF", _MEMORY),
    "SHELVED": PowerRestore("SHUTOFF", "it is restored switched off, and can be shelved again"),
    "SHELVED_OFFLOADED": PowerRestore("SHUTOFF", "it is restored switched off, and can be shelved again"),
}


def power_restore(status: str, wanted: str) -> PowerRestore:
    """What to bring a server to.

    :param status: its status at protection time.
    :param wanted: the option ``power_state``: as_was, on or off.
    """
    was = _OTHER.get(status, PowerRestore("ACTIVE", ""))
    if wanted == "as_was":
        return was
    state = "ACTIVE" if wanted == "on" else "SHUTOFF"
    same = state == was.state and not was.reason
    return was if same else PowerRestore(state, f"as asked for with power_state={wanted}")
