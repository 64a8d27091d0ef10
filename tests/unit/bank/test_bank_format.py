"""A reader of banks that was written from ``docs/bank-format.md`` and shares no code with Refloat.

If this test fails, the format has changed: that needs a new version number, not a new test.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refloat.bank import create_key, packs
from tests.unit.support.bank_helpers import CHUNK, KEY, hasty, noise, open_bank, protect

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")


def kdf(purpose: str, material: bytes, length: int = 32) -> bytes:
    return blake3(material, derive_key_context=f"refloat bank 1: {purpose}").digest(length=length)


class Reader:
    def __init__(self, root: Path, key: bytes) -> None:
        self.root = root
        descriptor = json.loads((root / "bank").read_text())
        assert (descriptor["format"], descriptor["version"]) == ("refloat-bank", 1)
        self.bank_id = bytes.fromhex(descriptor["id"])
        key_id = kdf("key id", key, 16)
        name = f"keys/{self.bank_id.hex()}.{key_id.hex()}"
        slot = json.loads((root / name).read_text())
        inner = json.loads(self.decrypt("K", name, bytes.fromhex(slot.pop("sealed")), {key_id: key}))
        assert inner["about"] == slot
        assert slot["kind"] == "key file"
        assert slot["kdf"] is None
        self.secret = bytes.fromhex(inner["root"])
        check = descriptor.pop("check")
        text = json.dumps(descriptor, sort_keys=True, separators=(",", ":")).encode()
        assert check == blake3(text, key=kdf("descriptor", self.secret + self.bank_id)).hexdigest(length=16)

    def project_keys(self, tag: str) -> dict[bytes, bytes]:
        found = {}
        for path in (self.root / "keys").glob(f"{self.bank_id.hex()}.project.{tag}.*"):
            name = f"keys/{path.name}"
            about = json.loads(self.decrypt("K", name, path.read_bytes(), {bytes(16): self.secret}))
            secret = bytes.fromhex(about["secret"])
            assert path.name.removesuffix(".copy").endswith(f".{tag}.{about['number']}")
            assert self.tag(about["project_id"]) == tag
            found[kdf("key id", secret, 16)] = secret
        return found

    def tag(self, project_id: str) -> str:
        return kdf("project tag", self.secret + self.bank_id + project_id.encode(), 8).hex()

    def open(self, kind: str, name: str) -> bytes:
        tag = name.split("/")[1] if name.startswith("data/") else name.split(".")[1]
        return self.decrypt(kind, name, (self.root / name).read_bytes(), self.project_keys(tag))

    def decrypt(self, kind: str, name: str, blob: bytes, secrets: dict[bytes, bytes]) -> bytes:
        header = blob[:48]
        assert header[:8] == b"REFLOAT1"
        assert header[8:9] == kind.encode()
        assert header[10:16] == bytes(6)
        cipher = AESGCM(kdf("object", secrets[header[16:32]] + header))
        plain = cipher.decrypt(bytes(12), blob[48:], header + self.bank_id + name.encode())
        return zstandard.ZstdDecompressor().decompress(plain) if header[9] == 1 else plain

    def checkpoints(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        found = {}
        for path in (self.root / "checkpoints").iterdir():
            manifest = json.loads(self.open("M", f"checkpoints/{path.name}"))
            assert path.name.split(".")[0] == manifest["id"]
            assert path.name.split(".")[1] == self.tag(manifest["project_id"])
            found[manifest["id"]] = (manifest, json.loads(self.open("B", manifest["body"])))
        return found

    def data(self, ref: dict[str, Any]) -> bytes:
        plain = self.open("I", ref["object"])
        (length,) = struct.unpack_from(">I", plain)
        head = json.loads(plain[4 : 4 + length])
        records = {n: r for n, *r in struct.iter_unpack(">I32sIIII", plain[4 + length :])}
        assert list(records) == sorted(records)
        count = -(-head["size"] // head["chunk_size"])
        key = kdf("chunk ids", self.secret + self.bank_id + head["project_id"].encode())
        ids = b"".join(records[n][0] if n in records else bytes(32) for n in range(count))
        assert ref["digest"] == blake3(struct.pack(">Q", head["size"]) + ids, key=key).hexdigest()
        result, left = b"", head["size"]
        for n in range(count):
            size = min(left, head["chunk_size"])
            left -= size
            if n not in records:
                result += bytes(size)
                continue
            chunk_id, number, place, offset, stored = records[n]
            name, pack_size, salt = head["packs"][number]
            pack = (self.root / name).read_bytes()
            assert len(pack) == pack_size
            assert pack[:48] == b"REFLOAT1P\0" + bytes(6) + bytes.fromhex(salt)
            secret = self.project_keys(name.split("/")[1])[pack[16:32]]
            cipher = AESGCM(kdf("object", secret + pack[:48]))
            bound = pack[:48] + self.bank_id + name.encode()
            is_zstd, length = stored >> 31, stored & 0x7FFFFFFF
            chunk = cipher.decrypt(struct.pack(">IQ", is_zstd, place), pack[offset : offset + length], bound)
            if is_zstd:
                chunk = zstandard.ZstdDecompressor().decompress(chunk, max_output_size=head["chunk_size"])
            assert blake3(chunk, key=key).digest() == chunk_id
            assert len(chunk) == size
            result += chunk
            self.check_footer(pack, cipher, bound, (place, chunk_id, offset, stored))
        return result

    @staticmethod
    def check_footer(pack: bytes, cipher: AESGCM, bound: bytes, chunk: tuple[int, bytes, int, int]) -> None:
        length, count, end = struct.unpack(">II8s", pack[-16:])
        assert end == b"REFLOATE"
        footer = cipher.decrypt(struct.pack(">IQ", 2, count), pack[-16 - length : -16], bound)
        listed = [(n, *record) for n, record in enumerate(struct.iter_unpack(">32sII", footer))]
        assert len(listed) == count
        assert chunk in listed


def test_a_bank_is_read_by_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", 2 * CHUNK)
    content = {
        "a": noise(3 * CHUNK + 5) + bytes(2 * CHUNK),
        "b": b"text " * 500_000,
        "c": b"",
        "d": bytes(CHUNK + 3),
    }
    bank = open_bank(tmp_path / "bank")
    protect(bank, "c1", content, plan={"name": "Müller"}, provider="x")
    protect(bank, "c2", {"a": content["a"][:-1]}, project="projet d'été")
    reader = Reader(tmp_path / "bank", KEY.secret)
    found = reader.checkpoints()
    assert set(found) == {"c1", "c2"}
    manifest, body = found["c1"]
    assert manifest["plan"] == {"name": "Müller"}
    assert manifest["provider"] == "x"
    assert body["graph"] == {"nodes": ["a", "b", "c", "d"]}
    assert {n: reader.data(section["data"]) for n, section in body["sections"].items()} == content
    assert reader.data(found["c2"][1]["sections"]["a"]["data"]) == content["a"][:-1]
    for manifest, each in found.values():
        assert each["manifest"] == manifest
        needed = {*each["indexes"], *each["packs"]}
        assert all((tmp_path / "bank" / name).is_file() for name in needed)


def test_a_key_file_by_the_book(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    lines = (tmp_path / "key").read_text().splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    word, digits, checksum = line.split()
    assert word == "refloat-bank-key-1"
    assert bytes.fromhex(digits) == key.secret
    assert checksum == kdf("key file checksum", key.secret, 8).hex()
