"""What a post-mortem is made of: immutable rows for views to draw. Computes nothing.

Amounts are bytes, None is unknown.
"""

from __future__ import annotations

from typing import NamedTuple

from memtrace.kills import OomEvent, OomTask
from memtrace.model.go_shapes import GoRow
from memtrace.model.shapes import Container, Verdict
from memtrace.samples import Identity


class Named(NamedTuple):
    """A cgroup by name; `path` is None where the kernel could not tell it."""

    cgroup_id: int | None
    path: str | None
    identity: Identity | None


class Process(NamedTuple):
    """A victim, or who triggered the kill, and the container around it."""

    task: OomTask
    place: Named


class Limited(NamedTuple):
    """The cgroup that was out of memory, with the limit that was reached.

    `limited_by` is memory, or swap where memory and swap together (v1) reached a limit; None
    where usage was at none, as when somebody else decided to kill.
    """

    place: Named
    limit: int | None
    usage: int | None
    limited_by: str | None
    total: int | None


class Composition(NamedTuple):
    """What the memory consisted of. `source` is kernel or victims (at the kill), sample or unknown.

    `age_seconds`: how long before the kill it was read; 0 at the kill. `process_bytes` is
    what the first victim had mapped at the kill, whatever the source of the rest.
    """

    source: str
    age_seconds: float | None
    usage_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    clean_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None
    shmem_bytes: int | None = None
    kernel_bytes: int | None = None
    slab_bytes: int | None = None
    slab_reclaimable_bytes: int | None = None
    kernel_stack_bytes: int | None = None
    page_table_bytes: int | None = None
    percpu_bytes: int | None = None
    sock_bytes: int | None = None
    swap_bytes: int | None = None
    unexplained_bytes: int | None = None


class Moment(NamedTuple):
    """The cgroup at one sample before the kill."""

    time: float
    seconds_before: float
    usage_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    kernel_bytes: int | None
    dirty_bytes: int | None
    swap_bytes: int | None
    refaulted_bytes: int | None
    added_bytes: int
    removed_bytes: int


class Postmortem(NamedTuple):
    """One kill explained. `kill` is memcg, pod, node, userspace or unknown.

    `sampled` is the cgroup that was out of memory as the last sample before the kill had it,
    its deltas counted from the first one; None: no sample had it. `go` are its Go processes;
    None: nobody looked for any.
    """

    kill: str
    event: OomEvent
    node: str
    boot_id: str
    victims: tuple[Process, ...]
    trigger: Process | None
    oom_cgroup: Limited
    composition: Composition
    history: tuple[Moment, ...]
    sampled: Container | None
    go: tuple[GoRow, ...] | None = None
    verdict: Verdict | None = None
    gaps: tuple[str, ...] = ()
