"""Kubernetes: the core/v1 API of one namespace.

From the API reference (kubernetes.io/docs/reference/kubernetes-api). A pod runs when it is looked at for the
second time, and one that is deleted is gone then.
"""

from __future__ import annotations

import json
import uuid
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.unit.doubles.server import Answer, Double, Refusal, Request, Route

NAMESPACE = "shop"
TOKEN = "token-of-the-cluster"
_PLURALS = "pods|persistentvolumeclaims|persistentvolumes"


class Kubernetes(Double):
    """Pods, claims and persistent volumes, as their JSON."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {plural: {} for plural in _PLURALS.split("|")}
        super().__init__()

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        """Pods by name."""
        return self.objects["pods"]

    def refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

    def routes(self) -> list[Route]:
        base = f"/api/v1(?:/namespaces/{NAMESPACE})?/({_PLURALS})"
        return [
            ("GET", base, self._list),
            ("POST", base, self._create),
            ("GET", f"{base}/([^/]+)", self._show),
            ("PATCH", f"{base}/([^/]+)", self._patch),
            ("DELETE", f"{base}/([^/]+)", self._delete),
        ]

    def _find(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise self.refusal(401, "Unauthorized")
        return super()._find(request)

    def kubeconfig(self, path: Path) -> None:
        """Write one for this cluster."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
        }
        path.write_text(json.dumps(config))

    def put(self, plural: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
        """Make an object; what the server sets is set."""
        about = {"name": name, "uid": str(uuid.uuid4()), "resourceVersion": "1", **metadata}
        about["creationTimestamp"] = "2026-01-01T00:00:00Z"
        if plural != "persistentvolumes":
            about["namespace"] = NAMESPACE
        made = {"metadata": about, "spec": deepcopy(spec), "status": {"phase": "Pending"}}
        if plural == "pods":
            made["spec"]["nodeName"] = "node-1"
            made["spec"]["priority"] = 0
            token = f"kube-api-access-{uuid.uuid4().hex[:5]}"
            place = "/var/run/secrets/kubernetes.io/serviceaccount"
            for container in made["spec"]["containers"]:
                container.setdefault("volumeMounts", []).append({"name": token, "mountPath": place})
            made["spec"].setdefault("volumes", []).append({"name": token, "projected": {"sources": []}})
        self.objects[plural][name] = made
        return made

    def _list(self, _request: Request, plural: str) -> Answer:
        return 200, {"items": [self._look(plural, name) for name in list(self.objects[plural])]}

    def _look(self, plural: str, name: str) -> dict[str, Any]:
        there = self.objects[plural]
        if name not in there:
            raise self.refusal(404, f'{plural} "{name}" not found')
        shown = deepcopy(there[name])
        if "deletionTimestamp" in shown["metadata"]:
            del there[name]
        elif shown["status"]["phase"] == "Pending":
            there[name]["status"]["phase"] = "Running" if plural == "pods" else "Bound"
        return shown

    def _show(self, _request: Request, plural: str, name: str) -> Answer:
        return 200, self._look(plural, name)

    def _create(self, request: Request, plural: str) -> Answer:
        about = dict(request.body["metadata"])
        name = about.pop("name")
        if {"uid", "resourceVersion", "creationTimestamp"} & about.keys():
            raise self.refusal(400, "resourceVersion should not be set on objects to be created")
        if name in self.objects[plural]:
            raise self.refusal(409, f'{plural} "{name}" already exists')
        spec = request.body["spec"]
        for volume in spec.get("volumes", ()):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in self.objects["persistentvolumeclaims"]:
                raise self.refusal(403, f'persistentvolumeclaim "{claim}" not found')
        about.pop("namespace", None)
        return 201, self.put(plural, name, spec, **about)

    def _patch(self, request: Request, plural: str, name: str) -> Answer:
        if request.headers["Content-Type"] != "application/merge-patch+json":
            raise self.refusal(415, "the body of the request was in an unknown format")
        annotations = self.objects[plural][name]["metadata"].setdefault("annotations", {})
        for key, value in request.body["metadata"]["annotations"].items():
            annotations.pop(key, None)
            if value is not None:
                annotations[key] = value
        return 200, self.objects[plural][name]

    def _delete(self, _request: Request, plural: str, name: str) -> Answer:
        if name not in self.objects[plural]:
            raise self.refusal(404, f'{plural} "{name}" not found')
        self.objects[plural][name]["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
        return 200, self.objects[plural][name]
