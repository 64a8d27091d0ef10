"""Release notes: each fragment will be found, and a version that is released has none left."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from refloat import __version__

ROOT = Path(__file__).parents[3]
KINDS = {
    kind["directory"]
    for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
}
FRAGMENTS = [path for path in sorted((ROOT / "releasenotes").iterdir()) if path.name != "README.md"]
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(\.dev0)?")


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_named_and_written_as_it_must_be(fragment: Path) -> None:
    named = re.fullmatch(r"\+[a-z0-9-]+\.(\w+)\.md", fragment.name)
    assert named, "call it +WORDS.KIND.md"
    assert named[1] in KINDS
    text = fragment.read_text(encoding="utf-8").strip()
    assert text.endswith(".")
    assert not text.startswith(("-", "*", "#")), "one paragraph: the list is made of the fragments"


def test_the_version_says_whether_it_is_a_release() -> None:
    version = VERSION.fullmatch(__version__)
    assert version, "MAJOR.MINOR.PATCH, and .dev0 between releases"
    notes = (ROOT / "docs" / "release-notes.md").read_text(encoding="utf-8")
    released = [
        tuple(map(int, found)) for found in re.findall(r"^## (\d+)\.(\d+)\.(\d+)", notes, re.MULTILINE)
    ]
    assert released == sorted(released, reverse=True)
    numbers = tuple(int(part) for part in version.groups()[:3])
    if version[4]:
        assert numbers > released[0]
    else:
        assert numbers == released[0]
        assert not FRAGMENTS
