"""A program that uses the SDK: from a plan to a checkpoint; then, with its id, to a restore and its deletion.

``sdk_program.py CLOUD protect TYPE=ID...`` and ``sdk_program.py CLOUD restore CHECKPOINT``; prints JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import refloat.client

PROVIDER = "default"
SECONDS = 300


def protect(service: Any, wanted: list[str]) -> dict[str, Any]:
    """A plan, and a checkpoint of it."""
    provider = service.find_provider(PROVIDER, ignore_missing=False)
    resources = []
    for text in wanted:
        kind, _, identity = text.partition("=")
        found = service.get_instance(kind, identity)
        resources.append({"type": kind, "id": found.id, "name": found.name})
    plan = service.create_plan(name="sdk", provider_id=provider.id, resources=resources, parameters={})
    made = service.create_checkpoint(provider, plan_id=plan.id, extra_info={"by": "sdk"})
    done = service.wait_for_status(made, "available", ["error"], 0.5, SECONDS)
    nodes, _adjacency = done.graph()
    service.delete_plan(plan, ignore_missing=False)
    return {"id": done.id, "types": sorted(node[0] for node in nodes.values())}


def restore(service: Any, checkpoint: str) -> dict[str, Any]:
    """What a restore has made; then the checkpoint is deleted."""
    provider = service.find_provider(PROVIDER, ignore_missing=False)
    wanted = {"provider_id": provider.id, "checkpoint_id": checkpoint, "parameters": {}}
    made = service.wait_for_status(service.create_restore(**wanted), "success", ["fail"], 0.5, SECONDS)
    service.delete_checkpoint(provider, checkpoint, ignore_missing=False)
    gone = service.get_checkpoint(provider, checkpoint)
    service.wait_for_status(gone, "deleted", ["error-deleting"], 0.5, SECONDS)
    return {"resources": made.resources_status}


def main(cloud: str, what: str, *words: str) -> None:
    """Do one of them."""
    service = refloat.client.connect(cloud=cloud).data_protect  # type: ignore[attr-defined]
    print(json.dumps(protect(service, list(words)) if what == "protect" else restore(service, *words)))


if __name__ == "__main__":
    main(*sys.argv[1:])
