"""nova-compute with Nova's fake driver, and what the data of servers and volumes needs; run in Nova's venv.

Servers are records only. An image of one has a few bytes. A volume that is attached to one has snapshots as
one that a guest uses, whose files nobody writes to meanwhile.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from nova.cmd import compute  # type: ignore[import-not-found]  # isort: skip (first: it patches)
from nova import objects  # type: ignore[import-not-found]
from nova.image import glance  # type: ignore[import-not-found]
from nova.virt import fake  # type: ignore[import-not-found]
from nova.volume import cinder  # type: ignore[import-not-found]


class FakeDriver(fake.FakeDriver):  # type: ignore[misc]
    """Servers that are records only."""

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        """An image of a server: its id."""
        super().snapshot(context, instance, image_id, update_task_state)
        images = glance.API()
        name = images.get(context, image_id)["name"]
        fields = {"name": name, "disk_format": "raw", "container_format": "bare", "status": "active"}
        content = io.BytesIO(str(instance.uuid).encode())
        images.update(context, image_id, {**fields, "properties": {}}, data=content)

    def volume_snapshot_create(
        self, context: Any, instance: Any, volume_id: str, create_info: dict[str, Any]
    ) -> None:
        """Cinder has made the file that is written to from now on."""
        cinder.API().update_snapshot_status(context, create_info["snapshot_id"], "creating")

    def volume_snapshot_delete(
        self, context: Any, instance: Any, volume_id: str, snapshot_id: str, delete_info: dict[str, Any]
    ) -> None:
        """The file that is written to takes over what is in the one below it."""
        if delete_info["merge_target_file"] is not None:
            raise NotImplementedError("only the newest snapshot of an attached volume can be deleted")
        mapping = objects.BlockDeviceMapping.get_by_volume_and_instance(context, volume_id, instance.uuid)
        export = json.loads(mapping.connection_info)["data"]["export"]
        folder = Path(export.split(":", 1)[1])
        active = json.loads((folder / f"volume-{volume_id}.info").read_text())["active"]
        below = delete_info["file_to_merge"] or ""
        command = ["qemu-img", "rebase", "-f", "qcow2", "-b", below]
        if below:
            command += ["-F", "qcow2"]
        subprocess.run([*command, active], cwd=folder, check=True, timeout=300)
        cinder.API().update_snapshot_status(context, snapshot_id, "deleting")


if __name__ == "__main__":
    sys.modules["nova.virt.devcloud"] = sys.modules["__main__"]  # Nova looks for drivers nowhere else
    compute.main()
