"""How faithfully database instances come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

_IN_BACKUP = "as the backup has them"

ATTRIBUTES = (
    *exact("name", "flavor", "volume_size"),
    Attribute("volume_type", "lost", "Trove does not tell it; the new volume has the default type"),
    *exact("datastore"),
    Attribute("databases", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    Attribute("users", "exact", _IN_BACKUP, value=lambda _section: _IN_BACKUP),
    *exact("configuration", "access"),
    Attribute("networks", "mapped", "on the same network, or on the restored one"),
    Attribute("addresses", "mapped", "the network gives the new instance addresses of its own"),
    Attribute("availability_zone", "lost", "Trove does not tell it"),
    Attribute("replica_of", "lost", "it comes back as an instance by itself"),
    Attribute("replicas", "lost", "make them anew from the new instance"),
    Attribute("id", "mapped", "Trove chooses a new one"),
    Attribute("created", "lost", "Trove writes the time of the restore"),
)
