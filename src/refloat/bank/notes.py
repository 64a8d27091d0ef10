"""What a verification remembers on this machine: how far it has come, and how the last one ended.

A file of JSON lines for each bank: the first says what is verified, each of the others what came of a pack.
It may be lost at any time: then the verification begins anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class KnownPack:
    """What an earlier verification found of a pack."""

    mark: str
    bad: dict[int, str]
    whole: str


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier verification had done when it was interrupted."""

    seed: int = 0
    packs: dict[str, KnownPack] = field(default_factory=dict)


class Notes:
    """The notes of one bank.

    :param folder: where they are kept; made when it is needed. None: nothing is kept.
    """

    def __init__(self, folder: Path | None, bank_id: str = "") -> None:
        self._folder = folder
        self._bank_id = bank_id

    def begin(self, about: Mapping[str, Any], *, resume: bool) -> Known | None:
        """Begin to take notes; what an interrupted verification of the same kind had done, if wanted."""
        if self._folder is None:
            return None
        known = self._load(about) if resume else None
        if known is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"about": about}) + "\n", encoding="utf-8")
        return known

    def seed(self, seed: int) -> None:
        self._append({"seed": seed})

    def add(self, pack: str, mark: str, bad: Mapping[int, str], whole: str) -> None:
        self._append({"pack": pack, "mark": mark, "bad": list(bad.items()), "whole": whole})

    def end(self) -> None:
        if self._folder is not None:
            self._path.unlink(missing_ok=True)

    def keep(self, result: Mapping[str, Any]) -> None:
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._last.write_text(json.dumps(result), encoding="utf-8")

    def last(self) -> dict[str, Any]:
        """How the last verification ended; empty if that is not known here."""
        if self._folder is not None:
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(self._last.read_text(encoding="utf-8"))
                return dict(found)
        return {}

    @property
    def interrupted(self) -> bool:
        """Whether there is a verification to be taken up."""
        return self._folder is not None and self._path.exists()

    def _load(self, about: Mapping[str, Any]) -> Known | None:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        seed = 0
        packs: dict[str, KnownPack] = {}
        for number, line in enumerate(lines):
            try:
                data = json.loads(line)
            except ValueError:
                continue  # the process died while it wrote this line
            if number == 0:
                if data.get("about") != about:
                    return None
            elif "seed" in data:
                seed = seed or data["seed"]
            else:
                bad = {int(place): str(reason) for place, reason in data["bad"]}
                packs[data["pack"]] = KnownPack(data["mark"], bad, data["whole"])
        return Known(seed, packs) if lines else None

    def _append(self, data: Mapping[str, Any]) -> None:
        if self._folder is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(data) + "\n")

    @property
    def _path(self) -> Path:
        return (self._folder or Path()) / f"{self._bank_id}.verifying"

    @property
    def _last(self) -> Path:
        return (self._folder or Path()) / f"{self._bank_id}.verified"


NO_NOTES = Notes(None)
