"""Causes and amounts in words."""

from __future__ import annotations

import pytest

from memtrace.model.shapes import Advice, Driver, Evidence, Verdict
from memtrace.model.units import percent, short_size, signed_size, size
from memtrace.model.words import (
    VERBS,
    VERDICTS,
    advice_in_full,
    cause,
    evidence_value,
    verdict_briefly,
    verdict_in_full,
)
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
    row = DriverRow(None, "/dev/shm/a", None, 0, None, "shmem", None, 1)
    assert cause(Driver(row, 1, None)) == "shared memory -> /dev/shm/a"
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


def test_verdicts_fit_their_column_and_are_marked_where_it_matters() -> None:
    """At most 14 characters and a mark; one that is not in the table is still words."""
    assert all(len(text) <= 14 for text in VERDICTS.values())
    verdict = Verdict("cache_thrash", "It rereads.", "warning", 1.0, None)
    assert verdict_briefly(verdict) == "! cache thrashes"
    assert verdict_briefly(verdict._replace(severity="critical")) == "!!cache thrashes"
    assert verdict_briefly(verdict._replace(id="brand_new", severity="ok")) == "brand new"
    assert verdict_in_full(verdict) == "warning: It rereads."


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        (Advice("nothing", None, None, "it is fine", ""), "change nothing: it is fine"),
        (
            Advice("memory limit", None, 3 << 20, "bounds it", "more reads"),
            "set memory limit to 3.0 MiB: bounds it (cost: more reads)",
        ),
        (
            Advice("GOMAXPROCS", 32, 2, "the quota is 2 CPUs", ""),
            "set GOMAXPROCS from 32 to 2: the quota is 2 CPUs",
        ),
    ],
)
def test_advice_in_a_sentence(advice: Advice, words: str) -> None:
    """What to change, from what to what, why, and what it costs."""
    assert advice_in_full(advice) == words


def test_evidence_has_its_unit() -> None:
    """Bytes in words, unknown as a dash."""
    assert evidence_value(Evidence("usage", 3 << 20, "bytes")) == "3.0 MiB"
    assert evidence_value(Evidence("rate", 2.5, "GCs/s")) == "2.5 GCs/s"
    assert evidence_value(Evidence("usage", None, "bytes")) == "-"
    assert evidence_value(Evidence("setting", "off", "")) == "off"
