"""Huge pages for as long as a test runs: reserved, on a mount of its own, and given back.

Counts what the kernel says of the pool; knows nothing of cgroups.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.outcomes import unavailable

POOL = Path("/proc/sys/vm/nr_hugepages")


@dataclass(frozen=True)
class HugePages:
    """A hugetlbfs mount, and the size of its pages in bytes."""

    mount: Path
    size: int

    def in_use(self) -> int:
        """How many huge pages of the pool hold something now, whoever owns them."""
        return _meminfo("HugePages_Total") - _meminfo("HugePages_Free")


@contextmanager
def huge_pages(count: int, mount: Path) -> Iterator[HugePages]:
    """Add so many huge pages to the pool and mount hugetlbfs on the new directory `mount`."""
    if not POOL.exists():
        unavailable("this kernel has no hugetlbfs")
    with ExitStack() as undo:
        before = int(POOL.read_text())
        undo.callback(POOL.write_text, str(before))
        POOL.write_text(str(before + count))
        if _meminfo("HugePages_Free") < count:
            unavailable(f"the kernel found no {count} huge pages: memory is short or fragmented")
        mount.mkdir()
        subprocess.run(["mount", "-t", "hugetlbfs", "memtrace-test", mount], check=True)
        undo.callback(subprocess.run, ["umount", mount], check=True)
        yield HugePages(mount, _meminfo("Hugepagesize") * 1024)


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} in /proc/meminfo")
