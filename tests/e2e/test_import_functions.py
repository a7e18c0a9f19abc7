"""An image imported into a real containerd: which of its functions put what into the cache.

Debian's containerd is stripped; what its functions are called is in no symbol table.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runtimes import needed
from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.containerd import Containerd, write_image
from tests.kernel.harness.expect import same_file
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Memtrace, Row
from tests.outcomes import unavailable

FILES = {"/image/large": 8009, "/image/small": 3001}  # pages
STORING = "local.(*writer).Write"
UNPACKING = "archive.copyBuffered <- archive.createTarFile <- archive.applyNaive"
TRIES = 15


@dataclass(frozen=True)
class Imported:
    """containerd's row afterwards, and where its store has the layer that was imported."""

    row: Row
    root: Path
    digest: str
    layer_bytes: int

    @property
    def blob(self) -> Path:
        """The layer as it came."""
        return self.root / "io.containerd.content.v1.content/blobs/sha256" / self.digest

    def unpacked(self, name: str) -> Path:
        """One of its files."""
        (path,) = self.root.glob(f"io.containerd.snapshotter.v1.*/snapshots/*/fs{name}")
        return path

    def driver(self, path: Path) -> dict[str, Any]:
        """Who wrote a file; an earlier one of its inode number was tiny."""
        rows = [row for row in self.row.drivers(kind="write") if same_file(row, path)]
        return max(rows, key=lambda row: int(row["added_bytes"]))

    def share(self, rows: str, figure: str, function: str) -> int:
        """What a function wrote according to `drivers` or `stacks`."""
        return sum(
            row[figure]
            for row in self.row[rows]
            if row["kind"] == "write" and (row["function"] or "").startswith(function)
        )


@pytest.fixture(scope="module")
def imported(disk: Path) -> Iterator[Imported]:
    """memtrace watches stacks, and containerd gets an image with files of known sizes."""
    needed("containerd", "ctr", "busybox")
    image = disk / "functions.tar"
    write_image(image, files=FILES)
    with tarfile.open(image) as archive:
        layer = archive.extractfile("files.tar")
        assert layer is not None
        content = layer.read()
    with (
        Cgroup("import") as cgroup,
        Memtrace("--watch", "stacks") as memtrace,
        Containerd(disk, cgroup) as containerd,
    ):
        if not containerd.is_ours:
            unavailable("a containerd runs here already, in a cgroup of its own")
        memtrace.first()
        containerd.ctr("images", "import", "--digests=false", str(image))
        told = named(memtrace, cgroup)
        digest = hashlib.sha256(content).hexdigest()
        yield Imported(told, disk / "root", digest, len(content))


def named(memtrace: Memtrace, cgroup: Cgroup) -> Row:
    """Its row once the stacks of all it wrote are told: they are taken over every two seconds."""
    wanted = sum(FILES.values()) * PAGE
    for _ in range(TRIES):
        row = memtrace.next().row(cgroup.path)
        drivers = [each for each in row.drivers(kind="write") if each["function"]]
        if sum(each["added_bytes"] for each in drivers) >= 2 * wanted:
            return row
    raise AssertionError(f"not all stacks were told: {row['drivers']}")


def test_a_stored_layer_is_told_by_the_store(imported: Imported) -> None:
    """The archive's bytes, to the page, by the function that writes to the content store."""
    driver = imported.driver(imported.blob)
    assert driver["added_bytes"] == -(-imported.layer_bytes // PAGE) * PAGE
    assert driver["comm"] == "containerd"
    assert driver["function"].startswith(STORING)
    assert driver["sampled"]


@pytest.mark.parametrize("name", FILES)
def test_an_unpacked_file_is_told_by_what_unpacks(imported: Imported, name: str) -> None:
    """The file's bytes, to the page, by the functions that apply an archive."""
    driver = imported.driver(imported.unpacked(name))
    assert driver["added_bytes"] == FILES[name] * PAGE
    assert driver["function"] == UNPACKING


@pytest.mark.parametrize("function", [STORING, UNPACKING])
def test_what_stacks_estimate_is_what_drivers_counted(imported: Imported, function: str) -> None:
    """Shares of functions: sampled in `stacks`, exact in `drivers`."""
    estimated = imported.share("stacks", "bytes", function)
    assert estimated == pytest.approx(imported.share("drivers", "added_bytes", function), rel=0.3)


def test_a_stack_goes_on_to_where_it_began(imported: Imported) -> None:
    """Unpacking is what applies a layer, storing a request of the content service."""
    frames = {
        row["function"].partition(" <- ")[0]: " ".join(row["frames"])
        for row in imported.row["stacks"]
        if row["kind"] == "write" and row["function"]
    }
    assert "containerd/diff/apply.(*fsApplier).Apply" in frames["archive.copyBuffered"]
    assert "contentserver.(*service).Write" in frames[STORING]
