"""Mappings: what takes the place, in a restore, of what a checkpoint names. What may be mapped is one table.

People write ``flavor:m1.small=c5``, a file of YAML, or the same as JSON: by kind, the new by the old ones.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from refloat.errors import InvalidInput, NotFound, ServiceMissing

Mappings: TypeAlias = Mapping[str, Mapping[str, str]]
"""By kind: the new by the old ones, each by name or id."""

Named: TypeAlias = Iterable[tuple[str, str]]
"""Ids and names of what a section names; either may be empty."""

Listing: TypeAlias = Callable[[str], Iterable[Any]]
"""All things of a kind (:mod:`refloat.cloud.kinds`)."""

LONGEST = 255
_SHOWN = 12
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SERVER, VOLUME, DATABASE = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Trove::Instance"
NETWORK, ROUTER = "OS::Neutron::Network", "OS::Neutron::Router"
FLOATING_IP, SECURITY_GROUP = "OS::Neutron::FloatingIP", "OS::Neutron::SecurityGroup"


@dataclass(frozen=True, kw_only=True)
class Mappable:
    """A kind of what may be mapped.

    :param noun: what people call one.
    :param help: what a mapping of it does.
    :param named: by type of resource: what of this kind a section names.
    :param type: the resources of this type are of this kind themselves; ``*``: all are.
    :param found: where the new ones are looked for: kinds of things, the project's own first.
    :param by_name: their names are their ids.
    :param written: what a new one that is not looked for becomes. :raises ValueError: it cannot be so.
    :param options: by type of resource: the setting that says it for all that a resource names.
    """

    noun: str
    help: str
    named: Mapping[str, Callable[[Mapping[str, Any]], Named]] = field(default_factory=dict)
    type: str = ""
    found: tuple[str, ...] = ()
    by_name: bool = False
    written: Callable[[str], str] | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def _same(*values: str | None) -> Named:
    return ((value or "", value or "") for value in values)


def _ids(values: Iterable[str | None]) -> Named:
    return ((value or "", "") for value in values)


def _pair(thing: Mapping[str, Any]) -> Named:
    return ((thing["id"], thing["name"]),)


def _projects(section: Mapping[str, Any]) -> Named:
    return _ids(policy["target_project_id"] for policy in section["rbac_policies"])


def _zones(section: Mapping[str, Any]) -> Named:
    return _same(*section["availability_zone_hints"])


def address_id(network_id: str, address: str) -> str:
    """What tells an address from the same one in another network."""
    return f"{network_id}/{address}"


def _addresses(ports: Iterable[Mapping[str, Any]]) -> Named:
    for port in ports:
        for address in (*(fixed["ip_address"] for fixed in port["fixed_ips"]), port["mac_address"]):
            yield address_id(port["network_id"], address), address


def _external(section: Mapping[str, Any]) -> Named:
    gateway = section["gateway"]
    return ((gateway["network_id"], gateway["network_name"]),) if gateway else ()


def _address(text: str) -> str:
    small = text.strip().lower()
    return small if _MAC.fullmatch(small) else str(ipaddress.ip_address(small))


def _project(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("a project of which you are no member is told by its id")
    return text


def _name(text: str) -> str:
    if not text.strip() or len(text) > LONGEST:
        raise ValueError(f"a name has 1 to {LONGEST} characters")
    return text


MAPPABLE: Mapping[str, Mappable] = {
    "flavor": Mappable(
        noun="flavor",
        help="servers and database instances are made with the new one",
        named={
            SERVER: lambda section: _pair(section["flavor"]),
            DATABASE: lambda section: _ids([section["flavor"]]),
        },
        found=("flavor", "database_flavor"),
        options={SERVER: "restore_flavor_id", DATABASE: "restore_flavor_id"},
    ),
    "network": Mappable(
        noun="network",
        help="the new one, which is left as it is, is used in the place of the old one",
        named={
            SERVER: lambda section: _ids(port["network_id"] for port in section["ports"]),
            DATABASE: lambda section: _ids(section["networks"]),
            ROUTER: lambda section: ((i["network_id"], i["network_name"]) for i in section["interfaces"]),
        },
        type=NETWORK,
        found=("network", "any_network"),
        options={SERVER: "restore_net_id", DATABASE: "restore_network_id"},
    ),
    "subnet": Mappable(
        noun="subnet",
        help="addresses are taken from the new one, which is in the network that there will be",
        named={
            NETWORK: lambda section: ((s["id"], s["name"]) for s in section["subnets"]),
            SERVER: lambda section: _ids(
                fixed["subnet_id"] for port in section["ports"] for fixed in port["fixed_ips"]
            ),
        },
        found=("subnet", "any_subnet"),
    ),
    "external-network": Mappable(
        noun="external network",
        help="routers lead out to the new one, and floating IPs are taken from it",
        named={
            ROUTER: _external,
            FLOATING_IP: lambda section: (
                (section["floating_network_id"], section["floating_network_name"]),
            ),
        },
        found=("external_network",),
    ),
    "volume-type": Mappable(
        noun="volume type",
        help="volumes are made with the new one",
        named={VOLUME: lambda section: _pair(section["type"])},
        found=("volume_type",),
    ),
    "zone": Mappable(
        noun="availability zone",
        help="servers, volumes, networks and routers are made in the new one, where their service has it",
        named={
            SERVER: lambda section: _same(section["availability_zone"], section["pinned_availability_zone"]),
            VOLUME: lambda section: _same(section["availability_zone"]),
            NETWORK: _zones,
            ROUTER: _zones,
        },
        found=("server_zone", "volume_zone", "network_zone"),
        by_name=True,
    ),
    "keypair": Mappable(
        noun="key pair",
        help="servers are made with the new one, which is left as it is",
        named={SERVER: lambda section: _same(section["key_name"])},
        type="OS::Nova::KeyPair",
        found=("keypair",),
        by_name=True,
    ),
    "security-group": Mappable(
        noun="security group",
        help="the new one, which is left as it is, is used in the place of the old one",
        named={
            SERVER: lambda section: _ids(
                group for port in section["ports"] for group in port["security_group_ids"] or ()
            ),
            SECURITY_GROUP: lambda section: _ids(rule["remote_group_id"] for rule in section["rules"]),
        },
        type=SECURITY_GROUP,
        found=("security_group",),
    ),
    "project": Mappable(
        noun="project",
        help="networks and security groups are shared with the new one; what is restored is its own only "
        "when one is logged in to it",
        named={NETWORK: _projects, SECURITY_GROUP: _projects},
        type="OS::Keystone::Project",
        found=("own_project",),
        written=_project,
    ),
    "name": Mappable(
        noun="name",
        help="the resource (name, id, TYPE#NAME or TYPE#ID) is made, and called so, as with restore_name",
        type="*",
        written=_name,
    ),
    "address": Mappable(
        noun="address",
        help="a fixed IP or MAC address of a server or router, or a floating IP: the new one is asked for",
        named={
            SERVER: lambda section: _addresses(section["ports"]),
            ROUTER: lambda section: _addresses(section["interfaces"]),
            FLOATING_IP: lambda section: _ids([section["floating_ip_address"]]),
        },
        written=_address,
    ),
}
"""What may be mapped, as it is written."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What takes the place of something that a checkpoint names.

    :param said: who asks for it, in words.
    :param problem: why it cannot be, if so.
    :param thing: as its service tells it, if it was looked for.
    """

    kind: str
    new: str
    name: str
    said: str
    thing: Any = None
    problem: str = ""


def find(kind: str, wanted: str, listing: Listing) -> tuple[str, str, Any]:
    """Id, name and thing of a new one.

    :raises NotFound: there is none of this id or name.
    :raises InvalidInput: several have this name, or it cannot be so.
    """
    entry, there = MAPPABLE[kind], list[str]()
    for where in entry.found:
        try:
            things = {_id(entry, thing): thing for thing in listing(where)}
        except ServiceMissing:
            continue
        named = {i: thing for i, thing in things.items() if name_of(thing) == wanted}
        fits = {wanted: things[wanted]} if wanted in things else named
        if len(fits) > 1:
            raise InvalidInput(
                f"{len(fits)} {entry.noun}s are called '{wanted}'", advice=f"Use an id: {', '.join(fits)}"
            )
        for identity, thing in fits.items():
            return identity, name_of(thing) or identity, thing
        there.extend(name_of(thing) or identity for identity, thing in things.items())
    if entry.written is not None:
        try:
            text = entry.written(wanted)
        except ValueError as exc:
            raise InvalidInput(f"'{wanted}' is no {entry.noun}", reason=str(exc)) from None
        return text, text, None
    raise NotFound(f"there is no {entry.noun} '{wanted}'", advice=_there(wanted, there))


def _id(entry: Mappable, thing: Any) -> str:
    return str(thing.name if entry.by_name else thing.id)


def name_of(thing: Any) -> str:
    return str(getattr(thing, "name", "") or "")


def called(things: Iterable[Any]) -> Named:
    """How things may be told, for proposals."""
    return ((name_of(thing) or str(thing.id), "") for thing in things)


def _there(wanted: str, there: Iterable[str]) -> str:
    """What there is, the likeliest first."""
    names = sorted(set(there))
    near = get_close_matches(wanted, names, n=3)
    shown = [*near, *(name for name in names if name not in near)][:_SHOWN]
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"There is: {', '.join(shown)}{more}" if shown else "There is none"


def unknown(kind: str, old: str, named: Mapping[str, str], others: Iterable[str]) -> InvalidInput:
    """That nothing in a checkpoint is called so.

    :param named: what there is of the kind: names by ids.
    :param others: the kinds of which something is called so.
    """
    entry = MAPPABLE[kind]
    fits = [f"{other}:{old}" for other in others]
    advice = f"Did you mean {' or '.join(fits)}?" if fits else _there(old, (n or i for i, n in named.items()))
    return InvalidInput(f"nothing in the checkpoint is called '{old}' as {entry.noun}", advice=advice)


# --- how they are written


def known_kind(text: str) -> str:
    """:raises InvalidInput: nothing of that kind may be mapped."""
    kind = text.strip().lower().replace("_", "-")
    if kind not in MAPPABLE:
        raise InvalidInput(f"'{text}' cannot be mapped", advice=f"What can: {', '.join(MAPPABLE)}")
    return kind


def check_mappings(given: Mappings) -> None:
    """:raises InvalidInput: they cannot be so, whatever is in the checkpoint and the cloud."""
    for kind, pairs in given.items():
        if kind not in MAPPABLE:
            known_kind(kind)
            raise InvalidInput(f"'{kind}' is written {known_kind(kind)}")
        for old, new in pairs.items():
            _check_pair(kind, old, new)


def _check_pair(kind: str, old: str, new: str) -> None:
    entry = MAPPABLE[kind]
    if not old or not new:
        raise InvalidInput(f"the mapping of the {entry.noun} '{old or new}' lacks one of the two sides")
    if entry.written is not None and not entry.found:
        find(kind, new, lambda _where: ())
    if kind == "address" and _form(old.rpartition("/")[2]) != _form(new):
        raise InvalidInput(f"{old} and {new} are not addresses of the same kind")


def _form(address: str) -> str:
    try:
        text = _address(address)
    except ValueError:
        return ""
    return "MAC" if _MAC.fullmatch(text) else f"IPv{ipaddress.ip_address(text).version}"


def as_told(kind: str, old: str) -> str:
    """An old one as services write it."""
    network, slash, address = old.rpartition("/")
    return f"{network}{slash}{_address(address)}" if kind == "address" else old


def read_option(text: str) -> tuple[str, str, str]:
    """``KIND:OLD=NEW`` as its three parts. :raises InvalidInput: it is not of that form."""
    kind, colon, pair = text.partition(":")
    old, mark, new = (part.strip() for part in pair.partition("="))
    if not (colon and mark and old and new):
        raise InvalidInput(
            f"'{text}' is not of the form KIND:OLD=NEW",
            advice="As in flavor:m1.small=c5; names with '=' in them go into a file (--map-file)",
        )
    found = known_kind(kind)
    _check_pair(found, old, new)
    return found, old, new


def read_file(path: str) -> dict[str, dict[str, str]]:
    """The mappings of a file of YAML. :raises InvalidInput: it cannot be read, with the line."""
    import yaml  # takes a while, and few need it

    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"the mapping file {path} cannot be read", reason=str(exc)) from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        raise InvalidInput(f"{where}: this is no YAML", reason=str(getattr(exc, "problem", exc))) from exc
    if root is None:
        raise InvalidInput(f"{path}: there is no mapping in it")
    found: dict[str, dict[str, str]] = {}
    for key, below in _pairs(path, root, "a kind, and below it OLD: NEW"):
        with _at(path, key):
            kind = known_kind(key.value)
        mapped = found.setdefault(kind, {})
        for old, new in _pairs(path, below, f"OLD: NEW for each {MAPPABLE[kind].noun}"):
            with _at(path, new):
                if not isinstance(new.value, str):
                    raise InvalidInput("a name or id is expected here")
                if old.value in mapped:
                    raise InvalidInput(f"'{old.value}' is mapped twice")
                _check_pair(kind, old.value, new.value)
            mapped[old.value] = new.value
    return found


@contextmanager
def _at(path: str, node: Any) -> Iterator[None]:
    """Errors say where they are."""
    try:
        yield
    except InvalidInput as exc:
        where = f"{path}, line {node.start_mark.line + 1}"
        raise InvalidInput(f"{where}: {exc.message}", reason=exc.reason, advice=exc.advice) from None


def _pairs(path: str, node: Any, expected: str) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a part of a file."""
    seen = set[str]()
    with _at(path, node):
        if node.id != "mapping":
            raise InvalidInput(f"{expected}, is expected here", advice="As in: flavor: {m1.small: c5}")
    for key, value in node.value:
        with _at(path, key):
            if not isinstance(key.value, str) or not key.value:
                raise InvalidInput("a name or id is expected here")
            if key.value in seen:
                raise InvalidInput(f"'{key.value}' is there twice")
        seen.add(key.value)
        yield key, value


def read_all(
    options: Iterable[str], path: str | None = None, kept: Mappings | None = None
) -> dict[str, dict[str, str]]:
    """All that is given: options take the place of what a file says, and both of what was kept.

    :raises InvalidInput: an option or the file is wrong, or two options contradict each other.
    """
    found = {kind: dict(pairs) for kind, pairs in (kept or {}).items()}
    for kind, pairs in (read_file(path) if path else {}).items():
        found.setdefault(kind, {}).update(pairs)
    given: dict[tuple[str, str], str] = {}
    for text in options:
        kind, old, new = read_option(text)
        if given.setdefault((kind, old), new) != new:
            raise InvalidInput(
                f"the {MAPPABLE[kind].noun} '{old}' is mapped twice", reason=f"{given[kind, old]} and {new}"
            )
        found.setdefault(kind, {})[old] = new
    return found
