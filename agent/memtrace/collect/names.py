"""What files and processes are called: told once by the kernel, remembered within bounds.

Paths arrive relative to the root of their file system and become host paths only when
somebody wants to see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from memtrace.collect.events import PathSeen, joined
from memtrace.collect.ledger import CgroupLedger
from memtrace.host.mounts import MountTable, block_device_name
from memtrace.host.procfs import read_comm, same_start, start_ticks
from memtrace.kernel import wire

MAX_FILES = 32768
MAX_PROCESSES = 4096
MAX_FOLDERS = 4096
FORGET = 0.25  # share of the oldest names given up when there are too many


class Names:
    """Names by wire.FILE and wire.PROCESS. `forget_file` is told which names are given up.

    `shown` tells which processes are in rows: the names of those are given up last, for that of
    one that ended cannot be asked for again.
    """

    def __init__(
        self,
        root: Path,
        forget_file: Callable[[bytes], None],
        shown: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        self._root = root
        self._mounts = MountTable(root)
        self._mounts.refresh()
        self._forget_file = forget_file
        self._shown = shown
        self._files: dict[bytes, PathSeen] = {}
        self._hosts: dict[bytes, str] = {}  # paths on the host, as far as asked for
        self._processes: dict[bytes, str] = {}
        self._devices: dict[int, str | None] = {}
        self._folders: dict[tuple[int, bytes], str] = {}

    @property
    def mounts(self) -> MountTable:
        """The host's mounts, as of the last refresh."""
        return self._mounts

    def refresh(self) -> bool:
        """Notice mounts that came or went; True when host paths are worked out anew."""
        if not self._mounts.refresh():
            return False
        self._folders.clear()
        self._hosts.clear()
        return True

    def learn_file(self, seen: PathSeen) -> None:
        """Remember a path event."""
        self._files[seen.file] = seen
        self._hosts.pop(seen.file, None)
        if len(self._files) > MAX_FILES:
            self._forget_oldest_files()

    def learn_path(self, file: bytes, path: bytes | None, links: int) -> None:
        """Remember a file's path within its file system; None: it keeps the one it had."""
        known = self._files.get(file)
        if path is not None:
            names = b"".join(name + b"\0" for name in reversed(path.strip(b"/").split(b"/")))
            seen = PathSeen(file, links, 0, names)
        elif known is not None:
            seen = known._replace(links=links)
        else:
            return
        if seen != known:
            self.learn_file(seen)

    def forget_deleted(self, ledgers: Sequence[CgroupLedger]) -> None:
        """Give up the names of deleted files that are in no row of any cgroup any more."""
        gone: set[bytes] = set().union(*[ledger.take_deleted() for ledger in ledgers])
        for ledger in ledgers if gone else ():
            gone.difference_update(ledger.files_of_rows())
        for file in gone:
            self._forget(file)

    def learn_process(self, process: bytes, comm: bytes) -> bool:
        """Remember a process' name; True when it replaces another one (exec)."""
        name = comm.decode("utf-8", "surrogateescape")
        changed = self._processes.get(process, name) != name
        self._processes[process] = name
        if len(self._processes) > MAX_PROCESSES:
            self._forget_oldest_processes()
        return changed

    def knows(self, file: bytes) -> bool:
        """Whether a path event for the file was seen (block devices need none)."""
        return file in self._files or int.from_bytes(file[:8], "little") == 0

    def path(self, file: bytes) -> str | None:
        """The host path; a block device's node; below an unseen mount the path within it."""
        inode, device, _ = wire.FILE.unpack(file)
        if inode == 0:
            return self._device(device) if device else None
        known = self._hosts.get(file)
        return self._host(file, device) if known is None else known

    def within(self, file: bytes) -> tuple[int, str] | None:
        """The file system and the path from its root; None: unknown, or cut."""
        seen = self._files.get(file)
        path = seen.relative if seen is not None and seen.placed else None
        if seen is None or path is None:
            return None
        return seen.superblock or wire.FILE.unpack(file)[1], path

    def deleted(self, file: bytes) -> bool | None:
        """Whether the file had no name left when it was seen; None: never told."""
        seen = self._files.get(file)
        return seen.links == 0 if seen else None

    def comm(self, process: bytes) -> str | None:
        """The process' name; asked from /proc when no event told it and it still runs."""
        known = self._processes.get(process)
        return self._comm_now(process) if known is None else known

    def _comm_now(self, process: bytes) -> str | None:
        """Ask /proc, and make sure that the pid is still the same process."""
        tgid, start = wire.PROCESS.unpack(process)
        comm = read_comm(self._root, tgid) if tgid else None
        ticks = start_ticks(self._root, tgid) if comm else None
        return comm if ticks is not None and same_start(ticks, start) else None

    def _host(self, file: bytes, device: int) -> str | None:
        seen = self._files.get(file)
        if seen is None or seen.flags & wire.PATH_NONE:
            return None
        path = self._placed(seen, device) if seen.placed else seen.relative
        if path is not None:
            self._hosts[file] = path
        return path

    def _placed(self, seen: PathSeen, device: int) -> str:
        leaf, _, above = seen.names.partition(b"\0")
        folder = self._host_folder(seen.superblock or device, above)
        return f"{folder}/{leaf.decode('utf-8', 'surrogateescape')}"

    def _host_folder(self, device: int, names: bytes) -> str:
        """Where a directory is on the host: asked once, as files come by the directory."""
        found = self._folders.get((device, names))
        if found is None:
            if len(self._folders) >= MAX_FOLDERS:
                self._folders.clear()
            folder = joined(names)
            found = (self._mounts.host_path(device, folder) or folder).rstrip("/")
            self._folders[device, names] = found
        return found

    def _device(self, device: int) -> str | None:
        if device not in self._devices:
            self._devices[device] = block_device_name(self._root, device)
        return self._devices[device]

    def _forget_oldest_processes(self) -> None:
        many, shown = int(MAX_PROCESSES * FORGET), set(self._shown())
        unseen = [process for process in self._processes if process not in shown]
        for old in (unseen if len(unseen) >= many else list(self._processes))[:many]:
            del self._processes[old]

    def _forget_oldest_files(self) -> None:
        for old in list(self._files)[: int(MAX_FILES * FORGET)]:
            self._forget(old)

    def _forget(self, file: bytes) -> None:
        """Should the file come again, its path is told again."""
        if self._files.pop(file, None) is not None:
            self._hosts.pop(file, None)
            self._forget_file(file)
