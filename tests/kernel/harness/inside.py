"""Files used in every way a container can: what it calls them, where they are, how many pages.

Knows no runtime. Whoever starts the container mounts `volume` at /data, `single` at
/etc/single and a tmpfs at /scratch, runs SCRIPT with /bin/sh in an image that holds
IMAGE_FILES, and calls `use` with the container's first process.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.kernel.harness.containerd import IMAGE_FILES
from tests.kernel.harness.files import PAGE, cool
from tests.kernel.harness.memtrace import Row

NEW, GONE, VOLUME, SINGLE, SCRATCH = 401, 503, 601, 701, 809

_WRITE = "dd if=/dev/zero bs=4096"
SCRIPT = "; ".join(
    [
        "until cat /data/go; do sleep 0.1; done",
        "dd if=/image/read of=/dev/null bs=4096",
        f"{_WRITE} of=/image/changed count=1 conv=notrunc",
        f"{_WRITE} of=/new count={NEW}",
        "exec 3> /gone",
        f"{_WRITE} count={GONE} >&3",
        "rm /gone",
        f"{_WRITE} of=/data/below/out count={VOLUME}",
        f"{_WRITE} of=/etc/single count={SINGLE} conv=notrunc",
        f"{_WRITE} of=/scratch/in-memory count={SCRATCH}",
        "echo > /data/done",
        "sleep 600",
    ]
)


USES = {
    "/image/read": IMAGE_FILES["/image/read"],
    "/image/changed": 2 * IMAGE_FILES["/image/changed"],  # in the image, and the copy of it
    "/new": NEW,
    "/gone": GONE,
    "/data/below/out": VOLUME,
    "/etc/single": SINGLE,
    "/scratch/in-memory": SCRATCH,
}
"""Pages in the cache by the container's own name for the file."""
COPIED = "/image/changed"
"""The copy is made under a temporary name: its own one is learned two samples later."""


def prepare(volume: Path, single: Path) -> None:
    """Make what is mounted into the container."""
    (volume / "below").mkdir(parents=True)
    single.touch()


def use(pid: int, volume: Path) -> None:
    """Let a container that runs SCRIPT begin, and wait until it is done."""
    subprocess.run(
        ["sync", "-f", f"/proc/{pid}/root"], check=True
    )  # the layers' own fsync does not
    for name in IMAGE_FILES:
        cool(f"/proc/{pid}/root{name}")
    (volume / "go").touch()
    deadline = time.monotonic() + 30
    while not (volume / "done").exists():
        assert time.monotonic() < deadline, "the container's script did not end"
        time.sleep(0.05)


def assert_use(row: Row, path: str) -> None:
    """Assert that a container's files show one file under the container's name, to the page."""
    resident = [entry["resident_bytes"] for entry in row.files(container_path=path)]
    assert sum(resident) == USES[path] * PAGE, [
        (entry["path"], entry["container_path"], entry["resident_bytes"]) for entry in row["files"]
    ]
