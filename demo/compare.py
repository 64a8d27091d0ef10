"""Before and after, attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.describe import NEW_BY_NATURE, Description

MISSING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of one resource.

    :param promised: that it is equal.
    """

    resource: str
    attribute: str
    before: Any
    after: Any
    promised: bool = True

    @property
    def equal(self) -> bool:
        """Whether nothing changed."""
        return bool(self.before == self.after)

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.equal:
            return "equal"
        return "DIFFERENT" if self.promised else "new"


def compare(before: Description, after: Description) -> list[Row]:
    """Every attribute of every resource of either."""
    rows = []
    for resource in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(resource, {}), after.get(resource, {})
        for attribute in [*old, *(name for name in new if name not in old)]:
            rows.append(
                Row(
                    resource,
                    attribute,
                    old.get(attribute, MISSING),
                    new.get(attribute, MISSING),
                    promised=attribute not in NEW_BY_NATURE,
                )
            )
    return rows


def broken(rows: Iterable[Row]) -> list[Row]:
    """The promises that were not kept."""
    return [row for row in rows if row.promised and not row.equal]


def show(rows: Iterable[Row], console: Console | None = None) -> None:
    """Print the table; rows of what is equal tell its value once."""
    screen = console or Console()
    if not screen.is_terminal:
        screen = Console(width=170)
    table = Table(show_lines=False, header_style="bold", expand=False)
    table.add_column("resource", overflow="fold")
    table.add_column("attribute", overflow="fold")
    table.add_column("before", overflow="fold", ratio=1)
    table.add_column("after", overflow="fold", ratio=1)
    table.add_column("", no_wrap=True)
    last = ""
    colours = {"equal": "green", "new": "dim", "DIFFERENT": "bold red"}
    for row in rows:
        if row.resource != last and last:
            table.add_section()
        table.add_row(
            Text(row.resource if row.resource != last else ""),
            Text(row.attribute),
            Text(_shown(row.before)),
            Text(_shown(row.after)),
            Text(row.verdict, style=colours[row.verdict]),
        )
        last = row.resource
    screen.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        separator = "\n" if any(isinstance(item, str) and len(item) > 25 for item in value) else ", "
        return separator.join(_shown(item) for item in value) or "-"
    text = "-" if value in (None, "") else str(value)
    return f"{text[:24]}…" if len(text) == 64 else text
