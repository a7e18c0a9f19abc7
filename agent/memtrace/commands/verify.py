"""`memtrace doctor --verify`: a known workload in a cgroup of its own; ledger against kernel.

Two comparisons a step, both to the page: the file's row against what the workload did
(a prime number of pages), and the cgroup's whole cache in the ledger against memory.stat.
Where the kernel has a second referee, its count must be the ledger's, too.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from memtrace.collect.live import Live
from memtrace.collect.opening import open_live
from memtrace.commands.common import CommandError, live_errors
from memtrace.commands.stopping import Stopping, stopping
from memtrace.host.cgroupfs import CgroupReader
from memtrace.host.hierarchy import Hierarchy, find_hierarchy
from memtrace.kernel.errors import BpfError
from memtrace.kernel.referee import Net, Referee, why_absent
from memtrace.model.shapes import Container
from memtrace.model.snapshot import snapshot
from memtrace.samples import REASONS
from memtrace.views.json import line_of

PAGES = 4099
SMALL = 1009
PAGE = os.sysconf("SC_PAGE_SIZE")
SETTLE_SECONDS = 10.0
SCHEMA = "memtrace.verify/1"
_RECLAIM = REASONS.index("reclaim")
_COLUMNS = "{:>8}{:>8}{:>3}{:>8}{:>9}{:>8}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, in pages: the file as written and in the ledger; the cgroup by kernel and ledger.

    The cgroup may hold more than the file: pages of libraries that nobody had cached.
    """

    name: str
    wanted: int
    file: int | None
    kernel: int | None
    ledger: int | None
    shmem: int | None = None  # of the cgroup, by kernel
    referee: Net | None = None  # None: this kernel has no second one

    lag: int = 0  # by which the kernel's own figure may be off, on old kernels
    reclaimed: int = 0  # so far, by the ledger: somebody else needed memory meanwhile

    @property
    def ok(self) -> bool:
        if self.file is None or self.kernel is None or self.ledger is None:
            return False
        if not self.wanted - self.reclaimed <= self.file <= self.wanted:
            return False
        agreed = abs(self.kernel - self.ledger) <= self.lag
        return agreed and self.referee in (None, (self.ledger, self.shmem))


class Witnesses(NamedTuple):
    """Who is asked after a step."""

    live: Live
    hierarchy: Hierarchy
    where: Path  # the cgroup's directory
    referee: Referee | None


def verify(options: argparse.Namespace) -> int:
    """Run all steps; 0 when every one agrees, 1 when one does not. Raises CommandError."""
    where = (options.root, options.engine, False)
    try:
        with live_errors(), stopping() as wish, open_live(*where) as live:
            wish.tell(live)
            absent = why_absent()
            steps = list(_steps(live, options, wish, absent))
            uncharged = live.uncharged_pages()
    except BpfError as error:
        raise CommandError(f"the second referee cannot be asked: {error}") from error
    except OSError as error:
        raise CommandError(f"the workload cannot run here: {error}; is the disk full?") from error
    proven = all(step.ok for step in steps)
    if options.json:
        facts: dict[str, object] = {"ok": proven, "steps": [*map(_facts, steps)]}
        facts["second_referee"] = {"enabled": not absent, "reason": absent}
        facts["uncharged_pages"] = uncharged
        print(line_of({"schema": SCHEMA, **facts}))
    else:
        print(*_conclusion(steps, uncharged, absent), sep="\n")
    return 0 if proven else 1


def _conclusion(steps: list[Step], uncharged: int, absent: str) -> Iterator[str]:
    if absent:
        yield f"no second referee: {absent}; memory.stat alone was asked."
    if uncharged:
        yield f"{uncharged} pages of this machine have no memory cgroup: no row can show them."
    if steps and steps[-1].reclaimed:
        yield f"{steps[-1].reclaimed} pages of the files were reclaimed meanwhile, and counted."
    good = sum(step.ok for step in steps)
    if good == len(steps):
        lag = max(step.lag for step in steps)
        off = f" (memory.stat itself: up to {lag} pages off on this kernel)" if lag else ""
        yield f"verified: ledger = kernel in all {good} steps, to the page{off}."
    else:
        yield f"NOT verified: {len(steps) - good} of {len(steps)} steps differ."


def _steps(live: Live, options: argparse.Namespace, wish: Stopping, absent: str) -> Iterator[Step]:
    hierarchy = find_hierarchy(options.root)
    live.sample()
    if not options.json:
        heads = ("wanted", "file", "|", "kernel", "referee", "ledger")
        print(f"\n{'pages after each step':34}" + _COLUMNS.format(*heads))
    with _cgroup(hierarchy) as where, _directory() as folder, _referee(where, absent) as referee:
        for name, path, wanted, act in _workload(folder):
            wish.raise_if_asked()
            _in_cgroup(where, act)
            blank = Step(name, wanted, None, None, None, lag=live.stat_lag())
            witnesses = Witnesses(live, hierarchy, where, referee)
            step = _settled(witnesses, path, blank, wish)
            if not options.json:
                _show(step)
            yield step


Workload = list[tuple[str, Path, int, Callable[[], None]]]


def _workload(folder: Path) -> Workload:
    """Steps: what is done, to which file, and the pages of it that must be cached afterwards."""
    data, shared = folder / "data", Path("/dev/shm") / f"memtrace-verify-{os.getpid()}"
    steps: Workload = [
        (f"write {PAGES} pages", data, PAGES, lambda: _write(data, PAGES)),
        ("write them out and drop them", data, 0, lambda: _drop(data)),
        (f"read {PAGES} pages", data, PAGES, lambda: _read(data)),
        ("drop them, map them, touch each", data, PAGES, lambda: _map(data)),
        (f"truncate to {SMALL} pages", data, SMALL, lambda: os.truncate(data, SMALL * PAGE)),
        ("unlink the file", data, 0, lambda: os.unlink(data)),
    ]
    if shared.parent.is_dir():
        steps += [
            (f"write {SMALL} pages to tmpfs", shared, SMALL, lambda: _write(shared, SMALL)),
            ("unlink them", shared, 0, lambda: os.unlink(shared)),
        ]
    return steps


def _write(path: Path, pages: int) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(pages):
            file.write(bytes(PAGE))


def _drop(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _read(path: Path) -> None:
    left = os.stat(path).st_size  # behind its end old kernels cache a page
    with open(path, "rb", buffering=0) as file:
        while left > 0:
            left -= len(file.read(min(left, 1 << 20))) or left


def _map(path: Path) -> None:
    _drop(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        sum(view[at] for at in range(0, len(view), PAGE))


@contextlib.contextmanager
def _cgroup(hierarchy: Hierarchy) -> Iterator[Path]:
    where = Path(hierarchy.mount) / f"memtrace-verify-{os.getpid()}"
    where.mkdir()
    try:
        yield where
    finally:
        with contextlib.suppress(OSError):
            where.rmdir()


@contextlib.contextmanager
def _referee(where: Path, absent: str) -> Iterator[Referee | None]:
    """Attached during the steps alone: it costs every page of any file on the machine."""
    if absent:
        yield None
        return
    with Referee(where.stat().st_ino) as referee:
        yield referee


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """On a real file system: tmpfs is no page cache of a file."""
    with tempfile.TemporaryDirectory(prefix="memtrace-verify-", dir="/var/tmp") as folder:
        yield Path(folder)


def _in_cgroup(where: Path, act: Callable[[], None]) -> None:
    """Do it in a child charged to the cgroup. Raises OSError with the child's reason."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            (where / "cgroup.procs").write_text(str(os.getpid()))
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise OSError("a step of the workload failed")


def _settled(witnesses: Witnesses, path: Path, step: Step, wish: Stopping) -> Step:
    """Wait until the kernel's own figure has caught up (it lags by up to 3 s), then compare."""
    end = time.monotonic() + SETTLE_SECONDS
    reader = CgroupReader(witnesses.hierarchy)
    try:
        while True:
            witnesses.live.wait(0.5)
            step = _compare(witnesses, reader, path, step)
            if step.ok or time.monotonic() > end:
                return step
            wish.raise_if_asked()
    finally:
        reader.close()


def _compare(witnesses: Witnesses, reader: CgroupReader, path: Path, step: Step) -> Step:
    where, referee = witnesses.where, witnesses.referee
    cgroup = where.stat().st_ino
    shown = snapshot(witnesses.live.sample(), None, None)
    mine = next((row for row in shown.containers if row.source.cgroup_id == cgroup), None)
    memory = reader.read(cgroup, f"/{where.name}")
    return replace(
        step,
        file=_file_pages(mine, str(path)) if mine else None,
        kernel=_pages(memory.file_bytes if memory else None),
        ledger=_pages(mine.page_cache.attributed_bytes if mine else None),
        shmem=_pages(memory.shmem_bytes if memory else None),
        reclaimed=mine.removed[_RECLAIM] // PAGE if mine else 0,
        referee=referee.net() if referee else None,
    )


def _file_pages(mine: Container, path: str) -> int:
    """Pages of every file that ever had this path."""
    rows = (file for file in mine.rows.files if file.row.path == path)
    return sum(file.resident_bytes or 0 for file in rows) // PAGE


def _pages(size: int | None) -> int | None:
    return None if size is None else size // PAGE


def _show(step: Step) -> None:
    mark = "ok" if step.ok else "DIFFERS"
    counted = _text(step.referee.file if step.referee else None)
    figures = (str(step.wanted), _text(step.file), "|", _text(step.kernel), counted)
    print(f"{step.name:34}" + _COLUMNS.format(*figures, _text(step.ledger)) + f"  {mark}")
    sys.stdout.flush()


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)


def _facts(step: Step) -> dict[str, object]:
    return {
        "step": step.name,
        "wanted_pages": step.wanted,
        "file_pages": step.file,
        "kernel_pages": step.kernel,
        "ledger_pages": step.ledger,
        "reclaimed_pages": step.reclaimed,
        "referee_pages": step.referee.file if step.referee else None,
        "kernel_shmem_pages": step.shmem,
        "referee_shmem_pages": step.referee.shmem if step.referee else None,
        "ok": step.ok,
    }
