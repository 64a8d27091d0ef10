"""The door to Kubernetes: which cluster a project has, and how its pods, claims and volumes are handled.

``REFLOAT_KUBECONFIG`` names the kubeconfig; ``{project}`` in it stands for the id of the OpenStack project.
Its current context says which namespace is meant. Where one process works for many projects, as the service
does, a path without ``{project}`` is not used: one project would get another one's pods.

The package ``kubernetes`` (``refloat[kubernetes]``) reads the kubeconfig and logs in. The requests are
Kubernetes' own (API reference, core/v1), so that what it says is kept whole, however new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import urllib3
import yaml
from openstack import exceptions as sdk_exceptions
from openstack.connection import Connection

from refloat.cloud import fence
from refloat.cloud.kinds import Kind
from refloat.errors import InvalidInput, ServiceMissing

VARIABLE = "REFLOAT_KUBECONFIG"
PROJECT_MARK = "{project}"

TIMEOUT = urllib3.Timeout(connect=10, read=60)
"""Seconds without a sign of the cluster."""

MERGE = "application/merge-patch+json"


class Cluster:
    """A cluster and one namespace of it, as one kubeconfig knows them.

    :raises InvalidInput: the kubeconfig is none, or the package ``kubernetes`` is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import kubernetes
        except ImportError as exc:
            raise InvalidInput(
                f"{VARIABLE} is set, and the package kubernetes is not installed",
                advice="pip install 'refloat[kubernetes]'",
            ) from exc
        # Untyped, and of several generations: what is used of it has been the same in all.
        library: Any = kubernetes
        config = library.config
        self._settings: Any = library.client.Configuration()
        try:
            _, active = config.list_kube_config_contexts(str(path))
            config.load_kube_config(str(path), client_configuration=self._settings)
        except (config.ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as exc:
            raise InvalidInput(f"the kubeconfig {path} cannot be used", reason=str(exc)) from exc
        self.namespace = str(active["context"].get("namespace") or "default")
        self._http = self._pool()

    def _pool(self) -> urllib3.PoolManager:
        settings = self._settings
        options: dict[str, Any] = {
            "timeout": TIMEOUT,
            "retries": False,
            "cert_reqs": "CERT_REQUIRED" if settings.verify_ssl else "CERT_NONE",
            "ca_certs": settings.ssl_ca_cert,
            "cert_file": settings.cert_file,
            "key_file": settings.key_file,
        }
        if getattr(settings, "tls_server_name", None):
            options["server_hostname"] = settings.tls_server_name
        if settings.proxy:
            return urllib3.ProxyManager(settings.proxy, **options)
        return urllib3.PoolManager(**options)

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "application/json"
    ) -> Any:
        """What the cluster answers.

        :param path: below ``/api/v1``.
        :param kind: the media type of the body.
        :raises SDKException: it refuses, in its own words, or is not to be reached.
        """
        headers = {"Accept": "application/json"}
        for setting in self._settings.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = kind
        url = f"{self._settings.host}/api/v1{path}"
        if method != "GET":
            fence.check()
        try:
            answer = self._http.request(method, url, body=data, headers=headers)
        except urllib3.exceptions.HTTPError as exc:
            raise sdk_exceptions.SDKException(f"the Kubernetes cluster cannot be reached: {exc}") from exc
        if answer.status >= 400:
            raise _error(answer.status, answer.data)
        return json.loads(answer.data)


def _error(status: int, data: bytes) -> sdk_exceptions.SDKException:
    """What went wrong: Kubernetes answers with an object ``Status``.

    A 404 that is none is of something before it, and tells nothing of what was asked for.
    """
    try:
        told = json.loads(data)
        said, own = str(told["message"]), told.get("kind") == "Status"
    except (ValueError, KeyError, TypeError):
        said, own = f"Kubernetes answered with status {status}", False
    if status == 404 and not own:
        said, status = "not the cluster itself answered, but something before it, with 404", 502
    if status == 401:
        return sdk_exceptions.SDKException(f"Kubernetes refuses the credentials of the kubeconfig: {said}")
    types = {404: sdk_exceptions.NotFoundException, 409: sdk_exceptions.ConflictException}
    return types.get(status, sdk_exceptions.HttpException)(said, http_status=status)


def find_cluster(connection: Connection) -> tuple[Cluster | None, str]:
    """The project's cluster; None, and why, when it has none.

    :raises InvalidInput: there is something wrong with the kubeconfig.
    """
    named = os.environ.get(VARIABLE, "")
    if not named:
        return None, f"{VARIABLE} names no kubeconfig"
    if PROJECT_MARK not in named:
        if "auth" not in connection.config.config:  # a session was handed in: that of whoever asks
            return None, f"{VARIABLE} is without {PROJECT_MARK}, and this service works for many projects"
        path = Path(named).expanduser()
    else:
        path = Path(named.replace(PROJECT_MARK, str(connection.current_project_id))).expanduser()
        if not path.exists():
            return None, f"there is no kubeconfig {path}"
    try:
        return _opened(path, path.stat().st_mtime_ns), ""
    except OSError as exc:
        raise InvalidInput(f"the kubeconfig {path} cannot be read", reason=str(exc)) from exc


@lru_cache(maxsize=64)
def _opened(path: Path, _changed: int) -> Cluster:
    return Cluster(path)


def cluster(connection: Connection) -> Cluster:
    """The project's cluster. :raises ServiceMissing: it has none."""
    found, why = find_cluster(connection)
    if found is None:
        raise ServiceMissing("no Kubernetes cluster is known for this project", reason=why)
    return found


class KubernetesObject(SimpleNamespace):
    """A pod, a claim or a volume.

    :param id: ``NAMESPACE/NAME``; of a volume, which is in no namespace, its name.
    :param metadata: its annotations, which carry the marks.
    :param fail_reason: why its containers do not run.
    :param data: all that Kubernetes says of it.
    """

    id: str
    name: str
    status: str
    metadata: dict[str, str]
    fail_reason: str
    stuck: bool
    data: dict[str, Any]


HOPELESS = frozenset({"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"})
"""Why a container waits, when waiting alone does not help."""


def thing(data: dict[str, Any]) -> KubernetesObject:
    about, status = data["metadata"], data.get("status") or {}
    states = [item.get("state") or {} for item in status.get("containerStatuses") or ()]
    waiting = [state["waiting"] for state in states if "waiting" in state]
    said = [f"{item.get('reason', '')} {item.get('message', '')}".strip() for item in waiting]
    return KubernetesObject(
        id="/".join(part for part in (about.get("namespace"), about["name"]) if part),
        name=about["name"],
        status=status.get("phase") or "",
        metadata=dict(about.get("annotations") or {}),
        fail_reason=status.get("message") or "; ".join(said),
        stuck=any(item.get("reason") in HOPELESS for item in waiting),
        data=data,
    )


def path_of(kind: str, identity: str = "") -> str:
    """The path of one object by id, or, by ``NAMESPACE/``, of all in a namespace."""
    if kind == VOLUME:
        return f"/persistentvolumes/{identity}".rstrip("/")
    namespace, _, name = identity.partition("/")
    return f"/namespaces/{namespace}/{_MANY[kind]}/{name}".rstrip("/")


POD, CLAIM, VOLUME = "pod", "pod_claim", "pod_volume"
_MANY = {POD: "pods", CLAIM: "persistentvolumeclaims"}


def make(connection: Connection, kind: str, body: Mapping[str, Any]) -> KubernetesObject:
    namespace = "" if kind == VOLUME else f"{body['metadata']['namespace']}/"
    return thing(cluster(connection).request("POST", path_of(kind, namespace), body))


def annotate(connection: Connection, identity: str, items: Mapping[str, str | None], *, kind: str) -> None:
    """Set annotations; take those off whose value is None."""
    body = {"metadata": {"annotations": dict(items)}}
    cluster(connection).request("PATCH", path_of(kind, identity), body, MERGE)


def _kind(kind: str) -> Kind:
    def read(connection: Connection, identity: str) -> KubernetesObject:
        return thing(cluster(connection).request("GET", path_of(kind, identity)))

    def list_all(connection: Connection) -> Iterable[KubernetesObject]:
        there = cluster(connection)
        path = path_of(kind, "" if kind == VOLUME else f"{there.namespace}/")
        return [thing(data) for data in there.request("GET", path)["items"]]

    def remove(connection: Connection, identity: str) -> None:
        cluster(connection).request("DELETE", path_of(kind, identity))

    return Kind(kind, "", read, list_all, remove, waits_gone=True, unmark=partial(annotate, kind=kind))


KINDS = (_kind(POD), _kind(CLAIM), _kind(VOLUME))
