"""Which flavor a restored server gets. Pure.

A server remembers what its flavor was, even when that is deleted: the same flavor if it is still
there, else one of the same name, else one of the same size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_SIZE = ("vcpus", "ram", "disk", "ephemeral", "swap")


class FlavorChoice(NamedTuple):
    """The flavor to use, or why there is none.

    :param difference: what is not as it was, one sentence; empty when nothing is.
    """

    flavor: Any | None
    difference: str = ""
    problem: str = ""


def choose_flavor(was: Mapping[str, Any], flavors: Iterable[Any], wanted: str, local: bool) -> FlavorChoice:
    """Choose among openstacksdk flavors.

    :param was: the flavor in the server's section.
    :param wanted: the option ``restore_flavor_id``, id or name; empty when not given.
    :param local: whether the root disk is a local one, which has to fit.
    """
    flavors = list(flavors)
    if wanted:
        given = [f for f in flavors if f.id == wanted] or [f for f in flavors if f.name == wanted]
        if not given:
            return FlavorChoice(
                None, problem=f"there is no flavor '{wanted}', which restore_flavor_id asks for"
            )
        return _fitting(given[0], was, local, f"restore_flavor_id asks for the flavor {given[0].name}")
    same = next((f for f in flavors if was["id"] and f.id == was["id"]), None)
    if same is not None:
        return FlavorChoice(same)
    gone = f"the flavor {was['name']} is gone"
    named = next((f for f in flavors if f.name == was["name"]), None)
    if named is not None:
        size = "" if _size(named) == _size_of(was) else f", which now has {_in_words(_size(named))}"
        return _fitting(named, was, local, f"{gone}: another of the same name is used{size}")
    alike = next((f for f in flavors if _size(f) == _size_of(was)), None)
    if alike is not None:
        return FlavorChoice(alike, f"{gone}: {alike.name}, which has the same size, is used")
    return FlavorChoice(
        None,
        problem=f"{gone}, and no other has {_in_words(_size_of(was))}; choose one with restore_flavor_id",
    )


def _fitting(flavor: Any, was: Mapping[str, Any], local: bool, difference: str) -> FlavorChoice:
    if local and 0 < flavor.disk < was["disk"]:
        return FlavorChoice(
            None,
            problem=f"{difference}, whose disk of {flavor.disk} GiB is smaller than the server's"
            f" ({was['disk']} GiB); choose another with restore_flavor_id",
        )
    return FlavorChoice(flavor, "" if flavor.id == was["id"] else difference)


def _size(flavor: Any) -> tuple[int, ...]:
    return tuple(int(getattr(flavor, name) or 0) for name in _SIZE)


def _size_of(was: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(was[name] or 0) for name in _SIZE)


def _in_words(size: tuple[int, ...]) -> str:
    vcpus, ram, disk, ephemeral, swap = size
    words = f"{vcpus} vCPU, {ram} MiB of memory and a disk of {disk} GiB"
    if ephemeral:
        words += f", {ephemeral} GiB of ephemeral disk"
    if swap:
        words += f", {swap} MiB of swap"
    return words
