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
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def need(condition, reason):
    if not condition:
        raise ValueError(reason)


def kdf(purpose, material, length=32):
    return blake3(material, derive_key_context=f"refloat bank 1: {purpose}").digest(length=length)


def decrypt(name, cipher, bound, nonce, blob, is_zstd, largest):
    try:
        plain = cipher.decrypt(nonce, blob, bound)
    except InvalidTag:
        raise ValueError(f"{name} is not what was written") from None
    need(not is_zstd or 0 <= zstandard.frame_content_size(plain) <= largest, f"{name} holds more than it may")
    return zstandard.ZstdDecompressor().decompress(plain, max_output_size=largest) if is_zstd else plain


class Bank:
    def __init__(self, root, key_file, passphrase):
        self.root = Path(root)
        descriptor = json.loads(raw := self.get("bank"))
        need(descriptor["format"] == "refloat-bank", f"{root} is not a bank of Refloat")
        need(descriptor["version"] == 1, f"the bank has format version {descriptor['version']}, not 1")
        self.id, self.chunk_size = bytes.fromhex(descriptor["id"]), descriptor["chunk_size"]
        word, key, self.project, self.secrets = "", b"", None, {}
        if key_file:
            lines = [line for line in Path(key_file).read_text().splitlines() if line.strip() and line[0] != "#"]
            word, body, checksum = " ".join(lines).split()
            need(kdf("key file checksum", key := bytes.fromhex(body), 8).hex() == checksum, f"{key_file} is damaged")
        if word == "refloat-project-key-1":
            self.project = json.loads(key)
            good = self.project["descriptor"] == blake3(raw).hexdigest()
            keys = [bytes.fromhex(key) for key in self.project["keys"]]
            self.secrets[self.project["tag"]] = {kdf("key id", key, 16): key for key in keys}
        else:
            self.secret, *later = self.all_roots(*self.slot(key, unicodedata.normalize("NFC", passphrase or "").encode()))
            self.roots = {bytes(16): self.secret} | {kdf("key id", each, 16): each for each in later}
            check, key = descriptor.pop("check"), kdf("descriptor", self.secret + self.id)
            text = json.dumps(descriptor, sort_keys=True, separators=(",", ":")).encode()
            good = check == blake3(text, key=key).hexdigest(length=16)
        need(good, "the object bank is not what was written, or the key is of another bank")

    def slot(self, key, passphrase):
        for path in sorted((self.root / "keys").glob(f"{self.id.hex()}.{'[0-9a-f]' * 32}")):
            slot = json.loads(path.read_text())
            if passphrase and (how := slot["kdf"]):
                cost = {"iterations": how["iterations"], "lanes": how["lanes"], "memory_cost": how["memory"]}
                good = how["name"] == "argon2id" and max(how["memory"] >> 16, how["iterations"], how["lanes"]) <= 64
                need(good, "the passphrase becomes a key in an unknown, or absurd, way")
                key = Argon2id(salt=bytes.fromhex(how["salt"]), length=32, **cost).derive(passphrase)
            if key and kdf("key id", key, 16).hex() == path.name.split(".")[1]:
                inner = self.unseal_json(f"keys/{path.name}", slot.pop("sealed"), key)
                need(inner["about"] == slot, f"keys/{path.name} was altered")
                return key, bytes.fromhex(inner["root"])
        raise ValueError("the key, or the passphrase, does not open the bank")

    def all_roots(self, key, root):
        """The roots of all epochs, from a bank key and the root in its slot."""
        paths = sorted((self.root / "keys").glob(f"{self.id.hex()}.root.*[0-9]"), key=lambda p: int(p.suffix[1:]))
        epochs, first = [(f"keys/{path.name}", json.loads(path.read_text())) for path in paths], root
        for name, about in epochs:
            if about["sealed"][32:64] == kdf("key id", root, 16).hex():  # the key came in this epoch
                first = bytes.fromhex(self.unseal_json(name, about["sealed"], root)["roots"][0])
        if epochs and about["sealed"][32:64] != kdf("key id", root, 16).hex():
            mine, private = kdf("key id", key, 16).hex(), X25519PrivateKey.from_private_bytes(kdf("key exchange", key))
            need(mine in about["wraps"], "the key was removed from the bank")
            sender, public = bytes.fromhex(about["exchange"]), private.public_key().public_bytes_raw()
            shared = private.exchange(X25519PublicKey.from_public_bytes(sender))
            secret = kdf("root for a key", first + shared + sender + public)
            root = bytes.fromhex(self.unseal_json(name, about["wraps"][mine], secret)["root"])
        return [*map(bytes.fromhex, self.unseal_json(name, about["sealed"], root)["roots"] if epochs else []), root]

    def get(self, name, offset=0, length=-1):
        with (self.root / name).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def project_secrets(self, tag):
        """All keys of a project by their ids. Each is there twice; one that is damaged is left out."""
        if tag not in self.secrets and self.project is None:
            self.secrets[tag] = {}
            for name in [f"keys/{each.name}" for each in self.root.glob(f"keys/{self.id.hex()}.project.{tag}.*")]:
                with contextlib.suppress(ValueError):
                    about = json.loads(self.unseal("K", name, self.get(name), self.roots))
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
        return decrypt(name, *self.cipher(name, header, secrets), bytes(12), blob[48:], header[9], 1 << 31)

    def unseal_json(self, name, sealed, secret):
        return json.loads(self.unseal("K", name, blob := bytes.fromhex(sealed), {blob[16:32]: secret}))

    def open(self, kind, name):
        tag = name.split("/")[1] if name.startswith("data/") else name.split(".")[1]
        return self.unseal(kind, name, self.get(name), self.project_secrets(tag))

    def checkpoints(self):
        found = {}
        for path in sorted((self.root / "checkpoints").glob(f"*.{self.project['tag'] if self.project else '*'}")):
            found[path.name.split(".")[0]] = manifest = json.loads(self.open("M", f"checkpoints/{path.name}"))
            need(manifest["id"] == path.name.split(".")[0], f"{path.name} is of another checkpoint")
        return found

    def extract(self, ref, target):
        plain = self.open("I", ref["object"])
        end = 4 + int.from_bytes(plain[:4])
        head, chunks = json.loads(plain[4:end]), list(struct.iter_unpack(">I32sIIII", plain[end:]))
        size, count = head["size"], -(-head["size"] // self.chunk_size)
        need(head["chunk_size"] == self.chunk_size and all(n < count for n, *_ in chunks), "chunks of another size")
        key = kdf("chunk ids", getattr(self, "secret", b"") + self.id + head["project_id"].encode())
        key = bytes.fromhex(self.project["chunk_key"]) if self.project else key
        known = {number: chunk_id for number, chunk_id, *_ in chunks}
        ids = b"".join(known.get(number, bytes(32)) for number in range(count))
        digest = blake3(struct.pack(">Q", size) + ids, key=key).hexdigest()
        need((size, digest) == (ref["size"], ref["digest"]), f"{ref['object']} is the index of other data")
        for number, chunk_id, pack, place, offset, stored in chunks:
            (name, _, end), is_zstd, length = head["packs"][pack], stored >> 31, stored & 0x7FFFFFFF
            header, secrets = b"REFLOAT1P" + bytes(7) + bytes.fromhex(end), self.project_secrets(name.split("/")[1])
            nonce, blob = struct.pack(">IQ", is_zstd, place), self.get(name, offset, length)
            chunk = decrypt(name, *self.cipher(name, header, secrets), nonce, blob, is_zstd, self.chunk_size)
            need(blake3(chunk, key=key).digest() == chunk_id, f"{name} holds another chunk than it should")
            os.pwrite(target.fileno(), chunk, number * self.chunk_size)
        target.truncate(size)


def references(value):
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    is_one = isinstance(value, dict) and {"object", "size", "digest"} <= value.keys()
    return [value] if is_one else [found for item in items for found in references(item)]


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
    with open(args.to or section.replace("#", "_").replace("::", "_"), "xb") as file, contextlib.ExitStack() as undo:
        undo.callback(os.unlink, file.name)
        bank.extract(found[int(args.number) - 1], file)
        undo.pop_all()


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError, zstandard.ZstdError) as error:
        sys.exit(f"read_bank: {error}")
