"""Reads provider files: the INI format of Karbor, whose files load as they are.

One file defines one provider. Its section ``[provider]`` names the protection plugins and the bank, by
Refloat's names or by those of Karbor's entry points; other sections hold their settings. What a file names
and Refloat does not have is an error that names file and line; what only Karbor protects is noted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import quote

from refloat.errors import InvalidInput
from refloat.movers.settings import DEFAULT, KNOWN, Ceph, Movers
from refloat.providers.banks import BankLocation

KARBOR_PLUGINS: Mapping[str, tuple[str, ...]] = {
    "karbor-volume-protection-plugin": ("volume-cinder-backup",),
    "karbor-volume-snapshot-plugin": ("volume-cinder-snapshot",),
    "karbor-volume-glance-plugin": ("volume-bank",),
    "karbor-image-protection-plugin": ("image-bank",),
    "karbor-server-protection-plugin": ("server", "keypair", "server-group"),
    "karbor-network-protection-plugin": ("network", "router", "security-group", "floating-ip"),
    "karbor-share-protection-plugin": ("share-manila-snapshot",),
    "karbor-database-protection-plugin": ("database-trove-backup",),
    "karbor-pod-protection-plugin": ("pod-manifest",),
    "karbor-noop-protection-plugin": ("noop",),
}
"""What does the work of each of Karbor's plugins here."""

KARBOR_ONLY: Mapping[str, str] = {
    "karbor-volume-freezer-plugin": "volumes through Freezer",
}
"""Karbor's plugins that have no counterpart, and what they protect."""

DEFAULT_BANK = "default"
"""The word for the bank that Refloat uses when no provider says otherwise."""

_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
_PROVIDER_KEYS = ("name", "id", "description", "plugin", "bank", "enabled", "movers", "full_every")
_BANK_KEYS = ("url", "key_file", "found")
_RBD_KEYS = ("conf", "user", "keyring", "pools")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and the line it stands in."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Ini:
    """A file's values: by section and key, in order; a key may be given several times."""

    path: Path
    sections: dict[str, dict[str, list[Value]]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Where each section begins."""

    def last(self, section: str, key: str) -> Value | None:
        """The value that counts when only one is meant."""
        values = self.sections.get(section, {}).get(key, [])
        return values[-1] if values else None

    def all(self, section: str, key: str) -> list[Value]:
        return list(self.sections.get(section, {}).get(key, []))

    def text(self, section: str, key: str, default: str = "") -> str:
        value = self.last(section, key)
        return value.text if value and value.text else default

    def refuse(self, line: int, message: str, advice: str = "") -> NoReturn:
        """:raises InvalidInput: always, naming file and line."""
        raise InvalidInput(f"{self.path}, line {line}: {message}", advice=advice)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a provider is.

    :param id: fixed for ever, so that plans and checkpoints can name it.
    :param plugin_names: the plugins it chooses, by Refloat's names.
    :param bank: its own bank; None: the one that all share.
    :param file: what defines it; None: it is built in.
    :param found: its bank was found: what other providers have left there is taken up as its own.
    :param notes: what its file asks for and does not get, one sentence each.
    :param movers: how the bytes of volumes in its bank are read and written.
    """

    id: str
    name: str
    description: str
    plugin_names: tuple[str, ...]
    bank: BankLocation | None = None
    file: Path | None = None
    notes: tuple[str, ...] = ()
    found: bool = False
    movers: Movers = DEFAULT


Defined = TypeVar("Defined", bound=Definition)


def parse_ini(path: Path) -> Ini:
    """A file in the format of oslo.config.

    :raises InvalidInput: it cannot be read, or a line is no section, setting or comment.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"the provider file {path} cannot be read", reason=str(exc)) from exc
    ini = Ini(path)
    section = ""
    values: list[Value] | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip()
        if not line:
            values = None
        elif line.lstrip()[0] in "#;":
            continue
        elif line[0].isspace():  # goes on with the value before
            if values is None:
                ini.refuse(number, "a value without a key")
            joined = f"{values[-1].text} {line.strip()}".strip()
            values[-1] = Value(joined, values[-1].line)
        elif line.startswith("["):
            section = line[1:].partition("]")[0].strip()
            if "]" not in line or not section:
                ini.refuse(number, f"'{line}' is no section", "Write [name]")
            ini.sections.setdefault(section, {})
            ini.lines.setdefault(section, number)
            values = None
        else:
            values = _setting(ini, number, line, section)
    return ini


def _setting(ini: Ini, number: int, line: str, section: str) -> list[Value]:
    key, mark, text = line.partition("=")
    if not mark:
        key, mark, text = line.partition(":")
    key, text = key.strip(), text.strip()
    if not (mark and key):
        ini.refuse(number, f"'{line}' is neither a section nor KEY = VALUE")
    if not section:
        ini.refuse(number, f"'{key}' stands before any section")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    values = ini.sections[section].setdefault(key, [])
    values.append(Value(text, number))
    return values


def load_folder(
    folder: Path, installed: Callable[[], Collection[str]], key_file: Path, kind: type[Defined]
) -> Iterator[Defined]:
    """The providers that the files ``*.conf`` of a folder define and enable, in the order of their names.

    :param installed: gives the names of the protection plugins that there are, if there is any file.
    :param key_file: the key of banks for which a file names none.
    :raises InvalidInput: a file is wrong.
    """
    for path in sorted(folder.glob("*.conf")):
        found = load_file(path, installed(), key_file, kind)
        if found is not None:
            yield found


def load_file(path: Path, installed: Collection[str], key_file: Path, kind: type[Defined]) -> Defined | None:
    """The provider that a file defines; None when it is not enabled.

    :raises InvalidInput: the file is wrong; the message names the line.
    """
    ini = parse_ini(path)
    if "provider" not in ini.sections:
        ini.refuse(1, "there is no section [provider]")
    _refuse_unknown(ini, "provider", _PROVIDER_KEYS)
    if not _flag(ini, "provider", "enabled", default=False):
        return None
    plugins, notes = _plugins(ini, installed)
    identity, name, about = _uuid(ini), _required(ini, "name"), ini.text("provider", "description")
    found = _flag(ini, "refloat_bank", "found", default=False)
    return kind(identity, name, about, plugins, _bank(ini, key_file), path, notes, found, _movers(ini))


def _plugins(ini: Ini, installed: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    chosen: dict[str, None] = {}
    notes: list[str] = []
    for value in ini.all("provider", "plugin"):
        if value.text in KARBOR_ONLY:
            notes.append(f"{value.text}: Refloat does not protect {KARBOR_ONLY[value.text]}")
            continue
        names = KARBOR_PLUGINS.get(value.text, (value.text,))
        for name in names:
            if name not in installed and value.text in KARBOR_PLUGINS:
                notes.append(f"{value.text}: this Refloat has no plugin '{name}'")
            elif name not in installed:
                known = [*installed, *KARBOR_PLUGINS]
                near = get_close_matches(value.text, known, n=1)
                advice = f"Did you mean {near[0]}?" if near else f"Plugins: {', '.join(sorted(installed))}"
                ini.refuse(value.line, f"there is no protection plugin '{value.text}'", advice)
        chosen.update((name, None) for name in names if name in installed)
    if not chosen and not notes:
        ini.refuse(
            ini.lines["provider"], "the provider names no plugin", "Write plugin = NAME, once for each"
        )
    return tuple(chosen), tuple(notes)


def _file_system(ini: Ini) -> str:
    place = ini.last("file_system_bank_plugin", "file_system_bank_path")
    if place is None or not place.text.startswith("/"):
        line = place.line if place else ini.lines.get("file_system_bank_plugin", ini.lines["provider"])
        ini.refuse(line, "the file system bank needs file_system_bank_path, an absolute path")
    container = ini.text("file_system_bank_plugin", "bank_object_container", "karbor")
    # Beside what Karbor keeps there, which Refloat cannot read.
    return f"file://{place.text.rstrip('/')}/refloat-{container}"


def _swift(ini: Ini) -> str:
    return f"swift://{ini.text('swift_bank_plugin', 'bank_swift_object_container', 'karbor')}/refloat"


def _s3(ini: Ini) -> str:
    endpoint = ini.text("s3_client", "s3_endpoint")
    options = f"?endpoint={quote(endpoint, safe=':/')}" if endpoint else ""
    return f"s3://{ini.text('s3_bank_plugin', 'bank_s3_object_bucket', 'karbor')}/refloat{options}"


_KARBOR_BANKS: Mapping[str, Callable[[Ini], str]] = {
    "karbor-fs-bank-plugin": _file_system,
    "karbor-swift-bank-plugin": _swift,
    "karbor-s3-bank-plugin": _s3,
}
"""Where the bank of each of Karbor's bank plugins is; a section [refloat_bank] comes first."""


def _bank(ini: Ini, default_key: Path) -> BankLocation | None:
    _refuse_unknown(ini, "refloat_bank", _BANK_KEYS)
    named = ini.last("provider", "bank")
    word = named.text if named else DEFAULT_BANK
    if word not in (DEFAULT_BANK, *_KARBOR_BANKS) and named is not None:
        known = ", ".join((DEFAULT_BANK, *_KARBOR_BANKS))
        ini.refuse(
            named.line, f"there is no bank '{word}'", f"Banks: {known}; or a section [refloat_bank] with url"
        )
    key_file = ini.last("refloat_bank", "key_file")
    if key_file is not None and not key_file.text.startswith("/"):
        ini.refuse(key_file.line, "key_file must be an absolute path")
    key = Path(key_file.text) if key_file else default_key
    url = ini.last("refloat_bank", "url")
    if url is not None:
        if not (url.text.startswith("/") or "://" in url.text):
            ini.refuse(url.line, f"'{url.text}' is neither an absolute path nor a URL")
        return BankLocation(url.text, key)
    if word == DEFAULT_BANK:
        if key_file is not None:
            ini.refuse(key_file.line, "a key_file without the url of its bank")
        return None
    return BankLocation(_KARBOR_BANKS[word](ini), key)


def _movers(ini: Ini) -> Movers:
    names = _words(ini, "provider", "movers", DEFAULT.names, KNOWN)
    every = ini.last("provider", "full_every")
    if every is not None and not (every.text.isdecimal() and int(every.text)):
        ini.refuse(every.line, f"'{every.text}' is no number from 1, which full_every must be")
    _refuse_unknown(ini, "mover_rbd", _RBD_KEYS)
    paths = {}
    for key in ("conf", "keyring"):
        value = ini.last("mover_rbd", key)
        if value is not None and not value.text.startswith("/"):
            ini.refuse(value.line, f"{key} must be an absolute path")
        paths[key] = value.text if value else getattr(DEFAULT.ceph, key)
    user = ini.text("mover_rbd", "user", DEFAULT.ceph.user).removeprefix("client.")
    pools = _words(ini, "mover_rbd", "pools", DEFAULT.ceph.pools)
    return Movers(
        names, Ceph(user=user, pools=pools, **paths), int(every.text) if every else DEFAULT.full_every
    )


def _words(
    ini: Ini, section: str, key: str, default: tuple[str, ...], known: Collection[str] = ()
) -> tuple[str, ...]:
    """A value that is a list, separated by commas.

    :param known: the words that there are; empty: any.
    """
    value = ini.last(section, key)
    if value is None:
        return default
    words = tuple(dict.fromkeys(word.strip() for word in value.text.split(",")))
    for word in words:
        if not word or (known and word not in known):
            advice = (
                f"It is one or more of: {', '.join(known)}" if known else "Write names with commas between"
            )
            ini.refuse(value.line, f"{key} has no '{word}'" if known else f"{key} has an empty name", advice)
    return words


def _refuse_unknown(ini: Ini, section: str, known: Iterable[str]) -> None:
    for key, values in ini.sections.get(section, {}).items():
        if key not in known:
            ini.refuse(values[0].line, f"[{section}] has no '{key}'", f"It has: {', '.join(known)}")


def _required(ini: Ini, key: str) -> str:
    value = ini.last("provider", key)
    if value is None or not value.text:
        ini.refuse(value.line if value else ini.lines["provider"], f"the provider needs a value for '{key}'")
    return value.text


def _uuid(ini: Ini) -> str:
    text = _required(ini, "id")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        value = ini.last("provider", "id")
        ini.refuse(value.line if value else 1, f"'{text}' is not a UUID, which a provider's id must be")


def _flag(ini: Ini, section: str, key: str, *, default: bool) -> bool:
    value = ini.last(section, key)
    if value is None:
        return default
    if value.text.lower() not in _TRUE | _FALSE:
        ini.refuse(value.line, f"'{value.text}' is neither true nor false, which {key} must be")
    return value.text.lower() in _TRUE
