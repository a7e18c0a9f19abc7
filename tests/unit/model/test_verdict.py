"""Which verdict follows from which figures."""

from __future__ import annotations

from memtrace.model.shapes import Verdict
from memtrace.model.snapshot import snapshot
from memtrace.samples import Ledger, Memory, Sample
from tests.unit.model.builders import MIB, added, cgroup, sample

PLAIN = {
    "sock_bytes": 0,
    "kernel_bytes": 0,
    "shmem_bytes": 0,
    "dirty_bytes": 0,
    "writeback_bytes": 0,
    "refaulted_bytes": 0,
}


def moment(
    anon: int, file: int, *, limit: int | None = None, ledger: int | None = None, **more: int
) -> Sample:
    """One cgroup in MiB whose ledger explains all of the cache unless told otherwise."""
    figures = {**PLAIN, **more}
    memory = Memory(
        limit_bytes=None if limit is None else limit * MIB,
        usage_bytes=(anon + file) * MIB,
        anon_bytes=anon * MIB,
        file_bytes=file * MIB,
        **figures,
    )
    known = (file if ledger is None else ledger) * MIB
    return sample(
        cgroup(1, memory=memory, ledger=Ledger(added=added(read=known), baseline_bytes=0))
    )


def judged(now: Sample, before: Sample | None = None) -> Verdict:
    return snapshot(now, before, 1.0 if before else None).containers[0].verdict


def test_mostly_clean_cache_is_reclaimable() -> None:
    """Half of the usage and 64 MiB of clean cache: not a leak; a limit is proposed."""
    verdict = judged(moment(anon=100, file=900))
    assert (verdict.id, verdict.severity, verdict.bytes) == (
        "page_cache_reclaimable",
        "info",
        900 * MIB,
    )
    assert "not a leak" in verdict.claim
    assert [a.setting for a in verdict.advice] == ["nothing", "memory limit", "memory.high"]
    assert verdict.advice[1].proposed == 125 * MIB


def test_small_cache_worries_nobody() -> None:
    """Below 64 MiB, or below half, nothing stands out."""
    assert judged(moment(anon=1, file=63)).id == "healthy"
    assert judged(moment(anon=200, file=100)).id == "healthy"


def test_cache_at_the_limit() -> None:
    """At 98 % of the limit with a tenth of it clean cache."""
    verdict = judged(moment(anon=80, file=20, limit=101))
    assert verdict.id == "cache_at_limit"
    assert verdict.advice[0].setting == "nothing"


def test_refaults_at_the_limit_ask_for_more() -> None:
    """Pages read again after being dropped turn the advice."""
    before = moment(anon=80, file=20, limit=100)
    now = moment(anon=80, file=20, limit=100, refaulted_bytes=3 * MIB)
    assert judged(now, before).advice[0].proposed == 103 * MIB


def test_a_file_read_in_a_loop_does_not_ask_for_all_it_read() -> None:
    """300 MiB refaulted of a 30 MiB file: one step is as much again as there is clean cache."""
    before = moment(anon=80, file=20, limit=100)
    now = moment(anon=80, file=20, limit=100, refaulted_bytes=300 * MIB)
    assert judged(now, before).advice[0].proposed == 120 * MIB


def test_full_of_anonymous_memory_is_not_called_healthy() -> None:
    """Without a trend it is no leak, but one more burst ends in a kill."""
    verdict = judged(moment(anon=99, file=1, limit=100))
    assert (verdict.id, verdict.severity) == ("anon_growth", "warning")
    assert "leak" not in verdict.claim
    assert "99% of the limit of 100 MiB" in verdict.claim
    assert judged(moment(anon=89, file=5, limit=100)).id == "healthy"


def test_missing_baseline_refuses_unless_the_kernel_alone_suffices() -> None:
    """Who filled the cache is unknown; that it can be dropped is not."""
    for file, expected in ((10, "not_enough_evidence"), (900, "page_cache_reclaimable")):
        memory = Memory(
            usage_bytes=(100 + file) * MIB, anon_bytes=100 * MIB, file_bytes=file * MIB, **PLAIN
        )
        verdict = judged(sample(cgroup(1, memory=memory, ledger=Ledger(baseline_bytes=None))))
        assert verdict.id == expected
        assert verdict.confidence <= 0.6


def test_unreadable_cgroup_refuses() -> None:
    """A removed cgroup has no figures to judge."""
    assert judged(sample(cgroup(1))).id == "not_enough_evidence"


def test_remainder_is_a_finding_only_when_it_stays() -> None:
    """Beyond lag for two samples in a row, and a fifth of the cache."""
    wrong, right = moment(anon=1, file=900, ledger=100), moment(anon=1, file=900)
    assert judged(wrong).id == "page_cache_reclaimable"
    assert judged(wrong, right).id == "page_cache_reclaimable"
    verdict = judged(wrong, wrong)
    assert (verdict.id, verdict.bytes) == ("not_enough_evidence", 800 * MIB)


def test_usage_in_no_figure_refuses() -> None:
    """A fifth of the usage that the kernel puts nowhere could hide anything."""
    verdict = judged(moment(anon=10, file=900, kernel_bytes=-400 * MIB))
    assert verdict.id == "not_enough_evidence"
