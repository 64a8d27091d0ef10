"""L7: two writers that draw the same random bytes (a virtual machine that was cloned while it ran) never use
one key and nonce for two contents."""

from __future__ import annotations

import random
import secrets
import shutil
from pathlib import Path

import pytest

from refloat.bank import Bank, packs
from tests.unit.support.bank_helpers import CHUNK, KEY, hasty, noise, objects, open_bank, protect, restore

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

SHARED = noise(CHUNK + 9, "shared")


def draw_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(11)
    monkeypatch.setattr(secrets, "token_bytes", lambda size=32: rng.randbytes(size))
    monkeypatch.setattr(secrets, "token_hex", lambda size=32: rng.randbytes(size).hex())


def sealed(root: Path) -> dict[str, dict[bytes, bytes]]:
    """The encrypted objects: by the header (of which the key is made), what is encrypted with it."""
    found: dict[str, dict[bytes, bytes]] = {}
    for path in objects(root):
        content = path.read_bytes()
        if content.startswith(b"REFLOAT1"):
            found.setdefault(path.suffix, {})[content[:48]] = content[48:]
    return found


def test_the_same_random_bytes_make_no_key_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies, indexes, packs, manifests, project keys: the same names, but other keys."""
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    open_bank(tmp_path / "origin").close()
    both = [tmp_path / "one", tmp_path / "two"]
    contents = [
        {"a": SHARED + noise(3 * CHUNK, seed), "b": bytes([seed]) * (CHUNK + 7) + SHARED} for seed in (1, 2)
    ]
    names = []
    for root, content in zip(both, contents, strict=True):
        shutil.copytree(tmp_path / "origin", root)
        draw_again(monkeypatch)
        bank = Bank.open(str(root), KEY)
        for name, data in content.items():
            protect(bank, f"c-{name}", {name: data})
        names.append({path.relative_to(root) for path in objects(root)})
        assert restore(bank, "c-a") == {"a": content["a"]}
    assert len(names[0] & names[1]) > len(names[0]) / 2  # names are random too
    one, two = map(sealed, both)
    assert {".pack", ".body", ".index"} <= one.keys() & two.keys()
    for suffix in one.keys() & two.keys():
        for header in one[suffix].keys() & two[suffix].keys():
            assert one[suffix][header] == two[suffix][header], f"a key met its nonces twice: {suffix}"


def test_the_same_chunks_cut_otherwise_are_another_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is the same as a whole; but each chunk has its own nonce."""
    open_bank(tmp_path / "origin").close()
    roots = [tmp_path / "one", tmp_path / "two"]
    for root, cut in zip(roots, (1000, 2000), strict=True):
        shutil.copytree(tmp_path / "origin", root)
        bank = Bank.open(str(root), KEY)
        draw_again(monkeypatch)
        protect(bank, "c", {"a": SHARED[:cut], "b": SHARED[cut : 1 << 19]})
    one, two = map(sealed, roots)
    assert not one[".pack"].keys() & two[".pack"].keys()
