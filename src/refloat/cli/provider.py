"""``refloat provider``: ways to protect."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import short_name
from refloat.cli.base import Argument, Lister, ShowOne
from refloat.cli.output import Items

if TYPE_CHECKING:
    from refloat.cli.backend import Backend


class ListProvider(Lister):
    """List the providers: named choices of how each type of resource is protected, and in which bank."""

    columns = ("id", "name", "description", "bank")

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        return refloat.list_providers()


class ShowProvider(ShowOne):
    """Show a provider: its bank, its plugins, their parameters, and how faithfully each attribute comes back.

    Fidelity: exact is the same value; mapped the same meaning under another id; degraded something else
    that works; lost is not restored.
    """

    examples = """
        refloat provider show default
        refloat provider show snapshot -f yaml
        refloat protectable list            # the types
    """

    args = (Argument("provider", "name or id", nargs="?", default="default"),)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        found = refloat.show_provider(parsed_args.provider)
        return {**found, "notes": Items(found["notes"]), "plugins": Items(found["plugins"])}

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return _paragraphs(data)


def _paragraphs(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"{data['name']} ({data['id']})"
    if data["description"]:
        yield data["description"]
    if data["file"]:
        yield f"Defined by {data['file']}"
    if data["bank"]:
        yield f"Bank: {data['bank']}, with the key in {data['bank_key']}"
    yield from data["notes"].machine_readable()
    for plugin in data["plugins"].machine_readable():
        yield ""
        yield f"{short_name(plugin['type'])} ({plugin['type']}): {plugin['name']}"
        if plugin["description"]:
            yield f"  {plugin['description']}"
        for operation, options in plugin["parameters"].items():
            yield f"  parameters of {operation}:"
            for option in options:
                yield from _wrapped(f"    {option['name']}  ", _option_text(option))
        if plugin["attributes"]:
            yield "  attributes:"
        width = max((len(item["name"]) for item in plugin["attributes"]), default=0)
        for item in plugin["attributes"]:
            head = f"    {item['name']:<{width}}  {item['fidelity']:<8}  "
            yield from _wrapped(head, item["how"])


def _option_text(option: Mapping[str, Any]) -> str:
    text = str(option["description"])
    if "enum" in option:
        text += f" ({', '.join(option['enum'])})"
    elif option["type"] != "string":
        text += f" ({option['type']})"
    if "default" in option:
        default = option["default"]
        text += f" [default: {str(default).lower() if isinstance(default, bool) else default}]"
    return text


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
