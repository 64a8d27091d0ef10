"""A disk image as a virtual machine leaves it, always the same for one seed.

    python benchmarks/image.py make FILE [--size GIB]      40 % zeros, 20 % text, 25 % noise, 15 % repeated
    python benchmarks/image.py change FILE FROM            FROM again with 2 % written anew
    python benchmarks/image.py sparse FILE [--size GIB] [--data GIB]   data here and there in a large hole

Kinds of data come in stretches of 4 MiB, so that a tool which cuts into pieces of 4 MiB is not put at a
disadvantage; what is written anew is noise in clusters of 256 KiB to 1 MiB at any multiple of 4 KiB. The
zeros are written, not holes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MIB = 1 << 20
GIB = 1 << 30
STRETCH = 4 * MIB
SHARES = {"zeros": 40, "text": 20, "noise": 25, "again": 15}
CHANGED = 0.02
_LETTERS = "eeeettaaooiinnsshhrrddlluucmfwygpbvkxqjz"
_WORDS = 2_000
_PARAGRAPH, _PARAGRAPHS = 64 << 10, 1024


class Noise:
    """Bytes that look random, from a seed, quickly."""

    def __init__(self, seed: int) -> None:
        self._stream = Cipher(algorithms.AES(seed.to_bytes(32, "big")), modes.CTR(bytes(16))).encryptor()

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        return self._stream.update(bytes(size))


class Text:
    """Words out of a list, frequent ones more often, as language has it; ``zstd -1`` makes a third of it.

    Paragraphs of 64 KiB, put together anew all the time: it is made quickly, and no 256 KiB of it are the
    same twice.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        words = ["".join(self._rng.choices(_LETTERS, k=self._rng.randint(2, 11))) for _ in range(_WORDS)]
        weights = [1 / (rank + 3) for rank in range(_WORDS)]
        table = [word.encode() for word in self._rng.choices(words, weights, k=1 << 16)]
        noise = Noise(seed + 1)
        numbers = (memoryview(noise.take(_PARAGRAPH)).cast("H") for _ in range(_PARAGRAPHS))
        self._paragraphs = [b" ".join(map(table.__getitem__, each))[:_PARAGRAPH] for each in numbers]

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes: whole paragraphs."""
        return b"".join(self._rng.choices(self._paragraphs, k=size // _PARAGRAPH))


def stretches(size: int, seed: int) -> Iterator[bytes]:
    """The image, 4 MiB at a time."""
    count = size // STRETCH
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(count * share / 100))]
    kinds = (kinds + ["zeros"] * count)[:count]
    rng = random.Random(seed)
    rng.shuffle(kinds)
    text, noise = Text(seed), Noise(seed)
    seen: list[bytes] = []
    for kind in kinds:
        if kind == "zeros":
            yield bytes(STRETCH)
        elif kind == "again" and seen:
            yield rng.choice(seen)
        else:
            data = text.take(STRETCH) if kind == "text" else noise.take(STRETCH)
            seen = [*seen[-15:], data]
            yield data


def make(path: Path, size: int, seed: int = 1) -> None:
    """Write the image."""
    with path.open("wb") as file:
        for data in stretches(size, seed):
            file.write(data)


def change(path: Path, source: Path, seed: int = 2) -> int:
    """Copy an image and write a part of it anew. Returns how many bytes were."""
    shutil.copyfile(source, path)
    rng, noise = random.Random(seed), Noise(seed)
    size = path.stat().st_size
    done = 0
    with path.open("r+b") as file:
        while done < CHANGED * size:
            cluster = rng.randrange(64, 257) * 4096
            file.seek(rng.randrange((size - cluster) // 4096) * 4096)
            file.write(noise.take(cluster))
            done += cluster
    return done


def sparse(path: Path, size: int, data: int, seed: int = 3) -> None:
    """A file that is a hole but for ``data`` bytes of the usual mix, in stretches of 64 MiB."""
    rng = random.Random(seed)
    source = stretches(data, seed)
    with path.open("wb") as file:
        file.truncate(size)
        for slot in sorted(rng.sample(range(size // (64 * MIB)), data // (64 * MIB))):
            for number in range(64 * MIB // STRETCH):
                os.pwrite(file.fileno(), next(source), slot * 64 * MIB + number * STRETCH)


def main() -> None:
    """Make one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("make", "change", "sparse"):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        if name == "change":
            command.add_argument("source", type=Path)
        else:
            command.add_argument("--size", type=float, default=2 if name == "make" else 1024, help="GiB")
        if name == "sparse":
            command.add_argument("--data", type=float, default=20, help="GiB")
    given = parser.parse_args()
    if given.command == "make":
        make(given.file, int(given.size * GIB))
    elif given.command == "change":
        change(given.file, given.source)
    else:
        sparse(given.file, int(given.size * GIB), int(given.data * GIB))


if __name__ == "__main__":
    main()
