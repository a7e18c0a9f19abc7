"""From facts about this kernel to how Go programs can be probed, or why not. Decides only."""

from __future__ import annotations

from memtrace.kernel.support import KernelFacts
from memtrace.samples import Feature

COOKIE = "get_attach_cookie"
UPROBES = ("uprobe_consumer", "handler")
UPROBE_MULTI = ("bpf_attach_type", "BPF_TRACE_UPROBE_MULTI")
"""What to ask the kernel's types for: a helper, a member, an enumerator."""

_LOST = "Go programs are only looked at from time to time, not at each collection"


def go_gc_feature(facts: KernelFacts) -> Feature:
    """Whether garbage collections of Go programs can be told as they end."""
    if not facts.btf:
        return Feature(False, f"this kernel has no readable type information: {facts.btf_problem}")
    if not facts.has_member(*UPROBES):
        return Feature(False, f"this kernel was built without uprobes (CONFIG_UPROBES): {_LOST}")
    if not facts.has_helper(COOKIE):
        return Feature(False, f"this kernel cannot tell probes apart (before 5.15): {_LOST}")
    if not has_uprobe_multi(facts):
        return Feature(True, "exact; letting go of a binary takes 0.6 s (before 6.6)")
    return Feature(True, "exact: each collection that began after its binary was found")


def go_processes_feature(facts: KernelFacts) -> Feature:
    """Whether programs and memory of other users' processes can be read (ptrace(2))."""
    if "CAP_SYS_PTRACE" not in (facts.capabilities or ()):
        return Feature(False, "Go programs of other users are not seen: it needs CAP_SYS_PTRACE")
    return Feature(True, "each sample; what becomes one by exec within 8 s")


def has_uprobe_multi(facts: KernelFacts) -> bool:
    """Whether GoProbe can be made with `many`."""
    return facts.enum_value(*UPROBE_MULTI) is not None
