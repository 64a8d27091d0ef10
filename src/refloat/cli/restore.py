"""``refloat restore``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import parse_only, parse_parameters, short_name
from refloat.cli.base import CHECKPOINT, PARAMETER, Argument
from refloat.cli.operation_base import NO_WAIT, OperationCommand
from refloat.cli.output import Items

if TYPE_CHECKING:
    from refloat.cli.backend import Backend


class Restore(OperationCommand):
    """Restore a checkpoint, or parts of it.

    Prints id (the operation's), status, checkpoint_id and resources: type, source_id, new_id, name,
    status and reason of everything that was created or reused. When it fails, everything that it had
    created is removed again, unless --keep-on-failure is given.

    With --dry-run nothing is changed; it prints what a restore would do about each resource, what would
    not be as it was, and what stands in the way. The exit status is 1 when the restore is not possible.
    """

    examples = """
        refloat restore 5d0f1c6a-... --dry-run
        refloat restore 5d0f1c6a-...
        refloat restore 5d0f --only volume=data-1 --only server=db
        refloat restore 5d0f --parameter 'server:restore_name=copy of {name}'
    """

    args = (
        NO_WAIT,
        CHECKPOINT,
        Argument("--dry-run", "only say what would be done", action="store_true"),
        Argument(
            "--only",
            "restore this resource (id or name) with all that it needs; can be repeated",
            metavar="TYPE=ID",
            action="append",
        ),
        PARAMETER,
        Argument(
            "--keep-on-failure",
            "when it fails, keep what was created, to be resumed or cancelled later",
            action="store_true",
        ),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        if parsed_args.dry_run:
            return self._plan(parsed_args)
        return self.perform(
            parsed_args,
            lambda refloat: refloat.restore(
                parsed_args.checkpoint,
                keep_on_failure=parsed_args.keep_on_failure,
                **_wanted(refloat, parsed_args),
            ),
        )

    def _plan(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            data = refloat.dry_run(parsed_args.checkpoint, **_wanted(refloat, parsed_args))
        for problem in data["problems"]:
            self.exit_status = 1
            self.app.stderr.write(f"refloat: not possible: {problem}\n")
        return {
            name: Items(value) if isinstance(value, dict | list) else value for name, value in data.items()
        }

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        if not parsed_args.dry_run:
            return super().text(parsed_args, data)
        return _plan_text(
            {name: getattr(value, "machine_readable", lambda v=value: v)() for name, value in data.items()}
        )


def _wanted(refloat: Backend, parsed_args: argparse.Namespace) -> dict[str, Any]:
    types = refloat.types()
    return {
        "only": parse_only(parsed_args.only or (), types),
        "parameters": parse_parameters(parsed_args.parameter or (), types),
    }


_VERBS = {"create": "create", "reuse": "re-use", "impossible": "CANNOT"}


def _plan_text(data: Mapping[str, Any]) -> Iterator[str]:
    for item in data["resources"]:
        yield from _resource_text(item)
    count = sum(item["action"] == "create" for item in data["resources"])
    reused = sum(item["action"] == "reuse" for item in data["resources"])
    yield ""
    yield f"{count} to create, {reused} to re-use. Attributes that are not listed come back exactly."
    if data["needs"]:
        needs = ", ".join(
            f"{amount} {name.replace('_', ' ')}" for name, amount in sorted(data["needs"].items())
        )
        yield f"It needs: {needs}."
    yield "It is possible." if data["possible"] else "It is NOT possible; nothing would be changed."


def _resource_text(item: Mapping[str, Any]) -> Iterator[str]:
    source = f"{short_name(item['type'])} {item['source_name'] or item['source_id']}"
    line = f"{_VERBS[item['action']]:<7} {source}"
    if item["source_name"] and item["source_id"] != item["source_name"]:
        line += f" ({item['source_id']})"
    if item["name"] and item["name"] != item["source_name"]:
        line += f" as {item['name']}"
    if item["new_id"] and item["new_id"] != item["source_id"]:
        line += f": {item['new_id']}"
    yield line
    if item["reason"] and item["reason"] not in item["conflicts"]:
        yield f"          {item['reason']}"
    for conflict in item["conflicts"]:
        yield f"        ! {conflict}"
    if item["action"] == "create":
        unlike = [outcome for outcome in item["attributes"] if outcome["fidelity"] != "exact"]
        for outcome in sorted(unlike, key=lambda outcome: _WORST_FIRST.index(outcome["fidelity"])):
            yield f"        {_attribute_text(outcome, item['conflicts'])}"


_WORST_FIRST = ("lost", "degraded", "mapped")


def _attribute_text(outcome: Mapping[str, Any], conflicts: Sequence[str]) -> str:
    text = f"{outcome['name']}: {outcome['fidelity']}"
    if outcome["reason"] in conflicts:
        return f"{text} (see above)"
    if outcome["fidelity"] == "degraded" and outcome["source"] != outcome["restored"]:
        text += f", {_short(outcome['source'])} becomes {_short(outcome['restored'])}"
    return f"{text} ({outcome['reason']})" if outcome["reason"] else text


def _short(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
