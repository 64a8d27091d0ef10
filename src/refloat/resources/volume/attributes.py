"""How faithfully volumes come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

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
