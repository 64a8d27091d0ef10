"""Documents name what there is: commands and their options, settings, variables, files, make's targets."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from devcloud.cli import parser as devcloud_parser
from tools.surface import _subcommands, surface

ROOT = Path(__file__).parents[3]
SOURCES = ("src", "deploy", "devcloud", "devstack", "demo", "tests", "benchmarks", "tools")
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "releasenotes").glob("*.md"))
)

OTHERS_SECTIONS = {
    "clients_keystone",  # Karbor's
    "cors",
    "keystone_authtoken",
    "nova_client",  # Karbor's
    "oslo_limit",
    "oslo_messaging_notifications",
    "oslo_middleware",
    "oslo_policy",
}
"""Sections of configuration files that other libraries, or Karbor, have."""

OTHERS_OPTIONS = {"--extra", "--os-service-type", "--privileged", "--user"}
"""Options of other programs that are spoken of."""

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"(--[a-z][a-z0-9-]+|-[a-z])(=.*)?")
ENVIRON = re.compile(r"\w+=\S*")
PARTS = re.compile(r"\|\||&&|[|;()<>`]")


@dataclass(frozen=True)
class Page:
    """A document.

    :param blocks: language and text of what stands between fences.
    :param inline: what else is set as code.
    """

    text: str
    blocks: tuple[tuple[str, str], ...]
    inline: tuple[str, ...]

    @classmethod
    @cache
    def read(cls, path: Path) -> Page:
        text = (ROOT / path).read_text(encoding="utf-8")
        return cls(text, tuple(FENCE.findall(text)), tuple(INLINE.findall(FENCE.sub("", text))))

    def commands(self) -> Iterator[list[str]]:
        """What is typed, word by word: in consoles after a prompt, elsewhere from a line's beginning."""
        for language, block in self.blocks:
            for line in block.replace("\\\n", " ").splitlines():
                if language == "console" and line[:2] in ("$ ", "# "):
                    yield from _typed(line[2:])
                elif language in ("", "sh", "bash"):
                    yield from (words for words in _typed(line) if words[0] != "make")  # a drawing says so
        for code in self.inline:
            yield from _typed(code)


def _typed(line: str) -> Iterator[list[str]]:
    for part in PARTS.split(re.sub(r"\s# .*", "", line)):
        try:
            words = shlex.split(part)
        except ValueError:  # a text with an apostrophe
            continue
        while words and (
            ENVIRON.fullmatch(words[0]) or words[0] in ("export", "source", "eval", "sudo", "nohup")
        ):
            words = words[1:]
        if "--" in words:  # devcloud exec -- COMMAND, runuser -u refloat -- COMMAND
            at = words.index("--")
            if at:
                yield words[:at]
            words = words[at + 1 :]
        if words:
            yield [words[0].rpartition("/")[2], *words[1:]]


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, Any]]:
    """Our commands, with their options, and settings."""
    before = dict(os.environ)
    found = surface(ROOT)
    found["devcloud"] = dict(_subcommands("devcloud", devcloud_parser()))
    yield found
    os.environ.clear()
    os.environ.update(before)


def options_of(command: dict[str, Any]) -> set[str]:
    return {option for argument in command["arguments"] for option in argument["option_strings"]}


def words_taken(command: dict[str, Any], option: str, following: str = "") -> int:
    """How many words behind an option are its value."""
    for argument in command["arguments"]:
        if option in argument["option_strings"]:
            if argument["nargs"] == "?":
                return int("://" in following)
            return 0 if argument["nargs"] == 0 else 1
    return 0


def check_command(program: str, words: list[str], commands: dict[str, Any], whole: dict[str, Any]) -> str:
    """What is wrong with one; empty: nothing."""
    allowed = options_of(whole)
    while words and words[0].startswith("-"):
        if (match := OPTION.fullmatch(words[0])) and match[1] not in allowed:
            return f"{program} has no option {match[1]}"
        words = words[1 + (0 if "=" in words[0] else words_taken(whole, *words[:2])) :]
    name = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z0-9-]*", word), words))
    while name and " ".join(name) not in commands:
        name = name[:-1]
    if not name:
        told = " ".join(words)
        first = re.match(r"[a-z][a-z -]*", told)
        if not words or not first or any(each.startswith(first[0].strip()) for each in commands if each):
            return ""  # the name of a group of commands, or COMMAND
        return f"{program} has no command {told!r}"
    command, rest = commands[" ".join(name)], words[len(name) :]
    if (
        rest
        and re.fullmatch(r"[a-z][a-z-]*", rest[0])
        and any(each.startswith(" ".join((*name, ""))) for each in commands)
    ):
        return f"{program} has no command {' '.join((*name, rest[0]))!r}"
    for word in rest:
        match = OPTION.fullmatch(word)
        if match and match[1] not in options_of(command) | allowed:
            return f"{program} {' '.join(name)} has no option {match[1]}"
    return ""


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_commands_and_their_options(path: Path, known: dict[str, Any]) -> None:
    refloat = known["refloat"]
    tables = {
        "refloat": (refloat, refloat[""]),
        "openstack": (known["openstack"], {"arguments": []}),
        **{
            program: (
                {name.removeprefix(program).strip(): each for name, each in known[program].items()},
                known[program][program],
            )
            for program in ("refloat-manage", "devcloud")
        },
    }
    faults = []
    for program, *words in Page.read(path).commands():
        if program == "openstack" and words[:2] != ["data", "protection"]:
            continue
        if program in tables:
            faults.append(check_command(program, words, *tables[program]))
        elif program == "refloat-status":
            faults.append(
                "" if words in ([], ["upgrade", "check"], ["upgrade"]) else f"refloat-status {words}"
            )
        elif program == "make" and words:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            faults += [f"make {word}" for word in words if "=" not in word and word not in targets]
    assert not [fault for fault in faults if fault]


@cache
def sources() -> str:
    """The text of all there is but documents."""
    found = [
        path
        for folder in SOURCES
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix not in (".md", ".pyc", ".gz") and path.stat().st_size < 200_000
    ]
    found += [ROOT / "Makefile", ROOT / "pyproject.toml"]
    texts = (path.read_bytes().decode(errors="replace") for path in found if path != Path(__file__))
    return "\n".join(texts)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_options_by_themselves(path: Path, known: dict[str, Any]) -> None:
    ours = {
        option
        for program in ("refloat", "refloat-manage", "openstack", "devcloud")
        for command in known[program].values()
        for option in options_of(command)
    }
    named = {word.partition("=")[0] for code in Page.read(path).inline for word in code.split()[:1]}
    options = {word for word in named if OPTION.fullmatch(word) and word.startswith("--")} - OTHERS_OPTIONS
    assert not {option for option in options - ours if f'"{option}' not in sources()}


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_variables_of_the_environment(path: Path) -> None:
    named = set(re.findall(r"\b(?:REFLOAT|DEVCLOUD)_[A-Z_]+\b", Page.read(path).text))
    assert not {name for name in named if not re.search(rf"\b{name}\b", sources())}


def is_section(name: str, options: dict[str, Any]) -> bool:
    provider_files = (ROOT / "src/refloat/providers/provider_files.py").read_text()
    return (
        name in options
        or name in OTHERS_SECTIONS
        or name.startswith(("target_", "webhook_"))
        or name.endswith("_bank_plugin")  # Karbor's
        or f'"{name}"' in provider_files
    )


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_sections_and_options_of_configuration_files(path: Path, known: dict[str, Any]) -> None:
    options = {name.partition(" ")[0]: set(found) for name, found in known["options"].items()}
    named: list[tuple[str, str]] = []
    for code in Page.read(path).inline:
        if match := re.match(r"\[([a-zA-Z_]+)\](?: (\w+))?", code):
            named.append((match[1], match[2] or ""))
    for _, block in (each for each in Page.read(path).blocks if each[0] == "ini"):
        section = ""
        for line in block.splitlines():
            if match := re.match(r"\[(\w+)\]", line):
                section = match[1]
                named.append((section, ""))
            elif section and (match := re.match(r"#? ?(\w+) ?=", line)):
                named.append((section, match[1]))
    faults = [section for section, _ in named if not is_section(section, options)]
    faults += [
        f"[{section}] {option}"
        for section, option in named
        if option and section in options and not options[section] & {option, option.replace("_", "-")}
        if section not in ("trustee",)
    ]
    assert not faults


@cache
def files() -> set[str]:
    """All there are, below the root."""
    kept = (ROOT, *(ROOT / name for name in (*SOURCES, "docs", "releasenotes")))
    found: set[str] = {path.name for path in ROOT.iterdir()}
    for folder in kept[1:]:
        found |= {
            str(path.relative_to(ROOT)) for path in folder.rglob("*") if "__pycache__" not in path.parts
        }
    return found | set(map(str, (folder.relative_to(ROOT) for folder in kept[1:])))


def candidates(name: str) -> Iterable[str]:
    """Where a file may be that a document names so."""
    name = name.partition("::")[0].rstrip("/")
    return (name, f"src/{name}", f"src/refloat/{name}", f"tests/{name}", f"docs/{name}")


def is_a_file_of_ours(name: str) -> bool:
    """Whether it looks like one: ends in .py, or begins with a folder of the repository."""
    if not re.fullmatch(r"[\w./:@-]+", name) or name.startswith(("/", ".", "-")) or "..." in name:
        return False
    first = name.partition("/")[0]
    ends = name.partition("::")[0].endswith(".py")
    return ends or ("/" in name and first in {*SOURCES, "docs", "releasenotes"})


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_files(path: Path) -> None:
    known = files()
    names = {Path(name).name for name in known}
    named = {word for code in Page.read(path).inline for word in code.split() if is_a_file_of_ours(word)}
    for _, block in Page.read(path).blocks:
        named |= set(re.findall(r"\b(?:src|tests|benchmarks|tools|deploy)/[\w./@-]+\w", block))
    missing = {
        name
        for name in named
        if not (any(each in known for each in candidates(name)) or ("/" not in name and name in names))
    }
    assert not missing


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent == Path()], ids=str)
def test_links_of_the_pages_that_are_not_in_docs(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", Page.read(path).text)
    assert not [link for link in links if not (ROOT / link).exists()]


ROOMS = re.compile(
    r"\b(cli|api|schedule|control|operations|engine|records|resources|bank|cloud|notify)/(\w+)"
)


def test_the_drawings_of_the_architecture_name_rooms_and_files_that_there_are() -> None:
    for _, block in Page.read(Path("docs/architecture.md")).blocks:
        for room, name in ROOMS.findall(block):
            place = ROOT / "src" / "refloat" / room
            assert (place / name).is_dir() or (place / f"{name}.py").is_file(), f"{room}/{name}"


@pytest.mark.parametrize(
    "typed",
    [
        "refloat bank frob",
        "refloat --os-cloud x checkpoint lst",
        "refloat plan create x --nope",
        "refloat --nope",
    ],
)
def test_what_is_not_there_is_found(typed: str, known: dict[str, Any]) -> None:
    ((program, *words),) = _typed(typed)
    assert "has no" in check_command(program, words, known["refloat"], known["refloat"][""])


def test_rooms_of_the_glossary_are_there() -> None:
    rows = [line for line in Page.read(Path("docs/glossary.md")).text.splitlines() if line.startswith("| ")]
    rooms = {room for row in rows for room in re.findall(r"`(\w+(?:/|\.py))`", row)}
    assert len(rooms) > 8
    assert not {room for room in rooms if not (ROOT / "src" / "refloat" / room).exists()}
