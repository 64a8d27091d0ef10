"""Restores a floating IP: holds on to the address, or asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import HookContext
from refloat.resources.networking import dress

_REFUSED = frozenset({400, 403, 409})
"""What Neutron answers when a given address is not to be had: outside its pools, not allowed, taken."""


def restore(context: HookContext) -> Mapping[str, Any]:
    """Make it so that there is a floating IP. The server that needs it makes it lead there."""
    planned = context.planned
    if planned.action == "reuse":
        found = context.cloud.get("floating_ip", planned.new_id)
        return context.restored(str(found.id), name=str(found.floating_ip_address))
    identity = context.ensure("floating_ip", "floating-ip", lambda marker: _create(context, marker))
    dress(context, "ip", identity)
    got = str(context.cloud.get("floating_ip", identity).floating_ip_address)
    wanted, reason = planned.decisions["address"], planned.reason
    if wanted and got != wanted:
        reason = f"Neutron refused {wanted}: it is taken, or not for this user to ask for"
    return context.restored(identity, name=got, reason=reason)


def _create(context: HookContext, marker: Marker) -> Any:
    decisions = context.planned.decisions
    body = {**decisions["body"], "description": marker.text}
    what, proxy = "get a floating IP", context.cloud.network
    if decisions["address"]:
        try:
            with explained(what, context.resource):
                return proxy.create_ip(floating_ip_address=decisions["address"], **body)
        except CloudError as exc:
            if status_of(exc) not in _REFUSED:
                raise
            # Another address is better than none; what became of it is told.
    with explained(what, context.resource):
        return proxy.create_ip(**body)
