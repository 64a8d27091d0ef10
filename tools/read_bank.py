#!/usr/bin/env python3
"""Reads a Refloat bank in a folder without Refloat, by docs/bank-format.md alone. Changes nothing in it.

    read_bank.py --bank FOLDER --key FILE list | show CHECKPOINT | extract CHECKPOINT TYPE#ID --to FILE

Needs Python 3.11, cryptography, zstandard and blake3. --key takes the file of a bank key or of a project's key;
without it a passphrase is asked for. Whatever is not what was written is refused, never given out.
"""

import argparse
import contextlib
import getpass
import json
import os
import struct
import sys
import unicodedata
from pathlib import Path

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def need(condition, reason):
    if not condition:
        raise ValueError(reason)


def kdf(purpose, material, length=32):
    return blake3(material, derive_key_context=f"refloat bank 1: {purpose}").digest(length=length)


def decrypt(name, cipher, nonce, blob, bound, is_zstd, largest):
    try:
        plain = cipher.decrypt(nonce, blob, bound)
    except InvalidTag:
        raise ValueError(f"{name} is not what was written") from None
    if not is_zstd:
        return plain
    need(0 <= zstandard.frame_content_size(plain) <= largest, f"{name} holds more than it may")
    return zstandard.ZstdDecompressor().decompress(plain, max_output_size=largest)


def read_key_file(path):
    lines = [line for line in Path(path).read_text().splitlines() if line.strip() and line[0] != "#"]
    word, body, checksum = " ".join(lines).split()
    need(kdf("key file checksum", bytes.fromhex(body), 8).hex() == checksum, f"{path} is damaged")
    return word, bytes.fromhex(body)


def from_passphrase(text, how):
    good = how["name"] == "argon2id" and how["memory"] <= 1 << 22 and how["iterations"] <= 64
    need(good and how["lanes"] <= 64, "the passphrase becomes a key in an unknown, or absurd, way")
    cost = {"iterations": how["iterations"], "lanes": how["lanes"], "memory_cost": how["memory"]}
    words = unicodedata.normalize("NFC", text).encode()
    return Argon2id(salt=bytes.fromhex(how["salt"]), length=32, **cost).derive(words)


class Bank:
    def __init__(self, root, key_file, passphrase):
        self.root = Path(root)
        raw = self.get("bank")
        descriptor = json.loads(raw)
        need(descriptor["format"] == "refloat-bank", f"{root} is not a bank of Refloat")
        need(descriptor["version"] == 1, f"the bank has format version {descriptor['version']}, not 1")
        self.id, self.chunk_size = bytes.fromhex(descriptor["id"]), descriptor["chunk_size"]
        (word, body), self.project, self.secrets = read_key_file(key_file) if key_file else ("", b""), None, {}
        if word == "refloat-project-key-1":
            self.project = json.loads(body)
            good = self.project["descriptor"] == blake3(raw).hexdigest()
            keys = [bytes.fromhex(key) for key in self.project["keys"]]
            self.secrets[self.project["tag"]] = {kdf("key id", key, 16): key for key in keys}
        else:
            self.secret = self.root_secret(body, passphrase)
            check, key = descriptor.pop("check"), kdf("descriptor", self.secret + self.id)
            text = json.dumps(descriptor, sort_keys=True, separators=(",", ":")).encode()
            good = check == blake3(text, key=key).hexdigest(length=16)
        need(good, "the object bank is not what was written, or the key is of another bank")

    def root_secret(self, key, passphrase):
        for path in sorted((self.root / "keys").glob(f"{self.id.hex()}.{'[0-9a-f]' * 32}")):
            slot = json.loads(path.read_text())
            secret = from_passphrase(passphrase, slot["kdf"]) if passphrase and slot["kdf"] else key
            if secret and kdf("key id", secret, 16).hex() == path.name.split(".")[1]:
                sealed = bytes.fromhex(slot.pop("sealed"))
                inner = json.loads(self.unseal("K", f"keys/{path.name}", sealed, {sealed[16:32]: secret}))
                need(inner["about"] == slot, f"keys/{path.name} was altered")
                return bytes.fromhex(inner["root"])
        raise ValueError("the key, or the passphrase, does not open the bank")

    def get(self, name, offset=0, length=-1):
        with (self.root / name).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def project_secrets(self, tag):
        """All keys of a project by their ids. Each is there twice; one that is damaged is left out."""
        if tag not in self.secrets and self.project is None:
            self.secrets[tag] = {}
            for path in (self.root / "keys").glob(f"{self.id.hex()}.project.{tag}.*"):
                name = f"keys/{path.name}"
                with contextlib.suppress(ValueError):
                    about = json.loads(self.unseal("K", name, self.get(name), {bytes(16): self.secret}))
                    expected = kdf("project tag", self.secret + self.id + about["project_id"].encode(), 8)
                    need(expected.hex() == tag, f"{name} is the key of another project")
                    secret = bytes.fromhex(about["secret"])
                    self.secrets[tag][kdf("key id", secret, 16)] = secret
        return self.secrets.get(tag, {})

    def cipher(self, name, header, secrets):
        need(header[16:32] in secrets, f"{name} is encrypted with an unknown key")
        return AESGCM(kdf("object", secrets[header[16:32]] + header)), header + self.id + name.encode()

    def unseal(self, kind, name, blob, secrets):
        header = blob[:48]
        good = header[:9] + header[10:16] == b"REFLOAT1" + kind.encode() + bytes(6)
        need(good and len(header) == 48 and header[9] < 2, f"{name} does not begin as it should")
        cipher, bound = self.cipher(name, header, secrets)
        return decrypt(name, cipher, bytes(12), blob[48:], bound, header[9], 1 << 31)

    def open(self, kind, name):
        tag = name.split("/")[1] if name.startswith("data/") else name.split(".")[1]
        return self.unseal(kind, name, self.get(name), self.project_secrets(tag))

    def checkpoints(self):
        found = {}
        for path in sorted((self.root / "checkpoints").glob("*.*")):
            if self.project is None or path.name.endswith(f".{self.project['tag']}"):
                manifest = json.loads(self.open("M", f"checkpoints/{path.name}"))
                need(manifest["id"] == path.name.split(".")[0], f"{path.name} is of another checkpoint")
                found[manifest["id"]] = manifest
        return found

    def extract(self, ref, target):
        plain = self.open("I", ref["object"])
        end = 4 + int.from_bytes(plain[:4])
        head, chunks = json.loads(plain[4:end]), list(struct.iter_unpack(">I32sIIII", plain[end:]))
        size, count = head["size"], -(-head["size"] // self.chunk_size)
        good = head["chunk_size"] == self.chunk_size and all(chunk[0] < count for chunk in chunks)
        need(good, f"{ref['object']} is no index of chunks of this size")
        key = kdf("chunk ids", getattr(self, "secret", b"") + self.id + head["project_id"].encode())
        key = bytes.fromhex(self.project["chunk_key"]) if self.project else key
        known = {number: chunk_id for number, chunk_id, *_ in chunks}
        ids = b"".join(known.get(number, bytes(32)) for number in range(count))
        digest = blake3(struct.pack(">Q", size) + ids, key=key).hexdigest()
        need((size, digest) == (ref["size"], ref["digest"]), f"{ref['object']} is the index of other data")
        for number, chunk_id, pack, place, offset, stored in chunks:
            (name, _, end), is_zstd, length = head["packs"][pack], stored >> 31, stored & 0x7FFFFFFF
            secrets = self.project_secrets(name.split("/")[1])
            cipher, bound = self.cipher(name, b"REFLOAT1P" + bytes(7) + bytes.fromhex(end), secrets)
            nonce, blob = struct.pack(">IQ", is_zstd, place), self.get(name, offset, length)
            chunk = decrypt(name, cipher, nonce, blob, bound, is_zstd, self.chunk_size)
            need(blake3(chunk, key=key).digest() == chunk_id, f"{name} holds another chunk than it should")
            target.seek(number * self.chunk_size)
            target.write(chunk)
        target.truncate(size)


def references(value):
    if isinstance(value, dict) and {"object", "size", "digest"} <= value.keys():
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [found for item in items for found in references(item)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("--bank", "--key", "--passphrase-file", "--to", "--number"):
        parser.add_argument(name, required=name == "--bank", default="1" if name == "--number" else None)
    parser.add_argument("command", choices=("list", "show", "extract"))
    parser.add_argument("which", nargs="*", help="CHECKPOINT, TYPE#ID")
    args = parser.parse_args()
    checkpoint, section, *_ = [*args.which, "", ""]
    words = Path(args.passphrase_file).read_text().removesuffix("\n") if args.passphrase_file else None
    bank = Bank(args.bank, args.key, words or (None if args.key else getpass.getpass("Passphrase: ")))
    manifests = bank.checkpoints()
    if args.command == "list":
        return print(*(f"{m['id']} {m['created_at']} {m['project_id']}" for m in manifests.values()), sep="\n")
    need(checkpoint in manifests, f"there is no checkpoint {checkpoint}")
    body = json.loads(bank.open("B", manifests[checkpoint]["body"]))
    if args.command == "show":
        return print(json.dumps({**manifests[checkpoint], **body}, indent=1))
    found = references(body["sections"].get(section))
    need(len(found) >= int(args.number) > 0, f"{section} has {len(found)} pieces of data in this checkpoint")
    with open(args.to or section.replace("#", "_").replace("::", "_"), "xb") as file:
        try:
            bank.extract(found[int(args.number) - 1], file)
        except BaseException:
            os.unlink(file.name)
            raise


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, zstandard.ZstdError) as error:
        sys.exit(f"read_bank: {error}")
