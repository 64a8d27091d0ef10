"""How faithfully pods come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute, exact

_THERE = "it must be there already"

ATTRIBUTES = (
    *exact("name", "namespace", "labels", "annotations"),
    Attribute("containers", "exact", "with all settings, those of init containers too"),
    Attribute(
        "spec", "exact", "all else that the owner can set", value=lambda _section: "as in the manifest"
    ),
    Attribute("claims", "mapped", "new claims on the restored volumes; of the same name when that is free"),
    Attribute("needed_objects", "lost", _THERE),
    Attribute(
        "ephemeral_volumes", "lost", "they live and die with a pod, and so do files outside of volumes"
    ),
    Attribute("owner", "lost", "it comes back as a pod by itself; restore its owner's manifest instead"),
    Attribute("uid", "mapped", "Kubernetes chooses a new one"),
    Attribute("node", "mapped", "Kubernetes chooses one"),
    Attribute("addresses", "mapped", "the cluster gives the new pod addresses of its own"),
)
