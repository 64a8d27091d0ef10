"""Makes the methods of a proxy from a resource class: list, get, find, create, update, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from openstack.resource import Resource

R = TypeVar("R", bound=Resource)

Verb = Callable[..., Any]


def verbs(kind: type[R], names: str, *, parent: str = "") -> tuple[Verb, ...]:
    """The methods, in the order of their names.

    :param names: of ``list get find create update delete``.
    :param parent: the parameter of the path that names what the resource is in: the first argument, by id
        or as a resource.
    """
    single = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
    return tuple(_made(kind, name, single, f"{single}s", parent) for name in names.split())


def _made(kind: type[R], name: str, single: str, many: str, parent: str) -> Verb:
    what = single.replace("_", " ")

    def where(args: list[Any]) -> dict[str, str]:
        if not parent:
            return {}
        given = args.pop(0)
        return {parent: str(given.id) if isinstance(given, Resource) else str(given)}

    def call(self: Any, *args: Any, **attrs: Any) -> Any:
        rest = list(args)
        within = where(rest)
        if name in ("list", "create"):
            if rest:
                raise TypeError(f"{call.__name__}() takes its values by name")
            return getattr(self, f"_{name}")(kind, **within, **attrs)
        if name in ("find", "delete"):
            attrs.setdefault("ignore_missing", True)
        (value,) = rest
        return getattr(self, f"_{name}")(kind, value, **within, **attrs)

    title = f":class:`~{kind.__module__}.{kind.__name__}`"
    call.__name__ = many if name == "list" else f"{name}_{single}"
    call.__qualname__ = f"Proxy.{call.__name__}"
    call.__doc__ = {
        "list": f"All {many.replace('_', ' ')}, page after page; keywords are the service's filters. "
        f"Yields {title}.",
        "get": f"One {what} by id. Raises NotFoundException.",
        "find": f"One {what} by name or id; None, or NotFoundException with ``ignore_missing=False``.",
        "create": f"Make a {what}; keywords are attributes of {title}.",
        "update": f"Change a {what}, by id or as {title}; keywords are its new attributes.",
        "delete": f"Remove a {what}, by id or as {title}; ``ignore_missing=False`` tells when it is gone.",
    }[name]
    if parent:
        call.__doc__ += f" The first argument is the {parent.removesuffix('_id').replace('_', ' ')}."
    return call
