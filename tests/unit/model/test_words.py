"""Causes and amounts in words."""

from __future__ import annotations

import pytest

from memtrace.model.shapes import Driver
from memtrace.model.units import percent, short_size, signed_size, size
from memtrace.model.words import VERBS, cause
from memtrace.samples import KINDS, DriverRow, FileId


def said(kind: str, comm: str | None, path: str | None, file: FileId | None = None) -> str:
    row = DriverRow(file, "/host" + (path or ""), path, 7, comm, kind, None, 1)
    return cause(Driver(row, 1, None))


def test_cause_names_verb_process_and_file() -> None:
    """A sentence a person would say; the container's own path is preferred."""
    assert said("write", "postgres", "/data/base/16384") == (
        "write by postgres -> /data/base/16384"
    )
    assert said("metadata", "find", "/dev/vda") == "metadata by find -> /dev/vda"


def test_cause_says_what_it_can() -> None:
    """Without a name there is the pid, without a path the file's numbers, else nothing."""
    row = DriverRow(None, None, None, 7, None, "shmem", None, 1)
    assert cause(Driver(row, 1, None)) == "shared memory by pid 7"
    row = DriverRow(FileId(8 << 20 | 1, 5), None, None, 7, "dd", "read", None, 1)
    assert cause(Driver(row, 1, None)) == "read by dd -> inode 5 on 8:1"
    assert cause(None) == ""


def test_every_kind_has_a_verb() -> None:
    """No kind of I/O is left without words."""
    assert set(VERBS) == set(KINDS)


@pytest.mark.parametrize(
    ("amount", "long", "short"),
    [
        (None, "-", "-"),
        (0, "0 B", "0B"),
        (1023, "1.0 KiB", "1.0K"),
        (-340 << 20, "-340 MiB", "-340M"),
        (1288490189, "1.2 GiB", "1.2G"),
        (1 << 62, "4.0 EiB", "4.0E"),
    ],
)
def test_sizes(amount: int | None, long: str, short: str) -> None:
    """Binary units, short enough for a column."""
    assert (size(amount), short_size(amount)) == (long, short)
    assert len(short_size(amount)) <= 6


def test_growth_has_a_sign_and_shares_need_a_whole() -> None:
    """Unknown is a dash."""
    assert (signed_size(2048), signed_size(0), signed_size(-2048)) == ("+2.0K", "0B", "-2.0K")
    assert (percent(1, 3), percent(None, 3), percent(1, None), percent(1, 0)) == ("33%",) + (
        "-",
    ) * 3
