"""The agent's history: what it survives, what it says then, and how it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.commands.agent_history import AGAIN_SECONDS, ASIDE, FILE, History, bounds
from memtrace.samples import Sample
from memtrace.store import database
from memtrace.store.reader import Recording
from tests.unit.model.builders import cgroup, sample

WHOLE = sample(cgroup(1, path="/"))
BOUNDS = bounds(24, 256)


def at(monotonic: float, clock: float = 1000.0) -> Sample:
    """A sample at this moment of the monotonic clock."""
    return replace(WHOLE, monotonic=monotonic, time=clock)


def history(directory: Path, boot: str = "boot") -> History:
    """One that has not written yet."""
    return History(directory, boot, BOUNDS)


def written(path: Path) -> list[float]:
    """When the samples in a recording were taken, by the monotonic clock."""
    with Recording(path) as past:
        return [past.sample(index).monotonic for index in range(len(past.moments))]


def full(*_: object) -> None:
    """A disk without room."""
    raise database.StoreError("opening r failed: database or disk is full.")


def test_a_full_disk_at_the_start_costs_nothing_of_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither moved aside nor begun anew: it goes on once there is room."""
    past = history(tmp_path)
    past.append(at(1))
    past.close()
    again = history(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(database, "_prepare", full)
        again.append(at(2))
    assert not again.feature.enabled
    assert "full" in again.feature.reason
    again.append(
        at(2 + AGAIN_SECONDS / 2)
    )  # not yet: a disk may be full now and not the next moment
    again.append(at(2 + AGAIN_SECONDS))
    assert again.feature.enabled
    again.close()
    assert written(tmp_path / FILE) == [1, 2 + AGAIN_SECONDS]
    assert os.listdir(tmp_path) == [FILE]


def test_a_new_one_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of one would be taken for a damaged one later."""
    one = history(tmp_path)
    monkeypatch.setattr(database, "_lay_out", full)
    one.append(at(1))
    assert not one.feature.enabled
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", ["removed", "replaced", "a file", "a link"])
def test_a_directory_that_goes_is_said_and_made_again(tmp_path: Path, how: str) -> None:
    """Nothing is written into files that nobody can find; what cannot be made is tried again."""
    place = tmp_path / "state"
    one = history(place)
    one.append(at(1))
    shutil.rmtree(place)
    if how == "a file":
        place.write_text("in the way")
    elif how == "a link":
        place.symlink_to("/nonexistent/memtrace")
    elif how == "replaced":
        place.mkdir()
        (place / FILE).write_bytes(b"")
    one.append(at(2))
    assert not one.feature.enabled
    assert "removed or replaced" in one.feature.reason
    now = 2 + AGAIN_SECONDS
    if how in ("a file", "a link"):
        one.append(at(now))
        assert not one.feature.enabled
        place.unlink()
        now += AGAIN_SECONDS
    one.append(at(now))
    one.append(at(now + 1))
    assert one.feature.enabled
    one.close()
    assert written(place / FILE)[-1] == now + 1


@pytest.mark.parametrize("content", [b"", b"not a recording", b"SQLite format 3\0" + bytes(9999)])
def test_what_is_no_recording_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    """With what lies beside it, said, and without stopping the new one."""
    for more in ("", "-wal"):
        (tmp_path / f"{FILE}{more}").write_bytes(content)
        (tmp_path / f"{ASIDE}{more}").write_text("older")
    one = history(tmp_path)
    one.append(at(1))
    assert ASIDE in one.feature.reason
    one.append(at(2))
    one.close()
    assert written(tmp_path / FILE) == [2]
    assert (tmp_path / ASIDE).read_bytes() == content


def test_a_damaged_one_is_noticed_while_it_is_written(tmp_path: Path) -> None:
    """Kept aside, and a new one is begun."""
    one = history(tmp_path)
    for number in range(40):  # beyond a checkpoint: the file itself is written
        one.append(at(number))
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(40_000))
    one.close()
    again = history(tmp_path)
    for number in range(40, 50):
        again.append(at(number))
    again.close()
    assert written(tmp_path / FILE)[-1] == 49


def test_what_is_left_of_a_removed_one_is_not_in_the_way(tmp_path: Path) -> None:
    """A write-ahead log without its recording is of no use to anybody."""
    (tmp_path / f"{FILE}-wal").write_text("left")
    one = history(tmp_path)
    one.append(at(1))
    one.close()
    assert written(tmp_path / FILE) == [1]


def test_the_minute_before_is_by_the_monotonic_clock(tmp_path: Path) -> None:
    """Whatever was done to the other one, and of this boot only."""
    now = time.monotonic()
    one = history(tmp_path, "another boot")
    one.append(at(now - 30))
    one.close()
    one = history(tmp_path)
    for back, clock in ((90, 5e8), (40, 1e8), (20, 9e8), (10, 2e8)):
        one.append(at(now - back, clock))
    one.close()
    assert [each.monotonic for each in history(tmp_path).recent(60)] == [
        now - 40,
        now - 20,
        now - 10,
    ]


def test_errors_of_the_system_are_features_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only disk, say."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    one = history(tmp_path / "state")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refused)
        one.append(at(1))
    assert "Read-only" in one.feature.reason
    one.append(at(1 + AGAIN_SECONDS))
    assert one.feature.enabled
    one.close()
