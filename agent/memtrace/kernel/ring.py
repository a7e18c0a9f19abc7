"""Drains BPF ring buffers through libbpf, which has the memory barriers Python lacks."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Sequence

from memtrace.kernel.closing import Closing
from memtrace.kernel.errors import check, check_pointer
from memtrace.kernel.libbpf import SampleCallback, libbpf
from memtrace.kernel.maps import Map

Callback = Callable[[memoryview], None]

_PYBUF_READ = 0x100
_STOP = -errno.ECANCELED  # any negative result makes libbpf stop, after marking the record consumed
_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


class RingBuffer(Closing):
    """One reader over one or several BPF_MAP_TYPE_RINGBUF maps. Raises BpfError."""

    def __init__(self, *maps: Map) -> None:
        self._library = libbpf()
        self._trampoline = SampleCallback(self._sample)  # libbpf keeps its address: so must we
        self._callback: Callback | None = None
        self._error: BaseException | None = None
        self._count = 0
        self._limit: int | None = None
        self._handle: int | None = self._opened(maps)

    def drain(self, callback: Callback, limit: int | None = None) -> int:
        """Hand every waiting record to `callback`; return how many.

        The memoryview is read-only and gone when the callback returns: copy what is
        kept. An exception in the callback stops the drain after that record and is
        raised from here; the records behind it wait for the next drain. `limit` bounds
        one drain when events arrive faster than they are read.
        """
        self._callback, self._limit, self._count, self._error = callback, limit, 0, None
        result = self._library.ring_buffer__consume(self._open_handle())
        self._callback = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if result != _STOP:
            check(result, "drain the ring buffer")
        return self._count

    def fileno(self) -> int:
        """An epoll descriptor, readable when a record waits: give this object to select()."""
        return int(self._library.ring_buffer__epoll_fd(self._open_handle()))

    def close(self) -> None:
        """Unmap the buffers. May be called twice."""
        if self._handle is not None:
            self._library.ring_buffer__free(self._handle)
        self._handle = None

    def _opened(self, maps: Sequence[Map]) -> int:
        first, *others = maps
        made = self._library.ring_buffer__new(first.fd, self._trampoline, None, None)
        handle = check_pointer(made, f"open ring buffer {first.name}")
        for other in others:
            result = self._library.ring_buffer__add(handle, other.fd, self._trampoline, None)
            if result < 0:
                self._library.ring_buffer__free(handle)
            check(result, f"open ring buffer {other.name}")
        return handle

    def _open_handle(self) -> int:
        if self._handle is None:
            raise ValueError("the ring buffer is closed")
        return self._handle

    def _sample(self, _context: int | None, address: int, size: int) -> int:
        """Called by libbpf for each record. Nothing may escape from here: C has no exceptions."""
        self._count += 1
        try:
            with _view(address, size, _PYBUF_READ) as record:
                self._callback(record)  # type: ignore[misc]  # drain() has set it
        except BaseException as error:  # re-raised by drain(), KeyboardInterrupt too
            self._error = error
            return _STOP
        return _STOP if self._count == self._limit else 0
