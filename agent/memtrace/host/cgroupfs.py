"""Figures of memory cgroups, read again and again through descriptors that stay open.

Finds no cgroups (hierarchy.py) and knows no file format (memory_stat.py). A descriptor
belongs to the cgroup it was opened in: once that is removed it reads ENODEV, even when
another cgroup took the path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Sequence

from memtrace.host.hierarchy import Hierarchy
from memtrace.host.memory_stat import V1, V2, Layout, Number, StatParser, parse_number
from memtrace.samples import Memory

_STAT_SIZE = 16_384  # bytes; memory.stat is below 4096 on every kernel so far
_NUMBER_SIZE = 32
_LIMIT_READ_EVERY = 4  # of the reads of a cgroup that stands still
_FULL_READ_EVERY = 20
_MAX_DESCRIPTORS = 65_536
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)


class CgroupFiles:
    """The open files of one cgroup. Close it when done."""

    def __init__(
        self,
        fd: int,
        cgroup_id: int,
        layout: Layout,
        parser: StatParser,
        hugetlb: Sequence[str] = (),
    ) -> None:
        """Open everything below the directory `fd`; OSError when it is no memory cgroup.

        `hugetlb`: the paths of its huge-page counters, one for each size of page.
        """
        self._layout = layout
        self._parser = parser
        self._skipped = cgroup_id % _FULL_READ_EVERY  # so that full reads are spread out
        self._steady: tuple[bytes, bytes] | None = None  # usage and limit, if nothing moved there
        self._fds = [os.open("memory.stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd)]
        try:
            for name in (layout.usage, layout.limit, *layout.others):
                self._fds.append(_open_optional(name, fd))
            self._stat, self._usage, self._limit, *self._others = self._fds
            self._huge = [_open_optional(name, fd) for name in hugetlb]
            self._fds += self._huge
        except OSError:
            self.close()
            raise

    def read(self, previous: Memory | None = None, force: bool = False) -> Memory | None:
        """The figures now, `previous` itself when nothing moved, None when the cgroup is gone.

        Usage is read every time, the limit every fourth (1.3 us each, 4 with cold caches). All
        is read (40 us) when one of them differs, when `force` says that something else moved,
        while pages are dirty or under writeback (they become clean without a change of usage),
        while usage is at the limit (what comes in pushes something out, to swap perhaps), and at
        least every twentieth time: usage counts charges in batches of 64 pages per CPU.
        """
        try:
            if previous is not None and not force and self._stands_still():
                return previous
            texts = _read(self._usage), _read(self._limit)
            stat = self._parser.parse(os.pread(self._stat, _STAT_SIZE, 0))
            others = [_read_number(fd) for fd in self._others]
        except OSError:
            return None
        usage, limit = map(parse_number, texts)
        made = self._layout.build(usage, limit, stat, others, self._hugetlb())
        unsteady = usage is None or usage == limit or made.dirty_bytes or made.writeback_bytes
        self._steady = None if unsteady else texts
        return previous if made == previous else made

    def _hugetlb(self) -> Number:
        """All sizes of page together; unknown when there is none or one cannot be read."""
        try:
            amounts = [_read_number(fd) for fd in self._huge]
        except OSError:
            return None
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if known and len(known) == len(amounts) else None

    def _stands_still(self) -> bool:
        self._skipped += 1
        if self._steady is None or self._skipped >= _FULL_READ_EVERY:
            self._skipped = 0
            return False
        usage, limit = self._steady
        if self._skipped % _LIMIT_READ_EVERY == 0 and _read(self._limit) != limit:
            return False
        return _read(self._usage) == usage

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self._fds:
            if fd >= 0:
                os.close(fd)


class CgroupReader:
    """Reads any cgroup of one hierarchy by id and path, and holds its files for next time.

    Raises this process' soft limit of open files to the hard one (at most 131,072) and
    uses half of it. Cgroups beyond that are opened for each read: readers go round in
    circles, and closing the least recently used would close every one just before its turn.
    """

    def __init__(self, hierarchy: Hierarchy, max_descriptors: int | None = None) -> None:
        self._mount = str(hierarchy.mount)
        self._layout = V1 if hierarchy.version == 1 else V2
        self._parser = StatParser(self._layout.keys, self._layout.section)
        if max_descriptors is None:
            max_descriptors = _raise_descriptor_limit() // 2
        self._hugetlb = hierarchy.hugetlb
        each = 3 + len(self._layout.others) + len(self._hugetlb)
        self._max_held = min(max_descriptors, _MAX_DESCRIPTORS) // each
        self._held: dict[int, CgroupFiles] = {}
        self._last: dict[int, Memory] = {}

    def read(self, cgroup_id: int, path: str, changed: bool = True) -> Memory | None:
        """Figures of the cgroup; None when it vanished or `path` is another cgroup by now.

        `changed=False` says that nothing else saw a change, and allows the cheap read.
        """
        files = self._held.get(cgroup_id) or self._open(cgroup_id, path)
        if files is None:
            self.forget(cgroup_id)
            return None
        last = self._last.get(cgroup_id)
        memory = files.read(last, changed)
        self._keep(cgroup_id, files)
        if memory is None:
            self.forget(cgroup_id)
        elif memory is not last:
            self._last[cgroup_id] = memory
        return memory

    def forget(self, cgroup_id: int) -> None:
        """The cgroup is gone: release what is held for it."""
        self._last.pop(cgroup_id, None)
        files = self._held.pop(cgroup_id, None)
        if files is not None:
            files.close()

    def close(self) -> None:
        """Release everything."""
        for cgroup_id in [*self._held, *self._last]:
            self.forget(cgroup_id)

    @property
    def held(self) -> int:
        """How many cgroups have their files open."""
        return len(self._held)

    def _keep(self, cgroup_id: int, files: CgroupFiles) -> None:
        if cgroup_id in self._held or len(self._held) < self._max_held:
            self._held[cgroup_id] = files
        else:
            files.close()

    def _open(self, cgroup_id: int, path: str) -> CgroupFiles | None:
        try:
            return self._open_files(cgroup_id, path)
        except OSError as error:
            if error.errno not in _TOO_MANY_OPEN or not self._held:
                return None
        except ValueError:
            return None
        for held in [*self._held]:  # somebody else needs the descriptors more
            self._held.pop(held).close()
        return self._open(cgroup_id, path)

    def _open_files(self, cgroup_id: int, path: str) -> CgroupFiles | None:
        fd = os.open(self._mount + path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_ino != cgroup_id:
                return None
            hugetlb = [f"{mount}{path}/{name}" for mount, name in self._hugetlb]
            return CgroupFiles(fd, cgroup_id, self._layout, self._parser, hugetlb)
        finally:
            os.close(fd)


def _open_optional(name: str, directory: int) -> int:
    """A descriptor, or -1 when this kernel or this cgroup has no such file."""
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1


def _read(fd: int) -> bytes:
    return os.pread(fd, _NUMBER_SIZE, 0) if fd >= 0 else b""


def _read_number(fd: int) -> Number:
    return parse_number(_read(fd))


def _raise_descriptor_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    wanted = min(wanted, 2 * _MAX_DESCRIPTORS)
    if wanted > soft != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
