"""One loaded BPF program: attach it, run it, read its figures. Loading is objects.py's job."""

from __future__ import annotations

import ctypes
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from memtrace.kernel.errors import check, check_pointer
from memtrace.kernel.libbpf import IterAttachOpts, TestRunOpts, UprobeOpts, libbpf

_RUN_ON_CPU = 1  # BPF_F_TEST_RUN_ON_CPU

# Places in struct bpf_prog_info; a kernel without a field returns a shorter info.
_INFO_BYTES = 232
_RUN_TIME_AT = 192  # run_time_ns, run_cnt: u64 each
_MISSES_AT = 208  # recursion_misses: u64


@dataclass(frozen=True, slots=True)
class ProgramStats:
    """What the kernel counted for one program, since it was loaded.

    `run_time_ns` and `run_count` stand still unless kernel.bpf_stats_enabled is 1.
    `recursion_misses`: runs skipped because the program was already running on that
    CPU; None where the kernel does not say.
    """

    run_time_ns: int
    run_count: int
    recursion_misses: int | None


class Attachment(ABC):
    """An attached program. `close` (or the end of the process) detaches it."""

    @property
    @abstractmethod
    def fd(self) -> int:
        """The link's file descriptor, -1 once closed."""

    @abstractmethod
    def close(self) -> None:
        """Detach. May be called twice."""


class Link(Attachment):
    """What libbpf attached."""

    def __init__(self, handle: int, name: str) -> None:
        self._handle: int | None = handle
        self._name = name

    @property
    def fd(self) -> int:
        """The link's file descriptor, -1 once closed."""
        return int(libbpf().bpf_link__fd(self._handle)) if self._handle else -1

    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]:
        """Run this iterator once over everything, yielding what it prints as it comes.

        For links made by `attach_iter`. Raises BpfError, and OSError when a read fails.
        """
        reader = check(libbpf().bpf_iter_create(self.fd), f"start iterator {self._name}")
        try:
            yield from _read_to_end(reader, size)
        finally:
            os.close(reader)

    def read(self) -> bytes:
        """Everything one run of this iterator prints."""
        return b"".join(self.chunks())

    def close(self) -> None:
        """Detach. May be called twice."""
        if self._handle is not None:
            libbpf().bpf_link__destroy(self._handle)
        self._handle = None


class LoadedProgram(ABC):
    """A loaded program by its file descriptor, whichever engine loaded it."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.fd = fd
        self._run = libbpf().bpf_prog_test_run_opts
        self._request = TestRunOpts(sz=ctypes.sizeof(TestRunOpts))
        self._request_at = ctypes.byref(self._request)

    @abstractmethod
    def attach(self) -> Attachment:
        """Attach to the event the program is for. Raises BpfError."""

    def run(self, context: bytes | bytearray | None = None, cpu: int | None = None) -> int:
        """Run the program once now and return what it returns (a C int).

        `context`: u64 arguments for raw_tp, the program's own struct for syscall
        programs, which write their changes back into a bytearray. `cpu` (raw_tp only)
        runs it there, in interrupt context; ENXIO when that CPU is offline.
        """
        request = self._request
        request.flags, request.cpu = (0, 0) if cpu is None else (_RUN_ON_CPU, cpu)
        if context:
            return self._run_with(context if isinstance(context, bytearray) else bytearray(context))
        return self._run_request()

    def stats(self) -> ProgramStats:
        """Read the program's figures. Raises BpfError."""
        info = ctypes.create_string_buffer(_INFO_BYTES)
        size = ctypes.c_uint32(_INFO_BYTES)
        result = libbpf().bpf_obj_get_info_by_fd(self.fd, info, ctypes.byref(size))
        check(result, f"read the figures of {self.name}")
        return parse_stats(info.raw[: size.value])

    def _run_with(self, context: bytearray) -> int:
        request = self._request
        pinned = ctypes.c_char.from_buffer(context)
        request.ctx_in, request.ctx_size_in = ctypes.addressof(pinned), len(context)
        try:
            return self._run_request()
        finally:
            request.ctx_in, request.ctx_size_in = None, 0

    def _run_request(self) -> int:
        result = self._run(self.fd, self._request_at)
        if result < 0:
            check(result, f"run {self.name}")
        return int(self._request.retval)


class Program(LoadedProgram):
    """A program by its libbpf handle. Valid while its object is open."""

    def __init__(self, handle: int, name: str) -> None:
        super().__init__(int(libbpf().bpf_program__fd(handle)), name)
        self._handle = handle

    def attach(self) -> Link:
        """Attach where the program's section name says. Raises BpfError."""
        handle = libbpf().bpf_program__attach(self._handle)
        return Link(check_pointer(handle, f"attach {self.name}"), self.name)

    def attach_iter(self, info: bytes = b"") -> Link:
        """Attach an iterator; `info` is a union bpf_iter_link_info (empty: everything)."""
        target = ctypes.create_string_buffer(info, len(info))
        options = IterAttachOpts(sz=ctypes.sizeof(IterAttachOpts), link_info_len=len(info))
        options.link_info = ctypes.addressof(target) if info else None
        handle = libbpf().bpf_program__attach_iter(self._handle, ctypes.byref(options))
        return Link(check_pointer(handle, f"attach iterator {self.name}"), self.name)

    def attach_uprobe(self, path: str, offset: int, cookie: int) -> Link:
        """Attach to an instruction of a file, in every process that maps it; see uprobes.py."""
        options = UprobeOpts(sz=ctypes.sizeof(UprobeOpts), bpf_cookie=cookie)
        every, place = -1, os.fsencode(path)
        handle = libbpf().bpf_program__attach_uprobe_opts(
            self._handle, every, place, offset, ctypes.byref(options)
        )
        return Link(check_pointer(handle, f"attach {self.name} to {path}"), self.name)


def parse_stats(info: bytes) -> ProgramStats:
    """Figures out of a struct bpf_prog_info as long as this kernel's."""
    run_time_ns, run_count = struct.unpack_from("=QQ", info, _RUN_TIME_AT)
    knows_misses = len(info) >= _MISSES_AT + 8
    misses = struct.unpack_from("=Q", info, _MISSES_AT)[0] if knows_misses else None
    return ProgramStats(run_time_ns, run_count, misses)


def _read_to_end(reader: int, size: int) -> Iterator[bytes]:
    """Read until end of file. EAGAIN is not the end: a million silent elements went by."""
    while True:
        try:
            part = os.read(reader, size)
        except BlockingIOError:
            continue
        if not part:
            return
        yield part
