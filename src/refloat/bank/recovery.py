"""What opens a bank, in one file that is kept elsewhere: its descriptor, its slots, the keys of its projects.

A zip archive of objects, each under its name. It is worthless without a key of the bank.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from refloat.bank.identity import DESCRIPTOR, DESCRIPTOR_COPY, bank_id_in
from refloat.bank.keys import write_new
from refloat.bank.objects import Objects
from refloat.bank.store import Store, get_or_none
from refloat.errors import Conflict, InvalidInput, NotFound

_KEPT = re.compile(r"bank|keys/bank\.copy|keys/[0-9a-f]{32}\.(?!head\.)[0-9a-z]+(\.[0-9a-z]+)*")
_PROJECT_KEY = re.compile(r"(keys/[0-9a-f]{32}\.)project(\.[0-9a-f]{16}\.\d+)(\.copy)?")
_LARGEST = 1 << 20
"""Bytes of an object: what opens a bank is small."""


@dataclass(slots=True)
class Recovery:
    """What a file has of a bank, by what the store has.

    :param restored: the names of what was missing, or replaced, and is now as in the file.
    :param other: of what is there with another content, and was left alone.
    :param erased: of keys of projects that were erased: these stay so.
    """

    bank_id: str
    restored: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)


def export_recovery(objects: Objects, path: str | Path) -> list[str]:
    """Write the file; the names of what is in it.

    :raises Conflict: the file exists.
    """
    objects.keys.root  # noqa: B018 - whoever has the key of one project has not the bank's
    objects.confirm()
    names = [DESCRIPTOR, *sorted(e.name for e in objects.store.list("keys/") if _KEPT.fullmatch(e.name))]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            # Of the descriptor, which may be damaged, what the bank was opened with.
            is_descriptor = name in (DESCRIPTOR, DESCRIPTOR_COPY)
            archive.writestr(name, objects.identity.descriptor if is_descriptor else objects.store.get(name))
    write_new(path, content.getvalue(), "file")
    return names


def import_recovery(store: Store, path: str | Path, *, replace: bool = False) -> Recovery:
    """Put back what a bank has lost.

    :param replace: also what is there with another content, as what is damaged has.
    :raises InvalidInput: the file is none of these.
    :raises Conflict: the store has another bank.
    """
    kept = _read(path)
    done = Recovery(bank_id_in(kept[DESCRIPTOR]))
    for name in (DESCRIPTOR, DESCRIPTOR_COPY):
        there = get_or_none(store, name)
        if there is not None and bank_id_in(there) not in ("", done.bank_id):
            raise Conflict(f"{store.url} is another bank", reason=f"the file is of the bank {done.bank_id}")
    for name, content in kept.items():
        there = get_or_none(store, name)
        key = _PROJECT_KEY.fullmatch(name)
        if there == content:
            continue
        if key and get_or_none(store, f"{key[1]}erased{key[2]}") is not None:
            done.erased.append(name)
            continue
        if there is not None and not replace:
            done.other.append(name)
            continue
        if there is not None:
            store.delete(name)
        store.put(name, content)
        done.restored.append(name)
    return done


def _read(path: str | Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if all(_KEPT.fullmatch(each.filename) and each.file_size <= _LARGEST for each in entries):
                kept = {each.filename: archive.read(each) for each in entries}
                bank_id = bank_id_in(kept.get(DESCRIPTOR, b""))
                if bank_id and all(
                    name in (DESCRIPTOR, DESCRIPTOR_COPY) or name.startswith(f"keys/{bank_id}.")
                    for name in kept
                ):
                    return kept
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"{path} cannot be read", reason=str(error)) from error
    raise InvalidInput(f"{path} was not written by 'refloat bank keys export-recovery'")
