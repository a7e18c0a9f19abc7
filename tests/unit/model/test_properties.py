"""What holds for every sample, however odd: sums, signs, and no exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from memtrace.model.snapshot import snapshot
from memtrace.samples import (
    KINDS,
    REASONS,
    CgroupSample,
    DriverRow,
    FileId,
    FileRow,
    FileUser,
    FileUses,
    Identity,
    Ledger,
    Memory,
    ProcessRow,
    Sample,
)

amounts = st.integers(0, 1 << 40)
unknown_amounts = st.none() | amounts
names = st.none() | st.text(st.characters(codec=None), max_size=8)  # surrogates included
file_ids = st.none() | st.builds(FileId, st.integers(0, 3), st.integers(0, 40), st.integers(0, 1))
drivers = st.builds(
    DriverRow,
    file_ids,
    names,
    names,
    st.integers(1, 3),
    names,
    st.sampled_from(KINDS),
    names,
    amounts,
    amounts,
)
USERS = (
    FileUser(3, "/\udcff", "web\udcff", "web", 9, None, 4096),
    FileUser(1, None, "", None, 0, "cp", 0),
)
files = st.builds(
    FileRow,
    file_ids,
    names,
    names,
    st.none() | st.booleans(),
    st.booleans(),
    st.booleans(),
    unknown_amounts,
    amounts,
    amounts,
    st.sampled_from((None, FileUses(), FileUses(0, (), USERS), FileUses(7, USERS[1:], None))),
)
processes = st.builds(ProcessRow, st.integers(1, 50), st.integers(0, 1), names, amounts)


def _flows(count: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[amounts] * count)


ledgers = st.builds(
    Ledger,
    _flows(len(KINDS)),
    _flows(len(REASONS)),
    _flows(len(KINDS)),
    _flows(len(REASONS)),
    unknown_amounts,
    st.just(0),
    unknown_amounts,
    st.booleans(),
    st.lists(drivers, max_size=30).map(tuple),
    st.lists(files, max_size=30).map(tuple),
    st.lists(processes, max_size=30).map(tuple),
)
memories = st.none() | st.builds(Memory, *[unknown_amounts] * 10)
identities = st.builds(
    Identity,
    st.sampled_from(("container", "pod", "sandbox", "unit", "cgroup")),
    st.text(st.characters(codec=None), max_size=8),
    names,
    names,
    names,
    names,
    names,
)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A tree of up to six cgroups; parents may be missing."""
    cgroups = [
        CgroupSample(
            number,
            draw(st.none() | st.integers(0, number)),
            f"/{number}",
            draw(identities),
            draw(st.sampled_from(("running", "removed"))),
            draw(memories),
            draw(ledgers),
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
    ]
    mode = draw(st.sampled_from(("v1", "v2", "hybrid")))
    return Sample(1.0, 1.0, "node", mode, "libbpf", tuple(cgroups))


@settings(deadline=None, max_examples=60)
@given(samples(), st.none() | samples())
def test_shown_and_other_add_up_to_the_totals(now: Sample, before: Sample | None) -> None:
    """For every container and every list."""
    for container in snapshot(now, before, 1.0 if before else None).containers:
        rows, cache = container.rows, container.page_cache
        total = sum(container.added)
        assert cache.added_bytes == total
        assert sum(d.added_bytes for d in rows.drivers) + rows.drivers_other_bytes == total
        assert sum(p.added_bytes for p in rows.processes) + rows.processes_other_bytes == total
        if cache.attributed_bytes is None:
            assert rows.files_other_bytes is None
        else:
            shown = sum(f.resident_bytes or 0 for f in rows.files)
            assert rows.files_other_bytes is not None
            assert shown + rows.files_other_bytes == cache.attributed_bytes


@settings(deadline=None, max_examples=60)
@given(samples(), st.none() | samples())
def test_nothing_resident_is_negative_and_no_counter_shrinks(
    now: Sample, before: Sample | None
) -> None:
    """Residents, working sets, clean cache and deltas of counters."""
    for container in snapshot(now, before, 1.0 if before else None).containers:
        cache = container.page_cache
        counters = (cache.added_delta_bytes, cache.removed_delta_bytes, cache.refaulted_delta_bytes)
        never = (
            *(f.resident_bytes for f in container.rows.files),
            *(d.added_delta_bytes for d in container.rows.drivers),
            *container.added_deltas,
            *counters,
            cache.clean_bytes,
            container.memory.working_set_bytes,
        )
        assert all(value is None or value >= 0 for value in never)


@settings(deadline=None, max_examples=60)
@given(samples())
def test_leaves_add_up_to_the_top(now: Sample) -> None:
    """Leaves never overlap: together they hold no more than the top cgroups."""
    containers = snapshot(now, None, None).containers
    known = {c.source.cgroup_id for c in containers}
    tops = [c for c in containers if c.source.parent_id not in known - {c.source.cgroup_id}]
    leaves = sum(c.page_cache.added_bytes for c in containers if c.leaf)
    assert leaves <= sum(c.page_cache.added_bytes for c in tops)
