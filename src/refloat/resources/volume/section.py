"""What a volume is besides its data, as a section keeps it, and how faithfully it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Cloud, explained, unmarked
from refloat.cloud.kinds import request
from refloat.cloud.marker import METADATA_KEY
from refloat.resources.attributes import Attribute, exact
from refloat.resources.volume.protectable import attached_to

ATTRIBUTES = (
    *exact("name", "description", "size"),
    Attribute("type", "exact", value=lambda section: section["type"]["name"]),
    *exact("availability_zone", "metadata", "image_metadata", "bootable", "readonly"),
    Attribute("multiattach", "exact", "comes with the volume type"),
    Attribute("encrypted", "exact", "comes with the volume type; the key is made anew by Cinder"),
    Attribute("qos", "exact", "comes with the volume type", value=lambda section: section["type"]["name"]),
    Attribute("attachments", "mapped", "the restored servers attach it"),
    Attribute("group_id", "lost", "a volume enters a group only when it is made or by changing the group"),
    Attribute("snapshots", "lost", "earlier snapshots stay with the original volume"),
    Attribute("id", "mapped", "Cinder chooses a new one"),
    Attribute("created_at", "lost", "Cinder writes the time of the restore"),
)


def describe(cloud: Cloud, volume: Any) -> dict[str, Any]:
    own = own_metadata(cloud, str(volume.id))
    shown = volume.metadata or {}
    return {
        "id": str(volume.id),
        "name": volume.name or "",
        "description": volume.description,
        "size": int(volume.size),
        "type": {"id": volume.volume_type_id or "", "name": volume.volume_type or ""},
        "availability_zone": volume.availability_zone or "",
        "metadata": unmarked(own),
        "image_metadata": dict(volume.volume_image_metadata or {}),
        "bootable": bool(volume.is_bootable),
        "readonly": is_readonly(own, shown),
        "multiattach": bool(volume.is_multiattach),
        "encrypted": bool(volume.is_encrypted),
        "group_id": volume.group_id or volume.consistency_group_id or "",
        "attachments": list(attached_to(volume)),
        "snapshots": _snapshot_ids(cloud, str(volume.id)),
        "created_at": volume.created_at,
    }


def own_metadata(cloud: Cloud, volume_id: str) -> dict[str, str]:
    """The metadata that the user has set.

    What a volume shows as its metadata has Cinder's own items (``readonly``, ``attached_mode``) mixed in,
    which even hide items of the user's of the same names.
    """
    with explained(f"read the metadata of the volume {volume_id}"):
        return dict(request(cloud.block_storage, "get", f"/volumes/{volume_id}/metadata")["metadata"])


def is_readonly(own: Mapping[str, str], shown: Mapping[str, str]) -> bool:
    """Whether the read-only flag is set: Cinder shows it among the metadata."""
    return str(shown.get("readonly", "")).lower() == "true" and own.get("readonly") != shown["readonly"]


def _snapshot_ids(cloud: Cloud, volume_id: str) -> list[str]:
    with explained(f"list the snapshots of the volume {volume_id}"):
        found = list(cloud.block_storage.snapshots(details=False, volume_id=volume_id))
    # Refloat's own are no part of the volume's history.
    return [str(snapshot.id) for snapshot in found if METADATA_KEY not in (snapshot.metadata or {})]
