"""System call numbers to names, against numbers everybody knows."""

from __future__ import annotations

import pytest

from memtrace.collect.syscalls import syscall_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "read"),
        (1, "write"),
        (9, "mmap"),
        (18, "pwrite64"),
        (28, "madvise"),
        (40, "sendfile"),
        (59, "execve"),
        (187, "readahead"),
        (202, "futex"),
        (221, "fadvise64"),
        (275, "splice"),
        (285, "fallocate"),
        (326, "copy_file_range"),
        (328, "pwritev2"),
        (334, "rseq"),
        (424, "pidfd_send_signal"),
        (426, "io_uring_enter"),
        (435, "clone3"),
        (451, "cachestat"),
        (462, "mseal"),
        (-1, "page fault"),
    ],
)
def test_numbers_have_the_kernels_names(number: int, name: str) -> None:
    """Ends and middles of both tables: a missing line would shift all that follow."""
    assert syscall_name(number, compat=False) == name


@pytest.mark.parametrize("number", [-2, -3, 335, 423, 470, 2**31 - 1, -(2**31)])
def test_other_numbers_are_unknown(number: int) -> None:
    """The gap, what lies beyond, and kernel threads: None, not a neighbour's name."""
    assert syscall_name(number, compat=False) is None


def test_ia32_numbers_are_another_table() -> None:
    """4 is write there and stat here: not told."""
    assert syscall_name(4, compat=True) is None


def test_a_fault_of_an_ia32_task_is_a_fault() -> None:
    """-1 means the same for both."""
    assert syscall_name(-1, compat=True) == "page fault"
