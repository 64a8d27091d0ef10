"""The commands of a document, as a reader types them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """What is typed at a prompt: `#` is root's, `$` anybody's."""

    prompt: str
    text: str


def commands(document: Path, heading: str) -> list[Command]:
    """Those of the section whose heading begins so, in their order; those of its subsections are not."""
    # a single hash may be the prompt of root
    sections = re.split(r"^##+ (.*)$", document.read_text(), flags=re.MULTILINE)
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        if title.startswith(heading):
            return [
                command
                for block in re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
                for command in _typed(block)
            ]
    raise LookupError(f"{document.name} has no section '{heading}'")


def _typed(block: str) -> list[Command]:
    """A line that ends with a backslash goes on in the next one."""
    found = []
    for line in block.replace("\\\n", "").splitlines():
        prompt, _, text = line.partition(" ")
        if prompt not in ("#", "$") or not text:
            raise ValueError(f"no prompt: {line!r}")
        found.append(Command(prompt, text))
    return found
