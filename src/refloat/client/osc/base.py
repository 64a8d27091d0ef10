"""The kinds of commands: list, show, create, update, delete. A command says what it is by its attributes.

Arguments without dashes name what a command is about: the SDK gets them by place, the others by name.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cliff.columns import FormattableColumn
from openstack.resource import Resource
from osc_lib import exceptions
from osc_lib.command import command

from refloat.client import add_to
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


PAGE = (
    Arg("--marker", "the last id of the page before"),
    Arg("--limit", "so many at most", type=int),
    Arg("--sort", "sort by these keys, in these directions", metavar="<key>[:<direction>][,...]"),
)
ALL = Arg(
    "--all-projects", "of all projects (administrators)", "all_tenants", action="store_true", default=False
)
PROJECT = Arg("--project", "of this project (administrators)", "project_id")
PROVIDER = Arg("provider_id", "id of the provider")
CHECKPOINT = Arg("checkpoint_id", "id of the checkpoint")
NAME = Arg("--name", "whose name contains this")
STATUS = Arg("--status", "in this status")
RUNS = (ALL, STATUS, *PAGE, PROJECT)
"""Of what lists runs: restores, verifications, logs."""
SETTINGS = (
    Arg("--parameters-json", "the parameters as JSON", "parameters", read_json),
    Arg(
        "--parameters",
        "settings for a type of resources, or for one resource; can be repeated",
        read=parameters,
        action="append",
        metavar="resource_type=<type>[,resource_id=<id>,key=val,...]",
    ),
)


class Data(FormattableColumn[Any]):
    """An object: JSON for people too."""

    def human_readable(self) -> str:
        return json.dumps(self._value, indent=2, sort_keys=True, ensure_ascii=False)


class PlanOf(FormattableColumn[Any]):
    """A checkpoint's plan: name and id for people."""

    def human_readable(self) -> str:
        plan = self._value or {}
        return f"Name: {plan.get('name', '')}\nId: {plan.get('id', '')}"


_JSON_TEXTS = frozenset({"resource_graph", "extra_info"})
_HIDDEN = frozenset({"location", "links"})


def cell(key: str, value: Any) -> Any:
    """A value of the service in a table."""
    if key == "protection_plan":
        return PlanOf(value)
    if key in _JSON_TEXTS and isinstance(value, str):
        value = read_json(value)
    return Data(value) if isinstance(value, dict | list) else value


class _Command:
    app: Any
    args: ClassVar[tuple[Arg, ...]] = ()
    verb: ClassVar[str]
    """The method of the SDK's proxy."""
    always: ClassVar[Mapping[str, Any]] = {}
    """What is sent in any case."""

    @classmethod
    def of(cls, words: str, verb: str = "", *args: Arg, **more: Any) -> type[Any]:
        """A command of this kind.

        :param words: its help.
        :param more: what else a class of the kind may say.
        """
        told = {"__doc__": words, "__module__": cls.__module__, "verb": verb, "args": args or cls.args}
        return type(cls.__name__, (cls,), {**told, **more})

    def get_description(self) -> str:
        return " ".join((type(self).__doc__ or "").split())

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        for item in self.args:
            item.add(parser)
        return parser

    @property
    def service(self) -> Any:
        """The service; not by the client manager's attribute, which another plugin may have taken."""
        return add_to(self.app.client_manager.sdk_connection)

    def by_place(self) -> tuple[Arg, ...]:
        return tuple(item for item in self.args if item.positional)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        placed = self.by_place()
        given = values((item for item in self.args if item not in placed), parsed_args)
        return {**self.always, **given}

    def call(self, parsed_args: argparse.Namespace) -> Any:
        place = [getattr(parsed_args, item.dest) for item in self.by_place()]
        return getattr(self.service, self.verb)(*place, **self.sent(parsed_args))


class List(_Command, command.Lister):
    """A command that lists. Columns are called as python-karborclient calls them."""

    columns: ClassVar[tuple[str, ...]]

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        keys = [header.lower().replace(" ", "_") for header in self.columns]
        found = self.call(parsed_args)
        return self.columns, (tuple(cell(key, item[key]) for key in keys) for item in found)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """With ``--limit``, one page; a project that is named is looked into."""
        found = super().sent(parsed_args)
        if "limit" in found:
            found["paginated"] = False
        if "project_id" in found:
            found["all_tenants"] = True
        return found


class Show(_Command, command.ShowOne):
    """A command that prints what the service answers: all that it has sent, sorted."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.call(parsed_args)
        data = found.to_dict(computed=False) if isinstance(found, Resource) else dict(found)
        told = {*found._body.attributes, "id"} if isinstance(found, Resource) else data.keys()
        # What this service does not tell is not there, rather than nothing.
        rows = {
            key: value
            for key, value in sorted(data.items())
            if key not in _HIDDEN and (value is not None or key in told)
        }
        return tuple(rows), tuple(cell(key, value) for key, value in rows.items())


class Find(Show):
    """A command that shows one thing by name or id, as the service shows it when it is asked for alone."""

    def call(self, parsed_args: argparse.Namespace) -> Any:
        found = super().call(parsed_args)
        return getattr(self.service, self.verb.replace("find_", "get_"))(found.id)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {**super().sent(parsed_args), "ignore_missing": False}


class Create(Show):
    """A command that creates something. All its arguments go by name.

    :cvar within: but for this one, which names what it is created in.
    """

    within: ClassVar[Arg | None] = None

    def by_place(self) -> tuple[Arg, ...]:
        return (self.within,) if self.within else ()


class CreateWithSettings(Create):
    """Creates something that has parameters, which are always sent."""

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        if parsed_args.parameters and parsed_args.parameters_json:
            raise exceptions.CommandError("Must provide parameters or parameters-json, not both")
        return {"parameters": {}, **super().sent(parsed_args)}


class Update(Show):
    """A command that changes something by name or id.

    :cvar finder: the method that finds it.
    """

    finder: ClassVar[str]

    def call(self, parsed_args: argparse.Namespace) -> Any:
        (named,) = self.by_place()
        service, changes = self.service, self.sent(parsed_args)
        found = getattr(service, self.finder)(getattr(parsed_args, named.dest), ignore_missing=False)
        return getattr(service, self.verb)(found, **changes)


class Delete(_Command, command.Command):
    """A command that deletes several things; one that cannot be does not keep the others from it.

    The last argument by place names them.

    :cvar finder: the method that finds each; empty: they go by id alone.
    """

    finder: ClassVar[str] = ""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        service = self.service
        *place, wanted = (getattr(parsed_args, item.dest) for item in self.by_place())
        failed = 0
        for name in wanted:
            try:
                found = getattr(service, self.finder)(name, ignore_missing=False) if self.finder else name
                self.delete(service, place, found, parsed_args)
            except Exception as exc:
                failed += 1
                self.app.stderr.write(f"{name}: {exc}\n")
        if failed:
            raise exceptions.CommandError(f"{failed} of {len(wanted)} failed")

    def delete(self, service: Any, place: list[Any], found: Any, parsed_args: argparse.Namespace) -> None:
        getattr(service, self.verb)(*place, found, ignore_missing=False)
