"""Protects a pod: its manifest goes into the bank, its volumes are protected as what they are, Cinder's.

A restored volume is a new one. So a restored pod does not claim what the original claimed: for each new
volume of Cinder's a persistent volume is made, a claim on it, and the pod with these claims. Claims behind
which there is no volume of Cinder's are used as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import Marker, explained
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.marker import METADATA_KEY
from refloat.resources.attributes import Attribute
from refloat.resources.base import (
    RESTORE_NAME,
    HookBody,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
)
from refloat.resources.checking import read_back
from refloat.resources.context import HookContext
from refloat.resources.options import Option
from refloat.resources.pod import manifest, plan
from refloat.resources.pod.cluster import CLAIM, POD, VOLUME, annotate, make
from refloat.resources.pod.protectable import TYPE, Claims, identity_of, inline_volumes

START_TIMEOUT = 1800.0
"""Seconds that the containers of a restored pod may take to run: images have to be fetched."""

_THERE = "it must be there already"

ATTRIBUTES = (
    Attribute("name", "exact"),
    Attribute("namespace", "exact"),
    Attribute("labels", "exact"),
    Attribute("annotations", "exact"),
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


OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": (RESTORE_NAME,)}


class PodProtect(Hooks):
    """Reads the manifest."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
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


class PodRestore(Hooks):
    """Makes the pod again, when its volumes are restored."""

    def on_complete(self, context: HookContext) -> HookBody:
        """Volumes, claims, then the pod. Marks are taken off when all is done."""
        planned, cloud, section = context.planned, context.cloud, context.section
        if planned.action == "reuse":
            return _restored(context, planned.new_id, reused=True)
        namespace, name = planned.decisions["namespace"], planned.decisions["name"]
        new: dict[str, str] = {}
        marked: list[tuple[str, str]] = []
        for item in section["claims"]:
            volume_id = context.new_id("OS::Cinder::Volume", item["volume_id"]) if item["volume_id"] else None
            if volume_id:
                wanted = {"namespace": namespace, "name": planned.decisions["claims"][item["name"]]}
                marked += self._bind(context, item, volume_id, wanted)
        for item in section["inline"]:
            new[item["volume_id"]] = (
                context.new_id("OS::Cinder::Volume", item["volume_id"]) or item["volume_id"]
            )
        with context.data.open(section["manifest"]) as reader:
            kept = json.loads(b"".join(reader))
        body = manifest.pod_body(kept, namespace, name, planned.decisions["claims"], new)
        pod_id = context.ensure(POD, POD, _creator(context, POD, body))
        yield cloud.wait(
            POD,
            pod_id,
            {"running", "succeeded"},
            failed=lambda pod: pod.stuck or status_of_thing(pod) == "failed",
            timeout=START_TIMEOUT,
        )
        with explained(f"take the mark off the pod {planned.name}", context.resource):
            for kind, identity in [*marked, (POD, pod_id)]:
                annotate(cloud.connection, kind, identity, {METADATA_KEY: None})
        return _restored(context, identity_of(namespace, name))

    @staticmethod
    def _bind(
        context: HookContext, item: Mapping[str, Any], volume_id: str, wanted: Mapping[str, str]
    ) -> list[tuple[str, str]]:
        """Make the persistent volume and the claim on it, unless another pod of the restore has done so."""
        name = f"refloat-{volume_id}"
        volume = manifest.volume_body(item["volume"], name, volume_id, wanted)
        claim = manifest.claim_body(item["claim"], name, wanted)
        return [
            (kind, context.ensure(kind, f"{kind}-{item['name']}", _creator(context, kind, body, shared=name)))
            for kind, body in ((VOLUME, volume), (CLAIM, claim))
        ]


def _creator(context: HookContext, kind: str, body: dict[str, Any], shared: str = "") -> Any:
    """Creates an object, marked.

    :param shared: the name of a persistent volume: another pod may have made it, or the claim on it.
    """

    def create(marker: Marker) -> Any:
        about = body["metadata"]
        about["annotations"] = {**about.get("annotations", {}), **marker.metadata}
        with explained(f"create the {kind.replace('_', ' ')} {about['name']}", context.resource):
            try:
                return make(context.cloud.connection, kind, body)
            except sdk_exceptions.ConflictException:
                identity = "/".join(part for part in (about.get("namespace"), about["name"]) if part)
                there = context.cloud.find(kind, identity) if shared else None
                if there is None or shared not in (there.name, there.data["spec"].get("volumeName")):
                    raise
                return there

    return create


def _restored(context: HookContext, new_id: str, *, reused: bool = False) -> Mapping[str, Any]:
    planned = context.planned
    made = Restored(TYPE, context.resource.id, new_id, planned.name, reused, planned.reason)
    return {"restored": [made.to_json()]}


class PodVerify(Hooks):
    """Reads the manifest back."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether every byte is what was stored."""
        return read_back(context, {"manifest": context.section["manifest"]})


class PodPlugin(ProtectionPlugin):
    """Pods, by manifest and volumes."""

    name = "pod-manifest"
    resource_type = TYPE
    description = "Keeps the manifest in the bank; makes the pod again with its restored volumes"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = PodProtect
    restore = PodRestore
    verify = PodVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the pod if it is still the same; make it again otherwise."""
        return plan.plan(context, ATTRIBUTES)
