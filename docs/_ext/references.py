"""Directives that make references of the code: ``openapi-reference`` (the routes of the document served),
``config-reference`` (options), ``policy-reference`` (policies)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import Any

import cliff.sphinxext
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx


class Reference(Directive):
    """Text that is made here, in reStructuredText."""

    def lines(self) -> Iterator[str]:
        """The text."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """The sections of the text."""
        found = nodes.section()
        text = StringList(list(self.lines()), source=type(self).__name__)
        self.state.nested_parse(text, 0, found, match_titles=True)
        return list(found.children)


class ConfigReference(Reference):
    """All options, by group."""

    def lines(self) -> Iterator[str]:
        """A definition for each."""
        from refloat.api.config import list_opts

        for group, options in list_opts():
            yield from _titled(f"[{group}]")
            if getattr(group, "help", None):
                yield from (_plain(group.help), "")
            for option in options:
                default = "" if option.default is None else f" = {option.default}"
                yield f"``{option.name}{default}``"
                yield f"    {_plain(' '.join((option.help or 'See keystoneauth.').split()))}"
                yield ""


class PolicyReference(Reference):
    """All policies, with their defaults and what they guard."""

    def lines(self) -> Iterator[str]:
        """A definition for each."""
        from refloat.api.policies import list_rules

        for rule in list_rules():
            yield f"``{rule.name}``: ``{rule.check_str}``"
            yield f"    {_plain(rule.description or '')}"
            for guarded in getattr(rule, "operations", ()):
                yield f"    ``{guarded['method']} {guarded['path']}``"
            yield ""


class OpenApiReference(Reference):
    """All routes, by tag: parameters, body, reply."""

    def lines(self) -> Iterator[str]:
        """A section for each tag."""
        from refloat.api.openapi import make_document
        from refloat.api.routes import ROUTES

        by_tag: dict[str, list[str]] = {}
        for path, methods in make_document(ROUTES)["paths"].items():
            for method, operation in methods.items():
                lines = by_tag.setdefault(operation["tags"][0], [])
                lines += _route(method.upper(), path, operation)
        for tag in sorted(by_tag):
            yield from _titled(tag.replace("_", " ").capitalize())
            yield from by_tag[tag]


def _titled(title: str) -> Iterator[str]:
    yield from (title, "-" * len(title), "")


def _route(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"``{method} {path}``"
    yield f"    {operation['summary']}"
    if "x-policy" in operation:
        yield f"    Policy: ``{operation['x-policy']}``."
    queries = [item for item in operation["parameters"] if item["in"] == "query"]
    if queries:
        yield ""
        yield "    Query:"
        yield ""
        for item in queries:
            yield f"    * ``{item['name']}``: {_form(item['schema'])}"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        yield from _schema("Body", body)
    for code, answer in operation["responses"].items():
        reply = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if code.startswith(("2", "3")) and reply.get("properties"):
            yield from _schema(f"Reply {code}", reply)
    yield ""


def _schema(title: str, schema: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"    {title}:"
    yield ""
    yield from _fields(schema, 4)


def _fields(schema: dict[str, Any], indent: int) -> Iterator[str]:
    needed = schema.get("required", ())
    space = " " * indent
    for name, below in schema.get("properties", {}).items():
        required = ", required" if name in needed else ""
        yield f"{space}* ``{name}``: {_form(below)}{required}"
        inner = below.get("items", below)
        if inner.get("properties"):
            yield ""
            yield from _fields(inner, indent + 2)
            yield ""


def _form(schema: dict[str, Any]) -> str:
    """The form of a value in a few words."""
    kind = schema.get("type", "one of several" if "anyOf" in schema else "value")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "enum" in schema:
        text = ", ".join(f"``{json.dumps(value)}``" for value in schema["enum"])
    elif "const" in schema:
        text = f"``{json.dumps(schema['const'])}``"
    elif kind == "array":
        text = f"list of {_form(schema.get('items', {}))}"
    if schema.get("description"):
        text += f" ({_plain(schema['description'])})"
    return text


def _plain(text: str) -> str:
    return text.replace("*", "\\*").replace("|", "\\|").replace("_ ", "\\_ ")


_EPILOG = cliff.sphinxext._format_epilog


def _examples(parser: argparse.ArgumentParser) -> Iterable[str]:
    """The examples under a command's help as they are written, not as reStructuredText."""
    if not (parser.epilog or "").startswith("examples:"):
        yield from _EPILOG(parser)
        return
    yield from ("Examples::", "")
    yield from (f"    {line}" for line in (parser.epilog or "").splitlines()[1:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    cliff.sphinxext._format_epilog = _examples
    app.add_directive("openapi-reference", OpenApiReference)
    app.add_directive("config-reference", ConfigReference)
    app.add_directive("policy-reference", PolicyReference)
    return {"parallel_read_safe": True}
