"""A pod as a section, and how faithfully pods come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from refloat.resources.attributes import Attribute, exact
from refloat.resources.base import HookContext
from refloat.resources.pod import manifest
from refloat.resources.pod.cluster import POD
from refloat.resources.pod.protectable import Claims, inline_volumes

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


def read(context: HookContext) -> Mapping[str, Any]:
    """The section. The manifest itself, which may hold secrets, is data of the bank."""
    namespace, _, name = context.resource.name.partition(":")
    pod = context.cloud.get(POD, f"{namespace}/{name}")
    kept = manifest.clean_pod(pod.data)
    data = json.dumps(kept, sort_keys=True).encode()
    about, spec, status = pod.data["metadata"], pod.data["spec"], pod.data.get("status") or {}
    containers = [*kept["spec"].get("initContainers", ()), *kept["spec"]["containers"]]
    claims = [
        {
            "name": item["name"],
            "volume_id": item["volume_id"],
            "claim": manifest.clean_claim(item["claim"]),
            "volume": manifest.clean_volume(item["volume"]) if item["volume_id"] else {},
        }
        for item in Claims(context.cloud).of(pod)
    ]
    return {
        "name": name,
        "namespace": namespace,
        "uid": about.get("uid", ""),
        "labels": kept["metadata"]["labels"],
        "annotations": kept["metadata"]["annotations"],
        "containers": {container["name"]: container.get("image", "") for container in containers},
        "claims": claims,
        "inline": inline_volumes(pod),
        "needed_objects": manifest.named_objects(kept),
        "ephemeral_volumes": [
            volume["name"]
            for volume in kept["spec"].get("volumes", ())
            if not {"persistentVolumeClaim", "cinder", "configMap", "secret", "projected", "downwardAPI"}
            & volume.keys()
        ],
        "owner": [f"{item['kind']} {item['name']}" for item in about.get("ownerReferences", ())],
        "node": spec.get("nodeName", ""),
        "addresses": [item["ip"] for item in status.get("podIPs", ())],
        "manifest": context.data.put([data], len(data), context.progress, context.cancelled),
    }
