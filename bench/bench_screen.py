"""What the screen costs more than `top --json`: both at once beside the same hundred cgroups."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench_agent import WARM_UP_SECONDS, cpu_seconds, crowd, status_mb
from common import CGROUP_ROOT, PROGRAM, bar, compiled, options, progress, publish

SECONDS, QUICK_SECONDS = 60, 15
SIZES = ((80, 24), (200, 50))
INTERVAL = 2

BAR_RSS_MB = 80.0
BAR_FRAME = 1.0


class Screen:
    """`memtrace top` on a terminal of its own; counts what it writes there."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._fd, child = pty.openpty()
        termios.tcsetwinsize(child, (size[1], size[0]))
        environ = {**os.environ, "TERM": "xterm-256color"}
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            [PROGRAM, "top", str(INTERVAL)],
            stdin=child,
            stdout=child,
            start_new_session=True,
            env=environ,
            preexec_fn=_take_terminal,
        )
        os.close(child)
        self.written = 0
        self.seen: dict[str, float] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, what: str) -> float:
        """Seconds until the text was on the terminal."""
        while what not in self.seen:
            assert self.process.poll() is None, "the screen ended"
            time.sleep(0.01)
        return self.seen[what]

    def end(self) -> None:
        """Press q."""
        os.write(self._fd, b"q")
        self.process.wait(timeout=30)

    def _read(self) -> None:
        text = b""
        while self.process.poll() is None:
            try:
                piece = os.read(self._fd, 1 << 16)
            except OSError:
                return
            self.written += len(piece)
            text = (text + piece)[-(1 << 17) :]
            for what in ("memtrace", "CONTAINER"):
                if what.encode() in text:
                    self.seen.setdefault(what, time.monotonic() - self._start)


def _take_terminal() -> None:
    """Make standard input the controlling terminal, as a shell's is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def json_beside() -> Iterator[int]:
    """`top --json` with the same interval."""
    command = [PROGRAM, "top", "--json", str(INTERVAL)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield process.pid
        process.terminate()


def cost(size: tuple[int, int], seconds: int) -> dict[str, float]:
    """Both at once: start, memory, CPU, and bytes for each refresh."""
    screen = Screen(size)
    frame, table = screen.wait_for("memtrace"), screen.wait_for("CONTAINER")
    with json_beside() as beside:
        time.sleep(WARM_UP_SECONDS)
        pids = (screen.process.pid, beside)
        before, written, start = [cpu_seconds(p) for p in pids], screen.written, time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - start
        used = [cpu_seconds(p) - b for p, b in zip(pids, before, strict=True)]
        figures = {
            "first_frame_s": frame,
            "first_table_s": table,
            "rss_mb": status_mb(pids[0], "VmRSS"),
            "json_rss_mb": status_mb(beside, "VmRSS"),
            "cpu_percent": 100 * used[0] / elapsed,
            "json_cpu_percent": 100 * used[1] / elapsed,
            "bytes_per_refresh": (screen.written - written) * INTERVAL / elapsed,
        }
    screen.end()
    return figures


def main() -> int:
    """Measure, print, publish."""
    seconds = QUICK_SECONDS if options(__doc__ or "").quick else SECONDS
    found: dict[str, Any] = {}
    with compiled() as (program, directory), crowd(program, directory):
        listed = sum(1 for _ in CGROUP_ROOT.glob("**/memory.stat"))
        for size in SIZES:
            progress(f"{listed} cgroups; {seconds} s of the screen at {size[0]}x{size[1]}")
            found[f"{size[0]}x{size[1]}"] = cost(size, seconds)
    for size_name, figures in found.items():
        print(f"\nscreen {size_name}, {listed} memory cgroups")
        for name, figure in figures.items():
            print(f"  {name:24}{figure:10.2f}")
    first = found["80x24"]
    print("\nbars")
    bars = [
        bar("RSS of the screen", first["rss_mb"], BAR_RSS_MB, " MB"),
        bar("first frame", first["first_frame_s"], BAR_FRAME, " s"),
    ]
    publish("screen", {"cgroups": listed, "sizes": found, "bars": bars})
    return 0


if __name__ == "__main__":
    sys.exit(main())
