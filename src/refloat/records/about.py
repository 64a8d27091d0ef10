"""What people say of a checkpoint: what it is called, why it was made, until when it is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from refloat.errors import InvalidInput

LONGEST = {"name": 255, "note": 4096}
MOST_LABELS = 64
WORDS = ("latest",)
"""They mean something where a checkpoint is named, so no checkpoint is called so."""

_SPAN = re.compile(r"([0-9]{1,6})([hdwmy])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "m": 24 * 30, "y": 24 * 365}


def changed(before: Mapping[str, Any], wanted: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What is said of a checkpoint after a change. What is empty is not said any more.

    :param wanted: of ``name``, ``note``, ``labels`` (a label that is None is taken away), ``expires_at`` (a
        time, or a span as ``30d`` from now on) and ``keep``.
    :param now: UTC.
    :raises InvalidInput: something is too long, or no time, or over already.
    """
    found = {**before, **wanted}
    for name, most in LONGEST.items():
        text = str(found.get(name) or "").strip()
        if len(text) > most or any(ord(char) < 32 and char not in "\n\t" for char in text):
            raise InvalidInput(f"the {name} of a checkpoint has at most {most} characters, none of control")
        found[name] = text
    if found["name"] in WORDS or "@" in found["name"] or "\n" in found["name"]:
        raise InvalidInput(f"no checkpoint is called '{found['name']}': that means another thing")
    found["labels"] = _labels({**(before.get("labels") or {}), **(wanted.get("labels") or {})})
    if wanted.get("expires_at"):
        found["expires_at"] = moment(str(wanted["expires_at"]), now)
    found["keep"] = bool(found.get("keep"))
    found["changed_at"] = now.isoformat()
    return {name: value for name, value in found.items() if value}


def moment(text: str, now: datetime) -> str:
    """A time to come, as it is kept: UTC, ISO 8601."""
    span = _SPAN.fullmatch(text.strip().lower())
    try:
        if span is not None:
            found = now + timedelta(hours=int(span[1]) * _HOURS[span[2]])
        else:
            told = datetime.fromisoformat(text.strip())
            found = told.astimezone(UTC).replace(tzinfo=None) if told.tzinfo else told
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"'{text}' is no time", advice="As in: 30d, 12h, 8w, 6m, 1y, or 2027-01-31, 2027-01-31T02:30Z"
        ) from None
    if found <= now:
        raise InvalidInput(f"'{text}' is over already", advice="Delete the checkpoint if it is not wanted")
    return f"{found:%Y-%m-%dT%H:%M:%S}Z"


def expires_at(said: Mapping[str, Any]) -> datetime | None:
    """When nobody wants it any more: UTC, without saying so. None: never."""
    told = str(said.get("expires_at") or "")
    return datetime.fromisoformat(told).replace(tzinfo=None) if told else None


def _labels(labels: Mapping[str, Any]) -> dict[str, str]:
    found = {str(key): str(value) for key, value in labels.items() if value is not None}
    if len(found) > MOST_LABELS or any(
        not key or len(key) > 255 or len(value) > 255 for key, value in found.items()
    ):
        raise InvalidInput(f"a checkpoint has at most {MOST_LABELS} labels of at most 255 characters")
    return found
