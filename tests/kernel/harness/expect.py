"""What a workload must have caused, and the comparisons every page-cache test shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.harness.cgroup import Cgroup
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import Row
from tests.kernel.harness.quiet import Quiet


@dataclass(frozen=True)
class Added:
    """One cause: this process brought in so many pages of this file, in this way."""

    path: Path
    kind: str
    pages: int
    pid: int
    comm: str
    syscall: str | None = None

    @property
    def bytes(self) -> int:
        """The amount in bytes."""
        return self.pages * PAGE


def same_file(row: dict[str, object], path: str | os.PathLike[str]) -> bool:
    """Whether a driver or file row is about this file: same device, same inode."""
    status = os.stat(path)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    return row["inode"] == status.st_ino and row["device"] == device


def assert_exact(quiet: Quiet, cgroup: Cgroup) -> Row:
    """Assert that a cgroup's ledger equals memory.stat to the byte; return its row."""
    row = quiet.row(cgroup.path)
    file_bytes, shmem_bytes = quiet.kernel.memory[cgroup.path]
    _assert_row_exact(row, file_bytes)
    assert row["shmem_bytes"] == shmem_bytes
    return row


def _assert_row_exact(row: Row, file_bytes: int) -> None:
    pages = row["page_cache"]
    assert row["file_bytes"] == file_bytes
    assert row.attributed == file_bytes, _remainder(row, file_bytes)
    assert row.cache("unattributed") == 0
    assert row.attributed == row.cache("baseline") + row.cache("added") - row.cache("removed"), (
        pages
    )
    assert sum(entry["bytes"] for entry in row["io"]) == row.cache("added")
    assert sum(entry["bytes"] for entry in row["removed_by"]) == row.cache("removed")
    assert sum(entry["added_bytes"] for entry in row["drivers"]) + row[
        "drivers_other_bytes"
    ] == row.cache("added")


def _remainder(row: Row, file_bytes: int) -> str:
    off = None if row.attributed is None else (row.attributed - file_bytes) / PAGE
    parts = {name: row[name] for name in ("page_cache", "io", "removed_by")}
    return f"{row['cgroup']}: {off} pages off: {parts}"
