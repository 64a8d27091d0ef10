"""What all commands share: the façade, messages, examples in the help."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from cliff._argparse import SmartHelpFormatter
from cliff.command import Command as CliffCommand
from cliff.lister import Lister as CliffLister
from cliff.show import ShowOne as CliffShowOne

from refloat.cli.arguments import PARAMETER_HELP
from refloat.cli.main import SERVICE_OPTION, SERVICE_VARIABLE, RefloatApp
from refloat.errors import InvalidInput

if TYPE_CHECKING:
    from refloat.cli.backend import Backend


class _Help(SmartHelpFormatter):
    """Wraps descriptions; leaves examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)


class Argument:
    """An argument of commands. Its value is shown as its name in capitals.

    :param settings: passed on to :meth:`argparse.ArgumentParser.add_argument`.
    """

    def __init__(self, name: str, words: str | None, *aliases: str, **settings: Any) -> None:
        self.names, self.settings = (name, *aliases), {"help": words, **settings}
        if not settings.keys() & {"action", "choices", "metavar"}:
            self.settings["metavar"] = name.lstrip("-").replace("-", "_").upper()

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        parser.add_argument(*self.names, **self.settings)


class Either:
    """Arguments of which only one can be given."""

    def __init__(self, *choices: Argument, required: bool = False) -> None:
        self.choices, self.required = choices, required

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group(required=self.required)
        for choice in self.choices:
            choice.add_to(group)


Args: TypeAlias = tuple[Argument | Either, ...]

CHECKPOINT = Argument("checkpoint", "id or its beginning, name, 'latest', PLAN, or PLAN@TIME")
SAID: Args = (
    Argument("--name", "what to call the checkpoint"),
    Argument("--note", "why it is made", metavar="TEXT"),
    Argument("--label", "a label; repeat it", metavar="KEY=VALUE", action="append"),
    Argument("--expires", "when nobody wants it any more: 30d, 12h, a time; or never", metavar="WHEN"),
    Argument("--keep", "no retention takes it", action="store_true", default=None),
)
"""What is said of a checkpoint."""
PARAMETER = Argument("--parameter", PARAMETER_HELP, metavar="TYPE[#ID]:KEY=VALUE", action="append")
DESCRIPTION = Argument("--description", "a few words for people", metavar="TEXT", default="")
NEW_NAME = Argument("--name", "a new name")
NEW_DESCRIPTION = Argument("--description", "a new description", metavar="TEXT")


class BaseCommand(CliffCommand):
    """A command. Its docstring is its help, ``examples`` are shown under it."""

    app: RefloatApp
    args: ClassVar[Args] = ()
    examples: ClassVar[str] = ""

    def _load_hooks(self) -> None:
        self._hooks = []  # looking for extensions of each command costs a scan of all that is installed

    def get_description(self) -> str:
        return " ".join((type(self).__doc__ or "").split())

    def get_epilog(self) -> str:
        lines = [f"  {line.strip()}" for line in self.examples.strip().splitlines()]
        return "\n".join(["examples:", *lines]) if lines else ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = _Help
        parser.allow_abbrev = False
        for item in self.args:
            item.add_to(parser)
        return parser

    def open(self) -> Backend:
        """Refloat, here or behind the service that the user named; to be used with ``with``."""
        if self.app.service:
            from refloat.cli.remote import Remote

            return Remote(self.app.options.os_cloud, self.app.service)
        from refloat.cli.embedded import Embedded

        return Embedded(cloud_name=self.app.options.os_cloud, notify=self.app.say)

    def refuse_service(self, what: str) -> None:
        """Say that a command works on what the service does not give away.

        :raises InvalidInput: a service is chosen.
        """
        if self.app.service:
            raise InvalidInput(
                f"{what} is done on the machine that has the bank and its key, not through the service",
                advice=f"There, without {SERVICE_OPTION} and {SERVICE_VARIABLE}, or name the bank itself",
            )

    def say(self, sentence: str) -> None:
        self.app.say(sentence)


class Display(BaseCommand):
    """A command that prints data: as text for people when the format is ``table``, else for programs."""

    exit_status = 0

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return None

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print what :meth:`take_action` returns; the exit status may say that it is bad news."""
        super().run(parsed_args)
        return self.exit_status

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        for name in parsed_args.columns:
            if name.lower() not in [column.lower() for column in column_names]:
                raise InvalidInput(
                    f"there is no column '{name}'", advice=f"Columns: {', '.join(column_names)}"
                )
        if parsed_args.formatter == "table" and not parsed_args.columns:
            lines = self.text(parsed_args, dict(zip(column_names, data, strict=False)))
            if lines is not None:
                self.app.stdout.writelines(f"{line}\n" for line in lines)
                return 0
        return int(super().produce_output(parsed_args, column_names, data))  # type: ignore[misc]


class ShowOne(Display, CliffShowOne):
    """A command that prints one object."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        found = self.show(parsed_args)
        return list(found), list(found.values())

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            return self.ask(refloat, parsed_args)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        raise NotImplementedError


class Lister(Display, CliffLister):
    """A command that prints a list of objects."""

    columns: tuple[str, ...] = ()

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        rows = list(self.rows(parsed_args))
        return self.columns, [[row[name] for name in self.columns] for row in rows]

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        with self.open() as refloat:
            return self.ask(refloat, parsed_args)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        raise NotImplementedError
