"""A login at the service, and how things are found there by name or id."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from refloat.client import connect_as
from refloat.client.errors import Missing, told
from refloat.closing import Closing
from refloat.errors import InvalidInput, NotFound
from refloat.records.named import SHORTEST

T = TypeVar("T")

OLDEST_FIRST = "created_at:asc,id:asc"


class Session(Closing):
    """One user at a service. Logs in when it is first used.

    :param cloud_name: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :param service: its URL, or ``catalog``.
    """

    def __init__(self, cloud_name: str | None, service: str) -> None:
        self._cloud_name = cloud_name
        self._service = service

    @cached_property
    def api(self) -> Any:
        return connect_as(self._cloud_name, None if self._service == "catalog" else self._service)

    def close(self) -> None:
        if "api" in self.__dict__:
            self.api._get_connection().close()


def find(
    what: str, name_or_id: str, get: Callable[[str], Any], named: Callable[..., Iterable[Any]], command: str
) -> Any:
    """One thing by its id, or by name when just one has it.

    :param get: asks for one by id.
    :param named: asks for those whose ``name`` contains something.
    :param command: lists them.
    :raises NotFound: there is none.
    :raises InvalidInput: several have this name.
    """
    with told(f"find the {what}", name_or_id):
        if is_id(name_or_id):
            with contextlib.suppress(Missing):
                return get(name_or_id)
        like_it = named(name=name_or_id, sort=OLDEST_FIRST)
        found = [item for item in like_it if item.name == name_or_id]
        if not found and len(name_or_id) >= SHORTEST:
            found = [item for item in named(sort=OLDEST_FIRST) if item.id.startswith(name_or_id)]
    return one(found, what, name_or_id, command)


def one(found: Sequence[Any], what: str, name: str, command: str) -> Any:
    """The only one of what has a name. :raises NotFound, InvalidInput: there are none, or several."""
    if not found:
        raise NotFound(f"there is no {what} '{name}'", advice=f"See: refloat {command}")
    if len(found) > 1:
        ids = ", ".join(str(item.id) for item in found)
        raise InvalidInput(f"{len(found)} {what}s are called '{name}'", advice=f"Use an id: {ids}")
    return found[0]


def beginning_so(what: str, identity: str, fits: Sequence[T]) -> T:
    """The only one whose id begins so. :raises NotFound, InvalidInput: there are none, or several."""
    if not fits or not identity:
        raise NotFound(f"there is no {what} '{identity}'", advice=f"See: refloat {what} list")
    if len(fits) > 1:
        raise InvalidInput(f"{len(fits)} {what}s begin with '{identity}'", advice="Give more of the id")
    return fits[0]


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
