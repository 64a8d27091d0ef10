"""Where a bank may be: the URLs of stores.

============================================  ==========================================================
``/path``, ``file:///path``                   a folder
``s3://BUCKET/PREFIX?endpoint=..&region=..``  S3, of Amazon or of anybody else
``swift://CONTAINER/PREFIX?cloud=..``         Swift, with the credentials of a cloud in ``clouds.yaml``
``gs://BUCKET/PREFIX``                        Google Cloud Storage
``azblob://CONTAINER/PREFIX?account=..``      Azure Blob Storage
============================================  ==========================================================

``limit=50MiB/s`` behind any of them, or ``REFLOAT_BANK_LIMIT``, keeps the bank from taking the whole line.
A URL never holds a secret: it is shown in messages and kept in records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from refloat.bank.store import check_name
from refloat.errors import InvalidInput

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]i?)?B?(?:/s)?")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class _Options(NamedTuple):
    """What may stand behind a URL of a scheme.

    :param shown: the options that tell one store from another; part of the URL in messages.
    :param others: further options.
    """

    shown: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


_SCHEMES = {
    "file": _Options(),
    "s3": _Options(("endpoint", "region"), ("profile", "credentials", "style", "checksum", "timeout")),
    "swift": _Options(("cloud",)),
    "gs": _Options(("endpoint",), ("credentials", "timeout")),
    "azblob": _Options(("account", "endpoint"), ("timeout",)),
}


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A URL, taken apart.

    :param container: bucket or container; empty for a folder.
    :param prefix: what the names of all objects begin with, without a slash at either end; or the folder.
    """

    scheme: str
    container: str
    prefix: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The URL, in one way of writing; without the options that say nothing about where it is."""
        if self.scheme == "file":
            return f"file://{self.prefix}"
        options = {k: v for k, v in self.options.items() if k in _SCHEMES[self.scheme].shown}
        tail = f"?{urlencode(options, safe=':/')}" if options else ""
        return f"{self.scheme}://{self.container}{'/' * bool(self.prefix)}{self.prefix}{tail}"


def parse(url: str) -> StoreUrl:
    """Take a URL apart.

    :raises InvalidInput: it is none, has a secret in it, or an option that there is not.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return StoreUrl("file", "", url)
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise InvalidInput(f"there is no store for {scheme}://", advice=f"Give a path, or one of {known}")
    if scheme == "file":
        return _folder(rest)
    parts = urlsplit(url)
    if "@" in rest:
        # Not repeated here: what stands before the @ is likely to be a secret.
        raise InvalidInput(
            f"a URL of {scheme}:// with an @ in it",
            advice="Credentials do not belong into a URL; see docs/stores.md",
        )
    prefix = parts.path.strip("/")
    if not _CONTAINER.fullmatch(parts.netloc):
        raise InvalidInput(
            f"{scheme}://{parts.netloc} names no container", advice=f"As in {scheme}://backups/refloat"
        )
    if prefix:
        check_name(prefix)
    return StoreUrl(scheme, parts.netloc, prefix, _options(scheme, parts.query))


def rate_of(text: str) -> float:
    """Bytes per second, from ``50MiB/s`` or ``50M``.

    :raises InvalidInput: it is no rate.
    """
    found = _RATE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise InvalidInput(f"'{text}' is not a rate", advice="Give it as 50MiB/s")
    return float(found[1]) * _UNITS[found[2] or ""]


def _folder(rest: str) -> StoreUrl:
    path, _, query = rest.partition("?")
    if not path.startswith("/"):
        raise InvalidInput(f"file://{path}: a file URL has three slashes, as in file:///var/lib/refloat")
    return StoreUrl("file", "", path, _options("file", query))


def _options(scheme: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    allowed = (*_SCHEMES[scheme].shown, *_SCHEMES[scheme].others, "limit")
    for name in options:
        if name not in allowed:
            raise InvalidInput(
                f"{scheme}:// has no option '{name}'", advice=f"There are: {', '.join(sorted(allowed))}"
            )
    if "limit" in options:
        rate_of(options["limit"])
    return options
