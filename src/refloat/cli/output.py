"""What the command prints: values that are JSON for programs and text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cliff.columns import FormattableColumn

_MOST_LINES = 100

Line = Mapping[str, Any]


class Items(FormattableColumn[Any]):
    """A list or mapping: one item in a line."""

    def human_readable(self) -> str:
        if isinstance(self._value, Mapping):
            return "\n".join(f"{key}: {_text(value)}" for key, value in self._value.items() if value != "")
        return "\n".join(_text(value) for value in self._value or ())


class OrNone(Items):
    """The same; people read that there are none."""

    def human_readable(self) -> str:
        return super().human_readable() or "none"


class Resources(FormattableColumn[Sequence[Line]]):
    """Resources: type, name and id in a line, and what has become of each."""

    def human_readable(self) -> str:
        """One resource in a line; not more than fit on a few screens."""
        lines = [resource_line(item) for item in self._value[:_MOST_LINES]]
        more = len(self._value) - len(lines)
        return "\n".join([*lines, f"and {more} more; -f json has all of them"] if more else lines)


class Created(FormattableColumn[Sequence[Line]]):
    """What an operation has created in the cloud: a thing in a line."""

    def human_readable(self) -> str:
        return "\n".join(
            f"{item['kind'].replace('_', ' ')} {item['id'] or '(intended)'} for {item['for']}"
            for item in self._value
        )


class Stays(FormattableColumn[Sequence[Line]]):
    """What a restore made besides, which does not go with the resource that needs it."""

    def human_readable(self) -> str:
        return "\n".join(stays_lines(self._value))


class Time(FormattableColumn[str]):
    """A time: in UTC for programs, in the user's time zone for people."""

    def human_readable(self) -> str:
        moment = parse_time(self._value)
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else self._value


class Bytes(FormattableColumn[int]):
    """A number of bytes."""

    def human_readable(self) -> str:
        return size_text(self._value)


def parse_time(text: str) -> datetime | None:
    """A moment written in ISO 8601, in UTC when it does not say."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def resource_line(item: Line) -> str:
    from refloat.cli.arguments import short_name

    text = short_name(str(item.get("type", "")))
    if item.get("name"):
        text += f" {item['name']}"
    identity = item.get("id") or item.get("source_id") or item.get("select")
    if identity and identity != item.get("name"):
        text += f" ({identity})"
    if item.get("new_id") and item["new_id"] != identity:
        text += f" -> {item['new_id']}"
    if item.get("status"):
        unread = item["status"] == "good" and item.get("read") is False
        text += " not read" if unread else f" {item['status']}"
    if item.get("reason"):
        text += f": {item['reason']}"
    return text


def stays_lines(items: Sequence[Line]) -> list[str]:
    """What of one kind stays when a server is deleted, and the command that removes it then, in a line."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for item in items:
        groups.setdefault((item["kind"], item["needed_by"]), []).append(item)
    lines = []
    for (kind, server), found in groups.items():
        named = ", ".join(str(item["name"]) for item in found if item["name"])
        what = f"{kind}s" if len(found) > 1 else str(kind)
        command = " ".join([found[0]["remove"], *(item["id"] for item in found[1:])])
        stay = "stay" if len(found) > 1 else "stays"
        lines.append(
            f"the {what}{f' {named}' * bool(named)} of {server} {stay} when it is deleted; then: {command}"
        )
    return lines


def size_text(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def duration_text(seconds: float) -> str:
    hours, rest = divmod(max(0, round(seconds)), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
