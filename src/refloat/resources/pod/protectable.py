"""Finds pods, in the namespace that the project's kubeconfig names. Without a kubeconfig there are none."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from refloat.cloud import Cloud
from refloat.errors import Conflict, NotFound
from refloat.graph import Resource
from refloat.resources.base import Protectable
from refloat.resources.pod.cluster import CLAIM, POD, VARIABLE, VOLUME, KubernetesObject, find_cluster

TYPE = "OS::Kubernetes::Pod"

UNREADY = frozenset({"pending", "failed", "unknown"})
"""The phases in which a pod is not protected."""

CINDER_DRIVER = "cinder.csi.openstack.org"

_MIRROR = "kubernetes.io/config.mirror"
"""The annotation of what a node runs from files of its own."""


def identity_of(namespace: str, name: str) -> str:
    """The id of a pod: always the same for one name, as Karbor has it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{namespace}:{name}"))


class PodProtectable(Protectable):
    """The pods of one project's namespace."""

    def list(self) -> list[Resource]:
        return [self._resource(pod) for pod in self._pods if pod.status.lower() not in UNREADY]

    def show(self, identity: str) -> Resource:
        for pod in self._pods:
            if identity_of(*pod.id.split("/")) == identity:
                resource = self._resource(pod)
                if pod.status.lower() in UNREADY:
                    raise Conflict(
                        "the pod cannot be protected",
                        resource=str(resource),
                        reason=f"its phase is '{pod.status}'",
                        advice="Wait until it runs, or leave it out",
                    )
                return resource
        _, why = find_cluster(self.cloud.connection)
        raise NotFound(
            f"there is no pod '{identity}'",
            reason=f"no Kubernetes cluster is known for this project: {why}" if why else "",
            advice=f"{VARIABLE} names the kubeconfig: see docs/kinds.md" if why else "",
        )

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All pods of a project that run. What does not run is made anew by whoever made it."""
        return self.list()

    def absence(self) -> str:
        _, why = find_cluster(self.cloud.connection)
        return f"No Kubernetes cluster is known for this project: {why}." if why else ""

    @cached_property
    def _pods(self) -> Sequence[KubernetesObject]:
        found, _ = find_cluster(self.cloud.connection)
        return [pod for pod in self.cloud.list(POD) if not _is_going(pod)] if found else ()

    def _resource(self, pod: KubernetesObject) -> Resource:
        name = pod.id.replace("/", ":")
        volumes = [item["volume_id"] for item in self._claims.of(pod) if item["volume_id"]]
        volumes += [item["volume_id"] for item in inline_volumes(pod)]
        extra = {"volumes": list(dict.fromkeys(volumes))}
        return Resource(TYPE, identity_of(*pod.id.split("/")), name, extra)

    @cached_property
    def _claims(self) -> Claims:
        return Claims(self.cloud)


class Claims:
    """What pods claim, and which volumes of Cinder's they get; listed when the first pod claims anything."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def of(self, pod: KubernetesObject) -> list[dict[str, Any]]:
        """A pod's claims: ``name``; ``claim`` and ``volume`` of Kubernetes'; ``volume_id`` of Cinder's."""
        found = []
        for name in claim_names(pod.data):
            claim = self._listed.get(f"{pod.id.partition('/')[0]}/{name}")
            bound = (claim.data["spec"].get("volumeName") or "") if claim else ""
            volume = self._volumes.get(bound)
            found.append(
                {
                    "name": name,
                    "claim": claim.data if claim else {},
                    "volume": volume.data if volume else {},
                    "volume_id": cinder_id(volume.data["spec"]) if volume else "",
                }
            )
        return found

    @cached_property
    def _listed(self) -> Mapping[str, KubernetesObject]:
        return {claim.id: claim for claim in self._cloud.list(CLAIM)}

    @cached_property
    def _volumes(self) -> Mapping[str, KubernetesObject]:
        return {volume.name: volume for volume in self._cloud.list(VOLUME)}


def _is_going(pod: KubernetesObject) -> bool:
    return "deletionTimestamp" in pod.data["metadata"] or _MIRROR in pod.metadata


def _volumes_of(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(pod["spec"].get("volumes") or ())


def claim_names(pod: Mapping[str, Any]) -> list[str]:
    """The names of a pod's claims. What it claims only for its own life is not among them."""
    claims = [volume.get("persistentVolumeClaim") for volume in _volumes_of(pod)]
    return list(dict.fromkeys(str(claim["claimName"]) for claim in claims if claim))


def inline_volumes(pod: KubernetesObject) -> list[dict[str, str]]:
    """The volumes of Cinder's that a pod names itself."""
    return [
        {"name": volume["name"], "volume_id": str(volume["cinder"]["volumeID"])}
        for volume in _volumes_of(pod.data)
        if "cinder" in volume
    ]


def cinder_id(spec: Mapping[str, Any]) -> str:
    """The id of the volume of Cinder's behind a persistent volume; empty when it is another one's."""
    csi = spec.get("csi") or {}
    if csi.get("driver") == CINDER_DRIVER:
        return str(csi["volumeHandle"])
    return str((spec.get("cinder") or {}).get("volumeID", ""))
