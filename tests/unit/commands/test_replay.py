"""`memtrace replay`: of what was recorded, the same as top showed; from where it was asked."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memtrace.commands import main
from memtrace.commands.player import FAR_SECONDS, Player
from memtrace.commands.replay import _at_clock, _time_of_day
from memtrace.commands.track import Track
from memtrace.model.history import History
from memtrace.model.modeler import Modeler
from memtrace.samples import Sample
from memtrace.store.reader import Recording
from memtrace.store.writer import Writer
from memtrace.views.json import Renderer
from memtrace.views.screen.replay import BACK, FAR_BACK, FAR_ON, ON, PAUSE
from tests.unit.commands.test_screen import Terminal
from tests.unit.views.screen.scenes import node

COUNT = 200
HOUR = 3600
NOON = 1_000_000_800.0  # a moment of the clock at a full hour in UTC


def at(step: int) -> Sample:
    """The node every two seconds."""
    return replace(node(step), monotonic=100.0 + 2 * step, time=NOON + 2 * step)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 6:38."""
    made = tmp_path_factory.mktemp("recording") / "r"
    writer = Writer(made, "boot")
    for step in range(COUNT):
        writer.append(at(step))
    writer.close()
    return made


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time of day is local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def times(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """Seconds from the start of each line of JSON."""
    return [json.loads(line)["time"] - NOON for line in capsys.readouterr().out.splitlines()]


def test_json_is_what_top_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, from the first one on."""
    assert main.main(["replay", str(path), "--json"]) == 0
    modeler, renderer = Modeler(), Renderer()
    live = [renderer.render(modeler.snapshot(at(step))) for step in range(COUNT)]
    assert capsys.readouterr().out.splitlines() == live


def test_json_from_a_later_moment_is_what_top_printed_then(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the deltas to the sample before it."""
    main.main(["replay", str(path), "--json"])
    live = capsys.readouterr().out.splitlines()
    main.main(["replay", str(path), "--json", "--at", "-1m"])
    assert capsys.readouterr().out.splitlines() == live[-31:]


@pytest.mark.parametrize(
    ("when", "first"),
    [
        ("-3m", 218),
        ("-0", 398),
        ("-1h", 0),
        ("3m", 180),
        ("+90s", 90),
        ("1m1s", 62),
        ("9h", 398),
        ("02:00", 0),
        ("02:01:01", 62),
        ("23:59", 398),
    ],
)
def test_where_it_begins(
    path: Path, when: str, first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the end, from the start, or the first moment from a time of day on."""
    assert main.main(["replay", str(path), "--json", "--at", when]) == 0
    found = times(capsys)
    assert found[0] == first
    assert found[-1] == 2 * (COUNT - 1)


@pytest.mark.parametrize(
    ("clocks", "when", "first"),
    [
        ((13 * HOUR, 21 * HOUR, 36 * HOUR, 38 * HOUR), "14:30", 3),  # from 15:00 on, and a day
        ((13 * HOUR, 21 * HOUR, 36 * HOUR, 38 * HOUR), "22:00", 1),
        ((0, 60, 60 + 3 * HOUR, 120, 180), "04:00", 2),  # set forwards by 3 hours, and back
        ((0, 60, 60 + 3 * HOUR, 120, 180), "02:03", 4),
        ((0, 60, 60 - HOUR, 120 - HOUR), "01:02", 3),  # set back by an hour
        ((0, 60, 60 - HOUR, 120 - HOUR), "02:01", 1),
    ],
)
def test_a_time_of_day_is_the_last_there_was(
    tmp_path: Path, clocks: tuple[int, ...], when: str, first: int
) -> None:
    """In a recording of more than a day, or with a clock that was set."""
    writer = Writer(tmp_path / "r", "boot")
    for step, clock in enumerate(clocks):
        writer.append(replace(at(step), time=NOON + clock))
    writer.close()
    with Recording(tmp_path / "r") as recording:
        assert _at_clock(recording.moments, _time_of_day(when)) == first


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["FILE", "--at", "soon"], 2),
        (["FILE", "--at", "25:00"], 2),
        (["FILE", "--speed", "0"], 2),
        (["FILE", "--speed", "nan"], 2),
        (["FILE", "--json", "--plain"], 2),
        (["FILE", "--root", "/"], 2),
        (["FILE", "-c", "postgre"], 4),
        (["/no/such/file"], 1),
        ([__file__], 1),
    ],
)
def test_mistakes_are_one_sentence(
    path: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with an exit code."""
    assert main.main(["replay", *(str(path) if a == "FILE" else a for a in arguments)]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("memtrace: ")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE pieces SET piece = substr(piece, 9) WHERE number = 1", "is damaged"),
        ("DELETE FROM pieces WHERE number = 3", "is damaged"),
        ("PRAGMA user_version = 7", "by a newer memtrace (schema 7"),
        ("DROP TABLE pieces", "no recording of memtrace"),
    ],
)
def test_what_is_torn_foreign_or_newer_is_one_sentence(
    tmp_path: Path, damage: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit 1."""
    writer = Writer(tmp_path / "r", "boot")
    for step in range(5):
        writer.append(at(step))
    writer.close()
    sqlite3.connect(tmp_path / "r").execute(damage).connection.commit()
    assert main.main(["replay", str(tmp_path / "r"), "--json"]) == 1
    err = capsys.readouterr().err
    assert (err.count("\n"), said in err) == (1, True)


def test_rows_can_take_the_time_it_took(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only if asked: three samples at five times the speed."""
    started = time.monotonic()
    assert main.main(["replay", str(path), "--plain", "--at", "-4s", "--speed", "5"]) == 0
    assert time.monotonic() - started > 0.8
    assert capsys.readouterr().out.count("CONTAINER") == 3


def test_an_empty_recording_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1."""
    Writer(tmp_path / "r", "boot").close()
    assert main.main(["replay", str(tmp_path / "r")]) == 1
    assert "holds no sample" in capsys.readouterr().err


def test_any_moment_is_what_was_seen_live(path: Path) -> None:
    """Snapshots and trends, wherever one comes from."""
    modeler, history, live = Modeler(), History(), []
    for step in range(COUNT):
        snapshot = modeler.snapshot(at(step))
        live.append((snapshot, history.add(snapshot)))
    with Recording(path) as recording:
        track = Track(recording)
        for index in (0, 1, 2, 150, 149, 151, 199, 60, 119, 120, 121):
            snapshot = track.snapshot(index)
            trends = track.history(index).add(snapshot)
            assert (snapshot, trends) == live[index]


def test_another_run_begins_anew(tmp_path: Path) -> None:
    """Its figures do not go on where those before ended."""
    for step in (0, 1):
        writer = Writer(tmp_path / "r", "boot", anew=not step)
        writer.append(at(2 * step))
        writer.append(at(2 * step + 1))
        writer.close()
    with Recording(tmp_path / "r") as recording:
        found = [snapshot.interval_seconds for snapshot in Track(recording).from_index(0)]
        assert found == [None, 2.0, None, 2.0]
        assert Track(recording).snapshot(2).interval_seconds is None
        (trend, *_) = Track(recording).history(3).add(Track(recording).snapshot(3)).values()
        assert len(trend.usage) == 2


def player(path: Path, index: int) -> Player:
    """A player of the recording."""
    with Recording(path) as recording:
        return Player(recording.moments, index, 1.0)


@pytest.mark.parametrize(
    ("start", "keys", "end"),
    [
        (100, BACK, 99),
        (100, ON, 101),
        (100, BACK * 3 + ON, 98),
        (100, FAR_BACK, 70),
        (100, FAR_ON, 130),
        (0, BACK + FAR_BACK, 0),
        (10, FAR_BACK, 0),
        (199, ON + FAR_ON, 199),
        (190, FAR_ON, 199),
        (5, PAUSE + ON, 6),
        (5, "?", 5),
    ],
)
def test_seeking(path: Path, start: int, keys: str, end: int) -> None:
    """One sample, a minute, and no further than there is something."""
    assert FAR_SECONDS == 60
    playing = player(path, start)
    for key in keys:
        playing.press(key)
    assert playing.index == end


PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from memtrace.commands import main
sys.exit(main.main(sys.argv[1:]))
"""


def test_the_screen_seeks_pauses_and_ends(path: Path, tmp_path: Path) -> None:
    """On a terminal: plays to the end, goes back when told, stands still, ends with exit 0."""
    arguments = ("replay", str(path), "--at", "-4s", "--speed", "8")
    screen = Terminal(tmp_path, *arguments, program=PROGRAM)
    screen.wait_for("CONTAINER")
    screen.wait_for("REPLAY (end)")
    screen.type(" [")  # at the end there is nothing to stop; a minute back
    screen.wait_for("PAUSED")
    screen.wait_for("5:38 of 6:38")
    screen.text = ""
    time.sleep(1)
    assert "of 6:38" not in screen.text  # it stands still
    screen.type(" ")
    screen.wait_for("REPLAY (end)")  # a minute at eight times the speed
    screen.type("q")
    assert screen.end() == (0, "")


def test_the_screen_says_in_a_sentence_what_is_damaged(path: Path, tmp_path: Path) -> None:
    """Also when it is met in the middle, after the terminal is restored."""
    broken = tmp_path / "broken"
    broken.write_bytes(path.read_bytes())
    database = sqlite3.connect(broken)
    database.execute("UPDATE pieces SET piece = zeroblob(30) WHERE number = 3")
    database.commit()
    database.close()
    screen = Terminal(tmp_path, "replay", str(broken), "--speed", "100", program=PROGRAM)
    code, errors = screen.end()
    assert code == 1
    assert errors.startswith("memtrace: the recording is damaged: ")
    assert errors.count("\n") == 1


EXAMPLE = Path(__file__).parents[3] / "examples" / "node-1.mtr"


def test_the_example_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Small, whole, under the names that its README tells; in it a cache stands at its limit."""
    assert EXAMPLE.stat().st_size < 300 << 10
    assert main.main(["replay", str(EXAMPLE), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 60
    assert {line["node"] for line in lines} == {"node-1"}
    named = {row["name"]: row["verdict"]["id"] for row in lines[60]["containers"]}
    assert named["mirror"] == "cache_at_limit"
    assert {"mirror", "postgres", "batch", "import-job"} <= {
        row["name"] for line in lines for row in line["containers"]
    }
