"""``refloat restore``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import parse_only, parse_parameters
from refloat.cli.bank_command import BANK, OF_PROJECT, FromBank
from refloat.cli.base import CHECKPOINT, PARAMETER, Argument
from refloat.cli.operation_base import NO_WAIT, OperationCommand
from refloat.cli.output import Items
from refloat.cli.restore_screen import plan_text
from refloat.errors import Cancelled
from refloat.mappings import MAPPABLE, Mappings, read_all

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.records.operations import Operation

SKIP, REPAIR, BESIDE, REPLACE = "skip", "repair", "beside", "replace"
EXISTING = (SKIP, REPAIR, BESIDE, REPLACE, "ignore")


CHOICES = (
    Argument(
        "--only",
        "restore this resource (id or name) with all that it needs; can be repeated",
        metavar="TYPE=ID",
        action="append",
    ),
    Argument(
        "--leave-out",
        "do not restore this resource (id or name), nor what only that needs; can be repeated",
        metavar="TYPE=ID",
        action="append",
    ),
    PARAMETER,
    Argument(
        "--existing",
        "what becomes of originals that are there: keep them and bring back only what is gone; give "
        "them back what they have lost, too; make others beside them; put their data back in place; or make "
        "everything under its own name",
        choices=EXISTING,
    ),
    Argument(
        "--keep-image",
        "keep the image of each restored server's own disk (the default), which rebuild, rescue and "
        "evacuation need; or remove it where Glance lets it go",
        action=argparse.BooleanOptionalAction,
    ),
    Argument(
        "--no-safety",
        "with --existing replace: make no checkpoint of what is replaced before",
        action="store_true",
    ),
    Argument(
        "--beside-name",
        "name of what is made beside; {name} and {date} (the checkpoint's) stand for these",
    ),
    Argument(
        "--map",
        "use the new one (id or name) where the checkpoint names the old one; can be repeated; kinds: "
        + ", ".join(MAPPABLE),
        metavar="KIND:OLD=NEW",
        action="append",
    ),
    Argument("--map-file", "the same from a file of YAML; --map takes the place of what it says"),
)
"""What may be chosen of a restore."""
VERBOSE = Argument("--verbose", "also what is never the same in any restore", action="store_true")


class Restore(FromBank, OperationCommand):
    """Restore a checkpoint, or parts of it.

    Prints id (the operation's), status, checkpoint_id and resources: type, source_id, new_id, name,
    status and reason of everything that was created or reused. When it fails, everything that it had
    created is removed again, unless --keep-on-failure is given.

    What is there already is kept as it is, and only what is gone comes back (--existing skip); on a
    terminal that is asked first. With repair what is there also gets back what it has lost: a router its
    gateway, interfaces and routes, a security group its rules, a server its volumes, cards, security groups
    and floating IPs. With replace the data of what is there is put back in place, after a checkpoint of it
    has been made; that is asked in any case (--yes). With beside twins are made, which say so by their names
    and have addresses of their own; with ignore, everything under its own name, whatever is there.

    With --dry-run nothing is changed; it prints what a restore would do about each resource, what would
    not be as it was, and what stands in the way. The exit status is 1 when the restore is not possible.

    With --bank and --key, a checkpoint of any project, also of another cloud, is restored into the project
    that one is logged in to.
    """

    examples = """
        refloat restore 5d0f1c6a-... --dry-run
        refloat restore 5d0f1c6a-...
        refloat restore 5d0f --only volume=data-1 --only server=db
        refloat restore 5d0f --existing beside --beside-name '{name} of {date}'
        refloat restore 5d0f --bank s3://backup/bank --key bank.key --dry-run
        refloat restore 5d0f --parameter 'server:restore_name=copy of {name}'
        refloat restore 5d0f --map flavor:m1.small=c5 --map network:front=blue --map name:web=web-2
    """

    args = (
        NO_WAIT,
        CHECKPOINT,
        *BANK,
        OF_PROJECT,
        Argument("--dry-run", "only say what would be done", action="store_true"),
        *CHOICES,
        VERBOSE,
        Argument(
            "--yes",
            "do not ask: what is there is kept, or becomes what --existing says",
            "-y",
            action="store_true",
        ),
        Argument(
            "--keep-on-failure",
            "when it fails, keep what was created, to be resumed or cancelled later",
            action="store_true",
        ),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        if parsed_args.dry_run:
            return self._plan(parsed_args)
        return self.perform(parsed_args, lambda refloat: self._begun(refloat, parsed_args))

    def _begun(self, refloat: Backend, parsed_args: argparse.Namespace) -> Operation:
        chosen = choices_of(refloat, parsed_args)
        if not parsed_args.yes and parsed_args.existing in (None, REPLACE):
            chosen["existing"] = self._asked(refloat, parsed_args.checkpoint, chosen)
        keep = parsed_args.keep_on_failure
        return refloat.restore(parsed_args.checkpoint, keep_on_failure=keep, **chosen)

    def _asked(self, refloat: Backend, checkpoint: str, chosen: Mapping[str, Any]) -> str:
        """What is to become of what is there.

        :raises Cancelled: nothing is to be done.
        """
        if not (self.app.stdin.isatty() and self.app.stderr.isatty()):
            return str(chosen["existing"])
        data = refloat.dry_run(checkpoint, **chosen)
        if chosen["existing"] == REPLACE:
            return self._replaced(data)
        if not any(item["action"] == "keep" for item in data["resources"]):
            return SKIP
        self.app.stderr.writelines(f"{line}\n" for line in plan_text(data))
        self.app.stderr.write(
            "Bring back only what is gone (yes), also what is there has lost (repair), make others beside "
            "what is there (beside), or no? "
        )
        self.app.stderr.flush()
        answer = self.app.stdin.readline().strip().lower()
        if answer in ("y", "yes", SKIP):
            return SKIP
        if answer in (REPAIR, BESIDE):
            return answer
        raise Cancelled("nothing was restored, and nothing changed")

    def _replaced(self, data: Mapping[str, Any]) -> str:
        self.app.stderr.writelines(f"{line}\n" for line in plan_text(data))
        self.app.stderr.write("Replace the data of what is there (yes), or no? ")
        self.app.stderr.flush()
        if self.app.stdin.readline().strip().lower() in ("y", "yes", REPLACE):
            return REPLACE
        raise Cancelled("nothing was restored, and nothing changed")

    def _plan(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            data = refloat.dry_run(parsed_args.checkpoint, **choices_of(refloat, parsed_args))
        if not data["possible"]:
            self.exit_status = 1
        if parsed_args.formatter != "table":  # there it is the first line of the text
            self.app.stderr.writelines(f"refloat: not possible: {text}\n" for text in data["problems"])
        return {
            name: Items(value) if isinstance(value, dict | list) else value for name, value in data.items()
        }

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        if not parsed_args.dry_run:
            return super().text(parsed_args, data)
        return plan_text(plain(data), verbose=parsed_args.verbose)


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Values as programs see them."""
    return {name: getattr(value, "machine_readable", lambda v=value: v)() for name, value in data.items()}


def choices_of(
    refloat: Backend, parsed_args: argparse.Namespace, existing: str = SKIP, mapped: Mappings | None = None
) -> dict[str, Any]:
    """What arguments choose of a restore.

    :param existing: what becomes of what is there, when they do not say that.
    :param mapped: mappings that they add to.
    """
    mappings = read_all(parsed_args.map or (), parsed_args.map_file, mapped)
    types = refloat.types()
    parameters = parse_parameters(parsed_args.parameter or (), types)
    if parsed_args.keep_image is not None:
        parameters.setdefault("OS::Nova::Server", {})["keep_image"] = parsed_args.keep_image
    given = {
        "only": parse_only(parsed_args.only or (), types),
        "leave_out": parse_only(parsed_args.leave_out or (), types),
        "parameters": parameters,
        "existing": parsed_args.existing or existing,
        "beside_name": parsed_args.beside_name,
        "mappings": mappings if parsed_args.map or parsed_args.map_file else {},
        "no_safety": parsed_args.no_safety,
    }
    return {name: value for name, value in given.items() if value}
