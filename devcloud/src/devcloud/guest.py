"""The tiny guest image: built once per version of its sources, for all clouds.

Its servers boot in three seconds under emulation and say on the console what they see. What it says is
told in image/init.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from devcloud import shell
from devcloud.cloud import Cloud

SOURCES = Path(__file__).parent / "image"
BUILD_TIMEOUT = 240


def guest_image(cloud: Cloud) -> Path:
    """Where the image of the present sources is."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    return cloud.shared / f"guest-{digest.hexdigest()[:12]}.qcow2"


def build(cloud: Cloud) -> None:
    """Build the image if it is not there. Needs the package registry for the kernel."""
    image = guest_image(cloud)
    if image.exists():
        return
    new = image.with_suffix(".new")
    # in a mount namespace, so that nothing stays mounted whatever happens to the script
    shell.run(
        ["unshare", "--mount", "--", "/bin/bash", SOURCES / "build.sh", new, cloud.shared / "kernel"],
        timeout=BUILD_TIMEOUT, log=cloud.shared / "guest.log",
    )  # fmt: skip
    new.rename(image)
    for old in cloud.shared.glob("guest-*.qcow2"):
        if old != image:
            old.unlink()
