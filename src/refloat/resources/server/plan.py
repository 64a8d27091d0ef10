"""Plans the restore of a server: its flavor, what it boots from, which volumes it gets, and all else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from refloat.cloud import cloud_knows, explained
from refloat.cloud.kinds import usable_zones
from refloat.graph import ResourceKey
from refloat.mappings import Mapped, called
from refloat.resources.attributes import Fidelity
from refloat.resources.base import PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.server.plan_ports import PortsPlanner
from refloat.resources.server.repair import plan_repair
from refloat.resources.server.replace import plan_replace
from refloat.resources.server.section import ATTRIBUTES

KEYPAIR = "OS::Nova::KeyPair"
SERVER_GROUP = "OS::Nova::ServerGroup"

_MAY_BE_UNSET = ("trusted_image_certificates", "trunks", "ephemeral_disks", "swap_disk", "scheduler_hints")
"""What cannot be restored, but is no loss when the server had none."""


def plan_server(context: PlanContext) -> Planned:
    """Decide what a restore of the server will do. It is made anew, unless it is repaired or replaced."""
    if context.existing(context.resource.key) == "keep":
        return plan_repair(context)
    if context.existing(context.resource.key) == "replace":
        return plan_replace(context)
    plan = Draft.renamed(context, ATTRIBUTES)
    plan.needs = {"servers": 1}
    _plan_flavor(context, plan)
    _plan_zone(context, plan)
    _plan_key(context, plan)
    _plan_group(context, plan)
    _plan_words(context, plan)
    _plan_power(context, plan)
    PortsPlanner(context, plan).plan()
    plan_disks(context, plan)
    return plan.planned("; ".join(plan.problems or plan.conflicts))


def _plan_flavor(context: PlanContext, plan: Draft) -> None:
    was, flavors = context.section["flavor"], context.listing("flavor")
    asked = context.mapping("flavor", was["id"], was["name"])
    choice = choose_flavor(was, flavors, asked, bool(context.section["image_id"]))
    if choice.flavor is None or (choice.difference and asked is None):
        old, local = was["name"] or was["id"], bool(context.section["image_id"])
        plan.propose("flavor", old, fitting(was, flavors, local))
    if choice.flavor is None:
        plan.problems.append(choice.problem)
        return
    flavor = choice.flavor
    plan.decisions["flavor"] = flavor.id
    plan.needs |= {"cores": int(flavor.vcpus), "ram": int(flavor.ram)}
    unlike = unlike_flavor(flavor, was)
    size = ""
    if asked is not None and _size(flavor) != _size_of(was):
        size = f"it has {_in_words(_size(flavor))} instead of {_in_words(_size_of(was))}"
    said = "; ".join(filter(None, (choice.difference, size, unlike.specs)))
    if said:
        fidelity: Fidelity = "degraded" if unlike.specs or unlike.smaller else "mapped"
        if asked is not None and fidelity == "mapped":
            plan.change("flavor", flavor.name, fidelity, said)
        else:
            plan.conflict("flavor", flavor.name, fidelity, said)


def _plan_zone(context: PlanContext, plan: Draft) -> None:
    """The zone that was asked for; where Nova does not tell whether one was, the one the server was in."""
    section = context.section
    zone = section["pinned_availability_zone"] if section["knows_pinned"] else section["availability_zone"]
    plan.decisions["availability_zone"] = None
    asked = next(
        filter(None, (context.mapping("zone", z, z) for z in (zone, section["availability_zone"]) if z)), None
    )
    if not zone and asked is None:
        if section["availability_zone"]:
            plan.change(
                "availability_zone", None, "mapped", "no zone was asked for: Nova chooses one, as it did"
            )
        return
    with explained("list the availability zones"):
        usable = usable_zones(context.cloud.compute.availability_zones())
    if asked is not None and asked.new in usable:
        plan.decisions["availability_zone"] = asked.new
        plan.change("availability_zone", asked.new, "mapped", asked.said)
    elif zone in usable or not zone:
        plan.decisions["availability_zone"] = zone
    else:
        plan.conflict(
            "availability_zone", None, "degraded", f"the availability zone {zone} is gone: Nova chooses one"
        )
        plan.propose("zone", zone, ((each, "") for each in sorted(usable)))


def _plan_key(context: PlanContext, plan: Draft) -> None:
    """The key pair by its source name, or None."""
    key_name = context.section["key_name"]
    plan.decisions["key_name"] = None
    if not key_name:
        return
    if (asked := context.mapping("keypair", key_name, key_name)) is not None:
        plan.decisions["key_name"] = (
            key_name if ResourceKey(KEYPAIR, key_name) in context.graph else asked.new
        )
        plan.change("key_name", asked.new, "mapped", asked.said)
        return
    mine = context.section["user_id"] == context.cloud.user_id
    if ResourceKey(KEYPAIR, key_name) in context.graph or (
        mine and any(keypair.name == key_name for keypair in context.listing("keypair"))
    ):
        plan.decisions["key_name"] = key_name
        planned = context.planned(ResourceKey(KEYPAIR, key_name))
        if planned is not None and planned.name != key_name:
            plan.change("key_name", planned.name, "mapped", "; ".join(planned.conflicts))
        return
    whose = "is gone" if mine else "belongs to another user, and only that user can read it"
    plan.conflict(
        "key_name",
        None,
        "lost",
        f"the key pair {key_name} {whose}: the server is made without; keys on its disk stay",
    )
    plan.propose("keypair", key_name, called(context.listing("keypair")))


def _plan_group(context: PlanContext, plan: Draft) -> None:
    """The server group by its source id, or None."""
    groups = context.section["server_groups"]
    plan.decisions["server_group"] = None
    if not groups:
        return
    group = groups[0]
    if ResourceKey(SERVER_GROUP, group) in context.graph or context.listed("server_group", group):
        plan.decisions["server_group"] = group
        return
    plan.conflict(
        "server_groups", None, "lost", f"the server group {group} is gone and not part of the restore"
    )


def _plan_words(context: PlanContext, plan: Draft) -> None:
    """Attributes whose fate depends on what Nova shows or takes."""
    section = context.section
    for name in _MAY_BE_UNSET:
        value = next(attribute.read(section) for attribute in ATTRIBUTES if attribute.name == name)
        if not any(value) if isinstance(value, list) else not value:
            plan.change(name, value, "exact", "")
    if section["user_data_readable"]:
        plan.change("user_data", section["user_data"], "exact", "")
    plan.decisions["hostname"] = bool(section["hostname"]) and cloud_knows(context.cloud, "2.90")
    if section["hostname"] and not plan.decisions["hostname"]:
        plan.change("hostname", None, "degraded", "this Nova makes the host name from the name")


def _plan_power(context: PlanContext, plan: Draft) -> None:
    wanted = str(context.parameters.get("power_state") or "as_was")
    power = power_restore(context.section["status"], wanted)
    plan.decisions["power"] = power.state
    if power.reason:
        plan.change("status", power.state, "degraded", power.reason)
    elif power.state != context.section["status"]:
        plan.change("status", power.state, "mapped", "what it was on its way to")


class PowerRestore(NamedTuple):
    """What a restored server is brought to, and why that is not the same."""

    state: str
    reason: str


_MEMORY = "a server's memory cannot be protected: it is restored switched off"

_OTHER = {
    "SHUTOFF": PowerRestore("SHUTOFF", ""),
    "PAUSED": PowerRestore("SHUTOFF", _MEMORY),
    "SUSPENDED": PowerRestore("SHUTOFF", _MEMORY),
    "SHELVED": PowerRestore("SHUTOFF", "it is restored switched off, and can be shelved again"),
    "SHELVED_OFFLOADED": PowerRestore("SHUTOFF", "it is restored switched off, and can be shelved again"),
}


def power_restore(status: str, wanted: str) -> PowerRestore:
    """What to bring a server to.

    :param status: its status at protection time.
    :param wanted: the option ``power_state``: as_was, on or off.
    """
    was = _OTHER.get(status, PowerRestore("ACTIVE", ""))
    if wanted == "as_was":
        return was
    state = "ACTIVE" if wanted == "on" else "SHUTOFF"
    same = state == was.state and not was.reason
    return was if same else PowerRestore(state, f"as asked for with power_state={wanted}")


_SIZE = ("vcpus", "ram", "disk", "ephemeral", "swap")


class FlavorChoice(NamedTuple):
    """The flavor to use, or why there is none.

    :param difference: what is not as it was, one sentence; empty when nothing is.
    """

    flavor: Any | None
    difference: str = ""
    problem: str = ""


def choose_flavor(
    was: Mapping[str, Any], flavors: Iterable[Any], asked: Mapped | None, local: bool
) -> FlavorChoice:
    """Choose among openstacksdk flavors: the same one, else one of the same name, else one of the same size.

    :param was: the flavor in the server's section.
    :param asked: the one that the user wants; None: any will do.
    :param local: whether the root disk is a local one, which has to fit.
    """
    flavors = list(flavors)
    if asked is not None:
        return (
            FlavorChoice(None, problem=asked.problem)
            if asked.problem
            else _fitting(asked.thing, was, local, asked.said)
        )
    same = next((f for f in flavors if was["id"] and f.id == was["id"]), None)
    if same is not None:
        return FlavorChoice(same)
    gone = f"the flavor {was['name']} is gone"
    named = next((f for f in flavors if f.name == was["name"]), None)
    if named is not None:
        size = "" if _size(named) == _size_of(was) else f", which now has {_in_words(_size(named))}"
        return _fitting(named, was, local, f"{gone}: another of the same name is used{size}")
    same_size = [f for f in flavors if _size(f) == _size_of(was)]
    alike = min(same_size, key=lambda f: len(unlike_flavor(f, was).specs), default=None)
    if alike is not None:
        return FlavorChoice(alike, f"{gone}: {alike.name}, which has the same size, is used")
    return FlavorChoice(
        None,
        problem=f"{gone}, and no other has {_in_words(_size_of(was))}; choose one with restore_flavor_id "
        "or a mapping",
    )


class Unlike(NamedTuple):
    """What a flavor has otherwise than the one that a server had, in words; empty: nothing."""

    specs: str
    smaller: str


def unlike_flavor(flavor: Any, was: Mapping[str, Any]) -> Unlike:
    """What differs, as far as both tell it."""
    pairs = list(zip(_SIZE, _size(flavor), _size_of(was), strict=True))
    smaller = ", ".join(f"{now} {name} instead of {before}" for name, now, before in pairs if now < before)
    now, before = getattr(flavor, "extra_specs", None), was.get("extra_specs")
    specs = ""
    if now is not None and before is not None and dict(now) != dict(before):
        names = sorted(name for name in {**before, **now} if now.get(name) != before.get(name))
        told = (f"{name} {now.get(name, 'unset')} instead of {before.get(name, 'unset')}" for name in names)
        specs = f"its extra specs differ: {', '.join(told)}"
    return Unlike(specs, smaller)


def fitting(was: Mapping[str, Any], flavors: Iterable[Any], local: bool) -> Iterable[tuple[str, str]]:
    """The flavors that have at least what the server had, the nearest first, and how they differ."""
    needed = 3 if local else 2

    def surplus(flavor: Any) -> list[int]:
        return [now - before for now, before in zip(_size(flavor), _size_of(was), strict=True)][:needed]

    def far(flavor: Any) -> tuple[bool, list[int]]:
        return bool(unlike_flavor(flavor, was).specs), surplus(flavor)

    for flavor in sorted((f for f in flavors if min(surplus(f)) >= 0), key=far):
        told = _in_words(_size(flavor)), unlike_flavor(flavor, was).specs
        yield flavor.name, "; ".join(filter(None, told))


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


IMAGE = "OS::Glance::Image"
VOLUME = "OS::Cinder::Volume"


def plan_disks(context: PlanContext, plan: Draft) -> None:
    """Decide about the boot image and every volume; ends in ``decisions["image"]`` and ``["volumes"]``."""
    plan.decisions["image"] = _plan_image(context, plan)
    decided = (_plan_volume(volume, context, plan) for volume in context.section["volumes"])
    plan.decisions["volumes"] = [volume for volume in decided if volume is not None]


def _plan_image(context: PlanContext, plan: Draft) -> dict[str, str] | None:
    image_id = context.section["image_id"]
    if not image_id:
        return None
    if ResourceKey(IMAGE, image_id) in context.graph:
        return {"source": image_id, "original": ""}
    if context.cloud.find("image", image_id) is None:
        plan.problems.append(f"the image {image_id} that it boots from is gone and not part of the restore")
    else:
        plan.conflict(
            "image_id",
            image_id,
            "degraded",
            f"the image {image_id} is not part of the restore: the server boots from it as it is, "
            "without what was on its own disk",
        )
    return {"source": image_id, "original": image_id}


def _plan_volume(volume: Mapping[str, Any], context: PlanContext, plan: Draft) -> dict[str, Any] | None:
    key = ResourceKey(VOLUME, volume["id"])
    kept = context.existing(key) == "keep"
    if key in context.graph and not kept:
        return dict(volume)
    why = "is kept as it is" if kept else "is not part of the restore"
    live = context.listed("volume", volume["id"])
    usable = live is not None and (
        live.status == "available" or (live.status == "in-use" and live.is_multiattach)
    )
    if live is not None and usable:
        plan.conflict(
            "volumes",
            volume["id"],
            "degraded",
            f"the volume {live.name or live.id} {why}: the server gets the original one",
        )
        return dict(volume)
    state = "gone" if live is None else f"{live.status}"
    name = (live.name if live is not None else "") or volume["id"]
    rest = f"{state} and {why.removeprefix('is ')}"
    if volume["root"]:
        plan.problems.append(f"the volume {name} that it boots from is {rest}")
        return None
    plan.conflict(
        "volumes",
        None,
        "lost",
        f"the volume {name} ({volume['device']}) is {rest}: it is left out",
    )
    return None
