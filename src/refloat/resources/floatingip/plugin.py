"""Protects floating IPs by their settings; restores them by holding on to them, or asking for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import Hooks, OperationKind, PlanContext, Planned, ProtectionPlugin, Restored
from refloat.resources.context import HookContext
from refloat.resources.floatingip.attributes import ATTRIBUTES, FLOATING_IP_FIELDS
from refloat.resources.floatingip.plan import plan
from refloat.resources.floatingip.protectable import FLOATING_IP
from refloat.resources.floatingip.section import read_section
from refloat.resources.networking import DUPLICATE, SectionComplete, dress
from refloat.resources.options import Option

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": (DUPLICATE,)}

_REFUSED = frozenset({400, 403, 409})
"""What Neutron answers when a given address is not to be had: outside its pools, not allowed, taken."""


class FloatingIPProtect(Hooks):
    """Reads the floating IP."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        return read_section(context.cloud, context.resource.id)


class FloatingIPVerify(SectionComplete):
    """All that is protected of a floating IP is in its section."""

    fields = ("id", *FLOATING_IP_FIELDS, "floating_network_name")


class FloatingIPRestore(Hooks):
    """Holds on to the address, or asks for one. The server that needs it makes it lead there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Make it so that there is a floating IP."""
        planned = context.planned
        if planned.action == "reuse":
            found = context.cloud.get("floating_ip", planned.new_id)
            return _restored(context, found, reused=True, reason=planned.reason)
        identity = context.ensure("floating_ip", "floating-ip", lambda marker: _create(context, marker))
        dress(context.cloud, "ip", identity, context.section, context.resource)
        found = context.cloud.get("floating_ip", identity)
        wanted, got = planned.decisions["address"], str(found.floating_ip_address)
        reason = planned.reason
        if wanted and got != wanted:
            reason = f"Neutron refused {wanted}: it is taken, or not for this user to ask for"
        return _restored(context, found, reused=False, reason=reason)


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


def _restored(context: HookContext, found: Any, *, reused: bool, reason: str) -> dict[str, Any]:
    address = str(found.floating_ip_address)
    restored = Restored(FLOATING_IP, context.resource.id, str(found.id), address, reused, reason)
    return {"restored": [restored.to_json()]}


class FloatingIPPlugin(ProtectionPlugin):
    """Floating IPs, by their settings."""

    name = "floating-ip"
    resource_type = FLOATING_IP
    description = "Holds on to a floating IP that is still there; otherwise gets one"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = FloatingIPProtect
    restore = FloatingIPRestore
    verify = FloatingIPVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the address if the project still has it and nothing else needs it, or ask for one."""
        return plan(context)
