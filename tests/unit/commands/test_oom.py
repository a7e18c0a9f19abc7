"""`memtrace oom list` and `show`: what they print, for whom, and how they refuse."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from memtrace.commands.main import main
from memtrace.kills import OomEvent
from memtrace.model.oom_history import background
from memtrace.model.postmortem import explain
from memtrace.store.postmortems import Postmortems
from memtrace.views import oom_json, postmortem
from tests.unit.model.kill_events import NAMES, event, past


def keep(directory: Path, kill: OomEvent) -> str:
    """One record on disk."""
    document = oom_json.document(explain(kill, background(past()), NAMES, "n1", "b1"), "")

    def render(record_id: str) -> tuple[bytes, bytes]:
        document["id"] = record_id
        return oom_json.line(document).encode(), postmortem.render(document).encode()

    with closing(Postmortems(directory)) as store:
        made = store.keep(kill.time, 42, render)
        store.write()
    return made


@pytest.fixture
def made(tmp_path: Path) -> tuple[str, str]:
    """Two records: one of the container shop/web-0/web, one without a name."""
    nameless = event(levels=(), victims=(), trigger=None, cgroup_id=None, memory=None)
    return keep(tmp_path, event()), keep(tmp_path, nameless)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    code = main(["oom", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_list_has_a_line_for_each_record(
    tmp_path: Path, made: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Oldest first; with --rows the newest."""
    code, out, _ = told(capsys, "list", "--oom-dir", str(tmp_path))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(made)
    assert "shop/web-0/web" in out
    _, out, _ = told(capsys, "list", "--oom-dir", str(tmp_path), "-r", "1")
    assert [line.split()[0] for line in out.splitlines()] == [made[1]]


@pytest.mark.parametrize("flags", [["-n", "shop"], ["--pod", "web-0"], ["-c", "web"]])
def test_list_filters(
    tmp_path: Path, made: tuple[str, str], capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """By namespace, pod and container."""
    _, out, _ = told(capsys, "list", "--oom-dir", str(tmp_path), "--json", *flags)
    assert [json.loads(line)["id"] for line in out.splitlines()] == [made[0]]
    code, out, errors = told(capsys, "list", "--oom-dir", str(tmp_path), flags[0], "other")
    assert (code, out) == (0, "")
    assert "no record matches" in errors


def test_show_explains_one(
    tmp_path: Path, made: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By id, or the last; as text or JSON."""
    code, out, _ = told(capsys, "show", made[0], "--oom-dir", str(tmp_path))
    assert code == 0
    assert out.startswith("shop/web-0/web: killed at its memory limit\n")
    _, out, _ = told(capsys, "show", "last", "--oom-dir", str(tmp_path), "--json")
    assert json.loads(out)["id"] == made[1]


@pytest.mark.parametrize("wrong", ["last", "../../etc/passwd", "20261118T110640.250Z-42"])
def test_a_record_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    """One sentence, exit 4; the directory need not exist."""
    code, out, errors = told(capsys, "show", wrong, "--oom-dir", str(tmp_path / "none"))
    assert (code, out) == (4, "")
    assert errors.count("\n") == 1


def test_a_damaged_record_is_left_out(
    tmp_path: Path, made: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed are the others; asked for by name it is named."""
    (tmp_path / f"{made[0]}.json").write_text('{"schema":')
    code, out, _ = told(capsys, "list", "--oom-dir", str(tmp_path))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [made[1]]
    code, _, errors = told(capsys, "show", made[0], "--oom-dir", str(tmp_path))
    assert code == 1
    assert "damaged" in errors


def test_a_newer_schema_is_refused_by_name(
    tmp_path: Path, made: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may mean something else; the others are listed."""
    (tmp_path / f"{made[0]}.json").write_text('{"schema": "memtrace.oom/2"}')
    code, _, errors = told(capsys, "show", made[0], "--oom-dir", str(tmp_path))
    assert code == 1
    assert "memtrace.oom/2" in errors
    code, out, errors = told(capsys, "list", "--oom-dir", str(tmp_path))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [made[1]]
    assert "memtrace.oom/2" in errors


def test_a_word_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """And the help tells which there are."""
    code, _, errors = told(capsys)
    assert code == 2
    assert "--help" in errors
