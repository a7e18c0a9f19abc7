"""A second referee: the kernel's own count of one cgroup's page cache, free of memory.stat's lag.

Costs every page of any file on the machine while it is open: for verifying, never for living.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from memtrace.kernel.closing import Closing
from memtrace.kernel.objects import BpfObject
from memtrace.kernel.support import Questions, kernel_facts

OBJECT = Path(__file__).resolve().parent.parent / "bpf" / "referee.bpf.o"
TRACEPOINT = "mod_memcg_lruvec_state"
_ITEMS = (("node_stat_item", "NR_FILE_PAGES"), ("node_stat_item", "NR_SHMEM"))
_PARAMETERS = 3  # memory cgroup, item, change


class Net(NamedTuple):
    """Pages added minus pages removed since the referee was opened; `file` includes `shmem`."""

    file: int
    shmem: int


class Referee(Closing):
    """Counts for one memory cgroup, not for those below it. Every method raises BpfError.

    The cgroup must be new and empty, as what it held before is not counted.
    """

    def __init__(self, cgroup_id: int) -> None:
        watched = {"cfg_watched": struct.pack("=Q", cgroup_id)}
        self._object = BpfObject.open(OBJECT, "referee", watched)
        try:
            self._object.load()
            self._object.attach(f"on_{TRACEPOINT}")
        except BaseException:
            self._object.close()
            raise

    def net(self) -> Net:
        """What it counted so far."""
        pages = self._object.map("net_pages")
        return Net(*(_signed(pages.get(struct.pack("=I", place))) for place in (0, 1)))

    def close(self) -> None:
        """Detach it. May be called twice."""
        self._object.close()


def why_absent() -> str:
    """What this kernel lacks for a second referee; empty when there is one."""
    facts = kernel_facts(Questions(tracepoints=(TRACEPOINT,), enums=_ITEMS))
    if facts.btf_problem:
        return facts.btf_problem
    if facts.tracepoint_params(TRACEPOINT) != _PARAMETERS:
        return f"this kernel has no tracepoint {TRACEPOINT}"
    unknown = [name for enum, name in _ITEMS if facts.enum_value(enum, name) is None]
    return f"this kernel does not count {unknown[0]}" if unknown else ""


def _signed(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "little", signed=True)
