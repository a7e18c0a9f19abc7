"""Makes a recording like node-1.mtr: real containers of three runtimes, and nothing else of here.

Run as root from the source tree: .venv/bin/python examples/make_example.py FILE [SECONDS]
It starts the containers below, records the machine with `memtrace record`, and keeps of every
sample the cgroups of these containers only, on a node by another name. Figures are as recorded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.keep import keep  # noqa: E402
from memtrace.samples import CgroupSample  # noqa: E402
from tests.e2e.runtimes import Docker, Podman  # noqa: E402
from tests.kernel.harness import containerd as harness  # noqa: E402
from tests.kernel.harness.memtrace import PROGRAM  # noqa: E402

PLACE = Path("/srv/demo")
GROUPS = ("/docker", "/libpod_parent", "/demo")
MIB = 1 << 20

# A cache at its limit: 160 MiB of blobs read again and again under 96 MiB.
MIRROR = """
while true; do for n in 1 2 3 4 5; do
  cat /data/blobs/layer-$n > /dev/null; sleep 1; done; done"""
# A table that grows by 1 MiB every two seconds, and is never read again.
DATABASE = """
mkdir -p /data/base/16384; while true; do
  dd if=/dev/zero bs=65536 count=16 >> /data/base/16384/16385 2> /dev/null; sleep 2; done"""
# Shared memory in steps, then all of it gone, as a batch job has it.
BATCH = """
while true; do for n in 1 2 3 4 5 6; do
  dd if=/dev/zero of=/dev/shm/part-$n bs=65536 count=80 2> /dev/null; sleep 5; done
  rm /dev/shm/part-*; sleep 5; done"""
# Unpacks something large and ends; its cache stays behind.
JOB = "dd if=/dev/zero of=/data/unpacked bs=65536 count=640 2> /dev/null; sleep 3"


def main() -> int:
    """Start, record, select."""
    target, seconds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 180
    harness.NAMESPACE = "demo"
    with volumes() as place, ExitStack() as stack:
        whole = place / "whole.mtr"
        (place / "ctr").mkdir()
        runtime = stack.enter_context(harness.Containerd(place / "ctr"))
        docker = stack.enter_context(Docker(place / "dockerd", runtime.socket))
        podman = stack.enter_context(Podman(place / "podmand"))
        recording = stack.enter_context(recorder(whole, seconds, place))
        time.sleep(5)
        limited = ("--memory", "96m")
        docker.run("mirror", place / "mirror", "/bin/sh", "-c", MIRROR, options=limited)
        podman.run("postgres", place / "postgres", "/bin/sh", "-c", DATABASE)
        runtime.run("batch", place / "batch", "/bin/sh", "-c", BATCH)
        time.sleep(seconds / 2)
        docker.run("import-job", place / "job", "/bin/sh", "-c", JOB, options=("--rm",))
        recording.wait(seconds + 60)
        keep(whole, target, "node-1", is_ours)
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


@contextmanager
def volumes() -> Iterator[Path]:
    """Make the directories of the containers, below a place of a plain name."""
    PLACE.mkdir(parents=True)
    try:
        for name in ("mirror/blobs", "postgres", "batch", "job"):
            (PLACE / name).mkdir(parents=True)
        for number in range(1, 6):
            path = PLACE / f"mirror/blobs/layer-{number}"
            path.write_bytes(bytes(32 * MIB))
            with open(path) as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield PLACE
    finally:
        subprocess.run(["umount", "--quiet", PLACE / "podmand/store/overlay"], check=False)
        shutil.rmtree(PLACE)


@contextmanager
def recorder(path: Path, seconds: int, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Record for so long."""
    more = ["--state-dir", place / "state"]
    with subprocess.Popen([PROGRAM, "record", path, "2", "--for", str(seconds), *more]) as process:
        yield process
        process.terminate()


def is_ours(cgroup: CgroupSample) -> bool:
    """Tell whether a cgroup is one of the containers' or the runtime's directory of them."""
    return cgroup.path.startswith(tuple(f"{group}/" for group in GROUPS)) or cgroup.path in GROUPS


if __name__ == "__main__":
    sys.exit(main())
