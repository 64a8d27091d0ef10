"""How faithfully shares come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

_COMES = "comes with the snapshot"

ATTRIBUTES = (
    *exact("name", "description", "size", "protocol"),
    Attribute("share_type", "exact", _COMES, value=lambda section: section["share_type"]["name"]),
    Attribute("share_network_id", "exact", _COMES),
    *exact("availability_zone", "metadata", "is_public", "access_rules"),
    Attribute("access_keys", "lost", "storage that hands out keys (CephFS) makes new ones"),
    Attribute("export_locations", "mapped", "the new share is mounted from a path of its own"),
    Attribute("share_group_id", "lost", "a share enters a group only when it is made, and then empty"),
    Attribute("replicas", "lost", "add them to the new share"),
    Attribute("snapshots", "lost", "earlier snapshots stay with the original share"),
    Attribute("id", "mapped", "Manila chooses a new one"),
    Attribute("created_at", "lost", "Manila writes the time of the restore"),
)
