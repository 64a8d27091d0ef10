"""What the tests of the bank share."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, BankKey
from refloat.bank.store import Store

KEY = BankKey(bytes(range(32)))
CHUNK = 1 << 20
NOW = "2031-01-31T12:00:00+00:00"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: what a power failure would lose does not matter to most tests."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)


def open_bank(where: Path | Store) -> Bank:
    return Bank.open(str(where) if isinstance(where, Path) else where, KEY, create=True)


def noise(size: int, seed: object = 0) -> bytes:
    return random.Random(repr(seed)).randbytes(size)


def protect(bank: Bank, checkpoint_id: str, data: dict[str, bytes], project: str = "p1", **more: Any) -> Any:
    """A checkpoint with a section for each piece of data; returns the references."""
    with bank.writer(checkpoint_id, project) as writer:
        refs = {name: writer.put_data([content]) for name, content in data.items()}
        writer.commit(
            created_at=more.pop("created_at", NOW),
            graph={"nodes": sorted(data)},
            sections={name: {"data": ref} for name, ref in refs.items()},
            **more,
        )
    return refs


def restore(bank: Bank, checkpoint_id: str) -> dict[str, bytes]:
    found = {}
    for name, section in bank.checkpoint(checkpoint_id).sections.items():
        with bank.open_data(section["data"]) as reader:
            found[name] = reader.read()
    return found


def files(root: Path) -> dict[str, str]:
    """Every file and folder, with a fingerprint of its content; but for the keys of projects and later roots,
    which stay, and the reserve and the heads, which come and go."""
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in root.rglob("*")
        if not {"project", "root", "head", "reserve"} & {*p.name.split(".")}
    }


def objects(root: Path, suffix: str = "") -> list[Path]:
    """All but the reserve, which means nothing, and the heads."""
    return sorted(
        p
        for p in root.rglob(f"*{suffix}")
        if p.is_file() and ".tmp" not in p.relative_to(root).parts
        if not {"head", "reserve"} & {*p.name.split(".")}
    )
