"""The directory of records: bounded, whole or not at all, in order, and patient with the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtrace.store import postmortems as module
from memtrace.store.postmortems import WAITING, Postmortems, ids, read

NOW = 1_795_000_000.25


def put(store: Postmortems, moment: float = NOW, pid: int = 42) -> str:
    """One record that holds its own id."""
    made = store.keep(moment, pid, lambda name: (f'"{name}"'.encode(), f"text {name}".encode()))
    store.write()
    return made


def test_a_record_is_a_json_and_a_text(tmp_path: Path) -> None:
    """Readable by its owner and group; nothing else is left in the directory."""
    made = put(Postmortems(tmp_path / "deep" / "oom"))
    assert made == "20261118T110640.250Z-42"
    folder = tmp_path / "deep" / "oom"
    assert sorted(os.listdir(folder)) == [f"{made}.json", f"{made}.txt"]
    assert (folder / f"{made}.txt").read_text() == f"text {made}"
    assert read(folder, made) == f'"{made}"'.encode()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


def test_ids_sort_by_time_whatever_the_clock_does(tmp_path: Path) -> None:
    """Set back while memtrace runs, and before it starts again; twice in a millisecond."""
    store = Postmortems(tmp_path)
    made = [put(store), put(store), put(store, NOW - 3600)]
    for moment in (NOW - 7200, NOW + 1):
        store.close()
        store = Postmortems(tmp_path)
        made.append(put(store, moment))
    assert made == sorted(made) == ids(tmp_path)
    assert len(set(made)) == 5


def test_the_oldest_leave_first(tmp_path: Path) -> None:
    """By number and by bytes; the newest stays whatever its size."""
    store = Postmortems(tmp_path, max_records=3)
    made = [put(store, NOW + second) for second in range(5)]
    assert ids(tmp_path) == made[2:]
    store.close()
    small = Postmortems(tmp_path, max_bytes=1)
    last = put(small, NOW + 9)
    assert ids(tmp_path) == [last]
    assert len(os.listdir(tmp_path)) == 2


def test_what_an_interrupted_write_left_is_removed(tmp_path: Path) -> None:
    """Half a file is no record, and neither is a text alone."""
    (tmp_path / "20261118T110640.250Z-42.json.new").write_text("{")
    (tmp_path / "20261118T110641.250Z-43.txt").write_text("text")
    assert ids(tmp_path) == []
    put(Postmortems(tmp_path))
    assert len(os.listdir(tmp_path)) == 2


def test_a_removed_directory_is_made_again(tmp_path: Path) -> None:
    """By the next record."""
    store = Postmortems(tmp_path / "oom")
    put(store)
    for path in (tmp_path / "oom").iterdir():
        path.unlink()
    (tmp_path / "oom").rmdir()
    assert ids(tmp_path / "oom") == []
    last = put(store)
    assert ids(tmp_path / "oom") == [last]
    assert store.problem == ""


def test_records_wait_while_the_directory_cannot_be_written(tmp_path: Path) -> None:
    """Said in one sentence, and all are written once it can."""
    (tmp_path / "oom").write_text("a file is in the way")
    store = Postmortems(tmp_path / "oom")
    made = [put(store), put(store)]
    assert "wait in memory" in store.problem
    assert store.waiting == 2
    (tmp_path / "oom").unlink()
    store.write()
    assert (store.problem, store.waiting) == ("", 0)
    assert ids(tmp_path / "oom") == made


def test_a_directory_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    """Not at the first kill; and it is found out when that is over."""
    (tmp_path / "oom").write_text("a file is in the way")
    store = Postmortems(tmp_path / "oom")
    assert "Not a directory" in store.problem
    (tmp_path / "oom").unlink()
    store.write()
    assert store.problem == ""
    assert os.listdir(tmp_path / "oom") == []


def test_what_cannot_be_removed_is_no_problem(tmp_path: Path) -> None:
    """A directory that somebody made, called like a file of ours."""
    (tmp_path / "x.new").mkdir()
    store = Postmortems(tmp_path)
    assert [put(store)] == ids(tmp_path)
    assert store.problem == ""


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Wherever it strikes: no half record, and the record is written later."""
    store = Postmortems(tmp_path)
    first = put(store)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, call, full)
        second = put(store)
        assert ids(tmp_path) == [first]
        assert "No space left" in store.problem
        assert len(os.listdir(tmp_path)) == (2 if call != "rename" else 4)
    store.write()
    assert ids(tmp_path) == [first, second]
    assert len(os.listdir(tmp_path)) == 4


def test_only_the_newest_wait(tmp_path: Path) -> None:
    """Memory is bounded, too; those that had no room are counted."""
    (tmp_path / "oom").write_text("")
    store = Postmortems(tmp_path / "oom")
    for second in range(WAITING + 5):
        store.keep(NOW + second, 1, lambda name: (name.encode(), b""))
    store.write()
    assert store.lost == 5
    assert "5 older ones are lost" in store.problem
    (tmp_path / "oom").unlink()
    store.write()
    assert len(ids(tmp_path / "oom")) == WAITING


@pytest.mark.parametrize("wrong", ["../../etc/passwd", "x", "", "20261118T110640.250Z-42/../a"])
def test_only_ids_name_records(tmp_path: Path, wrong: str) -> None:
    """A path is none."""
    assert read(tmp_path, wrong) is None


def test_links_and_other_things_are_no_records(tmp_path: Path) -> None:
    """What somebody put there is not followed."""
    name = "20261118T110640.250Z-42"
    (tmp_path / f"{name}.json").symlink_to("/etc/hostname")
    assert read(tmp_path, name) is None
    (tmp_path / f"{name}.json").unlink()
    os.mkfifo(tmp_path / f"{name}.json")
    assert read(tmp_path, name) is None


def test_one_process_at_a_time_writes(tmp_path: Path) -> None:
    """Both know each kill: the one that came first records it, and the other says so."""
    first, second = Postmortems(tmp_path), Postmortems(tmp_path)
    assert second.problem == f"another memtrace writes post-mortems to {tmp_path}."
    made = [put(first)]
    put(second)
    assert ids(tmp_path) == made
    first.close()
    made.append(put(second, NOW + 1))
    assert (ids(tmp_path), second.problem, second.lost) == (made, "", 0)
