"""The few x86-64 instructions whose operands or places are looked for in the runtime's code.

Recognises single forms that Go's compiler emits, at places where they must be; is no
disassembler. Whatever is not exactly as expected is not found.
Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from memtrace.golang.elf import Elf
from memtrace.golang.pclntab import Function

MAX_CODE = 65_536
LEA_RAX = b"\x48\x8d\x05"
MOVSLQ_RCX = b"\x48\x63\x0d"
_CALL = b"\xe8"
# With each of the 16 registers and an operand relative to the next instruction; of 64 bits.
_REGISTERS = [(prefix, 0x05 | number << 3) for prefix in (0x48, 0x4C) for number in range(8)]
LEA_OPCODES = frozenset(bytes((prefix, 0x8D, register)) for prefix, register in _REGISTERS)
LOAD_OPCODES = frozenset(bytes((prefix, 0x8B, register)) for prefix, register in _REGISTERS)
# mov and sub of 32 bits
SMALL_LOAD_OPCODES = frozenset(
    bytes((opcode, register)) for opcode in (0x8B, 0x2B) for prefix, register in _REGISTERS[:8]
)

# cmp 16(%r14),%rsp, and 24(%r14) in functions for the system stack; for frames of more than
# 128 bytes lea -N(%rsp),%r12 is before it, and %r12 is compared.
_CHECKS = (b"\x49\x3b\x66\x10", b"\x49\x3b\x66\x18")
_LARGE_CHECKS = (b"\x4d\x3b\x66\x10", b"\x4d\x3b\x66\x18")
_LEA_R12 = {b"\x4c\x8d\x64\x24": 5, b"\x4c\x8d\xa4\x24": 8}  # with 1 and 4 bytes of distance
_SUB_RSP = (b"\x48\x83\xec", b"\x48\x81\xec")
_JBE = {b"\x76": 2, b"\x0f\x86": 6}
_BEFORE_CALL = 64


class Code(NamedTuple):
    """A function's bytes and the address of the first."""

    address: int
    data: bytes

    def operand(self, at: int) -> int:
        """The address that the four bytes at `at`, the last of an instruction, stand for."""
        distance = int.from_bytes(self.data[at : at + 4], "little", signed=True)
        return self.address + at + 4 + distance

    def calls(self, target: int) -> list[int]:
        """Where this function calls another one."""
        places = (at for at in _places(self.data, _CALL) if at <= len(self.data) - 5)
        return [at for at in places if self.operand(at + 1) == target]

    def last_operand(self, opcode: bytes, call: int) -> int | None:
        """What the last instruction of this kind before a call refers to, close before it."""
        at = self.data.rfind(opcode, max(0, call - _BEFORE_CALL), call)
        if at < 0 or at + len(opcode) + 4 > call:
            return None
        return self.operand(at + len(opcode))

    def operands(self, opcodes: Collection[bytes]) -> set[int]:
        """What all instructions of these kinds refer to; chance adds addresses of nothing."""
        ends = (at + len(opcode) for opcode in opcodes for at in _places(self.data, opcode))
        return {self.operand(end) for end in ends if end <= len(self.data) - 4}


def code_of(elf: Elf, function: Function) -> Code:
    """A function's code, of a long one the first MAX_CODE bytes."""
    size = min(function.end - function.entry, MAX_CODE)
    return Code(function.entry, elf.read_at(function.entry, size))


def is_data(elf: Elf, address: int, size: int) -> bool:
    """Whether a variable of this size may be there: in writable memory, and aligned."""
    segment = elf.segment_of(address, size)
    return (
        segment is not None
        and segment.writable
        and not segment.executable
        and address % min(size, 8) == 0
    )


def push_of_frame(code: bytes) -> int | None:
    """Where `push %rbp` is, behind the check for stack space or without one (Go 1.21+)."""
    at = _after_jump(code)
    at = 0 if at is None else at
    return at if code[at : at + 4] == b"\x55\x48\x89\xe5" else None


def jump_of_check(code: bytes) -> int | None:
    """Where the `jbe` of the check for stack space is, in functions with a frame (Go 1.19)."""
    at = _after_check(code)
    after = _after_jump(code)
    return at if after is not None and code[after : after + 3] in _SUB_RSP else None


def _places(data: bytes, pattern: bytes) -> Iterator[int]:
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)


def _after_check(code: bytes) -> int | None:
    if code[:4] in _CHECKS:
        return 4
    size = _LEA_R12.get(code[:4])
    return size + 4 if size and code[size : size + 4] in _LARGE_CHECKS else None


def _after_jump(code: bytes) -> int | None:
    at = _after_check(code)
    if at is None:
        return None
    size = next((n for jump, n in _JBE.items() if code.startswith(jump, at)), None)
    return None if size is None else at + size
