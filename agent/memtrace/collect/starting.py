"""Whether collection can start here, with which engine, and how it is told when it cannot."""

from __future__ import annotations

from memtrace.kernel.engines import Choice, choose
from memtrace.kernel.errors import EngineError
from memtrace.kernel.plan import QUESTIONS
from memtrace.kernel.support import KernelFacts, kernel_facts

EXIT_RUNTIME, EXIT_MISSING = 1, 3
NEEDED = ("CAP_BPF", "CAP_PERFMON")


class LiveError(Exception):
    """Live collection cannot start or go on: one sentence for people, and the exit code."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code


def missing_privileges(facts: KernelFacts) -> tuple[str, ...]:
    """The capabilities without which nothing can be attached; CAP_SYS_ADMIN holds them all."""
    held = facts.capabilities or frozenset()
    if "CAP_SYS_ADMIN" in held:
        return ()
    return tuple(name for name in NEEDED if name not in held)


def choose_engine(wanted: str, doing: str) -> Choice:
    """The engine for this kernel. Raises LiveError when privileges or every engine are missing.

    `wanted`: auto, libbpf or bcc. `doing` begins the sentence about privileges.
    """
    facts = kernel_facts(QUESTIONS)
    if missing := missing_privileges(facts):
        raise LiveError(
            f"{doing} needs {' and '.join(missing)}; run it with sudo, "
            "or look at a recording: memtrace replay examples/node-1.mtr",
            EXIT_MISSING,
        )
    try:
        return choose(wanted, facts)
    except EngineError as error:
        raise LiveError(f"{error}; `memtrace doctor` lists it all", EXIT_MISSING) from error
