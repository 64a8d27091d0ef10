"""A checkpoint as if it had been made of what earlier restores have put in the place of its originals.

An original that is gone, and has a successor that is there, is called by the id of that: in the graph, in
all sections, in what the user chose. So whoever plans or restores treats the successor as what is there. What
is told, and what is kept of it, names the original. In what people have written, such as metadata, nothing
changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.attributes import STILL_THERE
from refloat.resources.planned import Planned
from refloat.resources.registry import protectables

Chains: TypeAlias = Mapping[ResourceKey, Sequence[tuple[ResourceKey, datetime]]]
"""By originals, what was made in their place and when; then what was made in the place of that, ..."""
Living: TypeAlias = Callable[[Iterable[Resource]], Mapping[ResourceKey, Any]]
Reader: TypeAlias = Callable[[ResourceKey], Mapping[str, Any]]
Parameters: TypeAlias = Mapping[str, Mapping[str, object]]

_WRITTEN = frozenset(
    {
        *("name", "description", "hostname", "metadata", "image_metadata", "properties", "tag", "tags"),
        *("labels", "annotations", "user_data"),
    }
)
"""Under these is what somebody has written, or what a service says of the past."""
_REFERENCE = frozenset({"object", "size", "digest"})
"""A reference to data in the bank has these, and what only looks like one: both stay what they are."""
_MARKS = re.compile("([#/:])")


class InPlace:
    """What is in the place of a checkpoint's originals.

    :param found: new ids by ``TYPE#ID`` of the original, as :meth:`to_json` has them.
    :param told: when each was made, in words.
    """

    def __init__(self, found: Mapping[str, str], told: Mapping[ResourceKey, str] | None = None) -> None:
        self._found, self._told = dict(found), told or {}
        pairs = [(ResourceKey.parse(text), new) for text, new in found.items()]
        self._originals = {ResourceKey(key.type, new): key for key, new in pairs}
        self._new = {key.id: new for key, new in pairs}
        self._old = {new: key.id for key, new in pairs}

    def to_json(self) -> dict[str, str]:
        return self._found

    def original(self, key: ResourceKey) -> ResourceKey:
        return self._originals.get(key, key)

    def graph(self, graph: Graph) -> Graph:
        return Graph.from_json(self.section(graph.to_json())) if self._new else graph

    def section(self, value: Any) -> Any:
        """JSON that names the successors in the place of their originals."""
        if not self._new:
            return value
        if isinstance(value, str):
            return _called(self._new, value)
        if isinstance(value, Mapping):
            if value.keys() >= _REFERENCE:
                return value
            return {
                _called(self._new, name): each if name in _WRITTEN else self.section(each)
                for name, each in value.items()
            }
        return [self.section(each) for each in value] if isinstance(value, list | tuple) else value

    def reading(self, section: Reader) -> Callable[[ResourceKey], Any]:
        """How sections are read by the keys that there are now."""
        return (lambda key: self.section(section(self.original(key)))) if self._new else section

    def parameters(self, given: Parameters) -> Parameters:
        return {_called(self._new, where): settings for where, settings in given.items()}

    def mappings(self, given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """As they were given, of the successors."""
        return {
            kind: {_called(self._new, old): new for old, new in pairs.items()}
            for kind, pairs in given.items()
        }

    def was(self, text: str) -> str:
        """An id, ``TYPE#ID`` or ``ID/ADDRESS`` as the checkpoint has it."""
        return _called(self._old, text)

    def told(self, node: Resource, planned: Planned) -> Planned:
        """The same, with what is there in the place of the original."""
        if node.key not in self._originals:
            return planned
        name = "" if planned.action == "create" else f"{planned.name} "
        said = f"it was restored as {name}({node.id}) on {self._told[node.key]}, and that is still there"
        reason = planned.reason or STILL_THERE
        told = reason.replace(STILL_THERE, said, 1) if STILL_THERE in reason else f"{said}; {reason}"
        return replace(planned, reason=told)


def _called(names: Mapping[str, str], text: str) -> str:
    """The same, of others: an id, or ``TYPE#ID``, ``server:ID``, ``ID/ADDRESS``."""
    if not names:
        return text
    if _MARKS.search(text) is None:
        return names.get(text, text)
    return "".join(names.get(part, part) for part in _MARKS.split(text))


NOTHING = InPlace({})


def find(whole: Graph, chains: Chains, section: Reader, living: Living) -> InPlace:
    """Look for what is in the place of those originals that are gone.

    Of a chain it is the first that is there. What the checkpoint itself holds takes nobody's place. Parts
    that its section names and that are no resources, such as ports, go with it.

    :param whole: all that the checkpoint holds.
    """
    looked = {node.key: node.key for node in whole if node.key in chains}
    left = {key: iter(chains[key]) for key in looked}
    moments: dict[ResourceKey, str] = {}
    found: dict[str, str] = {}
    while looked:
        there = living([Resource(*key) for key in looked.values()])
        gone = [key for key, at in looked.items() if at in there and there[at] is None]
        for key, at in looked.items():
            if at != key and there.get(at) is not None:
                found[str(key)] = at.id
        looked = {}
        for key in gone:
            at, moment = next(left[key], (key, None))
            if moment is not None and at not in whole and at not in moments:
                looked[key], moments[at] = at, f"{moment:%Y-%m-%d}"
    named = {word for text in found for word in _words(section(ResourceKey.parse(text)))}
    parts = {
        str(key): chain[-1][0].id
        for key, chain in chains.items()
        if key.id in named and key.type not in protectables()
    }
    return InPlace(found | parts, moments)


def _words(value: Any) -> Iterator[str]:
    """All texts in JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _words(each)
