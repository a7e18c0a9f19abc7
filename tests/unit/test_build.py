"""The build: one way to compile, the same bytes everywhere, and honest stamps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "tools" / "build_bpf.py"

needs_clang = pytest.mark.skipif(
    not (shutil.which("clang") and shutil.which("llvm-strip")), reason="clang is not installed"
)


def checkout(directory: Path) -> Path:
    """A copy of what compiling needs, in another place."""
    shutil.copytree(ROOT / "bpf", directory / "bpf")
    return directory


def few(directory: Path) -> Path:
    """A copy with two of the sources."""
    for source in (checkout(directory) / "bpf").glob("*.bpf.c"):
        if source.name not in ("page_cache.bpf.c", "lifecycle.bpf.c"):
            source.unlink()
    return directory


def build(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the compile script on a source tree."""
    command = [sys.executable, str(BUILD), "--root", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def objects(root: Path) -> dict[str, bytes]:
    """The compiled objects by name."""
    return {path.name: path.read_bytes() for path in root.glob("agent/memtrace/bpf/*.bpf.o")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All objects, compiled once."""
    root = checkout(tmp_path_factory.mktemp("built"))
    done = build(root)
    assert done.returncode == 0, done.stderr
    return objects(root)


@needs_clang
def test_every_source_becomes_an_object(built: dict[str, bytes]) -> None:
    """bpf/NAME.bpf.c becomes agent/memtrace/bpf/NAME.bpf.o."""
    names = {path.name.removesuffix(".c") + ".o" for path in (ROOT / "bpf").glob("*.bpf.c")}
    assert built.keys() == names


@needs_clang
def test_the_build_is_reproducible(built: dict[str, bytes], tmp_path: Path) -> None:
    """Two checkouts in two places give the same bytes."""
    other = checkout(tmp_path / "another" / "place")
    assert build(other).returncode == 0
    assert objects(other) == built


@needs_clang
def test_objects_keep_source_lines_and_no_debug_info(built: dict[str, bytes]) -> None:
    """.BTF.ext stays, so that the verifier quotes the source; DWARF goes."""
    for name, data in built.items():
        assert b".BTF.ext" in data, name
        assert b".debug_info" not in data, name


@needs_clang
def test_a_second_build_compiles_nothing(tmp_path: Path) -> None:
    """What is current is left alone, and a changed header is noticed."""
    build(few(tmp_path))
    assert build(tmp_path).stderr == ""
    header = tmp_path / "bpf" / "include" / "wire.h"
    os.utime(header, ns=(next_tick(tmp_path),) * 2)
    assert "page_cache.bpf.o" in build(tmp_path).stderr


def next_tick(root: Path) -> int:
    """A time just after the youngest object's."""
    paths = root.glob("agent/memtrace/bpf/*.bpf.o")
    return max(path.stat().st_mtime_ns for path in paths) + 1


@needs_clang
def test_an_error_in_a_source_fails_and_leaves_nothing(tmp_path: Path) -> None:
    """A source that does not compile is an error, and no half object is left behind."""
    (few(tmp_path) / "bpf" / "broken.bpf.c").write_text("int f(void) { return x; }\n")
    done = build(tmp_path)
    assert done.returncode == 1
    assert "broken.bpf.c" in done.stderr
    assert list(tmp_path.glob("agent/memtrace/bpf/broken*")) == []


@needs_clang
def test_an_object_without_source_is_removed(tmp_path: Path) -> None:
    """An old probe does not stay in the package."""
    stale = few(tmp_path) / "agent" / "memtrace" / "bpf" / "gone.bpf.o"
    stale.parent.mkdir(parents=True)
    stale.touch()
    build(tmp_path)
    assert not stale.exists()


def test_bcc_of_pypi_is_never_a_dependency() -> None:
    """The package called bcc on PyPI is another project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = project["dependencies"] + [name for extra in extras for name in extra]
    assert not [name for name in wanted if name.split(">")[0].strip() == "bcc"]


@pytest.mark.parametrize("goal", ["help", "build", "run", "test", "check", "lint", "clean"])
def test_make_knows_its_goals(goal: str) -> None:
    """`make help` names every goal a reader may look for."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"  {goal} " in done.stdout
