"""What mappings mean for one checkpoint in one cloud: old and new ones by their ids.

The same meaning holds for a restore plan and for its run: a plan that is kept has the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from refloat.errors import InvalidInput
from refloat.graph import Graph, ResourceKey
from refloat.mappings import (
    MAPPABLE,
    Listing,
    Mapped,
    Mappings,
    Named,
    as_told,
    check_mappings,
    find,
    unknown,
)

Reader = Callable[[ResourceKey], Mapping[str, Any]]


class Resolved:
    """Mappings that fit a checkpoint and a cloud."""

    def __init__(self, found: Iterable[tuple[str, str, str, Mapped]] = ()) -> None:
        """:param found: kind, id and name of each old one, and what takes its place."""
        self._found = list(found)
        self._new = {(kind, old): mapped for kind, old, _name, mapped in self._found}

    def of(self, kind: str, identity: str, name: str) -> Mapped | None:
        return self._new.get((kind, identity or name))

    def settings(self, parameters: Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, object]]:
        """Parameters in which each mapped name is the ``restore_name`` of its resource."""
        found = {where: dict(given) for where, given in parameters.items()}
        for (kind, old), mapped in self._new.items():
            if kind == "name":
                found.setdefault(old, {})["restore_name"] = mapped.new
        return found

    def to_json(self) -> list[dict[str, str]]:
        return [
            {"kind": kind, "old": old, "old_name": name, "new": mapped.new, "new_name": mapped.name}
            for kind, old, name, mapped in self._found
        ]


def by_id(told: Iterable[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What :meth:`Resolved.to_json` told, as mappings by ids."""
    found: dict[str, dict[str, str]] = {}
    for each in told:
        found.setdefault(each["kind"], {})[each["old"]] = each["new"]
    return found


def resolve(mappings: Mappings, graph: Graph, section: Reader, listing: Listing) -> Resolved:
    """Find out which of a checkpoint's things, and which of a cloud's, are meant.

    :param graph: all that the checkpoint holds.
    :param listing: all things of a kind in the cloud.
    :raises InvalidInput: nothing in the checkpoint is called so, several things are, or the new one is wrong.
    :raises NotFound: there is no such new one.
    """
    check_mappings(mappings)
    named = cache(lambda kind: _named(kind, graph, section))
    found: dict[tuple[str, str], tuple[str, str, str, Mapped]] = {}
    for kind, pairs in mappings.items():
        for old, wanted in pairs.items():
            old = as_told(kind, old)
            meant = _meant(kind, old, named(kind))
            if not meant:
                others = [other for other in MAPPABLE if other != kind and _meant(other, old, named(other))]
                raise unknown(kind, old, named(kind), others)
            new, name, thing = find(kind, wanted, listing)
            said = f"the {MAPPABLE[kind].noun} {name or new} is asked for"
            for identity in meant:
                mapped = Mapped(kind, new, name, said, thing)
                known = found.setdefault((kind, identity), (kind, identity, named(kind)[identity], mapped))
                if known[-1].new != new:
                    raise InvalidInput(f"the {MAPPABLE[kind].noun} '{old}' is mapped twice")
    return Resolved(found.values())


def _named(kind: str, graph: Graph, section: Reader) -> dict[str, str]:
    """The names, by id, of what a checkpoint names of a kind; what has no id is its name."""
    entry = MAPPABLE[kind]
    found: dict[str, str] = {}
    for node in graph:
        pairs = _told(entry.named[node.type], section(node.key)) if node.type in entry.named else ()
        own = ((node.id, node.name),) if node.type == entry.type else ()
        every = ((str(node.key), node.name),) if entry.type == "*" else ()
        for identity, name in (*pairs, *own, *every):
            if identity or name:
                found[identity or name] = name or found.get(identity, "")
    return found


def _told(reader: Callable[[Mapping[str, Any]], Named], section: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a section names; nothing, when its plugin keeps none of that."""
    try:
        return list(reader(section))
    except KeyError:
        return []


def _meant(kind: str, old: str, named: Mapping[str, str]) -> list[str]:
    """The ids of what is called so. :raises InvalidInput: these are several things."""
    if MAPPABLE[kind].type == "*":
        split = [(each, *each.split("#", 1)) for each in named]
        fits = [each for each, of, own in split if old in (each, own, f"{of}#{named[each]}")]
    else:
        fits = [each for each, name in named.items() if each == old != name]
    fits = fits or [each for each, name in named.items() if old in (each, name)]
    # Of something that is told by its name alone in one place, and by its id too in another, there is one.
    several = [each for each in fits if each != named[each]]
    if len(several) > 1:
        raise InvalidInput(
            f"{len(several)} things in the checkpoint are called '{old}' as {MAPPABLE[kind].noun}",
            advice=f"Use an id: {', '.join(several)}",
        )
    return fits
