"""Attaches a program to instructions of a file: all at once, or each by a perf event.

Once per file covers every process that maps it, now or later. The file may be named by
/proc/PID/exe or /proc/self/fd/N, so that it needs no name of its own. Knows no program.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Mapping
from struct import Struct
from typing import Protocol

from memtrace.kernel.errors import BpfError, check
from memtrace.kernel.programs import Program

UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI of enum bpf_attach_type
_LINK_CREATE = 28  # enum bpf_cmd
_BPF = {"x86_64": 321, "aarch64": 280}  # the number of bpf(2)
# program, target, attach type, flags; path, offsets, counters, cookies, count, flags, pid.
_REQUEST = Struct("=4I4Q3I4x")


class Attached(Protocol):
    """What `attach_each` and `attach_many` give."""

    def close(self) -> None:
        """Detach. May be called twice."""


class ManyUprobes:
    """One uprobe_multi link over several instructions; `close` takes about 40 ms."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Detach. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class EachUprobe:
    """Perf events, one link each; `close` waits 0.1 s for each of them."""

    def __init__(self, program: Program, path: str, cookies: Mapping[int, int]) -> None:
        self._links: list[Attached] = []
        try:
            for offset, cookie in cookies.items():
                self._links.append(program.attach_uprobe(path, offset, cookie))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Detach. May be called twice."""
        for link in self._links:
            link.close()
        self._links.clear()


def attach_many(program: Program, path: str, cookies: Mapping[int, int]) -> ManyUprobes:
    """Attach at these offsets into the file, each with its cookie. Raises BpfError.

    The program must have been loaded for UPROBE_MULTI. Goes past libbpf, whose version 1.1 does
    not know this kind of link (Linux 6.6, 89ae89f53d20 "bpf: Add multi uprobe link").
    """
    count = len(cookies)
    name = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (ctypes.c_uint64 * count)(*cookies)
    values = (ctypes.c_uint64 * count)(*cookies.values())
    places = (ctypes.addressof(name), ctypes.addressof(offsets), 0, ctypes.addressof(values))
    request = _REQUEST.pack(program.fd, 0, UPROBE_MULTI, 0, *places, count, 0, 0)
    return ManyUprobes(check(_bpf(_LINK_CREATE, request), f"attach {program.name} to {path}"))


def _bpf(command: int, request: bytes) -> int:
    """bpf(2): a descriptor, or a negative error number."""
    number = _BPF.get(platform.machine())
    if number is None:
        raise BpfError(errno.ENOSYS, f"call bpf(2) on {platform.machine()}")
    library = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(request, len(request))
    result = library.syscall(
        ctypes.c_long(number),
        ctypes.c_int(command),
        attributes,
        ctypes.c_uint(len(request)),
    )
    return int(result) if result >= 0 else -ctypes.get_errno()
