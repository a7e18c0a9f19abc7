"""Recordings as files: written, continued, killed, cut, full, read by others meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.samples import Sample
from memtrace.store.database import COMPANIONS
from memtrace.store.errors import StoreError
from memtrace.store.reader import Recording
from memtrace.store.segments import LENGTH
from memtrace.store.writer import Bounds, Writer
from tests.unit.views.screen.scenes import node

ROOT = Path(__file__).parents[3]


def write(path: Path, samples: list[Sample], boot: str = "boot", **options: object) -> None:
    """One process' writing."""
    writer = Writer(path, boot, **options)  # type: ignore[arg-type]
    for sample in samples:
        writer.append(sample)
    writer.close()


def read(path: Path) -> list[Sample]:
    """Every sample of a recording."""
    with Recording(path) as recording:
        return [recording.sample(index) for index in range(len(recording.moments))]


def at(seconds: float, clock: float = 0.0) -> Sample:
    """The node at a moment of the monotonic clock, the one on the wall being off by `clock`."""
    return replace(node(int(seconds)), monotonic=seconds, time=1e9 + seconds + clock)


def test_what_was_written_is_read_in_any_order(tmp_path: Path) -> None:
    """Over several segments, forwards, backwards and across."""
    samples = [at(number) for number in range(2 * LENGTH + 7)]
    write(tmp_path / "r", samples)
    assert read(tmp_path / "r") == samples
    with Recording(tmp_path / "r") as recording:
        for index in (LENGTH + 5, LENGTH + 4, 0, LENGTH, LENGTH - 1, 3 * LENGTH // 2, 5, 6):
            assert recording.sample(index) == samples[index]


def test_a_closed_recording_is_one_file_of_its_owner(tmp_path: Path) -> None:
    """Nothing beside it, nobody else may read it."""
    write(tmp_path / "r", [at(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["r", *(f"r{more}" for more in COMPANIONS)])
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    """Neither the file nor what SQLite would take for its own; not through a link either."""
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="exists already"):
        Writer(tmp_path / "r", "boot")
    assert not (tmp_path / "elsewhere").exists()


def test_a_killed_writer_loses_nothing_it_had_appended(tmp_path: Path) -> None:
    """SIGKILL while it writes: what append() returned from is there, and can be continued."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from memtrace.store.writer import Writer
from tests.unit.store.test_recording import at
writer = Writer(Path({str(tmp_path / "r")!r}), "boot")
for number in range(10_000):
    writer.append(at(number))
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(LENGTH + 31):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().decode().split()
    appended = LENGTH + 31 + len(rest)
    found = read(tmp_path / "r")
    assert appended <= len(found) <= appended + 1
    assert found == [at(number) for number in range(len(found))]
    write(tmp_path / "r", [at(20_000)], anew=False)
    assert read(tmp_path / "r") == [*found, at(20_000)]
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_positions_follow_the_monotonic_clock(tmp_path: Path) -> None:
    """However the clock on the wall is set; and on into a later process of the same boot."""
    write(tmp_path / "r", [at(10), at(12, clock=-1e8), at(14, clock=5e8)])
    write(tmp_path / "r", [at(20, clock=-1e8), at(21)], anew=False)
    with Recording(tmp_path / "r") as recording:
        assert [moment.position for moment in recording.moments] == [0, 2, 4, 10, 11]
        assert [moment.run for moment in recording.moments] == [1, 1, 1, 2, 2]


def test_another_boot_is_placed_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    """As far as it goes forwards: its monotonic clock began anew."""
    write(tmp_path / "r", [at(1000), at(1002)])
    write(tmp_path / "r", [at(5, clock=1000)], "another", anew=False)
    write(tmp_path / "r", [at(5, clock=-1000)], "a third", anew=False)
    with Recording(tmp_path / "r") as recording:
        assert [moment.position for moment in recording.moments] == [0, 2, 5, 5]


def test_the_oldest_leave_when_time_is_up(tmp_path: Path) -> None:
    """Whole segments: what stays reaches back as far as was asked, and no segment further."""
    write(tmp_path / "r", [at(n) for n in range(5 * LENGTH)], bounds=Bounds(seconds=LENGTH + 10))
    with Recording(tmp_path / "r") as recording:
        kept = recording.moments[-1].position - recording.moments[0].position
        assert LENGTH + 10 <= kept <= 3 * LENGTH
        assert recording.sample(0) == at(5 * LENGTH - len(recording.moments))


def test_the_oldest_leave_when_room_is_up(tmp_path: Path) -> None:
    """The file grows no further than the bound and a segment."""
    bound = 64 << 10
    written = [replace(at(n), node=os.urandom(512).hex()) for n in range(4 * LENGTH)]
    write(tmp_path / "r", written, bounds=Bounds(size=bound))
    assert (tmp_path / "r").stat().st_size < bound + 2 * LENGTH * 1024
    found = read(tmp_path / "r")
    assert found == written[-len(found) :]
    assert LENGTH // 2 < len(found) < 2 * LENGTH + 1


def test_a_recording_is_read_while_it_is_written(tmp_path: Path) -> None:
    """What was there when it was opened; the writer goes on undisturbed."""
    writer = Writer(tmp_path / "r", "boot")
    for number in range(50):
        writer.append(at(number))
    with Recording(tmp_path / "r") as recording:
        for number in range(50, 50 + 2 * LENGTH):
            writer.append(at(number))
        assert [recording.sample(index) for index in range(50)] == [at(n) for n in range(50)]
    writer.close()
    assert len(read(tmp_path / "r")) == 50 + 2 * LENGTH


def test_only_the_newest_part_is_read_if_asked(tmp_path: Path) -> None:
    """The minute before, of a day."""
    write(tmp_path / "r", [at(number) for number in range(3 * LENGTH)])
    with Recording(tmp_path / "r", newest_seconds=60) as recording:
        assert len(recording.moments) == 61
        assert recording.sample(0) == at(3 * LENGTH - 61)


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before is read; once there is room, it goes on."""
    writer = Writer(tmp_path / "r", "boot")
    writer.append(at(0))
    pages = writer._database.execute("PRAGMA page_count").fetchone()[0]
    writer._database.execute(f"PRAGMA max_page_count = {pages}")
    big = replace(at(1), node=os.urandom(50_000).hex())
    with pytest.raises(StoreError, match=r"^writing .*/r failed: database or disk is full\.$"):
        writer.append(big)
    assert read(tmp_path / "r") == [at(0)]
    writer._database.execute("PRAGMA max_page_count = 100000")
    writer.append(at(2))
    writer.close()
    assert read(tmp_path / "r") == [at(0), at(2)]


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"SQLite format 3\0" + bytes(84), bytes(9999)]
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one sentence."""
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(StoreError, match=r"/f is no recording of memtrace\.$"):
        Recording(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Also one with tables of these names, or with more than ours."""
    database = sqlite3.connect(tmp_path / "f")
    database.execute("CREATE TABLE moments (number)")
    database.commit()
    with pytest.raises(StoreError, match="no recording"):
        Recording(tmp_path / "f")
    write(tmp_path / "r", [at(0)])
    sqlite3.connect(tmp_path / "r").execute("CREATE VIEW more AS SELECT 1").connection.commit()
    with pytest.raises(StoreError, match="no recording"):
        Recording(tmp_path / "r")


def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    """Which one it is, which one can be read, and what to do."""
    write(tmp_path / "r", [at(0)])
    sqlite3.connect(tmp_path / "r").execute("PRAGMA user_version = 7").connection.commit()
    for opened in (Recording, lambda path: Writer(path, "boot", anew=False)):
        with pytest.raises(StoreError, match=r"newer memtrace \(schema 7.*up to 1\); upgrade"):
            opened(tmp_path / "r")


@pytest.mark.parametrize("name", ["nothing", ".", "fifo", "secret"])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    """At once, also of what would never answer."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "secret").touch(0o000)
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot be read|no recording"):
        Recording(tmp_path / name)
    assert time.monotonic() - started < 1


def test_a_recording_on_a_read_only_place_is_read(tmp_path: Path) -> None:
    """Also one that was not closed in order, without what lay beside it."""
    writer = Writer(tmp_path / "r", "boot")
    for number in range(40):
        writer.append(at(number))  # 30 seconds: a checkpoint
    copy = tmp_path / "there" / "r"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "r").read_bytes())
    writer.close()
    copy.parent.chmod(0o555)
    assert 30 <= len(read(copy)) <= 40
    copy.parent.chmod(0o755)
