"""The image: it runs, it holds no compiler, and its size is the one the documentation states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memtrace import __version__
from tests.e2e.image import image_archive, image_bytes, run_in_image
from tests.e2e.manifests import ROOT

BUILDS = 900
TOLERANCE = 0.1


@pytest.fixture(scope="module")
def image() -> Path:
    """The image, built for real."""
    return image_archive()


@pytest.mark.timeout(BUILDS)
def test_it_runs(image: Path) -> None:
    """The memtrace of these sources, with its BPF programs."""
    assert image.exists()
    assert __version__ in run_in_image("/opt/memtrace/bin/memtrace", "--version")
    objects = "ls /opt/memtrace/lib/python3*/site-packages/memtrace/bpf | grep .bpf.o"
    programs = run_in_image("sh", "-c", objects)
    sources = {f"{path.stem}.o" for path in (ROOT / "bpf").glob("*.bpf.c")}
    assert set(programs.split()) == sources


@pytest.mark.timeout(BUILDS)
def test_it_has_no_compiler(image: Path) -> None:
    """Neither one for C, nor what installs packages of Python."""
    found = run_in_image("sh", "-c", "ls /usr/bin /usr/lib /opt/memtrace/bin")
    assert "python3" in found
    unwanted = r"^(?:gcc|g\+\+|cc|clang|llvm|ld|as|make|pip)(?:-[0-9.]+)?$"
    assert not re.findall(unwanted, found, re.MULTILINE)


@pytest.mark.timeout(BUILDS)
def test_it_is_as_large_as_stated(image: Path) -> None:
    """In docs/security.md; Debian moves on, so a tenth more or less is right."""
    assert image.exists()
    (stated,) = re.findall(r"(\d+) MB unpacked", (ROOT / "docs" / "security.md").read_text())
    assert image_bytes() == pytest.approx(int(stated) * 1_000_000, rel=TOLERANCE)
