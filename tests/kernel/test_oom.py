"""Real kills in real cgroups: as many records as kills, each with the right figures.

How many: MEMTRACE_OOM_KILLS, for a long run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import pytest

from tests.kernel.harness.cgroup import Cgroup, ExistingCgroup
from tests.kernel.harness.containerd import NAMESPACE, Containerd
from tests.kernel.harness.memtrace import PROGRAM
from tests.kernel.harness.oom import LIMIT, TOO_MUCH, OomWatch, Record, counted, ended, start
from tests.kernel.harness.workloads import Workloads
from tests.outcomes import unavailable

KILLS = int(os.environ.get("MEMTRACE_OOM_KILLS", "200"))
CONCURRENT = 20
BURST = 10
TRIES = 3
NAME = "oom-eater"
SCHEMA = Path(__file__).parents[2] / "docs" / "oom.schema.json"
STOCK = 64 * (os.cpu_count() or 1) * 4096

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def hog(workloads: Workloads) -> Path:
    """The program that takes memory."""
    return workloads["hog"]


@pytest.fixture(scope="module")
def older() -> Iterator[Cgroup]:
    """A cgroup that was there before memtrace, and where nothing was killed yet."""
    with Cgroup("older") as cgroup:
        cgroup.limit(LIMIT)
        yield cgroup


@pytest.fixture(scope="module")
def watch(older: Cgroup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OomWatch]:
    """One watch for the module."""
    with OomWatch(tmp_path_factory.mktemp("oom")) as watch:
        yield watch


def one_kill(watch: OomWatch, cgroup: Cgroup, hog: Path, threads: int = 1) -> Record:
    """Have one process killed; the newest record of the cgroup."""
    before = counted(cgroup)
    pid = start(cgroup, hog, str(TOO_MUCH), str(threads))
    assert ended(pid) == -signal.SIGKILL
    record = watch.of(cgroup, before + 1)[-1]
    assert record["victim"]["pid"] == pid
    return record


def test_the_first_kill_in_an_older_cgroup_is_placed_right(
    watch: OomWatch, older: Cgroup, hog: Path
) -> None:
    """Its counters were not 0 and not known when memtrace came."""
    record = one_kill(watch, older, hog)
    place = record["oom_cgroup"]
    assert (record["kill"], place["path"], place["limit"]) == ("memcg", older.path, LIMIT)
    assert LIMIT - STOCK <= place["usage"] <= LIMIT
    assert record["victim"]["cgroup"] == older.path


def test_figures_are_the_kernel_logs(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """Whatever the kernel writes about its victim."""
    record = one_kill(watch, older, hog, threads=3)
    victim = record["victim"]
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    line = next(each for each in reversed(log.splitlines()) if f" {victim['pid']} (hog)" in each)
    told = {key: int(value) for key, value in re.findall(r"([\w-]+):(-?\d+)", line)}
    assert {
        "total-vm": victim["virtual_bytes"] // 1024,
        "anon-rss": victim["rss_anon_bytes"] // 1024,
        "file-rss": victim["rss_file_bytes"] // 1024,
        "shmem-rss": victim["rss_shmem_bytes"] // 1024,
        "pgtables": victim["page_table_bytes"] // 1024,
        "oom_score_adj": victim["oom_score_adj"],
        "UID": victim["uid"],
    } == {key: told[key] for key in told if key not in ("killed",)}


def test_the_composition_adds_up(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """The kernel's own statistics at the kill; those of a storm elsewhere it leaves behind."""
    for _ in range(TRIES):
        composed = one_kill(watch, older, hog)["composition"]
        if composed["source"] == "kernel":
            break
    assert composed["anon_bytes"] > LIMIT * 0.9
    if composed["source"] == "kernel":
        assert abs(composed["unexplained_bytes"]) <= 2 * STOCK


def test_it_is_on_disk_within_a_second(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """Both files; the best of a few tries, for this machine may be busy with other things."""
    delays = []
    for _ in range(TRIES):
        record = one_kill(watch, older, hog)
        path = watch.records_dir / f"{record['id']}.json"
        assert path.with_suffix(".txt").exists()
        delays.append(path.stat().st_mtime - record["time"])
        if delays[-1] <= 1.0:
            return
    raise AssertionError(f"written after {delays} s")


def test_every_kill_of_many_has_its_record(watch: OomWatch, hog: Path) -> None:
    """In 20 cgroups at once, every other one under another's limit, by up to 4 threads."""
    with ExitStack() as stack:
        limited = [stack.enter_context(Cgroup(f"many{n}")) for n in range(CONCURRENT)]
        homes = [
            stack.enter_context(Cgroup("inner", parent=each)) if n % 2 else each
            for n, each in enumerate(limited)
        ]
        for each in limited:
            each.limit(LIMIT)
        expected, running = {}, {}
        for number in range(KILLS):
            at = number % CONCURRENT
            pid = start(homes[at], hog, str(TOO_MUCH), str(1 + at % 4))
            kind = "pod" if at % 2 else "memcg"
            expected[pid] = (kind, limited[at].path, LIMIT, homes[at].path, 1)
            running[pid] = at
            if len(running) == CONCURRENT:
                running.pop(wait_for_any(running))
        while running:
            running.pop(wait_for_any(running))
        assert sum(map(counted, homes)) == KILLS
        paths = tuple(each.path for each in limited)
        watch.until(lambda: len(in_any(watch, paths)) >= KILLS, 120)
        made = in_any(watch, paths)
        assert len(made) == KILLS
        assert {each["victim"]["pid"]: facts(each) for each in made} == expected


def wait_for_any(running: dict[int, int]) -> int:
    """Wait for one of these children to be killed, and return it."""
    while True:
        for pid in running:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
                return pid
        time.sleep(0.005)


def in_any(watch: OomWatch, paths: tuple[str, ...]) -> list[Record]:
    """The records of these cgroups."""
    return [each for each in watch.records() if each["oom_cgroup"]["path"] in paths]


def facts(record: Record) -> tuple[object, ...]:
    """Kind, cgroup out of memory, its limit, the victim's cgroup, and how many victims."""
    place = record["oom_cgroup"]
    where = record["victim"]["cgroup"]
    return record["kill"], place["path"], place["limit"], where, len(record["victims"])


def test_a_burst_in_one_cgroup_is_one_record_each(watch: OomWatch, hog: Path) -> None:
    """Ten processes that all want more than all may have."""
    with Cgroup("burst") as cgroup:
        cgroup.limit(LIMIT)
        pids = {start(cgroup, hog, str(TOO_MUCH)) for _ in range(BURST)}
        assert {ended(pid) for pid in pids} == {-signal.SIGKILL}
        made = watch.of(cgroup, BURST)
        assert counted(cgroup) == BURST
        assert sorted(each["victim"]["pid"] for each in made) == sorted(pids)
        assert {facts(each)[:3] for each in made} == {("memcg", cgroup.path, LIMIT)}


def test_other_ends_are_no_kills_for_memory(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """kill -9, and processes that end by the dozen; in the same cgroup, right before a real one."""
    with Cgroup("plain") as cgroup:
        cgroup.limit(LIMIT)
        for _ in range(3):
            pids = [start(cgroup, "/bin/sleep", "60") for _ in range(20)]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            assert {ended(pid) for pid in pids} == {-signal.SIGKILL}
            assert {ended(start(cgroup, "/bin/true")) for _ in range(20)} == {0}
        record = one_kill(watch, cgroup, hog)
        assert [each["id"] for each in watch.of(cgroup, 1)] == [record["id"]]


def test_every_record_is_of_the_schema(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """Those of all the tests before, too."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    one_kill(watch, older, hog)
    for record in watch.records():
        validator.validate(record)


def test_list_and_show_read_the_records(watch: OomWatch, older: Cgroup, hog: Path) -> None:
    """One line each, and a report; with a filter only what was asked for."""
    one_kill(watch, older, hog)
    where = ["--oom-dir", str(watch.records_dir)]
    kept = {path.stem for path in watch.records_dir.glob("*.json")}  # the newest thousand
    mine = [each for each in watch.of(older, 1) if each["id"] in kept]
    listed = memtrace("list", *where, "-c", older.path, "--json").splitlines()
    assert [json.loads(line)["id"] for line in listed] == [each["id"] for each in mine]
    report = memtrace("show", mine[0]["id"], *where)
    assert "VERDICT" in report
    assert "16 MiB" in report
    assert older.path in report


def memtrace(*arguments: str) -> str:
    """What `memtrace oom ...` prints."""
    done = subprocess.run(
        [PROGRAM, "oom", *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def test_kills_in_a_gap_are_told_late(tmp_path: Path, hog: Path) -> None:
    """A watch that was itself killed: nothing written is damaged, what it missed is counted."""
    with Cgroup("gap") as cgroup:
        cgroup.limit(LIMIT)
        with OomWatch(tmp_path) as watch:
            first = one_kill(watch, cgroup, hog)
            watch.stop(signal.SIGKILL)
        for _ in range(2):
            assert ended(start(cgroup, hog, str(TOO_MUCH))) == -signal.SIGKILL
        with OomWatch(tmp_path) as watch:
            told, late = watch.of(cgroup, 2)
            assert watch.stop() == 0
        assert told == first
        assert (late["seen_late"], late["kills"], late["kill"]) == (True, 2, "unknown")
        assert (late["victims"], late["oom_cgroup"]["path"]) == ([], cgroup.path)
        with OomWatch(tmp_path) as watch:
            assert len(watch.of(cgroup, 2)) == 2


def test_a_container_that_is_gone_still_has_its_name(watch: OomWatch, disk: Path) -> None:
    """Killed and deleted with its cgroup and bundle before anybody could ask."""
    for program in ("containerd", "ctr", "runc", "busybox"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    data = disk / "oom"
    data.mkdir()
    eats = "while [ ! -e /data/go ]; do sleep 0.1; done; exec dd if=/dev/zero of=/data/x bs=64M"
    with Containerd(disk) as containerd:
        containerd.run(NAME, data, "/bin/sh", "-c", eats)
        cgroup = ExistingCgroup(f"/{NAMESPACE}/{NAME}")
        cgroup.limit(LIMIT)
        pid = containerd.pid(NAME)
        (data / "go").write_text("")
        watch.until(lambda: not Path(f"/proc/{pid}").exists(), 30)
        containerd.kill(NAME)
    (record,) = watch.of(cgroup, 1)
    victim = record["victim"]
    assert (victim["container"], victim["namespace"]) == (NAME, None)
    assert victim["kind"] == "container"
    assert record["oom_cgroup"]["limit"] == LIMIT


def test_a_watch_killed_in_a_storm_loses_no_count(tmp_path: Path, hog: Path) -> None:
    """Records and what is told late add up to what the kernel counted; nothing is damaged."""
    with Cgroup("storm") as cgroup:
        cgroup.limit(LIMIT)
        with OomWatch(tmp_path) as watch:
            for number in range(2 * BURST):
                assert ended(start(cgroup, hog, str(TOO_MUCH))) == -signal.SIGKILL
                if number == BURST:
                    watch.stop(signal.SIGKILL)
        with OomWatch(tmp_path) as watch:
            made = watch.of(cgroup, 1)
            assert sum(each["kills"] for each in made) == counted(cgroup) == 2 * BURST
            assert [each["seen_late"] for each in made].count(True) == 1
