"""gcController is where two call sites agree that it is; nowhere else."""

from __future__ import annotations

import pytest

from memtrace.golang.binary import inspect
from tests.unit.golang.conftest import Open
from tests.unit.golang.synthetic import CHECK_NEAR, DATA, GC_CONTROLLER, METHOD, PUSH, TEXT, Made

CALLS = {
    "runtime.gcStart": "startCycle",
    "runtime.gcMarkDone": "endCycle",
    "runtime.gcMark": "resetLive",
    "runtime.gcControllerCommit": "commit",
}


def with_controllers(*addresses: int) -> Made:
    """A program whose call sites pass these addresses."""
    made = Made()
    for (caller, callee), address in zip(CALLS.items(), addresses, strict=True):
        lea = (b"\x48\x8d\x05", address)
        made.sites[caller] = [CHECK_NEAR + PUSH, lea, (b"\xe8", f"{METHOD}{callee}")]
    return made


@pytest.mark.parametrize(
    "addresses",
    [
        (GC_CONTROLLER, DATA, GC_CONTROLLER, DATA + 8),
        (DATA, GC_CONTROLLER, TEXT, GC_CONTROLLER),
        (GC_CONTROLLER, GC_CONTROLLER, TEXT, TEXT),
    ],
)
def test_two_call_sites_are_enough(open_bytes: Open, addresses: tuple[int, ...]) -> None:
    """Whichever they are; without gomaxprocs and cycles those are unknown."""
    places = inspect(open_bytes(with_controllers(*addresses).bytes())).places
    assert places is not None
    assert places == (GC_CONTROLLER, None, None)


@pytest.mark.parametrize(
    "addresses",
    [
        (DATA, DATA + 8, DATA + 16, GC_CONTROLLER),
        (TEXT, TEXT, TEXT, TEXT),  # not writable
        (GC_CONTROLLER + 4,) * 4,  # not aligned
        (DATA + 0x1FF00,) * 4,  # does not fit
        (1 << 31,) * 4,  # nothing is there
    ],
)
def test_less_is_not(open_bytes: Open, addresses: tuple[int, ...]) -> None:
    """One vote, or votes for what cannot be it."""
    binary = inspect(open_bytes(with_controllers(*addresses).bytes()))
    assert binary.places is None
    assert binary.missing["gc_controller"] == "gcController was not found in the runtime's code"


def test_cycles_count_only_where_the_trigger_reads_them(open_bytes: Open) -> None:
    """Another address in gcTrigger.test, and there is no count."""
    made = Made()
    made.sites["runtime.gcTrigger.test"] = [(b"\x8b\x15", DATA)]
    binary = inspect(open_bytes(made.bytes()))
    assert binary.places is not None
    assert binary.places.cycles is None
    assert binary.missing == {"cycles": "cycles was not found in the runtime's code"}


def test_cycles_of_1_19_are_incremented_in_place(open_bytes: Open) -> None:
    """incl X(%rip), and sub X(%rip),%ecx."""
    made = Made(version="go1.19.8")
    start = made.sites["runtime.gcStart"]
    made.sites["runtime.gcStart"] = [start[0], (b"\xff\x05", DATA + 64), *start[3:]]
    made.sites["runtime.gcTrigger.test"] = [(b"\x2b\x0d", DATA + 64)]
    places = inspect(open_bytes(made.bytes())).places
    assert places is not None
    assert places.cycles == DATA + 64
