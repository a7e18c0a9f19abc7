"""A bounded directory of post-mortems: for each kill one JSON and one text, whole or not at all.

Knows nothing of what is in them. Ids sort by time: a clock that was set back does not put a
later kill before an earlier one. When the directory cannot be written, the newest records wait
in memory. One process at a time writes: others know the same kills.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import NamedTuple

MAX_RECORDS = 1000
MAX_BYTES = 64 << 20
WAITING = 256
_MAX_FILE = 4 << 20
_ID = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-\d{1,10}")
_STAMP = "%Y%m%dT%H%M%S.%f"
_MILLISECOND = timedelta(milliseconds=1)
_TEMPORARY = ".new"  # what a file that is not whole yet ends in
_BATCH = 16


class _Record(NamedTuple):
    """One record on its way to the disk."""

    id: str
    json: bytes
    text: bytes


class Postmortems:
    """Writes records. Never raises for the disk's sake: `problem` says what is wrong.

    `problem` is one sentence while the directory cannot be written, or another process does, else
    empty. That is found out at the beginning and with every record. Close it when done.
    """

    def __init__(
        self, directory: Path, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._directory = directory
        self._max = max_records, max_bytes
        self._waiting: deque[_Record] = deque(maxlen=WAITING)
        self._last = max(ids(directory), default="")
        self.lost = 0  # records that found no room while waiting
        self.problem = ""
        self._claimed: int | None = None  # the directory, locked
        self._attempt()

    @property
    def waiting(self) -> int:
        """How many records are not on disk yet."""
        return len(self._waiting)

    def keep(self, moment: float, pid: int, render: Callable[[str], tuple[bytes, bytes]]) -> str:
        """Take a record for the next `write`, and return its id.

        `render`: from the id to its JSON and its text. `moment`: seconds, wall clock; `pid` is
        for people.
        """
        self._last = _following(self._last, moment, pid)
        self.lost += len(self._waiting) == WAITING
        self._waiting.append(_Record(self._last, *render(self._last)))
        return self._last

    def write(self) -> None:
        """Write what waits, oldest first, as far as that goes."""
        if self._waiting or self.problem:
            self._attempt()

    def close(self) -> None:
        """Let another process write here. May be called twice."""
        if self._claimed is not None:
            os.close(self._claimed)
            self._claimed = None

    def _attempt(self) -> None:
        try:
            with _opened(self._directory) as folder:
                if not self._claim(folder):
                    self._waiting.clear()  # it has them, too
                    self.problem = f"another memtrace writes post-mortems to {self._directory}."
                    return
                if not self._waiting:
                    _try_out(folder)
                while batch := list(islice(self._waiting, _BATCH)):
                    _write(folder, batch)
                    for _ in batch:
                        self._waiting.popleft()
                _bound(folder, *self._max)
        except OSError as error:
            self.problem = (
                f"post-mortems cannot be written to {self._directory}: {error.strerror}; the "
                f"newest {WAITING} wait in memory{self._told_lost()}."
            )
        else:
            self.problem = ""

    def _claim(self, folder: int) -> bool:
        """Whether no other process writes here; a file system without locks says nothing of it."""
        if self._claimed is not None and os.path.sameopenfile(self._claimed, folder):
            return True
        self.close()
        claimed = os.dup(folder)
        try:
            fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                os.close(claimed)
                return False
        self._claimed = claimed
        return True

    def _told_lost(self) -> str:
        return f", {self.lost} older ones are lost" if self.lost else ""


def ids(directory: Path) -> list[str]:
    """The ids of all records in a directory, oldest first; none where it cannot be read."""
    try:
        return sorted(name[:-5] for name in os.listdir(directory) if _is_record(name))
    except OSError:
        return []


def read(directory: Path, record_id: str) -> bytes | None:
    """The JSON of one record; None when there is no such one, or it is no file of ours."""
    if not _ID.fullmatch(record_id):
        return None
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(directory / f"{record_id}.json", flags)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = file.read(_MAX_FILE + 1)
    return data if len(data) <= _MAX_FILE else None


def _is_orphan(name: str, names: set[str]) -> bool:
    """Whether it is the text of a record that never came to be."""
    record_id = name.removesuffix(".txt")
    return (
        record_id != name
        and _ID.fullmatch(record_id) is not None
        and f"{record_id}.json" not in names
    )


def _is_record(name: str) -> bool:
    return name.endswith(".json") and _ID.fullmatch(name[:-5]) is not None


def _following(last: str, moment: float, pid: int) -> str:
    """An id after the last one: a millisecond later where the clock says otherwise."""
    stamp = _stamp(datetime.fromtimestamp(moment, UTC))
    known = _ID.fullmatch(last)
    if known is not None and stamp <= known[1]:
        with contextlib.suppress(ValueError, OverflowError):
            stamp = _stamp(datetime.strptime(known[1], _STAMP).replace(tzinfo=UTC) + _MILLISECOND)
    return f"{stamp}Z-{pid}"


def _stamp(moment: datetime) -> str:
    return moment.strftime(_STAMP)[:-3]


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """The directory, made when it is not there (any more)."""
    with contextlib.suppress(FileExistsError):  # if it is none, opening it says so
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _try_out(folder: int) -> None:
    """Raise OSError where no file can be made; permissions alone do not tell."""
    name = f"try-{os.getpid()}{_TEMPORARY}"
    os.close(_created(folder, name, b""))
    _remove(folder, name)


def _write(folder: int, batch: list[_Record]) -> None:
    """Each text before its JSON: a record exists once its JSON does."""
    files = [
        part
        for record in batch
        for part in ((f"{record.id}.txt", record.text), (f"{record.id}.json", record.json))
    ]
    opened: list[int] = []
    try:
        for name, data in files:
            opened.append(_created(folder, f"{name}{_TEMPORARY}", data))
        _sync_all(opened)
    except OSError:
        for name, _ in files:  # a full disk is not to be filled with halves
            _discard(folder, f"{name}{_TEMPORARY}")
        raise
    finally:
        for fd in opened:
            os.close(fd)
    for name, _ in files:
        os.rename(f"{name}{_TEMPORARY}", name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _created(folder: int, name: str, data: bytes) -> int:
    """A new file with that content, open still. One that was left there by an earlier try goes."""
    _remove(folder, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o640, dir_fd=folder)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        os.close(fd)
        raise
    return fd


def _sync_all(opened: list[int]) -> None:
    """All at once: one after the other each would wait for a commit of its own (8 times longer)."""
    failed: list[OSError] = []

    def sync(fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError as error:
            failed.append(error)

    threads = [Thread(target=sync, args=(fd,)) for fd in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _bound(folder: int, max_records: int, max_bytes: int) -> None:
    """Remove the oldest records, and what an interrupted write left behind, if that can be."""
    names = set(os.listdir(folder))
    for name in names:
        if name.endswith(_TEMPORARY) or _is_orphan(name, names):
            _discard(folder, name)
    kept = sorted((name[:-5] for name in names if _is_record(name)), reverse=True)
    total = 0
    for number, record_id in enumerate(kept):
        total += sum(_size(folder, f"{record_id}.{ending}") for ending in ("json", "txt"))
        if number >= max_records or (number and total > max_bytes):
            _discard(folder, f"{record_id}.json")
            _discard(folder, f"{record_id}.txt")


def _size(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except OSError:
        return 0


def _discard(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _remove(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
