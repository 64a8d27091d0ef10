"""In which project of the cloud the tests of a file work: each project is for one process."""

from __future__ import annotations

from pathlib import Path

FIRST = "demo"
OTHERS = {
    "demo2": {
        "test_bank_store_cloud.py", "test_clients.py", "test_image.py", "test_karbor_contract_cloud.py",
        "test_karborclient.py", "test_kind_contract_storage.py", "test_schedule.py", "test_volume_bank.py",
        "test_worst_day.py",
    },
    "demo3": {
        "test_kill.py", "test_kind_contract_network.py", "test_out_of_the_cloud.py", "test_server.py",
        "test_service_elsewhere.py", "test_volume.py",
    },
    "demo4": {"test_ceph.py", "test_repair.py", "test_replace.py"},
    "random": {"test_random_applications.py"},
    "shop": {"test_new_cloud.py"},
}  # fmt: skip
"""The projects beside the first, and the files with tests that work in them; "random" and "shop" are made by
their tests."""


def project_of(file: str | Path) -> str:
    """The project, and the cloud of ``clouds.yaml`` with a member of it."""
    name = Path(file).name
    return next((project for project, files in OTHERS.items() if name in files), FIRST)
