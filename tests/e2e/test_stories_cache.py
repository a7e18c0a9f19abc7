"""Stories whose memory is page cache and kernel objects: S1 and S4.

Sizes: blobs of 80 MB as in the story; S4 is 1:4 of its database, with 20,000 segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stories.explain import Answer, explain
from tests.e2e.stories.place import Place, Program
from tests.e2e.stories.pulling import PullingAgain, SlowPull, pull
from tests.kernel.harness.files import PAGE, cached_pages, cold_again, cold_file
from tests.kernel.harness.golang import build
from tests.told import Told

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
BLOB, BLOBS = 80 * MIB, 4
LIMIT = 128 * MIB
PACE = 4 * MIB
SECONDS, SHORT_SECONDS = 10.0, 5.0
DATABASE, SEGMENTS = 300 * MIB, 20_000
FUNCTIONS = {"sendfile": "http.(*response).ReadFrom", "buffered": "main.copyBlob"}
CALLS = {"sendfile": "sendfile", "buffered": "read"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The Go programs of these stories."""
    place = tmp_path_factory.mktemp("go")
    return {name: build(name, place).path for name in ("serve", "replicate")}


@pytest.fixture(scope="module")
def blobs(disk: Path) -> list[Path]:
    """What a mirror serves."""
    return [cold_file(disk / f"layer-{number}", BLOB // PAGE) for number in range(BLOBS)]


@pytest.fixture
def place() -> Iterator[Place]:
    """Without limits, until a story sets them."""
    with Place("story") as place:
        yield place


def serve(place: Place, program: Path, blobs: list[Path]) -> int:
    """Start a mirror of blobs that nobody has in the cache; its port."""
    for blob in blobs:
        cold_again(blob)
    return int(Program(place, program, blobs[0].parent).greeting)


def served(place: Place, port: int, blobs: list[Path], how: str) -> tuple[Answer, int]:
    """Explain a mirror that serves one more blob; the answer and the kernel's clean cache then."""
    for blob in blobs[:-1]:
        assert pull(port, f"/{how}/{blob.name}") == BLOB
    with SlowPull(port, f"/{how}/{blobs[-1].name}", PACE):
        answer = explain(place.path, SECONDS)
        return answer, place.clean_bytes()


@pytest.mark.parametrize("how", CALLS)
def test_s1_a_mirror_without_a_limit(
    place: Place, programs: dict[str, Path], blobs: list[Path], how: str
) -> None:
    """Clean page cache of the blobs, by which call in which function; the limit bounds it."""
    told = Told(f"S1 {how}", f"Go net/http serves {BLOBS} blobs of 80 MB ({how}), no limit")
    port = serve(place, programs["serve"], blobs)
    answer, clean = served(place, port, blobs, how)
    told.heard(answer.verdict, "page_cache_reclaimable")
    told.figure("clean page cache", answer.verdict["bytes"], clean)
    told.figure("heap and stacks", answer.evidence("anonymous"), place.anon_bytes())
    for words in ("not a leak", "layer-", "serve", CALLS[how], FUNCTIONS[how], "Go heap"):
        assert words in answer.text
    assert not answer.alarms
    assert not answer.sets_go
    advised = answer.advised("memory limit")
    place.limit(advised)
    for blob in blobs:
        assert pull(port, f"/{how}/{blob.name}") == BLOB
    assert place.clean_bytes() < advised
    told.after(f"with a limit of {advised >> 20} MiB it serves the same and stays below it")


def test_s1_a_warm_mirror(place: Place, programs: dict[str, Path], blobs: list[Path]) -> None:
    """Nothing is added while it is watched: who uses the cache now is said all the same."""
    told = Told("S1 warm", "the same blobs served again out of the cache, no limit")
    port = serve(place, programs["serve"], blobs)
    for blob in blobs[:2]:
        assert pull(port, f"/sendfile/{blob.name}") == BLOB
    with PullingAgain(port, f"/sendfile/{blobs[0].name}"):
        answer = explain(place.path, SHORT_SECONDS)
    told.heard(answer.verdict, "page_cache_reclaimable")
    told.figure("clean page cache", answer.verdict["bytes"], place.clean_bytes())
    told.figure("from before", answer.evidence("before memtrace watched"), 2 * BLOB)
    assert "by serve" in answer.verdict["claim"]  # read, and what was reclaimed put there again
    left = [cached_pages(blob) * PAGE for blob in blobs[:2]]  # the machine may have reclaimed some
    assert answer.evidence(f"{blobs[0].name} (read by serve)") == pytest.approx(left[0], rel=0.05)
    assert answer.evidence(blobs[1].name) == pytest.approx(left[1], rel=0.05)


def test_s1_a_mirror_at_its_limit(
    place: Place, programs: dict[str, Path], blobs: list[Path]
) -> None:
    """At the limit, reclaimed, no risk of a kill, and nothing to be done about it."""
    told = Told("S1 limit", f"the same under a limit of {LIMIT >> 20} MiB (buffered)")
    place.limit(LIMIT)
    answer, clean = served(place, serve(place, programs["serve"], blobs), blobs, "buffered")
    told.heard(answer.verdict, "cache_at_limit")
    told.figure("clean page cache", answer.verdict["bytes"], clean)
    assert "not a leak" in answer.text
    assert "nothing" in [each["setting"] for each in answer.advice]
    assert not answer.alarms
    assert not answer.sets_go


def objects(answer: Answer, what: str) -> int:
    """How many kernel objects of a kind it counted."""
    found = re.search(rf"([0-9,]+) {what} \(slab\)", answer.text)
    assert found, f"no {what} in {answer.text}"
    return int(found[1].replace(",", ""))


def test_s4_a_replicated_database(place: Place, programs: dict[str, Path], disk: Path) -> None:
    """Page cache of the database, kernel objects by number, and the Go heap with its limit."""
    told = Told("S4", f"reads a database of 300 MB, writes {SEGMENTS:,} segments of one page")
    database, segments = cold_file(disk / "db", DATABASE // PAGE), disk / "wal"
    segments.mkdir()
    Program(place, programs["replicate"], database, segments, str(SEGMENTS), GOMEMLIMIT="64MiB")
    answer = explain(place.path, SECONDS)
    told.heard(answer.verdict, "page_cache_reclaimable")
    told.figure("clean page cache", answer.verdict["bytes"], place.clean_bytes())
    told.figure("of db", answer.evidence("/db"), cached_pages(database) * PAGE)
    told.figure("kernel memory", answer.evidence("kernel memory"), place.kernel_bytes())
    made = SEGMENTS + SEGMENTS // 256
    told.figure("inodes", objects(answer, r"\w+ inodes"), made, "objects")
    told.figure("names", objects(answer, "dentries"), made, "objects")
    assert "GOMEMLIMIT 64" in answer.text
    assert not answer.alarms
