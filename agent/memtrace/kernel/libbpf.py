"""The C prototypes of libbpf.so.1 the agent uses, and its print callback. No policy.

One binding serves libbpf 1.1 to 1.7: only functions that exist in 1.1, and option
structs that carry their own size. The library is loaded at the first call of
`libbpf()`, so that importing this module needs neither libbpf nor privileges.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache

from memtrace.kernel.errors import BpfError, messages

_DEBUG = 2  # enum libbpf_print_level: warn, info, debug


class OpenOpts(ctypes.Structure):
    """struct bpf_object_open_opts, complete as of libbpf 1.1."""

    _fields_ = [
        ("sz", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", c_bool),
        ("pin_root_path", c_char_p),
        ("removed_attach_prog_fd", c_uint32),
        ("kconfig", c_char_p),
        ("btf_custom_path", c_char_p),
        ("kernel_log_buf", c_void_p),
        ("kernel_log_size", c_size_t),
        ("kernel_log_level", c_uint32),
    ]


class TestRunOpts(ctypes.Structure):
    """struct bpf_test_run_opts. `retval` is signed here, as the programs return int."""

    _fields_ = [
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_int32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class IterAttachOpts(ctypes.Structure):
    """struct bpf_iter_attach_opts: `link_info` points to a union bpf_iter_link_info."""

    _fields_ = [("sz", c_size_t), ("link_info", c_void_p), ("link_info_len", c_uint32)]


class UprobeOpts(ctypes.Structure):
    """struct bpf_uprobe_opts, complete as of libbpf 1.1."""

    _fields_ = [
        ("sz", c_size_t),
        ("ref_ctr_offset", c_size_t),
        ("bpf_cookie", c_uint64),
        ("retprobe", c_bool),
        ("func_name", c_char_p),
    ]


class ProgLoadOpts(ctypes.Structure):
    """struct bpf_prog_load_opts, complete as of libbpf 1.1."""

    _fields_ = [
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_int),
        ("unused", c_uint32 * 7),  # prog_btf_fd to attach_btf_obj_fd
        ("fd_array", c_void_p),
        ("func_info", c_void_p),
        ("func_info_cnt", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("line_info", c_void_p),
        ("line_info_cnt", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_void_p),
    ]


PrintCallback = ctypes.CFUNCTYPE(c_int, c_int, c_void_p, c_void_p)
SampleCallback = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)

_BATCH = (c_int, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), c_void_p))
_NAMED = (c_void_p, (c_void_p, c_char_p))
_NUMBER = (c_int, (c_void_p,))
_SIZE = (c_uint32, (c_void_p,))
_NAME = (c_char_p, (c_void_p,))
_POINTER = (c_void_p, (c_void_p,))
_NEXT = (c_void_p, (c_void_p, c_void_p))
_NOTHING = (None, (c_void_p,))

# name: (result, arguments), as in libbpf.h, bpf.h and btf.h of libbpf 1.1.
_PROTOTYPES: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "libbpf_set_print": (c_void_p, (PrintCallback,)),
    "libbpf_num_possible_cpus": (c_int, ()),
    "bpf_object__open_file": (c_void_p, (c_char_p, POINTER(OpenOpts))),
    "bpf_object__open_mem": (c_void_p, (c_char_p, c_size_t, POINTER(OpenOpts))),
    "bpf_object__load": _NUMBER,
    "bpf_object__close": _NOTHING,
    "bpf_object__btf": _POINTER,
    "bpf_object__next_program": _NEXT,
    "bpf_object__find_program_by_name": _NAMED,
    "bpf_object__find_map_by_name": _NAMED,
    "bpf_program__name": _NAME,
    "bpf_program__fd": _NUMBER,
    "bpf_program__set_autoload": (c_int, (c_void_p, c_bool)),
    "bpf_program__set_expected_attach_type": (c_int, (c_void_p, c_int)),
    "bpf_program__attach": _POINTER,
    "bpf_program__attach_uprobe_opts": (
        c_void_p,
        (c_void_p, c_int, c_char_p, c_size_t, POINTER(UprobeOpts)),
    ),
    "bpf_program__attach_iter": (c_void_p, (c_void_p, POINTER(IterAttachOpts))),
    "bpf_prog_load": (
        c_int,
        (c_int, c_char_p, c_char_p, c_char_p, c_size_t, POINTER(ProgLoadOpts)),
    ),
    "bpf_raw_tracepoint_open": (c_int, (c_char_p, c_int)),
    "bpf_link__fd": _NUMBER,
    "bpf_link__destroy": _NUMBER,
    "bpf_iter_create": (c_int, (c_int,)),
    "bpf_prog_test_run_opts": (c_int, (c_int, POINTER(TestRunOpts))),
    "bpf_obj_get_info_by_fd": (c_int, (c_int, c_void_p, POINTER(c_uint32))),
    "bpf_map__fd": _NUMBER,
    "bpf_map__type": _NUMBER,
    "bpf_map__key_size": _SIZE,
    "bpf_map__value_size": _SIZE,
    "bpf_map__max_entries": _SIZE,
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_map__reuse_fd": (c_int, (c_void_p, c_int)),
    "bpf_map__initial_value": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "bpf_map_create": (c_int, (c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_and_delete_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_get_next_key": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_batch": _BATCH,
    "bpf_map_lookup_and_delete_batch": _BATCH,
    "ring_buffer__new": (c_void_p, (c_int, SampleCallback, c_void_p, c_void_p)),
    "ring_buffer__add": (c_int, (c_void_p, c_int, SampleCallback, c_void_p)),
    "ring_buffer__consume": _NUMBER,
    "ring_buffer__epoll_fd": _NUMBER,
    "ring_buffer__free": _NOTHING,
    "btf__new": (c_void_p, (c_char_p, c_uint32)),
    "btf__load_vmlinux_btf": (c_void_p, ()),
    "btf__parse_split": (c_void_p, (c_char_p, c_void_p)),
    "btf__free": _NOTHING,
    "btf__find_by_name_kind": (c_int32, (c_void_p, c_char_p, c_uint32)),
    "btf__type_by_id": (c_void_p, (c_void_p, c_uint32)),
    "btf__name_by_offset": (c_char_p, (c_void_p, c_uint32)),
}

_debug_wanted = False
_sink: Callable[[str], None] | None = None


def listen(sink: Callable[[str], None] | None, debug: bool = False) -> None:
    """Also hand each libbpf message to `sink`; `debug` adds libbpf's debug messages."""
    global _sink, _debug_wanted
    _sink, _debug_wanted = sink, debug


@cache
def libbpf() -> ctypes.CDLL:
    """The loaded library with every prototype set. Raises BpfError when there is none."""
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise BpfError(errno.ELIBACC, "use libbpf.so.1 (package libbpf1)", str(error)) from error
    library.libbpf_set_print(_print)
    return library


def possible_cpus() -> int:
    """How many CPUs this kernel can ever have: the number of values in a per-CPU map."""
    return int(libbpf().libbpf_num_possible_cpus())


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.vasprintf.argtypes = (POINTER(c_void_p), c_void_p, c_void_p)
    library.free.argtypes = (c_void_p,)
    library.free.restype = None
    return library


def _collect(level: int, template: int, arguments: int) -> int:
    """Collect one message whole. va_list reaches a callee as a pointer on x86-64 and arm64."""
    if level >= _DEBUG and not _debug_wanted:
        return 0
    text = _formatted(template, arguments)
    messages.append(text)
    if _sink is not None:
        _sink(text)
    return len(text)


def _formatted(template: int, arguments: int) -> str:
    """What C would have printed. vasprintf, not vsnprintf: a va_list can be read only once."""
    buffer = c_void_p()
    length = _libc().vasprintf(ctypes.byref(buffer), template, arguments)
    if length < 0:
        return ""
    text = ctypes.string_at(buffer.value or 0, length).decode(errors="replace")
    _libc().free(buffer)
    return text


_print = PrintCallback(_collect)  # libbpf keeps its address for as long as the process lives
