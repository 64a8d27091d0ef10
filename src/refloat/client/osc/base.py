"""The kinds of commands: list, show, make or change, delete. A command says what it is by its attributes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from cliff.columns import FormattableColumn
from openstack.resource import Resource
from osc_lib import exceptions
from osc_lib.command import command

from refloat.client import add_to
from refloat.client.osc.arguments import Arg, arg, read_json, values

PAGE = (
    arg("--marker", "the last id of the page before"),
    arg("--limit", "so many at most", type=int),
    arg("--sort", "sort by these keys, in these directions", metavar="<key>[:<direction>][,...]"),
)
ALL = arg(
    "--all-projects", "of all projects (administrators)", "all_tenants", action="store_true", default=False
)
PROJECT = arg("--project", "of this project (administrators)", "project_id")


class Data(FormattableColumn[Any]):
    """An object: JSON for people too."""

    def human_readable(self) -> str:
        """Indented JSON."""
        return json.dumps(self._value, indent=2, sort_keys=True, ensure_ascii=False)


class PlanOf(FormattableColumn[Any]):
    """A checkpoint's plan: name and id for people."""

    def human_readable(self) -> str:
        """Two lines."""
        plan = self._value or {}
        return f"Name: {plan.get('name', '')}\nId: {plan.get('id', '')}"


_JSON_TEXTS = frozenset({"resource_graph", "extra_info"})
_HIDDEN = frozenset({"location", "links"})


def shown(key: str, value: Any) -> Any:
    """A value of the service as a cell."""
    if key == "protection_plan":
        return PlanOf(value)
    if key in _JSON_TEXTS and isinstance(value, str):
        value = read_json(value)
    return Data(value) if isinstance(value, dict | list) else value


class _Command:
    """What they share."""

    app: Any
    args: ClassVar[tuple[Arg, ...]] = ()
    verb: ClassVar[str]
    """The method of the SDK's proxy."""
    path: ClassVar[tuple[str, ...]] = ()
    """The arguments that name what it is about, and go to the method by place."""

    def get_description(self) -> str:
        """The docstring."""
        return " ".join((type(self).__doc__ or "").split())

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The arguments of the table."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        for item in self.args:
            item.add(parser)
        return parser

    @property
    def service(self) -> Any:
        """The service; not by the client manager's attribute, which another plugin may have taken."""
        return add_to(self.app.client_manager.sdk_connection)

    @property
    def project_id(self) -> str:
        """The project of the user."""
        return str(self.app.client_manager.sdk_connection.current_project_id)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What is sent, by name."""
        return values((item for item in self.args if item.dest not in self.path), parsed_args)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Ask the service."""
        place = [getattr(parsed_args, name) for name in self.path]
        return getattr(self.service, self.verb)(*place, **self.sent(parsed_args))


class List(_Command, command.Lister):
    """A command that lists. Columns are called as python-karborclient calls them."""

    columns: ClassVar[tuple[str, ...]]

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Headers and rows."""
        keys = [header.lower().replace(" ", "_") for header in self.columns]
        found = self.call(parsed_args)
        return self.columns, (tuple(shown(key, item[key]) for key in keys) for item in found)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """With ``--limit``, one page; a project that is named is looked into."""
        found = super().sent(parsed_args)
        if "limit" in found:
            found["paginated"] = False
        if "project_id" in found:
            found["all_tenants"] = True
        return found


class Show(_Command, command.ShowOne):
    """A command that prints what the service answers: shows, creates or changes."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Fields and values, sorted."""
        found = self.call(parsed_args)
        data = found.to_dict(computed=False) if isinstance(found, Resource) else dict(found)
        rows = {key: value for key, value in sorted(data.items()) if key not in _HIDDEN}
        # What this service does not tell is not there, rather than nothing.
        kept = {key: value for key, value in rows.items() if value is not None or key in self.always(found)}
        return tuple(kept), tuple(shown(key, value) for key, value in kept.items())

    @staticmethod
    def always(found: Any) -> frozenset[str]:
        """The fields that the service has sent."""
        if not isinstance(found, Resource):
            return frozenset(found)
        return frozenset(found._body.attributes) | {"id"}


class Find(Show):
    """A command that shows one thing by name or id, as the service shows it when it is asked for alone."""

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Find it, ask for it."""
        found = super().call(parsed_args)
        return getattr(self.service, self.verb.replace("find_", "get_"))(found.id)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """That it must be there."""
        return {**super().sent(parsed_args), "ignore_missing": False}


class Change(Show):
    """A command that changes something by name or id.

    :cvar finder: the method that finds it.
    """

    finder: ClassVar[str]

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Find it, change it."""
        (name,) = self.path
        service, changes = self.service, self.sent(parsed_args)
        found = getattr(service, self.finder)(getattr(parsed_args, name), ignore_missing=False)
        return getattr(service, self.verb)(found, **changes)


class Delete(_Command, command.Command):
    """A command that deletes several things; one that cannot be does not keep the others from it.

    :cvar finder: the method that finds each; empty: they go by id alone, in what ``path`` names.
    """

    finder: ClassVar[str] = ""
    many: ClassVar[str]

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """One after the other."""
        service, wanted = self.service, getattr(parsed_args, self.many)
        place = [getattr(parsed_args, name) for name in self.path]
        failed = 0
        for name in wanted:
            try:
                found = getattr(service, self.finder)(name, ignore_missing=False) if self.finder else name
                self.one(service, place, found, parsed_args)
            except Exception as exc:
                failed += 1
                self.app.stderr.write(f"{name}: {exc}\n")
        if failed:
            raise exceptions.CommandError(f"{failed} of {len(wanted)} failed")

    def one(self, service: Any, place: list[Any], found: Any, parsed_args: argparse.Namespace) -> None:
        """Delete one."""
        getattr(service, self.verb)(*place, found, ignore_missing=False)
