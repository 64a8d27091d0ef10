"""How many hooks may use a service, or copy from bank to bank, at once in one process."""

from __future__ import annotations

from refloat.resources.registry import concurrency_limits

COPY = "bank"
"""The limit of what copies from bank to bank."""


def limits() -> dict[str, int]:
    return {**concurrency_limits(), COPY: 2}
