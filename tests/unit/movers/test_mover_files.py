"""Movers that need no storage of their own: files, and streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from refloat.errors import BankError, InvalidInput
from refloat.movers import CannotTell, Sink, Source
from refloat.movers.files import FileSink, FileSource
from refloat.movers.streams import InOrder
from tests.mover_contract import Place, ReadsAnywhere, Streams, bank, read
from tests.unit.support.bank_helpers import noise

__all__ = ["bank"]


class Files(Place):
    """A folder of raw files."""

    grows = True

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def fill(self, name: str, size: int, data: Mapping[int, bytes]) -> None:
        with (self.folder / name).open("wb") as file:
            file.truncate(size)
            for offset, part in data.items():
                file.seek(offset)
                file.write(part)

    def source(self, name: str) -> Source | InOrder:
        return FileSource(self.folder / name)

    def sink(self, name: str, size: int) -> Sink:
        return FileSink(self.folder / name)

    def content(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def to_json(self) -> Any:
        return ["tests.unit.movers.test_mover_files", "Files", str(self.folder)]


class Pieces(Files):
    """The same, read as what comes from Glance: once, in order, in pieces of any size."""

    def source(self, name: str) -> InOrder:
        content = self.content(name)
        return InOrder((content[at : at + 77_777] for at in range(0, len(content), 77_777)), len(content))


class TestFiles(ReadsAnywhere):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        (tmp_path / "volumes").mkdir()
        return Files(str(tmp_path / "volumes"))


class TestStreams(Streams):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        (tmp_path / "volumes").mkdir()
        return Pieces(str(tmp_path / "volumes"))


def test_a_file_without_the_zeros_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(noise(1000))
    with FileSource(tmp_path / "v", 5000) as source:
        assert source.size == 5000
        assert read(source, 0, 5000) == noise(1000) + bytes(4000)
        assert read(source, 2000, 10) == bytes(10)
        assert sum(length for _offset, length in source.extents()) <= 1000
        with pytest.raises(BankError, match="only 5000 bytes"):
            read(source, 4999, 2)
    with pytest.raises(InvalidInput, match="more than the 999"):
        FileSource(tmp_path / "v", 999)


def test_a_file_cannot_tell_what_has_changed(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"x")
    with FileSource(tmp_path / "v") as source, pytest.raises(CannotTell):
        source.changed(source.state)


def test_a_stream_of_another_size_is_refused() -> None:
    with pytest.raises(BankError, match="more than the 3 bytes"):
        list(InOrder([b"ab", b"cd"], 3))
    assert b"".join(InOrder([b"ab"], 5)) == b"ab\0\0\0"
