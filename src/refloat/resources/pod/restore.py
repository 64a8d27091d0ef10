"""Restores a pod: makes it again with its restored volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openstack import exceptions as sdk_exceptions

from refloat.cloud import Marker
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.marker import METADATA_KEY
from refloat.resources.base import HookBody, HookContext
from refloat.resources.pod import manifest
from refloat.resources.pod.cluster import CLAIM, POD, VOLUME, make
from refloat.resources.pod.protectable import identity_of

START_TIMEOUT = 1800.0
"""Seconds that the containers of a restored pod may take to run: images have to be fetched."""


def restore(context: HookContext) -> HookBody:
    """Make volumes, claims on them, then the pod."""
    planned, cloud, section = context.planned, context.cloud, context.section
    if planned.action == "reuse":
        return context.restored(planned.new_id)
    namespace, name = planned.decisions["namespace"], planned.decisions["name"]
    new: dict[str, str] = {}
    for item in section["claims"]:
        volume_id = context.new_id("OS::Cinder::Volume", item["volume_id"]) if item["volume_id"] else None
        if volume_id:
            wanted = {"namespace": namespace, "name": planned.decisions["claims"][item["name"]]}
            _bind(context, item, volume_id, wanted)
    for item in section["inline"]:
        new[item["volume_id"]] = context.new_or_same("OS::Cinder::Volume", item["volume_id"])
    with context.data.open(section["manifest"]) as reader:
        kept = json.loads(b"".join(reader))
    body = manifest.pod_body(kept, namespace, name, planned.decisions["claims"], new)
    pod_id = _ensure(context, POD, POD, body)
    yield cloud.wait(
        POD,
        pod_id,
        {"running", "succeeded"},
        failed=lambda pod: pod.stuck or status_of_thing(pod) == "failed",
        timeout=START_TIMEOUT,
    )
    return context.restored(identity_of(namespace, name))


def _bind(context: HookContext, item: Mapping[str, Any], volume_id: str, wanted: Mapping[str, str]) -> None:
    """Make the persistent volume and the claim on it, unless another pod of the restore has done so."""
    name = f"refloat-{volume_id}"
    volume = manifest.volume_body(item["volume"], name, volume_id, wanted)
    claim = manifest.claim_body(item["claim"], name, wanted)
    for kind, body in ((VOLUME, volume), (CLAIM, claim)):
        _ensure(context, kind, f"{kind}-{item['name']}", body, shared=name)


def _ensure(context: HookContext, kind: str, role: str, body: dict[str, Any], shared: str = "") -> str:
    """Create an object once, marked; returns its id.

    :param shared: the name of a persistent volume: another pod may have made it, or the claim on it.
    """

    about = body["metadata"]

    def create(marker: Marker) -> Any:
        about["annotations"] = {**about.get("annotations", {}), **marker.metadata}
        try:
            return make(context.cloud.connection, kind, body)
        except sdk_exceptions.ConflictException:
            identity = "/".join(part for part in (about.get("namespace"), about["name"]) if part)
            there = context.cloud.find(kind, identity) if shared else None
            if there is None or shared not in (there.name, there.data["spec"].get("volumeName")):
                raise
            return there

    what = f"create the {kind.replace('_', ' ')} {about['name']}"
    return context.ensure(kind, role, create, what=what, unmarked={METADATA_KEY: None})
