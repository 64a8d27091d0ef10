"""Arguments of commands as a table, and the forms in which python-karborclient takes values."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from osc_lib import exceptions

from refloat.client import resources as r

_NEXT_KEY = re.compile(r",(?=[A-Za-z_]+=)")


class Arg:
    """One argument.

    :param name: as it is written: ``plan`` or ``--status``.
    :param key: what the service calls it; empty: the same. ``None``: it is not sent.
    :param read: makes of what is written what is sent.
    :param more: passed on to ``add_argument``.
    """

    def __init__(
        self,
        name: str,
        words: str,
        key: str | None = "",
        read: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> None:
        self.name, self.help, self.key, self.read, self.more = name, words, key, read, more

    @property
    def dest(self) -> str:
        return str(self.more.get("dest") or self.name.lstrip("-").replace("-", "_"))

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")

    def add(self, parser: argparse.ArgumentParser) -> None:
        more = dict(self.more)
        if "action" not in more or more["action"] == "append":
            more.setdefault("metavar", f"<{self.name.lstrip('-')}>")
        parser.add_argument(self.name, help=self.help, **more)


def options(kind: type[r.Plan]) -> tuple[Arg, ...]:
    """The options that a resource declares for its attributes. 0 stands for none."""
    return tuple(
        Arg(
            f"--{name.replace('_', '-')}",
            option.help,
            read=lambda given: given or None,
            type=getattr(kind, name).data_type,
            metavar=option.metavar,
        )
        for name, option in kind.options.items()
    )


def values(args: Iterable[Arg], parsed: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in args:
        given = getattr(parsed, item.dest)
        if item.key is not None and given is not None and given is not False and given != []:
            found[item.key or item.dest] = item.read(given) if item.read else given
    return found


def resources(text: str) -> list[dict[str, Any]]:
    found = []
    for part in re.split(r",(?=[^,=]+=[^,=]+=)", text):
        pieces = part.split("=", 3)
        if len(pieces) < 3:
            raise exceptions.CommandError(
                f"'{part}' is not of the form id=type=name or id=type=name=extra_info"
            )
        entry: dict[str, Any] = dict(zip(("id", "type", "name"), pieces, strict=False))
        if len(pieces) == 4:
            entry["extra_info"] = read_json(pieces[3])
        found.append(entry)
    return found


def pairs(text: str) -> dict[str, Any]:
    """``key=value,key=value``; a comma belongs to a value unless a key and = follow it."""
    found = {}
    for part in _NEXT_KEY.split(text):
        key, mark, value = part.partition("=")
        if not mark:
            raise exceptions.CommandError(f"'{part}' is not of the form key=value")
        found[key.strip()] = value
    return found


def trigger_properties(text: str) -> dict[str, Any]:
    found = pairs(text)
    if str(found.get("window", "")).isdigit():
        found["window"] = int(found["window"])
    return found


def words(given: Iterable[str]) -> dict[str, Any]:
    return {key: value if mark else None for key, mark, value in (text.partition("=") for text in given)}


def parameters(given: Iterable[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        settings = pairs(text)
        kind, identity = settings.pop("resource_type", ""), settings.pop("resource_id", "")
        if not kind:
            raise exceptions.CommandError("Must specify resource_type for parameters")
        found[f"{kind}#{identity}" if identity else kind] = settings
    return found


def write_json(value: Any) -> str:
    return json.dumps(value)


def read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise exceptions.CommandError(f"'{text}' is not JSON: {exc}") from exc
