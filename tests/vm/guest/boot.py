"""Runs in the guest: reports what this machine offers to the agent."""

import ctypes
import json
import os
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/boot")


def charged_by_a_file(directory: str, megabytes: int) -> int:
    """Bytes of page cache that memory.stat shows after a child wrote a file."""
    CGROUP.mkdir(exist_ok=True)
    before = file_bytes()
    child = os.fork()
    if child == 0:
        (CGROUP / "cgroup.procs").write_text(str(os.getpid()))
        with open(f"{directory}/data", "wb", buffering=0) as handle:
            handle.write(bytes(megabytes << 20))
        os._exit(0)
    os.waitpid(child, 0)
    return file_bytes() - before


def file_bytes() -> int:
    """The `file` line of the cgroup's memory.stat."""
    stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    return int(stat["file"])


def filesystem(path: str) -> str:
    """The type of what is mounted at a path."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [entry[2] for entry in mounts if entry[1] == path][-1]


libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
libbpf.libbpf_version_string.restype = ctypes.c_char_p

print("guest: this line belongs on the console", file=sys.stderr)
print("this line is output, not the result")
print(
    json.dumps(
        {
            "release": os.uname().release,
            "arguments": sys.argv[1:],
            "python": list(sys.version_info[:2]),
            "btf_bytes": Path("/sys/kernel/btf/vmlinux").stat().st_size,
            "controllers": Path("/sys/fs/cgroup/cgroup.subtree_control").read_text().split(),
            "cgroup": filesystem("/sys/fs/cgroup"),
            "disk": filesystem("/disk"),
            "libbpf": libbpf.libbpf_version_string().decode(),
            "btf_loads": bool(libbpf.btf__load_vmlinux_btf()),
            "ramfs_charged": charged_by_a_file("/ram", 3),
            "disk_charged": charged_by_a_file("/disk", 5),
        }
    )
)
