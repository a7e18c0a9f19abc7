"""The five places of the runtime where a garbage collection can be followed, for uprobes.

Not a function's first instruction: the kernel can step over that one only out of line (10.2
us against 0.6), and it runs twice when the stack has to grow. From Go 1.21 on the place is the
`push %rbp` behind the check for stack space, before it the check's `jbe`, which still runs
twice then. Arguments are in their registers at both. Attaches nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.machine import jump_of_check, push_of_frame
from memtrace.golang.pclntab import Function
from memtrace.golang.refusal import Refusal, State

_TYPE = "runtime.(*gcControllerState)."
_POINTS = {
    "stop": "runtime.stopTheWorldWithSema",
    "cycle_start": f"{_TYPE}startCycle",
    "cycle_end": f"{_TYPE}endCycle",
    "reset_live": f"{_TYPE}resetLive",
    "finish": "runtime.(*gcCPULimiterState).finishGCTransition",
}
FUNCTIONS = frozenset(_POINTS.values())
_FRAME_POINTERS = 21  # since Go 1.21 the frame is pushed
_PROLOGUE = 32


class ProbePoints(NamedTuple):
    """Offsets in the file, as uprobes want them."""

    stop: int  # the world is to be stopped; ax: the reason, from 1.21 on
    cycle_start: int  # bx: the time, cx: GOMAXPROCS, di: the trigger
    cycle_end: int  # bx: the time
    reset_live: int  # bx: bytes marked
    finish: int  # bx: the time from which on the world runs again


def find_probe_points(elf: Elf, functions: dict[str, Function], minor: int) -> ProbePoints:
    """All five; Refusal when one is missing or its code does not begin as it should."""
    recognise = push_of_frame if minor >= _FRAME_POINTERS else jump_of_check
    offsets = {}
    for point, name in _POINTS.items():
        function = functions.get(name)
        if function is None:
            raise Refusal(State.IMPLAUSIBLE, f"{name} is not in the program")
        size = min(_PROLOGUE, function.end - function.entry)
        distance = recognise(elf.read_at(function.entry, size))
        offset = elf.offset_of(function.entry)
        if distance is None or offset is None:
            raise Refusal(State.IMPLAUSIBLE, f"{name} does not begin as expected")
        offsets[point] = offset + distance
    return ProbePoints(**offsets)
