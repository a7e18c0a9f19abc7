"""Verdicts on what is not Go's: each rises, does not just below its threshold, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memtrace.model.shapes import Verdict
from memtrace.samples import (
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
    Slab,
    SlabRow,
)
from tests.unit.model.builders import DISK, MIB, added, removed
from tests.unit.model.judged import (
    IN_KUBERNETES,
    MACHINE,
    advised,
    at,
    explained,
    heap,
    judged,
    memory,
    one,
    process,
    told,
)

BLOB = FileId(DISK, 11)
SENT = DriverRow(
    BLOB, "/var/blobs/a", "/blobs/a", 7, "mirror", "sendfile", "sendfile", 700 * MIB,
    function="net.sendFile",
)  # fmt: skip


def mirror(anon: int = 30, file: int = 800, **more: int) -> CgroupSample:
    """S1: an image mirror that sends files, in Go."""
    figures = memory(anon, file, **more)
    made = one(figures, process(heap(12, mapped=30)))
    row = FileRow(BLOB, SENT.path, "/blobs/a", False, False, False, 0, 700 * MIB, 0)
    ledger = Ledger(
        added=added(sendfile=file * MIB), drivers=(SENT,), files=(row,), baseline_bytes=0
    )
    return replace(made, ledger=ledger)


def test_page_cache_names_who_filled_it_and_how() -> None:
    """S1: files, process, kind and function; the Go heap beside it; what to do, and what not."""
    verdict = judged(at(0.0, mirror()))
    assert (verdict.id, verdict.severity, verdict.bytes) == (
        "page_cache_reclaimable",
        "info",
        800 * MIB,
    )
    assert "Most of it put there by mirror (sendfile in net.sendFile)." in verdict.claim
    assert "not a leak" in verdict.claim
    assert told(verdict)["file /blobs/a"] == 700 * MIB
    assert (
        told(verdict)["added by sendfile by mirror -> /blobs/a in net.sendFile, by sampled stacks"]
        == 700 * MIB
    )
    assert told(verdict)["Go heap in use of app (7), GOMEMLIMIT none, GOGC 100"] == 12 * MIB
    assert advised(verdict, "nothing").why
    assert advised(verdict, "memory limit").paste == "resources: {limits: {memory: 64Mi}}"
    assert advised(verdict, "GOMEMLIMIT").proposed == "unset"
    assert "12 MiB" in advised(verdict, "GOMEMLIMIT").why


def test_at_the_limit_it_is_reclaimed_and_kills_nobody() -> None:
    """S1 with a limit."""
    verdict = judged(at(0.0, mirror(anon=20, file=100, limit=120)))
    assert (verdict.id, verdict.severity) == ("cache_at_limit", "info")
    assert "does not end in a kill" in verdict.claim
    assert judged(at(0.0, mirror(anon=20, file=95, limit=120))).id == "page_cache_reclaimable"
    assert judged(at(0.0, mirror(anon=2, file=59, limit=64))).id == "cache_at_limit"  # two folios


def test_a_small_cache_is_told_where_an_alert_on_usage_goes_off() -> None:
    """Cache that fills four fifths of a small limit; below that nothing stands out."""
    assert judged(at(0.0, mirror(anon=10, file=38, limit=60))).id == "page_cache_reclaimable"
    assert judged(at(0.0, mirror(anon=10, file=37, limit=60))).id == "healthy"
    assert judged(at(0.0, mirror(anon=25, file=24, limit=60))).id == "healthy"


def test_who_reads_a_cache_from_before_is_told_where_that_was_watched() -> None:
    """Its own processes, or others."""
    made = mirror()
    user = FileUser(2, "/app", "app", "app", 7, "server", 350 * MIB)
    row = made.ledger.files[0]._replace(uses=FileUses(None, (user,), None))
    ledger = replace(made.ledger, drivers=(), files=(row,), added=added(read=800 * MIB))
    before = replace(ledger, added=added(), baseline_bytes=800 * MIB)
    verdict = judged(at(0.0, replace(made, ledger=before)))
    assert "not a leak. Read meanwhile by server." in verdict.claim
    row = row._replace(uses=FileUses(None, (user._replace(bytes=349 * MIB),), None))
    verdict = judged(at(0.0, replace(made, ledger=replace(before, files=(row,)))))
    assert "ead meanwhile" not in verdict.claim


def from_before(drivers: tuple[DriverRow, ...], uses: FileUses | None) -> Verdict:
    """A cache of 800 MiB that was there before, with what came since and who was seen."""
    made = mirror()
    whole = sum(row.added_bytes for row in drivers)
    row = made.ledger.files[0]._replace(uses=uses)
    ledger = replace(
        made.ledger,
        drivers=drivers,
        files=(row,),
        added=added(sendfile=whole),
        baseline_bytes=800 * MIB - whole,
    )
    return judged(at(0.0, replace(made, ledger=ledger)))


def test_growth_seen_too_seldom_is_not_called_healthy() -> None:
    """On a busy machine few samples fit into the time; what grew that much may be a leak."""
    samples = [at(6.0 * n, one(memory(100 + 30 * n, limit=4000))) for n in range(3)]
    verdict = explained(samples)
    assert verdict.id == "not_enough_evidence"
    assert "grew by 60 MiB in 12 s, but was seen only 3 times" in verdict.claim
    assert advised(verdict, "run").proposed == "memtrace explain /app --for 1m"
    still = [at(6.0 * n, one(memory(100 + 7 * n, limit=4000))) for n in range(3)]
    assert explained(still).id == "healthy"


def test_a_program_that_fills_many_files_is_named() -> None:
    """A build: no single row is half of what was added, but its process is."""
    made = mirror()
    parts = tuple(SENT._replace(added_bytes=10 * MIB) for _ in range(3))
    whole = ProcessRow(7, 1, "cc", 780 * MIB)
    ledger = replace(made.ledger, drivers=parts, processes=(whole,))
    verdict = judged(at(0.0, replace(made, ledger=ledger)))
    assert "not a leak. Most of it put there by cc." in verdict.claim


def test_a_cache_from_before_says_who_added_to_it_or_used_it() -> None:
    """S1, warm: what is known since memtrace watches, and that the rest is not known."""
    sent = mirror().ledger.drivers[0]._replace(added_bytes=56 * MIB)
    verdict = from_before((sent,), FileUses(None, (), None, ()))
    known = " 56 MiB of it put there by mirror (sendfile in net.sendFile) since memtrace watches."
    assert known in verdict.claim
    assert (
        told(verdict)["there before memtrace watched: who put it there is not known"] == 744 * MIB
    )
    own = FileUser(2, "/app", "app", "app", 7, "server", 350 * MIB)
    verdict = from_before((), FileUses(None, (), None, (own,)))
    assert "not a leak. Read meanwhile by server." in verdict.claim
    assert "file /blobs/a (read by server)" in told(verdict)
    verdict = from_before((), FileUses(None, (), None, ()))
    assert (
        "Put there before memtrace watched, and nobody was seen reading it since" in verdict.claim
    )
    assert advised(verdict, "run").proposed == "memtrace explain /app --for 5m"
    assert "before" not in from_before((), None).claim  # nobody looked who uses it


def thrash(refaulted: int, clean: int = 20, limit: int = 200, anon: int = 180) -> Verdict:
    """Ten seconds at the limit."""
    first = at(0.0, one(memory(anon, clean, limit)))
    return judged(at(10.0, one(memory(anon, clean, limit, refaulted=refaulted))), first)


def test_files_dropped_and_read_again_without_end() -> None:
    """At the limit, all clean cache in ten seconds, and 4 MiB a second."""
    verdict = thrash(60)
    assert (verdict.id, verdict.severity, verdict.bytes) == ("cache_thrash", "warning", 60 * MIB)
    assert "6.0 MiB a second is read again" in verdict.claim
    assert advised(verdict, "memory limit").proposed == 220 * MIB
    assert thrash(39).id != "cache_thrash"
    assert thrash(60, clean=61, anon=139).id == "cache_at_limit"
    assert thrash(600, clean=99, anon=101).id == "cache_thrash"
    assert thrash(600, clean=100, anon=100).id == "cache_at_limit"
    assert thrash(60, limit=210).id != "cache_thrash"


def test_what_is_not_written_yet() -> None:
    """A fifth of the usage and 32 MiB; at the limit a warning."""
    verdict = judged(at(0.0, one(memory(100, 100, dirty=30, writeback=10))))
    assert (verdict.id, verdict.severity, verdict.bytes) == ("dirty_bound", "info", 40 * MIB)
    assert told(verdict)["waiting to be written"] == 30 * MIB
    assert judged(at(0.0, one(memory(100, 100, dirty=39)))).id == "healthy"
    assert judged(at(0.0, one(memory(10, 100, dirty=31)))).id != "dirty_bound"
    full = judged(at(0.0, one(memory(20, 80, 100, dirty=40))))
    assert (full.id, full.severity) == ("dirty_bound", "warning")


def test_shared_memory_is_no_cache() -> None:
    """Half of the usage and 64 MiB; a warning where it fills the limit."""
    verdict = judged(at(0.0, one(memory(90, 110, shmem=100))))
    assert (verdict.id, verdict.severity, verdict.bytes) == ("shmem", "info", 100 * MIB)
    assert "the kernel cannot drop it" in verdict.claim
    assert judged(at(0.0, one(memory(90, 110, shmem=99)))).id == "healthy"
    assert judged(at(0.0, one(memory(1, 63, shmem=63)))).id == "healthy"
    full = judged(at(0.0, one(memory(10, 100, 115, shmem=100))))
    assert (full.id, full.severity) == ("shmem", "warning")
    assert advised(full, "memory limit").proposed > 115 * MIB


def growing(step: float, seconds: int = 60, file: int = 0) -> Verdict:
    """A program that keeps `step` MiB a second, a sample every other one."""
    samples = [
        at(second, one(memory(100 + int(step * second), file, 1000)))
        for second in range(0, seconds + 1, 2)
    ]
    return explained(samples)


def test_memory_of_its_own_that_grows_is_a_suspect() -> None:
    """A leak outside of Go: no word of Go in the advice."""
    verdict = growing(2.0)
    assert (verdict.id, verdict.severity, verdict.bytes) == ("anon_growth", "warning", 120 * MIB)
    assert "grew by 120 MiB in 60 s, from 100 MiB to 220 MiB" in verdict.claim
    assert "the limit of 1.0 GiB is reached in 6:30" in verdict.claim
    assert "may be a leak" in verdict.claim
    assert not any(advice.setting.startswith("GO") for advice in verdict.advice)


def test_a_longer_look_makes_a_trend_surer_but_never_a_proof() -> None:
    """Seconds are just enough."""
    short, long, longest = (growing(2.0, seconds) for seconds in (10, 60, 400))
    assert 0.4 <= short.confidence < long.confidence < longest.confidence <= 0.7


def test_what_stands_still_or_grew_once_is_no_trend() -> None:
    """Nor less than 16 MiB; a look too short to tell is refused."""
    assert growing(0.0).id == "healthy"
    assert growing(0.25).id == "healthy"
    assert growing(20.0, seconds=6).id == "not_enough_evidence"
    step = [at(n, one(memory(100 if n < 3 else 300, limit=1000))) for n in range(12)]
    assert explained(step).id == "healthy"


def test_a_guess_is_not_said_aloud() -> None:
    """Four seconds of growth: below the bar, with what to run next."""
    samples = [at(n / 2, one(memory(100 + 10 * n, limit=1000))) for n in range(9)]
    verdict = explained(samples)
    assert (verdict.id, verdict.severity) == ("not_enough_evidence", "unknown")
    assert "may be anon growth" in verdict.claim
    assert advised(verdict, "run").proposed == "memtrace explain /app --for 1m"


def risk(used: int, usage: int, limit: int | None = None) -> Verdict:
    """A container on a machine of which so much is in use."""
    return judged(at(0.0, one(memory(usage // 2, usage - usage // 2, limit)), used=used))


def test_no_limit_on_a_machine_that_is_short_of_memory() -> None:
    """S2: a fifth of it without a limit, when less than a tenth is left."""
    used = MACHINE * 95 // 100
    verdict = risk(used, 2600)
    assert (verdict.id, verdict.severity, verdict.bytes) == (
        "no_limit_node_risk",
        "warning",
        2600 * MIB,
    )
    assert "2.5 GiB of its 8.0 GiB (32%) without a limit" in verdict.claim
    assert advised(verdict, "memory limit").proposed == 1625 * MIB
    assert "requests" in advised(verdict, "memory request").paste
    assert "page_cache_reclaimable" in verdict.others
    assert risk(used, 1600).id != "no_limit_node_risk"
    assert risk(MACHINE * 89 // 100, 2600).id != "no_limit_node_risk"
    assert risk(used, 2600, limit=9000).id != "no_limit_node_risk"


def test_a_root_without_usage_is_short_by_what_is_free() -> None:
    """Version 2 has no usage of its root: free memory and files nobody uses are left."""
    made = at(0.0, one(memory(2600)))
    root = made.cgroups[0]
    bare = Memory(inactive_file_bytes=100 * MIB)
    cgroups = (replace(root, memory=bare), *made.cgroups[1:])
    short = replace(made, cgroups=cgroups, machine_free_bytes=700 * MIB)
    assert judged(short).id == "no_limit_node_risk"
    assert judged(replace(short, machine_free_bytes=800 * MIB)).id != "no_limit_node_risk"
    assert judged(replace(short, machine_free_bytes=None)).id != "no_limit_node_risk"


def test_a_limit_that_is_advised_fits_on_the_machine() -> None:
    """Of all its own memory a quarter more would be what the machine no longer has."""
    verdict = judged(at(0.0, one(memory(6000)), used=MACHINE - 400))
    assert verdict.id == "no_limit_node_risk"
    assert advised(verdict, "memory limit").proposed == 6200 * MIB


def test_what_a_removed_container_left() -> None:
    """Its page cache, charged to what is above; nothing to worry about."""
    made = one(memory(0))
    ledger = Ledger(added=added(write=60 * MIB), removed=removed(drop=20 * MIB), baseline_bytes=0)
    gone = replace(made, state="removed", memory=None, ledger=ledger)
    verdict = judged(at(0.0, gone))
    assert (verdict.id, verdict.severity, verdict.bytes) == ("removed_leftover", "info", 40 * MIB)
    less = replace(ledger, removed=removed(drop=45 * MIB))
    assert judged(at(0.0, replace(gone, ledger=less))).id == "not_enough_evidence"


def swapping(swap: int, anon: int = 100, go: bool = False) -> Verdict:
    """A container at its limit with so much in swap."""
    runtime = (process(heap(80, 85, 90)),) if go else ()
    return judged(at(0.0, one(memory(anon, 5, 110, swap=swap), *runtime)))


def test_swap_in_use() -> None:
    """S6: a tenth of its own memory; for Go a warning, as each collection reads it all back."""
    assert (swapping(20).id, swapping(20).severity) == ("swap_in_use", "info")
    verdict = swapping(20, go=True)
    assert (verdict.id, verdict.severity) == ("swap_in_use", "warning")
    assert "Each collection of app reads all of its heap back" in verdict.claim
    assert advised(verdict, "memory limit").proposed == 130 * MIB
    assert swapping(15).id != "swap_in_use"
    assert swapping(16, anon=145).id != "swap_in_use"


def test_a_database_with_its_slab_and_its_heap_is_split() -> None:
    """S4: cache of the database, kernel objects with their number, heap with its GOMEMLIMIT."""
    figures = memory(20, 108, 170, kernel=41, slab=41, slab_reclaimable=40)
    made = one(figures, process(heap(4, mapped=12, gomemlimit=100)))
    row = FileRow(BLOB, "/data/db", "/data/db", False, False, False, 0, 100 * MIB, 0)
    ledger = Ledger(added=added(read=108 * MIB), files=(row,), baseline_bytes=0)
    slab = Slab((SlabRow("dentry", 30_000, 6 * MIB, True), SlabRow("ext4_inode_cache", 30_000, 34 * MIB, True)))  # fmt: skip  # noqa: E501
    verdict = judged(at(0.0, replace(made, ledger=ledger, slab=slab)))
    assert verdict.id == "cache_at_limit"
    figures_told = told(verdict)
    assert figures_told["file /data/db"] == 100 * MIB
    assert figures_told["30,000 ext4 inodes (slab)"] == 34 * MIB
    assert figures_told["30,000 dentries (slab)"] == 6 * MIB
    assert figures_told["Go heap in use of app (7), GOMEMLIMIT 100 MiB, GOGC 100"] == 4 * MIB


def test_a_database_that_maps_its_files_is_not_told_to_set_gomemlimit() -> None:
    """Control: much cache in use, a small Go heap."""
    verdict = judged(at(0.0, one(memory(30, 370, 405, active_file=360), process(heap(20, mapped=28)))))  # fmt: skip  # noqa: E501
    assert (verdict.id, verdict.severity) == ("cache_at_limit", "info")
    assert advised(verdict, "GOMEMLIMIT").proposed == "unset"


def test_a_heap_held_by_its_memory_limit_may_fill_the_rest() -> None:
    """After the advice was followed there is no alarm."""
    made = heap(150, 175, 180, gomemlimit=180)
    verdict = judged(at(0.0, one(memory(190, 0, 200), process(made))))
    assert verdict.id == "healthy"
    assert "GOMEMLIMIT 180 MiB holds app below it" in verdict.claim


def test_the_gravest_comes_first_and_the_rest_is_named() -> None:
    """A warning before more bytes of what is none; among the rest the most bytes."""
    verdict = thrash(60)
    assert verdict.others[0] == "anon_growth"
    both = judged(at(0.0, one(memory(10, 200, dirty=60))))
    assert (both.id, both.others[0]) == ("page_cache_reclaimable", "dirty_bound")


@pytest.mark.parametrize(
    ("identity", "paste"),
    [
        (IN_KUBERNETES, "resources: {limits: {memory: 64Mi}}"),
        (
            Identity("container", "web", "docker", container="web"),
            "docker update --memory 64m web",
        ),
        (Identity("unit", "a.service"), "systemctl set-property a.service MemoryMax=64M"),
        (Identity("cgroup", "x"), "echo 67108864 > /sys/fs/cgroup/app/memory.max"),
    ],
)
def test_advice_is_told_as_it_is_set(identity: Identity, paste: str) -> None:
    """Where the container is configured; else in its cgroup."""
    made = replace(mirror(), identity=identity)
    assert advised(judged(at(0.0, made)), "memory limit").paste == paste


def test_a_name_cannot_add_to_a_command() -> None:
    """Names come from strangers."""
    evil = Identity("unit", "a;reboot.service")
    made = replace(mirror(), identity=evil)
    paste = advised(judged(at(0.0, made)), "memory limit").paste
    assert paste == "systemctl set-property 'a;reboot.service' MemoryMax=64M"


def test_the_share_without_an_origin_lowers_confidence() -> None:
    """A tenth of the cache: still said, less surely."""
    made = mirror()
    wanting = replace(made, ledger=replace(made.ledger, added=added(sendfile=720 * MIB)))
    sure, less = judged(at(0.0, made)), judged(at(0.0, wanting))
    assert sure.confidence - less.confidence == pytest.approx(0.1)


def test_figures_that_are_missing_raise_nothing() -> None:
    """No figure, no claim: neither a verdict nor an error."""
    for empty in (Memory(), Memory(usage_bytes=5), Memory(anon_bytes=5), Memory(file_bytes=0)):
        moment: Sample = at(0.0, one(empty))
        assert judged(moment, moment).severity in ("ok", "unknown")


def test_what_went_while_it_was_watched_is_not_called_healthy() -> None:
    """It ended or was killed: the record of the kill tells."""
    samples = [at(n, one(memory(180 if n < 5 else 1, limit=200))) for n in range(10)]
    verdict = explained(samples)
    assert verdict.id == "not_enough_evidence"
    assert "fell from 180 MiB to 1.0 MiB" in verdict.claim
    assert advised(verdict, "run").proposed == "memtrace oom list"


def test_a_limit_of_the_pod_is_not_pasted_as_the_containers() -> None:
    """It is said whose it is."""
    made = at(0.0, one(memory(99, 1)))
    pod = replace(made.cgroups[1], cgroup_id=5, path="/pod", memory=memory(99, 1, limit=100))
    inner = replace(made.cgroups[1], parent_id=5, path="/pod/app")
    nested = replace(made, cgroups=(made.cgroups[0], inner, pod))
    advice = advised(judged(nested), "memory limit")
    assert (advice.current, advice.paste) == (100 * MIB, "")
    assert advice.why.endswith("the limit is that of /pod")
