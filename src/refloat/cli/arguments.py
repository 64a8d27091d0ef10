"""Reads what users write: types by any of their names, ``TYPE=ID`` and ``TYPE[#ID]:KEY=VALUE``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from refloat.errors import InvalidInput

Parameters = dict[str, dict[str, str]]

RESOURCE_HELP = (
    "a resource: by id, by name, or all that carry a tag or a metadata item; "
    "types are written server, volume, security-group... or OS::Nova::Server"
)
PARAMETER_HELP = (
    "a setting for all resources of a type or for one resource; "
    "'refloat provider show' lists them; can be repeated"
)


def short_name(type_name: str) -> str:
    """How a type is called for short: ``security-group`` for ``OS::Neutron::SecurityGroup``."""
    last = type_name.rpartition("::")[2]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", last).lower().replace("key-pair", "keypair")


def find_type(text: str, known: Sequence[str]) -> str:
    """The type that a user means, however it is spelt.

    :param known: all types there are.
    :raises InvalidInput: none of them, or several.
    """
    by_name = [name for name in known if name.lower() == text.lower()]
    fits = by_name or [name for name in known if _plain(short_name(name)) in _singular(_plain(text))]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise InvalidInput(f"'{text}' could be {' or '.join(fits)}", advice="Write the whole type")
    short = {short_name(name): name for name in known}
    near = get_close_matches(text.lower(), short, n=1)
    raise InvalidInput(
        f"'{text}' is not a type of resource that can be protected",
        advice=f"Did you mean {near[0]}?" if near else f"Types: {', '.join(sorted(short))}",
    )


def parse_resource(text: str, known: Sequence[str]) -> tuple[str, str]:
    """``TYPE=ID``, ``TYPE=NAME``, ``TYPE=tag:X`` or ``TYPE=metadata:K=V`` as a pair.

    :raises InvalidInput: it is none of these.
    """
    kind, mark, wanted = text.partition("=")
    if not (kind.strip() and mark and wanted.strip()):
        raise InvalidInput(f"'{text}' is not of the form TYPE=ID or TYPE=NAME", advice="As in server=web")
    if wanted.startswith("metadata:") and "=" not in wanted:
        raise InvalidInput(f"'{text}' names no value", advice="As in server=metadata:role=web")
    return find_type(kind.strip(), known), wanted.strip()


def parse_resources(texts: Iterable[str], known: Sequence[str]) -> list[tuple[str, str]]:
    return [parse_resource(text, known) for text in texts]


def parse_only(texts: Iterable[str], known: Sequence[str]) -> list[str]:
    return [f"{kind}#{wanted}" for kind, wanted in parse_resources(texts, known)]


def parse_parameters(texts: Iterable[str], known: Sequence[str]) -> Parameters:
    """``TYPE:KEY=VALUE`` and ``TYPE#ID:KEY=VALUE`` as settings by ``TYPE`` or ``TYPE#ID``.

    :raises InvalidInput: one is neither, or is given twice with different values.
    """
    found: Parameters = {}
    for text in texts:
        left, mark, value = text.partition("=")
        where, colon, key = left.rpartition(":")
        if not (mark and colon and where and key):
            raise InvalidInput(
                f"'{text}' is not of the form TYPE:KEY=VALUE or TYPE#ID:KEY=VALUE",
                advice="As in server:restore_name=new-{name}",
            )
        kind, mark, identity = where.partition("#")
        if mark and not identity:
            raise InvalidInput(f"'{text}' names no resource after '#'")
        settings = found.setdefault(find_type(kind, known) + mark + identity, {})
        if settings.setdefault(key, value) != value:
            raise InvalidInput(f"{where}:{key} is given twice", reason=f"{settings[key]} and {value}")
    return found


def _plain(text: str) -> str:
    return re.sub(r"[-_ ]", "", text).lower()


def _singular(text: str) -> tuple[str, ...]:
    return (text, text.removesuffix("s"))


def said(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """What is said of a checkpoint with ``SAID``; what is not given is left out."""
    given = vars(parsed_args)
    found = {name: given[name] for name in ("name", "note", "keep") if given[name] is not None}
    if given["expires"] is not None:
        found["expires_at"] = None if given["expires"] == "never" else given["expires"]
    if given["label"]:
        pairs = [text.partition("=") for text in given["label"]]
        for key, equals, _value in pairs:
            if not key or not equals:
                raise InvalidInput(f"the label '{key}' has no value", advice="As in: --label ticket=1234")
        found["labels"] = {key: value for key, _equals, value in pairs}
    return found
