"""What of a checkpoint is still there: by the services' own answers, and asked once for each kind.

That a listing lacks something proves nothing: whatever it lacks is asked for by its id. Nothing is known of
what has but a name, of other projects' and other clouds' checkpoints, and where the service is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from refloat.cloud import Cloud
from refloat.errors import ServiceMissing
from refloat.graph import Resource, ResourceKey
from refloat.resources.listed import ListedProtectable
from refloat.resources.registry import protectables

_AT_ONCE = 4


def living(
    nodes: Iterable[Resource], listing: Callable[[str], list[Any]], cloud: Cloud
) -> Mapping[ResourceKey, Any]:
    """The originals that are there, and None for those that are gone; nothing for what cannot be known.

    What its owner has asked to be deleted counts as gone.

    :param listing: all things of a kind in the project.
    """
    found: dict[ResourceKey, Any] = {}
    unlisted: list[tuple[ResourceKey, type[ListedProtectable]]] = []
    known: dict[str, dict[str, Any] | None] = {}
    for node in nodes:
        way = protectables().get(node.type)
        if way is None or not issubclass(way, ListedProtectable) or way.known_by_name:
            continue
        if way.kind not in known:
            try:
                known[way.kind] = {str(thing.id): thing for thing in listing(way.kind)}
            except ServiceMissing:
                known[way.kind] = None
        if (listed := known[way.kind]) is None:
            continue
        if (thing := listed.get(node.id)) is not None:
            found[node.key] = None if way.is_going(way.state(thing)) else thing
        else:
            unlisted.append((node.key, way))

    def ask(each: tuple[ResourceKey, type[ListedProtectable]]) -> Any:
        key, way = each
        thing = cloud.find(way.kind, key.id)
        return None if thing is None or way.is_going(way.state(thing)) else thing

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="living") as pool:
        found.update(zip((key for key, _way in unlisted), pool.map(ask, unlisted), strict=True))
    return found
