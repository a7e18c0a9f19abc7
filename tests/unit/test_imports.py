"""The import rules: which room of agent/memtrace may know which other one."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "agent" / "memtrace"

# Room -> rooms of memtrace it may import, besides itself and `samples`. `commands`
# wires everything and is the only room without a limit.
ALLOWED: dict[str, set[str]] = {
    "kernel": set(),
    "host": set(),
    "golang": set(),
    "collect": {"kernel", "host", "golang"},
    "model": set(),
    "store": set(),
    "service": set(),
    "views": {"model"},
}
SHARED = {"samples", "kills"}

# The model computes: what it may import of the standard library, so that neither a
# clock nor input and output can come in under another name.
PURE_LIBRARY = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "difflib",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "shlex",
    "statistics",
    "string",
    "types",
    "typing",
}


def files_of(room: str) -> list[Path]:
    """The modules of a room: a directory, or one file."""
    return sorted((PACKAGE / room).rglob("*.py")) or [
        path for path in [PACKAGE / f"{room}.py"] if path.exists()
    ]


def imports(path: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Every imported module by its full name; names taken from memtrace itself count too."""
    parts = ("memtrace", *path.relative_to(package).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [above, node.module]))
            yield from (
                (f"{module}.{a.name}" for a in node.names) if module == "memtrace" else [module]
            )


def rooms_imported(path: Path, package: Path = PACKAGE) -> set[str]:
    """The rooms of memtrace that a file imports; private names like __version__ are no rooms."""
    names = [name.split(".") for name in imports(path, package)]
    return {n[1] for n in names if n[0] == "memtrace" and len(n) > 1 and not n[1].startswith("_")}


@pytest.mark.parametrize("room", ALLOWED)
def test_room_imports_only_what_it_may(room: str) -> None:
    """A room imports itself, samples, and the rooms listed for it."""
    may = ALLOWED[room] | SHARED | {room}
    broken = {str(p.relative_to(PACKAGE)): rooms_imported(p) - may for p in files_of(room)}
    assert {path: names for path, names in broken.items() if names} == {}


def test_samples_import_no_room() -> None:
    """The vocabulary that everyone shares depends on nobody."""
    assert rooms_imported(PACKAGE / "samples.py") == set()


def test_model_has_no_io_and_no_clock() -> None:
    """The model imports pure parts of the standard library and no other package."""
    broken = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in files_of("model")
        for name in imports(path)
        if name.split(".")[0] not in PURE_LIBRARY | {"memtrace"}
    }
    assert broken == set()


@pytest.mark.parametrize("call", ["open", "print", "input", "eval", "exec", "__import__"])
def test_model_calls_no_io_builtin(call: str) -> None:
    """Built-in functions that reach outside are not called in the model either."""
    used = [
        str(path.relative_to(PACKAGE))
        for path in files_of("model")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call
    ]
    assert used == []


@pytest.mark.parametrize("room", ["kernel", "host", "golang"])
def test_readers_are_thin(room: str) -> None:
    """The rooms that read the node bring no third-party package but the ones named here."""
    known = sys.stdlib_module_names | {"memtrace", "structlog", "pyroute2", "elftools"}
    known |= {"bcc"} if room == "kernel" else set()  # bcc_child.py, which runs by itself
    foreign = {name.split(".")[0] for path in files_of(room) for name in imports(path)} - known
    assert foreign == set()


def test_every_room_has_a_rule() -> None:
    """A new directory in agent/memtrace needs a line in the table above."""
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= ALLOWED.keys() | {"commands"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from memtrace.kernel.maps import x", {"kernel"}),
        ("from memtrace import host", {"host"}),
        ("from ..host import procfs", {"host"}),
        ("from .. import host, samples", {"host", "samples"}),
        ("from . import tree", {"model"}),
        ("import memtrace.views.plain", {"views"}),
        ("def f():\n    import memtrace.store", {"store"}),
        ("from memtrace import __version__", set()),
        ("import os", set()),
    ],
)
def test_every_form_of_import_is_seen(tmp_path: Path, text: str, expected: set[str]) -> None:
    """The reader of imports understands relative and nested ones."""
    source = tmp_path / "model" / "rank.py"
    source.parent.mkdir()
    source.write_text(text)
    assert rooms_imported(source, tmp_path) == expected
