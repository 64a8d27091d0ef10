"""Protects a key pair by its public key; restores it by importing that, unless it is still there."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.resources.attributes import Change, outcomes
from refloat.resources.base import (
    RESTORE_NAME,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
)
from refloat.resources.context import HookContext
from refloat.resources.keypair.attributes import ATTRIBUTES
from refloat.resources.keypair.protectable import TYPE
from refloat.resources.options import Option

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": (RESTORE_NAME,)}


class KeypairProtect(Hooks):
    """Reads the public key."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        keypair = context.cloud.get("keypair", context.resource.id)
        return {
            "name": keypair.name,
            "type": keypair.type,
            "public_key": keypair.public_key,
            "fingerprint": keypair.fingerprint,
            "user_id": keypair.user_id or context.cloud.user_id,
        }


class KeypairRestore(Hooks):
    """Imports the public key, or uses the key pair that is still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Make it so that a key pair with this public key is there."""
        planned, section = context.planned, context.section
        reused = planned.action == "reuse"
        if not reused:

            def create(_marker: Marker) -> str:
                with explained(f"import the key pair {planned.name}", context.resource):
                    context.cloud.compute.create_keypair(
                        name=planned.name, type=section["type"], public_key=section["public_key"]
                    )
                return planned.name

            context.ensure("keypair", "keypair", create, clue={"id": planned.name})
        restored = Restored(TYPE, context.resource.id, planned.name, planned.name, reused, planned.reason)
        return {"restored": [restored.to_json()]}


class KeypairVerify(Hooks):
    """Recomputes the fingerprint."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the public key is the one that had this fingerprint."""
        section = context.section
        if section["type"] != "ssh":
            return {"ok": bool(section["public_key"]), "reason": ""}
        ok = ssh_fingerprint(section["public_key"]) == section["fingerprint"]
        return {"ok": ok, "reason": "" if ok else "the public key does not have the fingerprint it should"}


class KeypairPlugin(ProtectionPlugin):
    """Key pairs, by their public keys."""

    name = "keypair"
    resource_type = TYPE
    description = "Keeps the public key and imports it again"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = KeypairProtect
    restore = KeypairRestore
    verify = KeypairVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use a key pair of this name and key, or import the key under a name that is free."""
        section = context.section
        mine = {str(keypair.name): str(keypair.fingerprint) for keypair in context.listing("keypair")}
        wanted = context.restored_name(str(section["name"]))
        name = free_name(wanted, str(section["fingerprint"]), mine)
        changes: dict[str, Change] = {}
        conflicts: list[str] = []
        if name != wanted:
            said = f"the user has a different key pair called '{wanted}'"
            conflicts.append(f"{said}: this one becomes '{name}'")
            changes["name"] = Change(name, "mapped", said)
        elif name != section["name"]:
            changes["name"] = Change(name, "mapped", "as asked for with restore_name")
        if section["user_id"] == context.cloud.user_id:
            changes["user_id"] = Change(section["user_id"], "exact", "")
        else:
            changes["user_id"] = Change(
                context.cloud.user_id, "mapped", "key pairs belong to the user who restores"
            )
        reuse = name in mine
        return Planned(
            "reuse" if reuse else "create",
            name=name,
            reason="it is still there, with the same key" if reuse else "",
            new_id=name if reuse else "",
            attributes=outcomes(ATTRIBUTES, section, changes),
            conflicts=tuple(conflicts),
        )


def free_name(wanted: str, fingerprint: str, taken: Mapping[str, str]) -> str:
    """``wanted``, or the first of ``wanted-2``, ``wanted-3``... that is free or has the same key."""
    name, count = wanted, 1
    while taken.get(name, fingerprint) != fingerprint:
        count += 1
        name = f"{wanted}-{count}"
    return name


def ssh_fingerprint(public_key: str) -> str:
    """The fingerprint of an SSH public key as Nova writes it: MD5 in pairs of digits; empty: not a key."""
    fields = public_key.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
