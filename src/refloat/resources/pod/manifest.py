"""A pod as its owner wrote it: without what Kubernetes sets, and with its volumes under other names."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from refloat.cloud.marker import METADATA_KEY

_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - the place of one
"""Where Kubernetes mounts a pod's own token, in a volume that it adds."""

_SET_BY_SERVER = (
    "nodeName",
    "serviceAccount",
    "priority",
    "preemptionPolicy",
    "overhead",
    "ephemeralContainers",
)
"""Items of a pod's ``spec`` that the cluster decides anew, or refuses from others."""

_BOUND = ("volumeName", "dataSource", "dataSourceRef", "selector", "volumeAttributesClassName")
"""Items of a claim's ``spec`` that say where its volume came from."""

_KEPT_OF_VOLUME = (
    "accessModes",
    "capacity",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeMode",
)

_MADE_BY = "storage.kubernetes.io/csiProvisionerIdentity"

_OF_SERVER = ("pv.kubernetes.io/", "volume.beta.kubernetes.io/", "volume.kubernetes.io/", METADATA_KEY)
"""How annotations begin that are not the owner's."""


def clean_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that makes a pod again: labels, annotations and the whole ``spec``."""
    spec = deepcopy(dict(pod["spec"]))
    for item in _SET_BY_SERVER:
        spec.pop(item, None)
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    tokens = {
        mount["name"]
        for container in containers
        for mount in container.get("volumeMounts", ())
        if mount["mountPath"] == _TOKEN and mount["name"].startswith(("kube-api-access-", "default-token-"))
    }
    for container in containers:
        _keep(container, "volumeMounts", lambda mount: mount["name"] not in tokens)
    _keep(spec, "volumes", lambda volume: volume["name"] not in tokens)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _described(pod["metadata"]), "spec": spec}


def _keep(holder: dict[str, Any], item: str, wanted: Any) -> None:
    if item in holder:
        holder[item] = [entry for entry in holder[item] if wanted(entry)]


def _described(about: Mapping[str, Any]) -> dict[str, Any]:
    annotations = {k: v for k, v in (about.get("annotations") or {}).items() if not k.startswith(_OF_SERVER)}
    return {"name": about["name"], "labels": dict(about.get("labels") or {}), "annotations": annotations}


def clean_claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim without what binds it to its volume."""
    if not claim:
        return {}
    spec = {key: value for key, value in claim["spec"].items() if key not in _BOUND}
    return {"metadata": _described(claim["metadata"]), "spec": spec}


def clean_volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    """A persistent volume without its claim and its volume of Cinder's."""
    if not volume:
        return {}
    spec = {key: deepcopy(volume["spec"][key]) for key in _KEPT_OF_VOLUME if key in volume["spec"]}
    for source in ("csi", "cinder"):
        if source in volume["spec"]:
            held = {k: v for k, v in volume["spec"][source].items() if k not in ("volumeHandle", "volumeID")}
            attributes = {
                k: v for k, v in (held.pop("volumeAttributes", None) or {}).items() if k != _MADE_BY
            }
            spec[source] = {**held, "volumeAttributes": attributes} if attributes else held
    return {"spec": spec}


def volume_body(
    kept: Mapping[str, Any], name: str, cinder_id: str, claim: Mapping[str, str]
) -> dict[str, Any]:
    """The persistent volume for a volume of Cinder's, for one claim (``namespace``, ``name``)."""
    spec = deepcopy(dict(kept["spec"]))
    if "csi" in spec:
        spec["csi"]["volumeHandle"] = cinder_id
    else:
        spec["cinder"]["volumeID"] = cinder_id
    spec["claimRef"] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def claim_body(kept: Mapping[str, Any], volume: str, claim: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**deepcopy(dict(kept["metadata"])), **claim},
        "spec": {**deepcopy(dict(kept["spec"])), "volumeName": volume},
    }


def pod_body(
    manifest: Mapping[str, Any],
    namespace: str,
    name: str,
    claims: Mapping[str, str],
    volumes: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest of the restored pod.

    :param claims: the names of claims by those of the original.
    :param volumes: the ids of volumes of Cinder's by those of the original.
    """
    body = deepcopy(dict(manifest))
    body["metadata"] = {**body["metadata"], "name": name, "namespace": namespace}
    for volume in body["spec"].get("volumes", ()):
        if claim := volume.get("persistentVolumeClaim"):
            claim["claimName"] = claims.get(claim["claimName"], claim["claimName"])
        if cinder := volume.get("cinder"):
            cinder["volumeID"] = volumes.get(cinder["volumeID"], cinder["volumeID"])
    return body


def named_objects(manifest: Mapping[str, Any]) -> list[str]:
    """What a pod refers to by name and does not bring along: ``ConfigMap a``, ``Secret b``..."""
    spec = manifest["spec"]
    found: list[str] = []
    for volume in spec.get("volumes", ()):
        sources = [volume, *(volume.get("projected") or {}).get("sources", ())]
        found += [f"ConfigMap {s['configMap']['name']}" for s in sources if "name" in s.get("configMap", {})]
        found += [
            f"Secret {s['secret']['secretName']}" for s in sources if "secretName" in s.get("secret", {})
        ]
        found += [f"Secret {s['secret']['name']}" for s in sources if "name" in s.get("secret", {})]
    for container in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
        for source in container.get("envFrom", ()):
            found += [f"ConfigMap {source['configMapRef']['name']}"] if "configMapRef" in source else []
            found += [f"Secret {source['secretRef']['name']}"] if "secretRef" in source else []
        for variable in container.get("env", ()):
            source = variable.get("valueFrom") or {}
            found += [f"ConfigMap {source['configMapKeyRef']['name']}"] if "configMapKeyRef" in source else []
            found += [f"Secret {source['secretKeyRef']['name']}"] if "secretKeyRef" in source else []
    found += [f"Secret {item['name']}" for item in spec.get("imagePullSecrets", ())]
    if spec.get("serviceAccountName", "default") != "default":
        found.append(f"ServiceAccount {spec['serviceAccountName']}")
    return sorted(dict.fromkeys(found))
