"""What went wrong in the kernel or in libbpf, whole. Calls nothing itself.

libbpf explains a failure by printing while it fails: the verifier's log with its C
source lines, an unresolved CO-RE field. The print callback of libbpf.py puts those
lines into `messages`; `check` moves them into the exception.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections import deque

ENOTSUPP = 524  # kernel-internal, leaks from bpf(2); not in <errno.h>

# enum libbpf_errno of libbpf.h counts on from 4000.
_LIBBPF_ERRORS = (
    ("LIBELF", "libelf refused the object"),
    ("FORMAT", "not a BPF object"),
    ("KVERSION", "bad version section"),
    ("ENDIAN", "object of the other byte order"),
    ("INTERNAL", "internal error in libbpf"),
    ("RELOC", "relocation failed"),
    ("LOAD", "program refused for an unknown reason"),
    ("VERIFY", "program refused by the verifier"),
    ("PROG2BIG", "program too big"),
    ("KVER", "wrong kernel version"),
    ("PROGTYPE", "program type unknown to this kernel"),
)

messages: deque[str] = deque(maxlen=512)
"""libbpf's printed messages, one whole message each, since the last `check`."""


class BpfError(Exception):
    """An attempt the kernel or libbpf refused.

    `str()` is one sentence for people, with the cause where the log has one; `attempted` is
    what it was about; `errno` is the positive error number (4000 and up: libbpf's own); `log`
    is everything libbpf and the verifier said, whole, and also shows as a note in a traceback.
    """

    def __init__(self, code: int, attempted: str, log: str = "") -> None:
        super().__init__(f"cannot {attempted}: {cause(log) or describe(code)}")
        self.errno = code
        self.attempted = attempted
        self.log = log
        if log:
            self.add_note(log)


class EngineError(Exception):
    """An engine cannot be had here: one sentence for people; `log` is what the compiler said."""

    def __init__(self, sentence: str, log: str = "") -> None:
        super().__init__(sentence)
        if log:
            self.add_note(log)


def cause(log: str) -> str:
    """What libbpf found missing or out of place in the kernel's types; empty: nothing of that."""
    missing = re.search(r"failed to resolve CO-RE relocation <\w+> \[\d+\] ([\w. ]+?) \(", log)
    if missing:
        return f"this kernel has no {missing[1]}"
    if "failed to perform CO-RE relocations" in log:
        return "this kernel's types make no sense"
    return ""


def describe(code: int) -> str:
    """An error number in words, followed by its symbol."""
    if code == ENOTSUPP:
        return "not supported by this kernel (ENOTSUPP)"
    if 0 <= code - 4000 < len(_LIBBPF_ERRORS):
        symbol, words = _LIBBPF_ERRORS[code - 4000]
        return f"{words} (LIBBPF_ERRNO__{symbol})"
    return f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"


def taken_messages() -> str:
    """The collected messages as one text; the collection is empty afterwards."""
    text = "".join(messages)
    messages.clear()
    return text


def check(result: int, attempted: str) -> int:
    """Return the result of a libbpf call, or raise BpfError when it is a negative errno."""
    log = taken_messages()
    if result < 0:
        raise BpfError(-result, attempted, log)
    return result


def check_pointer(pointer: int | None, attempted: str) -> int:
    """Return the pointer a libbpf call gave, or raise BpfError with errno when it is NULL."""
    code = ctypes.get_errno()
    log = taken_messages()
    if not pointer:
        raise BpfError(code, attempted, log)
    return pointer
