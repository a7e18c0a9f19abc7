"""Facts about the running kernel: asked, never guessed from its version. Decides nothing.

The caller says what it needs to know (`Questions`); the kernel's types are read once,
all is asked, and they are freed before `kernel_facts` returns: they are several MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtrace.kernel.btf import Btf
from memtrace.kernel.errors import BpfError
from memtrace.kernel.sysfiles import (
    capabilities,
    cpu_list,
    lockdown,
    number,
    text,
)

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Questions:
    """What to look up in the kernel's types."""

    tracepoints: tuple[str, ...] = ()
    arguments: tuple[Pair, ...] = ()  # (tracepoint, struct that one of its arguments points to)
    types: tuple[Pair, ...] = ()  # (kind of btf.KINDS, name)
    members: tuple[Pair, ...] = ()  # (struct or union, member)
    enums: tuple[Pair, ...] = ()  # (enum, enumerator)
    helpers: tuple[str, ...] = ()  # "loop" for bpf_loop
    offsets: tuple[Pair, ...] = ()  # (struct, its own member)
    layout: tuple[Pair, ...] = ()  # likewise, of the kernel itself only
    modules: tuple[str, ...] = ()  # where offsets are looked for, too


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer for each question; None everywhere when the types could not be read."""

    tracepoints: Mapping[str, int | None] = field(default_factory=dict)
    arguments: Mapping[Pair, int | None] = field(default_factory=dict)
    types: Mapping[Pair, bool | None] = field(default_factory=dict)
    members: Mapping[Pair, bool | None] = field(default_factory=dict)
    enums: Mapping[Pair, int | None] = field(default_factory=dict)
    helpers: Mapping[str, bool | None] = field(default_factory=dict)
    offsets: Mapping[Pair, int | None] = field(default_factory=dict)
    layout: Mapping[Pair, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What this kernel is and allows. None means unknown; an unasked question is a KeyError.

    `release` is for people to read. `btf_bytes`: size of the kernel's own types, None when
    it exports none; `btf_problem`: why they could not be read, empty when they could.
    `*_cpus` are CPU numbers, `capabilities` the effective ones, such as CAP_BPF.
    `lockdown` is none, integrity or confidentiality.
    """

    release: str | None = None
    btf_bytes: int | None = None
    btf_problem: str = ""
    online_cpus: tuple[int, ...] = ()
    possible_cpus: tuple[int, ...] = ()
    capabilities: frozenset[str] | None = None
    unprivileged_bpf_disabled: int | None = None
    perf_event_paranoid: int | None = None
    bpf_stats_enabled: int | None = None
    lockdown: str | None = None
    answers: Answers = Answers()

    @property
    def btf(self) -> bool:
        """Whether the kernel's types could be read: without them no CO-RE program loads."""
        return not self.btf_problem

    def tracepoint_params(self, name: str) -> int | None:
        """How many arguments programs on this tracepoint get; None: no such tracepoint."""
        return self.answers.tracepoints[name]

    def tracepoint_argument(self, name: str, owner: str) -> int | None:
        """Which argument of the tracepoint, from 0, points to struct `owner`; None: none."""
        return self.answers.arguments[name, owner]

    def has_type(self, kind: str, name: str) -> bool | None:
        """Whether the kernel has a type of that kind and name."""
        return self.answers.types[kind, name]

    def has_member(self, owner: str, member: str) -> bool | None:
        """Whether the kernel's struct or union `owner` has `member`."""
        return self.answers.members[owner, member]

    def enum_value(self, enum: str, name: str) -> int | None:
        """The kernel's value of an enumerator, e.g. node_stat_item NR_SHMEM."""
        return self.answers.enums[enum, name]

    def has_helper(self, name: str) -> bool | None:
        """Whether the kernel knows the BPF helper, e.g. "loop"."""
        return self.answers.helpers[name]

    def offset(self, owner: str, member: str) -> int | None:
        """Bytes from the start of the kernel's or a module's struct to its own member."""
        return self.answers.offsets[owner, member]

    def unplaced(self) -> tuple[Pair, ...]:
        """What of the asked layout the kernel's types do not have."""
        return tuple(pair for pair, place in self.answers.layout.items() if place is None)


def kernel_facts(questions: Questions = Questions(), root: Path = Path("/")) -> KernelFacts:
    """Ask the running kernel. Files are read below `root`; nothing missing raises."""
    answers, problem = _ask_kernel(questions, root)
    system, kernel = root / "sys/devices/system/cpu", root / "proc/sys/kernel"
    return KernelFacts(
        release=text(kernel / "osrelease"),
        btf_bytes=_size(root / "sys/kernel/btf/vmlinux"),
        btf_problem=problem,
        online_cpus=cpu_list(text(system / "online")),
        possible_cpus=cpu_list(text(system / "possible")),
        capabilities=capabilities(text(root / "proc/self/status")),
        unprivileged_bpf_disabled=number(kernel / "unprivileged_bpf_disabled"),
        perf_event_paranoid=number(kernel / "perf_event_paranoid"),
        bpf_stats_enabled=number(kernel / "bpf_stats_enabled"),
        lockdown=lockdown(text(root / "sys/kernel/security/lockdown")),
        answers=answers,
    )


def ask(btf: Btf, questions: Questions) -> Answers:
    """Answer every question from one BTF. Raises BpfError when the BTF makes no sense."""
    return Answers(
        tracepoints={name: btf.tracepoint_params(name) for name in questions.tracepoints},
        arguments={pair: btf.tracepoint_argument(*pair) for pair in questions.arguments},
        types={pair: btf.has_type(*pair) for pair in questions.types},
        members={pair: btf.has_member(*pair) for pair in questions.members},
        enums={pair: btf.enum_value(*pair) for pair in questions.enums},
        helpers={name: _has_helper(btf, name) for name in questions.helpers},
        offsets={pair: btf.offset(*pair) for pair in questions.offsets},
        layout={pair: btf.offset(*pair) for pair in questions.layout},
    )


def unknown(questions: Questions) -> Answers:
    """None to every question."""
    return Answers(
        dict.fromkeys(questions.tracepoints),
        dict.fromkeys(questions.arguments),
        dict.fromkeys(questions.types),
        dict.fromkeys(questions.members),
        dict.fromkeys(questions.enums),
        dict.fromkeys(questions.helpers),
        dict.fromkeys(questions.offsets),
        dict.fromkeys(questions.layout),
    )


def _ask_kernel(questions: Questions, root: Path) -> tuple[Answers, str]:
    """The answers, and why there are none."""
    try:
        with Btf.of_kernel() as btf:
            answers = ask(btf, questions)
            for name in questions.modules:
                answers = _ask_module(btf, root / "sys/kernel/btf" / name, questions, answers)
            return answers, ""
    except BpfError as error:
        return unknown(questions), str(error)


def _ask_module(kernel: Btf, path: Path, questions: Questions, answers: Answers) -> Answers:
    """The answers with the offsets that only a module knows; it may be absent or built in."""
    if None not in answers.offsets.values() or _size(path) is None:
        return answers
    try:
        with Btf.of_module(str(path), kernel) as btf:
            return replace(answers, offsets={pair: btf.offset(*pair) for pair in questions.offsets})
    except BpfError:
        return answers


def _has_helper(btf: Btf, name: str) -> bool:
    return btf.enum_value("bpf_func_id", f"BPF_FUNC_{name}") is not None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
