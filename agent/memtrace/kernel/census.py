"""The census of kernel memory: finds the struct pages, walks them in short runs, hands out sums.

Loaded, run and unloaded on request; decodes nothing. Which kernels can is plan.py's business.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from memtrace.kernel import wire
from memtrace.kernel.batch import Chunk
from memtrace.kernel.closing import Closing
from memtrace.kernel.objects import BpfObject
from memtrace.kernel.session import OBJECTS
from memtrace.kernel.sysfiles import page_spans, text

RUN_NS = 4_000_000
"""How long one run of the walk may hold a CPU: it ends with the slab after that."""
PAGE_STRUCT = 64
_ALIGNED = 1 << 30  # x86 puts the array of struct pages at a multiple of it
_IN_MEMORY = 1 << 63
_NUMBER = (1 << 55) - 1
_LEAST_FOUND = 0.5
_SLAB_COUNTERS = ("nr_slab_reclaimable", "nr_slab_unreclaimable")


class CensusError(Exception):
    """The census cannot be taken here: one sentence for people."""


class Census(Closing):
    """One census. Methods raise BpfError where the kernel refuses, CensusError for the rest.

    `longest_run` is the CPU time of the longest run in seconds, `runs` how many there were,
    `slab_pages` the pages of all slabs met, `full` the bytes that found no room, `odd` the slabs
    that changed under the walk. `knows_page_tables`: their pages are told from other ones.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._object = BpfObject.open(OBJECTS / "census.bpf.o", "census")
        self.longest_run = 0.0
        self.runs = self.full = self.odd = self.slab_pages = 0
        self.knows_page_tables = False
        try:
            self._object.load()
        except BaseException:
            self.close()
            raise

    def walk(self) -> Iterator[float]:
        """Count everything, yielding after each run how much of it is done (0 to 1)."""
        spans = page_spans(text(self._proc / "zoneinfo"))
        if not spans:
            raise CensusError("/proc/zoneinfo does not say where memory is")
        vmemmap = self._find_struct_pages(spans[-1].stop)
        total, done = sum(map(len, spans)), 0
        for span in spans:
            page = span.start
            while page < span.stop:
                page = self._run(vmemmap, page, span.stop)
                yield min(1.0, (done + page - span.start) / total)
            done += len(span)
        self._check_found()

    def holdings(self) -> Iterator[Chunk]:
        """Every row counted: keys HOLDING_KEY, values HOLDING."""
        return self._object.map("holdings").items()

    def caches(self) -> Iterator[Chunk]:
        """Every cache met: keys u64 address, values CACHE."""
        return self._object.map("slab_caches").items()

    def close(self) -> None:
        """Unload everything. May be called twice."""
        self._object.close()

    def _run(self, vmemmap: int, page: int, end: int) -> int:
        context = bytearray(wire.CENSUS.pack(vmemmap, page, end, RUN_NS, 0, 0, 0, 0))
        started = time.thread_time()
        self._object.run("count_kernel_memory", context)
        self.longest_run = max(self.longest_run, time.thread_time() - started)
        self.runs += 1
        _, reached, _, _, slab_pages, full, odd, _ = wire.CENSUS.unpack(context)
        self.slab_pages += slab_pages
        self.full += full
        self.odd += odd
        if reached <= page:
            raise CensusError("the walk over memory does not get on")
        return int(reached)

    def _find_struct_pages(self, end: int) -> int:
        """The address of page number 0's struct page."""
        number, address, size = self._known_page()
        if size != PAGE_STRUCT:
            raise CensusError(f"this kernel's struct page has {size} bytes, not {PAGE_STRUCT}")
        if not address:
            raise CensusError("the struct page of a known page was not found")
        base = address - number * PAGE_STRUCT
        if not number:  # not told without CAP_SYS_ADMIN
            base = address // _ALIGNED * _ALIGNED
            if end * PAGE_STRUCT > _ALIGNED:
                raise CensusError("page numbers are told with CAP_SYS_ADMIN only; run it with sudo")
        if base % _ALIGNED:
            raise CensusError("struct pages are not where they were expected")
        return base

    def _known_page(self) -> tuple[int, int, int]:
        """Number and struct page's address of a page of our own, and the bytes of a struct page."""
        fd = os.memfd_create("memtrace-census", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            with mmap.mmap(fd, mmap.PAGESIZE) as memory:
                memory[0] = 1
                number = _page_number(memory)
                context = bytearray(wire.FIND_PAGE.pack(fd, 0, 0, 0))
                self._object.run("find_page", context)
        finally:
            os.close(fd)
        _, size, address, types = wire.FIND_PAGE.unpack(context)
        self.knows_page_tables = bool(types)
        return number, address, size

    def _check_found(self) -> None:
        """Half of what the kernel counts as slab must have been met, or it was another array."""
        counters = dict(
            line.split(None, 1) for line in (text(self._proc / "vmstat") or "").splitlines()
        )
        expected = sum(int(counters.get(name, 0)) for name in _SLAB_COUNTERS)
        if self.slab_pages < expected * _LEAST_FOUND:
            raise CensusError(
                f"the walk met {self.slab_pages} pages of slab where the kernel has {expected}"
            )


def _page_number(memory: mmap.mmap) -> int:
    """The number of the page behind the first byte; 0 when the kernel does not tell."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        (entry,) = struct.unpack("<Q", os.pread(pagemap.fileno(), 8, address // mmap.PAGESIZE * 8))
    return entry & _NUMBER if entry & _IN_MEMORY else 0
