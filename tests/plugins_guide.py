"""The examples of docs/plugins.md, as modules."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[1] / "docs" / "plugins.md"


def examples() -> tuple[Any, Any]:
    """What the entry points of the shortest and of the rich example name."""
    sources = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    short, rich = (types.ModuleType(f"guide_{number}") for number in range(len(sources)))
    for module, source in zip((short, rich), sources, strict=True):
        exec(compile(source, str(GUIDE), "exec"), module.__dict__)
    return short.ADDRESS_GROUP, rich
