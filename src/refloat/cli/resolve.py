"""What a user calls a checkpoint: its id or its beginning, its name, ``latest``, a plan, a plan at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from refloat.cli.output import parse_time
from refloat.cli.views import CheckpointState
from refloat.errors import InvalidInput, NotFound

LATEST = "latest"


def resolve(text: str, states: Iterable[CheckpointState], *, exactly: bool = False) -> CheckpointState:
    """The checkpoint that is meant: by its id, else its name, else a plan, else the beginning of its id.

    :param exactly: only an id, its beginning, or a name will do.
    :raises NotFound, InvalidInput: there is none, or more than one.
    """
    known = sorted(states, key=lambda state: state.created_at, reverse=True)
    ways: Sequence[Callable[[CheckpointState], bool]] = (
        lambda state: state.id == text,
        lambda state: bool(text) and state.about.get("name") == text,
    )
    for way in ways:
        if fits := [state for state in known if way(state)]:
            return _only(text, fits, f"are called '{text}'")
    if (chosen := _of_plan(text, known)) is not None:
        if exactly:
            raise InvalidInput(
                f"'{text}' is no checkpoint, but means {chosen.id} of {chosen.created_at}",
                advice="What is deleted, released or described is named by its id, its beginning or name",
            )
        return chosen
    fits = [state for state in known if text and state.id.startswith(text)]
    if not fits:
        raise NotFound(f"there is no checkpoint '{text}'", advice="See: refloat checkpoint list")
    return _only(text, fits, f"begin with '{text}'")


def _only(text: str, fits: Sequence[CheckpointState], how: str) -> CheckpointState:
    if len(fits) > 1:
        ids = ", ".join(state.id for state in fits)
        more = "Give more of the id" if how.startswith("begin") else f"Use an id: {ids}"
        raise InvalidInput(f"{len(fits)} checkpoints {how}", advice=more)
    return fits[0]


def _of_plan(text: str, known: Sequence[CheckpointState]) -> CheckpointState | None:
    """The newest good one of all, of a plan, or of a plan at a time; None: it means none of these.

    :param known: the newest first.
    """
    if text == LATEST:
        return _newest(text, known)
    plan, at, when = text.rpartition("@")
    for name, time in ((text, ""), (plan, when)) if at else ((text, ""),):
        if of_it := [
            state for state in known if name and name in (state.plan.get("name"), state.plan.get("id"))
        ]:
            return _newest(text, of_it, _time(time) if time else None)
    return None


def _newest(text: str, states: Sequence[CheckpointState], until: datetime | None = None) -> CheckpointState:
    for state in states:
        made = parse_time(state.created_at)
        good = state.status == "available" and state.verified != "bad"
        if good and (until is None or (made is not None and made <= until)):
            return state
    raise NotFound(
        f"there is no good checkpoint for '{text}'",
        reason="those there are were made later, are not available, or were found bad",
        advice="See: refloat checkpoint list",
    )


def _time(text: str) -> datetime:
    """In the user's time zone, unless it says another; a day means its end."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"'{text}' is no time", advice="As in: PLAN@2026-11-29T02:30, PLAN@2026-11-29"
        ) from None
    if len(text) == len("2026-11-29"):
        found = found.replace(hour=23, minute=59, second=59)
    elif len(text) <= len("2026-11-29T02:30"):
        found = found.replace(second=59)
    return found.astimezone()
