"""Key pairs: the public keys that Nova hands to new servers. They belong to a user, not to a project."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from refloat.cloud import Cloud, Marker
from refloat.cloud.kinds import KINDS
from refloat.graph import Resource
from refloat.resources.attributes import Attribute, Change, instead, outcomes
from refloat.resources.base import HookContext, PlanContext, Planned, Section, hooks
from refloat.resources.declared import Declared
from refloat.resources.verifying import checked, lacking

SERVER = "OS::Nova::Server"
_WHOSE = "key pairs belong to the user who restores"

ATTRIBUTES = (
    Attribute("name", "exact", "another one when the user has a different key under this name"),
    Attribute("type", "exact"),
    Attribute("public_key", "exact"),
    Attribute("fingerprint", "exact"),
    Attribute("user_id", "mapped", _WHOSE),
    Attribute("private_key", "lost", "Nova does not keep it; whoever has it keeps it"),
)


def _of_server(cloud: Cloud, server: Resource, keypair: Any) -> bool:
    """Whether a server was created with it, by the user.

    A server's key pair that was deleted since, or that belongs to another user, cannot be read by
    anybody but an administrator; the server plugin says so.
    """
    told = server.extra
    if "key_name" not in told:
        found = cloud.get("server", server.id)
        told = {"key_name": found.key_name, "user_id": found.user_id}
    return bool(told["key_name"] == keypair.name and told["user_id"] == cloud.user_id)


def _read(cloud: Cloud, keypair: Any) -> Section:
    return {
        "name": keypair.name,
        "type": keypair.type,
        "public_key": keypair.public_key,
        "fingerprint": keypair.fingerprint,
        "user_id": keypair.user_id or cloud.user_id,
    }


def _import(context: HookContext, _marker: Marker) -> str:
    context.cloud.compute.create_keypair(
        name=context.planned.name, type=context.section["type"], public_key=context.section["public_key"]
    )
    return context.planned.name


def _plan(context: PlanContext) -> Planned:
    """Use a key pair of this name and key, or import the key under a name that is free."""
    section = context.section
    if (asked := context.mapping("keypair", context.resource.id, str(section["name"]))) is not None:
        attributes = instead(ATTRIBUTES, section, _read(context.cloud, asked.thing), asked.said)
        return Planned("reuse", asked.new, asked.said, asked.new, attributes)
    mine = {str(keypair.name): str(keypair.fingerprint) for keypair in context.listing("keypair")}
    wanted, changes = context.renamed(str(section["name"]))
    name = free_name(wanted, str(section["fingerprint"]), mine)
    conflicts: list[str] = []
    if name != wanted:
        said = f"the user has a different key pair called '{wanted}'"
        conflicts.append(f"{said}: this one becomes '{name}'")
        changes["name"] = Change(name, "mapped", said)
    own = section["user_id"] == context.cloud.user_id
    changes["user_id"] = Change(context.cloud.user_id, *(("exact", "") if own else ("mapped", _WHOSE)))
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


def _verify(context: HookContext) -> Mapping[str, Any]:
    """Whether the public key is the one that had this fingerprint."""
    section = context.section
    problem = lacking(section, "name", "type", "public_key", "fingerprint")
    if not problem and section["type"] == "ssh":
        same = ssh_fingerprint(section["public_key"]) == section["fingerprint"]
        problem = "" if same else "the public key does not have the fingerprint it should"
    return checked(problem)


def ssh_fingerprint(public_key: str) -> str:
    """The fingerprint of an SSH public key as Nova writes it: MD5 in pairs of digits; empty: not a key."""
    fields = public_key.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


KEYPAIR = Declared(
    type="OS::Nova::KeyPair",
    name="keypair",
    noun="key pair",
    description="Keeps the public key and imports it again",
    kind=KINDS["keypair"],
    name_is_id=True,
    parents={SERVER: _of_server},
    attributes=ATTRIBUTES,
    read=_read,
    create=_import,
    plan=_plan,
    verify=hooks(on_main=_verify),
)
