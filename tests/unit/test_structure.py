"""What keeps the code readable: no circles of files, one meaning for a class's name, nothing too long."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src"
LONGEST_FILE = 450
LONGEST_CLASS = 300

NAMED_BY_THE_WIRE = "refloat.client.resources"
"""The SDK's resources have the names of the service's nouns; one room may have a class for the same noun."""


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / "refloat").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports(tree: ast.Module, known: Iterable[str]) -> Iterator[str]:
    """The files that a file imports, wherever in it the import stands.

    Also inside functions and under ``TYPE_CHECKING``: such an import keeps Python from failing on a circle,
    but whoever reads one of its files needs the others all the same. (That the import of a submodule runs the
    ``__init__`` of its package is no edge: nobody reads it for that.)
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The sets of files that reach each other."""

    @cache
    def reached(start: str) -> frozenset[str]:
        found: set[str] = set()
        pending = list(edges[start])
        while pending:
            each = pending.pop()
            if each not in found:
                found.add(each)
                pending += edges[each]
        return frozenset(found)

    together = {
        frozenset(each for each in reached(name) if name in reached(each))
        for name in edges
        if name in reached(name)
    }
    return sorted(map(set, together), key=sorted)


def test_a_circle_is_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}}
    assert circles(edges) == [{"a", "b", "c"}, {"e", "f"}]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_an_import_is_found_wherever_it_stands() -> None:
    lines = (
        "import m, json",
        "if TYPE_CHECKING:",
        "    from p import n",
        "def f():",
        "    from p.n import x",
        "    from q import y",
    )
    assert set(imports(ast.parse("\n".join(lines)), {"m", "p", "p.n", "q"})) == {"m", "p.n", "q"}


def files_in_circles() -> dict[str, list[set[str]]]:
    """By room."""
    known = trees()
    edges = {name: set(imports(tree, known)) - {name} for name, tree in known.items()}
    found = defaultdict(list)
    for circle in circles(edges):
        found[min(circle).split(".")[1]].append(circle)
    return found


def names_of_several_classes() -> dict[str, set[str]]:
    where = defaultdict(set)
    for module, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].add(module)
    return {name: at for name, at in where.items() if len(at - {NAMED_BY_THE_WIRE}) > 1}


def long_files() -> dict[str, int]:
    paths = (ROOT / "refloat").rglob("*.py")
    lengths = [(path.name, len(path.read_text(encoding="utf-8").splitlines())) for path in paths]
    return {name: lines for name, lines in lengths if lines > LONGEST_FILE}


def long_classes() -> dict[str, int]:
    found = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    lengths = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in found]
    return {name: lines for name, lines in lengths if lines > LONGEST_CLASS}


@pytest.mark.parametrize("look", [files_in_circles, names_of_several_classes, long_files, long_classes])
def test_there_are_none(look: Callable[[], object]) -> None:
    assert not look()


BESIDE_THE_ROOMS = {"deploy", "devcloud", "docs", "doubles", "support"}
"""Folders of tests/unit for what is no room of the package, and for helpers."""


def test_the_folders_of_the_unit_tests_are_the_rooms() -> None:
    rooms = {path.name for path in (ROOT / "refloat").iterdir() if path.is_dir()}
    here = Path(__file__).parent
    folders = {path.name for path in here.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= rooms | BESIDE_THE_ROOMS
    single = {path.stem.removeprefix("test_") for path in here.glob("test_*.py")} - {"structure", "skips"}
    assert single <= {path.stem for path in (ROOT / "refloat").glob("*.py")}


def test_no_two_test_files_have_one_name() -> None:
    """Pytest would leave one of them out."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_finding_of_the_first_release_has_a_test_that_names_it() -> None:
    """In the name of a test (``test_h5_...``) or in words; what they were is in docs/roadmap.md."""
    found: set[str] = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"\bdef test((?:_[chml]\d+)+)_", text)
        found |= {each.upper() for names in named for each in names.split("_")}
        if path != Path(__file__):
            found |= set(re.findall(r"\b[CHML]\d+\b", text))
    findings = {
        f"{kind}{n}" for kind, last in (("C", 4), ("H", 8), ("M", 10), ("L", 9)) for n in range(1, last + 1)
    }
    assert sorted(findings - found) == []
