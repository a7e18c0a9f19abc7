"""Where the runtime keeps what its garbage collector knows and may do.

In a stripped program variables have no names. But the runtime's functions do, and they pass
the address of gcController along: where two call sites agree, it is that. What is there is
gcstate.py's to read.
Source: runtime/mgc.go.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.gcstate import BLOCK_BYTES
from memtrace.golang.machine import (
    LEA_RAX,
    MOVSLQ_RCX,
    SMALL_LOAD_OPCODES,
    code_of,
    is_data,
)
from memtrace.golang.pclntab import Function
from memtrace.golang.refusal import Refusal, State

_TYPE = "runtime.(*gcControllerState)."
_SITES = {  # caller: the method of gcController that it calls
    "runtime.gcStart": f"{_TYPE}startCycle",
    "runtime.gcMarkDone": f"{_TYPE}endCycle",
    "runtime.gcMark": f"{_TYPE}resetLive",
    "runtime.gcControllerCommit": f"{_TYPE}commit",
}
_TRIGGER = "runtime.gcTrigger.test"
FUNCTIONS = frozenset((*_SITES, *_SITES.values(), _TRIGGER))

_AGREEING = 2

# work.cycles++ and work.cycles.Add(1): incl X(%rip); lea X(%rip),%rcx with lock xadd %eax,(%rcx)
_INC = b"\xff\x05"
_LEA_RCX, _XADD = b"\x48\x8d\x0d", b"\xf0\x0f\xc1\x01"


class Places(NamedTuple):
    """Link-time addresses of the runtime's variables."""

    gc_controller: int  # BLOCK_BYTES of it
    gomaxprocs: int | None  # a 32-bit number
    cycles: int | None  # a 32-bit number: collections that were started


def find_places(elf: Elf, functions: dict[str, Function]) -> Places:
    """The addresses; Refusal when no two call sites agree on a plausible one."""
    controllers: Counter[int] = Counter()
    processors: Counter[int] = Counter()
    for caller, callee in _SITES.items():
        if caller not in functions or callee not in functions:
            continue
        code = code_of(elf, functions[caller])
        for call in code.calls(functions[callee].entry)[:1]:
            _vote(controllers, elf, code.last_operand(LEA_RAX, call), BLOCK_BYTES)
            _vote(processors, elf, code.last_operand(MOVSLQ_RCX, call), 4)
    controller = _agreed(controllers)
    if controller is None:
        raise Refusal(State.IMPLAUSIBLE, "gcController was not found in the runtime's code")
    return Places(controller, _agreed(processors), _find_cycles(elf, functions))


def _vote(votes: Counter[int], elf: Elf, address: int | None, size: int) -> None:
    if address is not None and is_data(elf, address, size):
        votes[address] += 1


def _agreed(votes: Counter[int]) -> int | None:
    winner = votes.most_common(1)
    return winner[0][0] if winner and winner[0][1] >= _AGREEING else None


def _find_cycles(elf: Elf, functions: dict[str, Function]) -> int | None:
    """What gcStart counts up before it calls startCycle, if gcTrigger.test reads it too."""
    start, callee = functions.get("runtime.gcStart"), functions.get(f"{_TYPE}startCycle")
    trigger = functions.get(_TRIGGER)
    if not (start and callee and trigger):
        return None
    code = code_of(elf, start)
    read_there = code_of(elf, trigger).operands(SMALL_LOAD_OPCODES)
    for call in code.calls(callee.entry)[:1]:
        address = code.last_operand(_INC, call)
        if address is None:
            address = code.last_operand(_LEA_RCX, code.data.rfind(_XADD, 0, call))
        if address in read_there and is_data(elf, address, 4):
            return address
    return None
