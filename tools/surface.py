#!/usr/bin/env python
"""Prints what users see of a source tree as one JSON: the OpenAPI document, policies, options, commands.

tools/surface.py > before.json
tools/surface.py --compare before.json      # prints what differs; the exit status is 1 if anything does
tools/surface.py --tree ../other            # of another source tree, with this one's libraries
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ABSENT = "(absent)"


def surface(tree: Path) -> dict[str, Any]:
    """All of it."""
    sys.path.insert(0, str(tree / "src"))
    os.environ["COLUMNS"] = "110"
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]
    return {
        "openapi": _sorted_required(_document()),
        "policies": {rule.name: _rule(rule) for rule in _listed(points["oslo.policy.policies"])},
        "options": {
            str(group): {option.name: _option(option) for option in options}
            for group, options in _listed(points["oslo.config.opts"])
        },
        "refloat": _refloat(points["refloat.cli"]),
        "refloat-manage": dict(_subcommands("refloat-manage", _call("refloat.cli.manage:_parser"))),
        "refloat-status": {
            words: _printed(project["scripts"]["refloat-status"], words.split())
            for words in ("--help", "upgrade --help", "upgrade check --help")
        },
        "openstack": {
            name.replace("_", " "): _command(_load(where)(SimpleNamespace(), None), f"openstack {name}")
            for name, where in points["openstack.data_protection.v1"].items()
        },
    }


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _call(where: str) -> Any:
    return _load(where)()


def _listed(entry_points: dict[str, str]) -> Iterator[Any]:
    for where in entry_points.values():
        yield from _call(where)


def _document() -> Any:
    """As it is served."""
    (route,) = (found for found in _load("refloat.api.routes:ROUTES") if found.path == "/v1/openapi.json")
    return route.handler(None)


def _sorted_required(value: Any) -> Any:
    """A document in which the order of ``required``, which means nothing, is the alphabet's."""
    if isinstance(value, dict):
        return {
            key: sorted(item) if key == "required" and isinstance(item, list) else _sorted_required(item)
            for key, item in value.items()
        }
    return [_sorted_required(item) for item in value] if isinstance(value, list | tuple) else value


def _rule(rule: Any) -> dict[str, Any]:
    operations = [f"{item['method']} {item['path']}" for item in getattr(rule, "operations", ())]
    return {"check": rule.check_str, "description": rule.description, "operations": sorted(operations)}


def _option(option: Any) -> dict[str, Any]:
    return {
        "type": repr(option.type),
        "default": repr(option.default),
        "help": option.help,
        "secret": option.secret,
        "required": option.required,
    }


def _refloat(points: dict[str, str]) -> dict[str, Any]:
    app = _call("refloat.cli.main:RefloatApp")
    app.options = app.parser.parse_args([])
    found = {"": _parser(app.parser)}
    for name, where in {**points, "complete": "refloat.cli.complete:Complete"}.items():
        words = name.replace("_", " ")
        found[words] = _command(_load(where)(app, app.options, cmd_name=words), f"refloat {words}")
    return found


def _command(command: Any, program: str) -> dict[str, Any]:
    found = _parser(command.get_parser(program))
    columns = getattr(command, "columns", ())
    return {**found, "columns": list(columns)} if columns else found


def _parser(parser: argparse.ArgumentParser) -> dict[str, Any]:
    return {"help": parser.format_help(), "arguments": [_argument(action) for action in parser._actions]}


def _argument(action: argparse.Action) -> dict[str, Any]:
    kept = ("option_strings", "dest", "nargs", "const", "default", "required", "help", "metavar")
    return {
        "action": type(action).__name__,
        "choices": sorted(map(str, action.choices)) if action.choices else None,
        "typed": getattr(action.type, "__name__", None),
        **{name: getattr(action, name) for name in kept},
    }


def _subcommands(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, _parser(parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from _subcommands(f"{name} {word}", below)


def _printed(where: str, arguments: list[str]) -> str:
    out = io.StringIO()
    program: Callable[[list[str]], int] = _load(where)
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        program(arguments)
    return out.getvalue()


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """A line for each place in which two surfaces differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{where}/{number}")
    elif before != after:
        yield f"{where}: {json.dumps(before)} -> {json.dumps(after)}"


def main() -> int:
    """Print it, or what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="default: this one")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="what was printed before")
    chosen = parser.parse_args()
    sys.argv[:] = ["surface"]
    found = json.loads(json.dumps(surface(chosen.tree), default=repr))
    if chosen.compare is None:
        print(json.dumps(found, indent=1, sort_keys=True))
        return 0
    lines = list(differences(json.loads(chosen.compare.read_text()), found))
    print("\n".join(lines) or "the same")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
