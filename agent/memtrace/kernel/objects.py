"""A compiled BPF object: open it, configure it, load it, hand out its maps and programs.

Knows no object by name; what to load and attach is plan.py's decision.
"""

from __future__ import annotations

import ctypes
import errno
from abc import abstractmethod
from collections.abc import Container, Iterator, Mapping
from os import PathLike, fsencode

from memtrace.kernel.btf import Btf
from memtrace.kernel.closing import Closing
from memtrace.kernel.errors import BpfError, check, check_pointer
from memtrace.kernel.libbpf import OpenOpts, libbpf
from memtrace.kernel.maps import Map
from memtrace.kernel.programs import Attachment, Link, LoadedProgram, Program, ProgramStats


class LoadedObject(Closing):
    """What several programs and their maps have in common, whichever engine loaded them.

    Every method raises BpfError. `close` detaches and unloads all; the end of the process does too.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._maps: dict[str, Map] = {}
        self._links: list[Attachment] = []

    @abstractmethod
    def programs(self) -> list[str]:
        """The names of all programs in the object, loaded or not."""

    @abstractmethod
    def autoload(self, name: str, wanted: bool) -> None:
        """Say whether `load` shall load this program (it does by default)."""

    @abstractmethod
    def set_max_entries(self, name: str, count: int) -> None:
        """Set the size of a map: elements, or bytes of a ring buffer (a power of two of pages)."""

    @abstractmethod
    def reuse_map(self, name: str, other: Map) -> None:
        """Let this object use an existing map, of the same type and sizes, as its map `name`."""

    @abstractmethod
    def load(self) -> None:
        """Create the maps, have the programs verified. The error's log says why not."""

    @abstractmethod
    def map(self, name: str) -> Map:
        """A map of the loaded object; always the same one for the same name."""

    @abstractmethod
    def program(self, name: str) -> LoadedProgram:
        """A loaded program; always the same one for the same name."""

    def attach(self, name: str) -> Attachment:
        """Attach a program to its event. The object closes the link with itself."""
        link = self.program(name).attach()
        self._keep(link)
        return link

    def run(self, name: str, ctx: bytes | bytearray | None = None, cpu: int | None = None) -> int:
        """Run a raw_tp or syscall program now; see Program.run."""
        return self.program(name).run(ctx, cpu)

    def stats(self) -> dict[str, ProgramStats]:
        """The kernel's figures of every loaded program, by name."""
        return {program.name: program.stats() for program in self._loaded()}

    def recursion_misses(self, harmless: Container[str] = ()) -> int | None:
        """Runs the kernel skipped, over all programs but the harmless; None: it does not count."""
        misses = [
            stats.recursion_misses for name, stats in self.stats().items() if name not in harmless
        ]
        known = [count for count in misses if count is not None]
        return sum(known) if len(known) == len(misses) else None

    def run_time_ns(self) -> int:
        """Time spent in all programs; stands still unless kernel.bpf_stats_enabled is 1."""
        return sum(stats.run_time_ns for stats in self.stats().values())

    def run_count(self) -> int:
        """Runs of all programs, under the same condition as `run_time_ns`."""
        return sum(stats.run_count for stats in self.stats().values())

    def close(self) -> None:
        """Detach every link, end every map. May be called twice."""
        for link in self._links:
            link.close()
        for known in self._maps.values():
            known.close()
        self._links.clear()

    @abstractmethod
    def _loaded(self) -> Iterator[LoadedProgram]:
        """The programs that were loaded."""

    def _keep(self, link: Attachment) -> None:
        self._links = [*(known for known in self._links if known.fd >= 0), link]


class BpfObject(LoadedObject):
    """One object file in the kernel. Every method raises BpfError with libbpf's own words.

    Before `load`: autoload, expect_attach, set_max_entries, reuse_map. After it: map, attach, run
    and the figures. `close` detaches and unloads all; the end of the process does too.
    """

    def __init__(self, handle: int, name: str) -> None:
        super().__init__(name)
        self._library = libbpf()
        self._handle: int | None = handle
        self._programs: dict[str, Program] = {}

    @classmethod
    def open(
        cls,
        source: str | PathLike[str] | bytes,
        name: str,
        rodata: Mapping[str, bytes] | None = None,
    ) -> BpfObject:
        """Parse an object file (a path, or its bytes) and set its `const volatile` globals.

        `rodata` maps a variable's name to exactly its bytes in the machine's order.
        """
        opened = cls(_opened(source, name), name)
        try:
            opened._set_rodata(rodata or {})
        except BaseException:
            opened.close()
            raise
        return opened

    def programs(self) -> list[str]:
        """The names of all programs in the object, loaded or not."""
        return [self._library.bpf_program__name(handle).decode() for handle in self._handles()]

    def autoload(self, name: str, wanted: bool) -> None:
        """Say whether `load` shall load this program (it does by default)."""
        result = self._library.bpf_program__set_autoload(self._program_handle(name), wanted)
        check(result, f"choose program {name} of {self.name}")

    def expect_attach(self, name: str, kind: int) -> None:
        """Say how a program will be attached (enum bpf_attach_type) where its section does not."""
        handle = self._program_handle(name)
        result = self._library.bpf_program__set_expected_attach_type(handle, kind)
        check(result, f"prepare program {name} of {self.name}")

    def set_max_entries(self, name: str, count: int) -> None:
        """Set the size of a map: elements, or bytes of a ring buffer (a power of two of pages)."""
        result = self._library.bpf_map__set_max_entries(self._map_handle(name), count)
        check(result, f"size map {name} of {self.name}")

    def reuse_map(self, name: str, other: Map) -> None:
        """Let this object use an existing map, of the same type and sizes, as its map `name`."""
        handle = self._map_handle(name)
        if self._described(handle, name).layout != other.layout:
            raise BpfError(errno.EINVAL, f"share unlike map {other.name} as {name} of {self.name}")
        check(self._library.bpf_map__reuse_fd(handle, other.fd), f"share map {name} of {self.name}")

    def load(self) -> None:
        """Relocate, create the maps, have the programs verified. The error's log says why not."""
        check(self._library.bpf_object__load(self._opened_handle()), f"load {self.name}")

    def map(self, name: str) -> Map:
        """A map of the loaded object; always the same one for the same name."""
        if name not in self._maps:
            found = self._described(self._map_handle(name), name)
            check(found.fd, f"use map {name} of {self.name} before it is loaded")
            self._maps[name] = found
        return self._maps[name]

    def program(self, name: str) -> Program:
        """A loaded program; always the same one for the same name."""
        if name not in self._programs:
            found = Program(self._program_handle(name), name)
            check(found.fd, f"use program {name} of {self.name}, which is not loaded")
            self._programs[name] = found
        return self._programs[name]

    def attach_iter(self, name: str, info: bytes = b"") -> Link:
        """Attach an iterator, read with the link's `read`; `info`: union bpf_iter_link_info."""
        link = self.program(name).attach_iter(info)
        self._keep(link)
        return link

    def close(self) -> None:
        """Detach every link, unload every program, end every map. May be called twice."""
        super().close()
        self._programs.clear()
        if self._handle is not None:
            self._library.bpf_object__close(self._handle)
        self._handle = None

    def _set_rodata(self, values: Mapping[str, bytes]) -> None:
        if not values:
            return
        btf = check_pointer(self._library.bpf_object__btf(self._handle), f"configure {self.name}")
        places = {variable.name: variable for variable in Btf(btf).variables(".rodata")}
        start = self._library.bpf_map__initial_value(
            self._map_handle(".rodata"), ctypes.byref(ctypes.c_size_t())
        )
        for name, value in values.items():
            place = places.get(name)
            if place is None:
                raise BpfError(errno.ENOENT, f"set {name} of {self.name} (it has {sorted(places)})")
            if len(value) != place.size:
                raise BpfError(
                    errno.EINVAL,
                    f"set {name} of {self.name}: {len(value)} bytes given, {place.size} wanted",
                )
            ctypes.memmove(start + place.offset, value, place.size)

    def _opened_handle(self) -> int:
        if self._handle is None:
            raise ValueError(f"{self.name} is closed")
        return self._handle

    def _handles(self) -> Iterator[int]:
        handle = None
        while handle := self._library.bpf_object__next_program(self._opened_handle(), handle):
            yield handle

    def _loaded(self) -> Iterator[Program]:
        for name, handle in zip(self.programs(), self._handles(), strict=True):
            if self._library.bpf_program__fd(handle) >= 0:
                yield self.program(name)

    def _program_handle(self, name: str) -> int:
        found = self._library.bpf_object__find_program_by_name(self._opened_handle(), name.encode())
        return check_pointer(found, f"find program {name} in {self.name}")

    def _map_handle(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._opened_handle(), name.encode())
        return check_pointer(found, f"find map {name} in {self.name}")

    def _described(self, handle: int, name: str) -> Map:
        library = self._library
        return Map(
            library.bpf_map__fd(handle),
            name,
            library.bpf_map__key_size(handle),
            library.bpf_map__value_size(handle),
            library.bpf_map__max_entries(handle),
            library.bpf_map__type(handle),
        )


def _opened(source: str | PathLike[str] | bytes, name: str) -> int:
    options = OpenOpts(sz=ctypes.sizeof(OpenOpts), object_name=name.encode())
    if isinstance(source, bytes):
        handle = libbpf().bpf_object__open_mem(source, len(source), ctypes.byref(options))
        return check_pointer(handle, f"open BPF object {name}")
    handle = libbpf().bpf_object__open_file(fsencode(source), ctypes.byref(options))
    return check_pointer(handle, f"open BPF object {name} from {source!s}")
