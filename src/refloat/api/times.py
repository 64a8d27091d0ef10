"""How times are written: operations say UTC with a Z, triggers do not, operation logs do as Karbor."""

from __future__ import annotations

from datetime import UTC, datetime

from refloat.schedule.timetable import TIME


def of_trigger(moment: datetime | None) -> str | None:
    """``YYYY-MM-DD HH:MM:SS``."""
    return f"{moment:{TIME}}" if moment is not None else None


def of_operation(seconds: float | None) -> str | None:
    """``YYYY-MM-DDTHH:MM:SSZ``, of seconds since 1970."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def of_log(text: str) -> str | None:
    """``YYYY-MM-DDTHH:MM:SS.000000``, of an operation's time."""
    return f"{text.removesuffix('Z')}.000000" if text else None
