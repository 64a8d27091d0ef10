"""Makes a bank that was found known to an installation: a provider whose bank it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

from refloat.bank.urls import parse
from refloat.errors import Conflict, InvalidInput
from refloat.providers.bank_keys import open_bank
from refloat.providers.provider import Provider

_FILE = """\
[provider]
name = {name}
id = {id}
description = Found: {url}
enabled = True
plugin = volume-bank

[refloat_bank]
url = {url}
key_file = {key}
found = True
"""


def attach(folder: Path | None, known: Iterable[Provider], name: str, url: str, key: Path) -> Path:
    """Write the file of a provider whose bank is at a URL; its id is made of the bank's, the same everywhere.

    :raises NoBank, BankError: the bank is not there, or the key does not open it.
    :raises Conflict: a provider has the name, or the bank.
    :raises InvalidInput: the file cannot be written.
    """
    if folder is None:
        raise InvalidInput("there is no folder of provider files")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise InvalidInput(f"'{name}' cannot be the name of a provider", advice="Letters, digits, - and _")
    if parse(url).scheme == "file" and not (url.startswith("/") or "://" in url):
        raise InvalidInput(f"'{url}' is neither an absolute path nor a URL")
    with open_bank(url, key) as bank:
        if bank.project_id:
            raise InvalidInput(f"{key} is the key of one project, not of a bank")
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"refloat-bank:{bank.id}"))
    path = folder / f"{name}.conf"
    for other in known:
        if name in (other.name, other.id) or other.id == identity:
            raise Conflict(f"the provider {other.name} is there already", advice="Choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(_FILE.format(name=name, id=identity, url=url, key=key.absolute()))
    except OSError as exc:
        raise InvalidInput(f"{path} cannot be written", reason=str(exc)) from exc
    return path
