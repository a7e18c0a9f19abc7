"""Every file is in exactly one state, and says why; what a program has is found."""

from __future__ import annotations

import os
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrace.golang.binary import GoBinary, inspect, inspect_path
from memtrace.golang.gccontroller import Places
from memtrace.golang.heap_profile import ProfilePlaces
from memtrace.golang.probes import ProbePoints
from memtrace.golang.refusal import State
from memtrace.golang.symbolize import Symbols
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import (
    BUCKETS,
    CHECK_NEAR,
    CYCLES,
    GC_CONTROLLER,
    GOMAXPROCS,
    RATE,
    SUB,
    Made,
    opened,
)

SHAPES = {
    "static": {},
    "module": {"module": True},
    "relocated": {"relocated": True},
    "merged": {"merged": True, "relocated": True},
    "1.18": {"magic": 0xFFFFFFF0},
}
WHOLE = Made().bytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_program_is_found_whole(open_bytes: Open, shape: str) -> None:
    """Wherever its linker put the table of functions and the address they are counted from."""
    made = Made(**SHAPES[shape])  # type: ignore[arg-type]
    binary = inspect(open_bytes(made.bytes()))
    assert (binary.state, binary.reason, binary.missing) == (State.GO, "", {})
    assert binary.places == Places(GC_CONTROLLER, GOMAXPROCS, CYCLES)
    assert binary.profile == ProfilePlaces(BUCKETS, RATE)
    assert isinstance(binary.probes, ProbePoints)
    assert (binary.stripped, binary.position_independent) == (True, False)
    assert binary.identity is not None
    assert binary.identity.build_id == "ab" * 4


def test_an_address_moves_with_the_mapping(open_bytes: Open) -> None:
    """By how far the lowest mapping is from where it was linked to."""
    binary = inspect(open_bytes(WHOLE))
    assert binary.base == 0x400000
    assert binary.running_at(GC_CONTROLLER, 0x7F00_0000_0000) == 0x7F00_0000_0000 + (
        GC_CONTROLLER - 0x400000
    )


def test_1_19_is_probed_at_the_jump(open_bytes: Open) -> None:
    """Its functions do not push the frame pointer."""
    made = Made(version="go1.19.8", magic=0xFFFFFFF0)
    made.sites |= {
        name: [CHECK_NEAR + SUB] for name, code in made.sites.items() if b"\x55\x48" in code[0][:20]
    }
    for name in ("gcStart", "gcMarkDone", "gcMark", "gcControllerCommit"):
        made.sites[f"runtime.{name}"] = Made().sites[f"runtime.{name}"]
    binary = inspect(open_bytes(made.bytes()))
    assert binary.probes is not None
    entry = made.entry("runtime.(*gcControllerState).startCycle")
    assert binary.probes.cycle_start == entry - 0x400000 + 4


@pytest.mark.parametrize(
    ("state", "made"),
    [
        (State.VERSION_ONLY, Made(version="go1.18.10")),
        (State.VERSION_ONLY, Made(version="go1.17.13", pointers=True)),
        (State.VERSION_ONLY, Made(version="devel go1.28-4c2d1f Sat Nov 21")),
        (State.VERSION_ONLY, Made(version="go2.1")),
        (State.NOT_GO, Made(names={".go.buildinfo": ".other"})),
        (State.IMPLAUSIBLE, Made(magic=0xFFFFFFFB)),
        (State.IMPLAUSIBLE, Made(names={".gopclntab": ".other"})),
        (State.IMPLAUSIBLE, Made(counted=0)),
        (State.IMPLAUSIBLE, Made(counted=1_000_001)),
        (State.IMPLAUSIBLE, Made(counted=(1 << 64) - 1)),
        (State.IMPLAUSIBLE, Made(counted=40_000)),
        (State.ARCHITECTURE, Made(machine=183)),
    ],
    ids=lambda value: value.version if isinstance(value, Made) else value,
)
def test_what_cannot_be_used_has_a_state(open_bytes: Open, state: State, made: Made) -> None:
    """And a reason; a version is told where there is one."""
    binary = inspect(open_bytes(made.bytes()))
    assert binary.state == state
    assert binary.reason
    assert (binary.build is None) == (state in (State.NOT_GO, State.ARCHITECTURE))
    assert binary.build is None or binary.build.version == made.version
    assert binary.places is None


def test_a_packed_program_is_called_packed(open_bytes: Open) -> None:
    """UPX leaves its mark in front, and no sections."""
    packed = bytearray(WHOLE)
    packed[0xEC:0xF0] = b"UPX!"
    packed[60:64] = bytes(4)
    assert inspect(open_bytes(bytes(packed))).state == State.PACKED


def test_a_cut_off_program_is_truncated(open_bytes: Open) -> None:
    """Wherever it is cut: its section table is at the end."""
    for size in (16, 63, 64, 100, 4096, len(WHOLE) - 1):
        assert inspect(open_bytes(WHOLE[:size])).state == State.TRUNCATED


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#!/bin/sh\n", bytes(4096)])
def test_other_files_are_not_go(open_bytes: Open, data: bytes) -> None:
    """Scripts, empty files."""
    assert inspect(open_bytes(data)).state == State.NOT_GO


def test_a_table_beyond_the_bound_is_too_large(open_bytes: Open) -> None:
    """A section of more than 64 MiB is not read, also where the file is that long."""
    large = bytearray(WHOLE)
    table = int.from_bytes(large[40:48], "little")
    large[table + 2 * 64 + 32 : table + 2 * 64 + 40] = pack("<Q", (64 << 20) + 1)
    fd = open_bytes(bytes(large))
    os.ftruncate(fd, 200 << 20)
    assert inspect(fd).state == State.TOO_LARGE


def test_files_that_cannot_be_opened_have_a_state(tmp_path: Path) -> None:
    """Gone, a directory, a pipe, not a path."""
    os.mkfifo(tmp_path / "pipe")
    assert inspect_path(tmp_path / "nothing").state == State.VANISHED
    assert inspect_path("/proc/2/exe").state == State.VANISHED  # a kernel thread
    assert inspect_path(tmp_path).state == State.UNREADABLE
    assert inspect_path(tmp_path / "pipe").state == State.UNREADABLE
    assert inspect_path("nul\0byte").state == State.UNREADABLE
    assert inspect(1 << 20).state == State.VANISHED
    assert inspect_path(tmp_path / "nothing").identity is None


def test_a_part_that_is_missing_has_a_reason(open_bytes: Open) -> None:
    """The others are there all the same."""
    made = Made()
    made.sites["runtime.stopTheWorldWithSema"] = [b"\x90" * 32]
    del made.sites["runtime.stkbucket"]
    binary = inspect(open_bytes(made.bytes()))
    assert binary.state == State.GO
    assert binary.places is not None
    assert (binary.probes, binary.profile) == (None, None)
    assert binary.missing.keys() == {"probes", "heap_profile"}
    assert binary.missing["probes"] == "runtime.stopTheWorldWithSema does not begin as expected"


def looked_at(data: bytes) -> GoBinary:
    """The answer, and names of some addresses."""
    fd = opened(data)
    try:
        symbols = Symbols(fd)
        for address in (-1, 0, 0x401000, 0x401041, 0x800000, 1 << 63, 1 << 64):
            symbols.name(address)
            symbols.name_at(address)
        symbols.close()
        return inspect(fd)
    finally:
        os.close(fd)


IMPORTANT = sorted(
    {
        *range(176),
        *range(0x5000, 0x5100),
        *range(0x10000, 0x10080),
        *range(len(WHOLE) - 512, len(WHOLE)),
    }
)
NUMBERS = st.sampled_from([0, 1, 8, 0x401000, 1 << 31, 1 << 32, 1 << 47, 1 << 63, (1 << 64) - 1])


@given(
    st.lists(st.tuples(st.sampled_from(IMPORTANT), st.integers(0, 255)), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from(IMPORTANT), NUMBERS), max_size=2),
    st.integers(0, len(WHOLE)) | st.none(),
)
def test_no_bytes_raise(
    changes: list[tuple[int, int]], numbers: list[tuple[int, int]], end: int | None
) -> None:
    """Whatever is in the file: one state, and a reason unless it is a program of Go."""
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    for at, number in numbers:
        data[at : at + 8] = number.to_bytes(8, "little")
    binary = looked_at(bytes(data[:end]))
    assert bool(binary.reason) == (binary.state != State.GO)


@given(st.binary(max_size=600))
def test_no_beginning_raises(data: bytes) -> None:
    """Neither what only begins like a program."""
    binary = looked_at(WHOLE[:7] + data)
    assert binary.state != State.GO
