"""Shows in release-notes.md what is not released yet: the fragments in releasenotes/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

PAGE = "release-notes"
BELOW = "<!-- towncrier writes below -->"
ROOT = Path(__file__).parents[2]


def unreleased() -> str:
    """The fragments as they will be at the next release."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "Not released yet"]
    done = subprocess.run([*command, "--date", "."], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.replace(" (.)", "", 1)


def add(_app: Sphinx, name: str, source: list[str]) -> None:
    """Put them where they will be."""
    if name == PAGE:
        source[0] = source[0].replace(BELOW, f"{BELOW}\n\n{unreleased()}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", add)
    app.connect("env-get-outdated", lambda *_: [PAGE])
    return {"parallel_read_safe": True}
