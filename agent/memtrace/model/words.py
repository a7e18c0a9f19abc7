"""A driver in words: "write by postgres -> /data/base/16384". Does not escape or cut."""

from __future__ import annotations

from memtrace.model.shapes import Driver
from memtrace.samples import DriverRow

VERBS: dict[str, str] = {
    "read": "read",
    "write": "write",
    "mmap": "mmap fault",
    "readahead": "readahead call",
    "sendfile": "sendfile",
    "splice": "splice",
    "copy_file_range": "file copy",
    "fallocate": "fallocate",
    "exec": "program start",
    "io_uring": "io_uring",
    "metadata": "metadata",
    "shmem": "shared memory",
    "kernel": "kernel work",
    "other": "other I/O",
}


def cause(driver: Driver | None) -> str:
    """Return who did what to which file; empty when nothing is known."""
    if driver is None:
        return ""
    what = target(driver.row)
    who = driver.row.comm or f"pid {driver.row.tgid}"
    done = f"{VERBS.get(driver.row.kind, driver.row.kind)} by {who}"
    return f"{done} -> {what}" if what else done


def target(row: DriverRow) -> str:
    """Return the file as its container sees it, else as the host does, else by number."""
    name = row.container_path or row.path
    if name or row.file is None:
        return name or ""
    return f"inode {row.file.inode} on {device_name(row.file.device)}"


def device_name(device: int) -> str:
    """Return "major:minor" of a device number in the kernel's own layout."""
    return f"{device >> 20}:{device & 0xFFFFF}"
