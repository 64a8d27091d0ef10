"""The kinds of commands: list, show, create, update, delete. A command says what it is by its attributes.

Arguments without dashes name what a command is about: the SDK gets them by place, the others by name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cliff.columns import FormattableColumn
from openstack.resource import Resource
from osc_lib import exceptions
from osc_lib.command import command

from refloat.client import add_to
from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import Arg

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
    Arg("--parameters-json", "the parameters as JSON", "parameters", a.read_json),
    Arg(
        "--parameters",
        "settings for a type of resources, or for one resource; can be repeated",
        read=a.parameters,
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
        value = a.read_json(value)
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
        given = a.values((item for item in self.args if item not in placed), parsed_args)
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
