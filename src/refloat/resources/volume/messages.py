"""Why Cinder failed at something it did in the background, in its own words.

A volume's status tells only that something failed. Since API version 3.5 Cinder keeps a message for the user.
"""

from __future__ import annotations

from refloat.cloud import Cloud, explained

VERSION = "3.5"


def told_about(cloud: Cloud, resource_id: str) -> str:
    """The latest message about a volume or snapshot; empty when there is none, or the cloud is too old."""
    with explained("read Cinder's messages"):
        response = cloud.block_storage.get(
            "/messages", params={"resource_uuid": resource_id}, microversion=VERSION
        )
    if response.status_code != 200:
        return ""
    found = sorted(response.json().get("messages", ()), key=lambda message: str(message["created_at"]))
    return str(found[-1]["user_message"]) if found else ""
