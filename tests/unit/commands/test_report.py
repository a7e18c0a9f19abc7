"""`memtrace report`: one page of a recording or of a kill, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtrace.commands import main
from memtrace.samples import Identity
from memtrace.store.writer import Writer
from memtrace.views.html import postmortem
from memtrace.views.text import printable
from tests.unit.model.kill_events import event
from tests.unit.views.html.reading import Reader, check
from tests.unit.views.screen.scenes import HOSTILE, node
from tests.unit.views.test_postmortem import ID, record

EXAMPLE = Path(__file__).parents[3] / "examples" / "node-1.mtr"
COUNT = 40
SAMPLES = [
    replace(node(n, HOSTILE), monotonic=100.0 + 2 * n, time=1e9 + 2 * n) for n in range(COUNT)
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node of pods, services, a mirror at its limit, and hostile names."""
    path = tmp_path_factory.mktemp("recording") / "r.mtr"
    writer = Writer(path, "boot")
    for each in SAMPLES:
        writer.append(each)
    writer.close()
    return path


@pytest.fixture
def kills(tmp_path: Path) -> Path:
    """A directory with one recorded kill."""
    path = tmp_path / "oom"
    path.mkdir()
    (path / f"{ID}.json").write_text(json.dumps(record(event())))
    return path


def report(*arguments: str | Path) -> int:
    """Run the command."""
    return main.main(["report", *map(str, arguments)])


def made(out: Path, *arguments: str | Path) -> Reader:
    """What is in a report, which is sound."""
    assert report(*arguments, "-o", out) == 0
    return check(out.read_text())


def test_the_example_says_what_its_readme_says(tmp_path: Path) -> None:
    """Containers, verdicts, causes by the names that the containers use; and it is small."""
    out = tmp_path / "out.html"
    text = made(out, EXAMPLE).text
    for said in ("mirror", "cache at limit", "/data/base/16384/16385", "sendfile", "import-job"):
        assert said in text
    assert "gone since" in text
    assert out.stat().st_size < 400_000


def test_hostile_names_are_text(recording: Path, tmp_path: Path) -> None:
    """Whatever a container, a file or a process calls itself."""
    read = made(tmp_path / "out.html", recording)
    assert not [name for name in HOSTILE if name != printable(name) and name in read.text]
    assert printable(HOSTILE[0]) in read.text


def test_a_container_can_be_chosen(recording: Path, tmp_path: Path) -> None:
    """As TARGET and with -c; the others are in the list only."""
    for way in (["mirror.service"], ["-c", "mirror.service"]):
        read = made(tmp_path / "out.html", recording, *way)
        sections = [v for t, n, v in read.attributes if t == "section" and n == "id"]
        assert len(sections) == 1


@pytest.mark.parametrize(
    "way", [["mirrr.service"], ["-c", "mirrr.service"], ["mirror.service", "-n", "no"]]
)
def test_an_unknown_container_is_not_found(
    recording: Path, way: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, and one sentence."""
    assert report(recording, *way, "-o", "-") == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "did you mean mirror" in captured.err or "-n" in way


def test_a_part_can_be_chosen(recording: Path, tmp_path: Path) -> None:
    """From a moment on, for so long."""
    text = made(tmp_path / "out.html", recording, "--at", "10s", "--for", "20s").text
    assert "0:20, 11 samples" in text


def test_standard_output(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same page, in UTF-8 whatever the locale is."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii"))
    assert report(recording, "-o", "-") == 0
    check(raw.getvalue().decode())


def test_an_older_report_is_replaced_and_nothing_else(recording: Path, tmp_path: Path) -> None:
    """A recording given as the output by mistake is still there."""
    out = tmp_path / "out.html"
    made(out, EXAMPLE)
    before = out.stat().st_ino
    made(out, recording)
    assert out.stat().st_ino != before
    content = recording.read_bytes()
    assert report(EXAMPLE, "-o", recording) == 2
    assert recording.read_bytes() == content
    assert report(EXAMPLE, "-o", tmp_path) == 2
    assert report(EXAMPLE, "-o", tmp_path / "no" / "out.html") == 2
    assert sorted(os.listdir(tmp_path)) == ["out.html"]


def test_what_is_no_recording_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Foreign, torn, empty: one sentence, exit 1, and no report; exit 4 where there is nothing."""
    foreign, torn, empty = tmp_path / "foreign", tmp_path / "torn", tmp_path / "empty"
    sqlite3.connect(foreign).execute("CREATE TABLE t (a)").connection.close()
    torn.write_bytes(EXAMPLE.read_bytes()[:20_000])
    Writer(empty, "boot").close()
    for path, code in ((tmp_path / "absent", 4), (foreign, 1), (torn, 1), (empty, 1)):
        assert report(path, "-o", tmp_path / "out.html") == code
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


def test_a_kill_is_a_report(kills: Path, tmp_path: Path) -> None:
    """By its id and as the latest."""
    for name in (ID, "last"):
        text = made(tmp_path / "out.html", name, "--oom-dir", kills).text
        for said in ("shop/web-0/web: killed at its memory limit", "What to do", "/f1", ID):
            assert said in text


def test_an_unknown_kill_is_not_found(kills: Path) -> None:
    """Exit 4; with --root the records of that machine are meant."""
    other = ID.replace("2026", "2025")
    assert report(other, "--oom-dir", kills, "-o", "-") == 4
    assert report("last", "--root", kills, "-o", "-") == 4
    assert report(ID, "web", "--oom-dir", kills, "-o", "-") == 2
    (kills / f"{ID}.json").write_text("{")
    assert report(ID, "--oom-dir", kills, "-o", "-") == 1


def test_kills_of_that_time_are_in_the_report_of_a_recording(kills: Path, tmp_path: Path) -> None:
    """Of the same node only."""
    path, place = tmp_path / "r.mtr", SAMPLES[0].cgroups[-1]
    writer = Writer(path, "boot")
    for each in SAMPLES:
        writer.append(each)
    writer.close()
    document = record(event())
    document |= {"time": SAMPLES[5].time, "node": SAMPLES[0].node}
    document["oom_cgroup"]["cgroup_id"] = place.cgroup_id
    (kills / f"{ID}.json").write_text(json.dumps(document))
    assert "OOM kill" in made(tmp_path / "out.html", path, "--oom-dir", kills).text
    (kills / f"{ID}.json").write_text(json.dumps(document | {"node": "another"}))
    assert "OOM kill" not in made(tmp_path / "out.html", path, "--oom-dir", kills).text


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_record_of_another_version_is_a_page_too(data: st.DataObject) -> None:
    """Whatever stands in place of any of its values."""
    document = record(event())
    for _ in range(data.draw(st.integers(1, 4))):
        place: Any = document
        key = data.draw(st.sampled_from(sorted(place)))
        while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys))
        place[key] = data.draw(ODD)
    check(postmortem.render(document, "0"))


def test_names_in_a_record_are_text() -> None:
    """A container whose name is markup."""
    names = {3: Identity("container", "x", container="<script>alert(1)</script>", pod="\x1b[2J")}
    page = postmortem.render(record(event(), names=names), "0")
    check(page)
