"""`memtrace top` around a source of samples made by hand."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memtrace.commands import main, top
from memtrace.commands.watch import NAMES
from memtrace.samples import Identity, Sample
from tests.unit.model.builders import cgroup, sample

RUN = top.run


class FakeLive:
    """Yields the same sample; can stop itself after some waits."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.waits: list[float] = []
        self.baselines = self.censuses = 0
        self.watched: list[tuple[frozenset[str], frozenset[int] | None]] = []
        self.opened: tuple[Path, str, bool] | None = None
        self.closed = self.stopped = False
        self._stop_after = stop_after
        self.on_progress: object = None
        self.on_census: object = None

    @contextmanager
    def open(self, root: Path, engine: str, baseline: bool) -> Iterator[FakeLive]:
        self.opened = (root, engine, baseline)
        try:
            yield self
        finally:
            self.closed = True

    def sample(self) -> Sample:
        identity = Identity("container", "postgres", container="postgres", namespace="shop")
        return sample(cgroup(1, path="/"), cgroup(2, 1, "/pg", identity=identity))

    def wait(self, seconds: float, also: int | None = None) -> bool:
        self.waits.append(seconds)
        if self._stop_after == len(self.waits):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        return False

    def watch(self, names: frozenset[str], cgroup_ids: frozenset[int] | None) -> None:
        self.watched.append((names, cgroup_ids))

    def request_baseline(self) -> None:
        self.baselines += 1

    def request_census(self) -> None:
        self.censuses += 1

    def stop(self) -> None:
        self.stopped = True


def run(monkeypatch: pytest.MonkeyPatch, live: FakeLive, *arguments: str) -> int:
    """Run the command line with this source in place of the kernel."""
    monkeypatch.setattr(top, "run", lambda options: RUN(options, live.open))
    return main.main(["top", *arguments])


def test_count_counts_lines_and_the_first_comes_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three lines take two waits."""
    live = FakeLive()
    assert run(monkeypatch, live, "--json", "0.5", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["interval_seconds"] for line in lines] == [None, 0.0, 0.0]
    assert len(live.waits) == 2
    assert all(wait <= 1.0 for wait in live.waits)
    assert live.closed


def test_tables_missed_are_left_out() -> None:
    """After Ctrl-Z, or a sample that took long, the next one comes at its usual time."""
    assert top.next_tick(0.0, 2.0) == 2.0
    assert top.next_tick(1.9, 2.0) == 2.0
    assert top.next_tick(2.0, 2.0) == 4.0
    assert top.next_tick(3600.5, 2.0) == 3602.0
    assert top.next_tick(0.5, 1e300) == 1e300


def test_plain_rows_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with a heading."""
    assert run(monkeypatch, FakeLive(), "1", "1") == 0
    assert "CONTAINER" in capsys.readouterr().out


def test_sigterm_ends_cleanly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0, the source stopped and closed."""
    live = FakeLive(stop_after=2)
    assert run(monkeypatch, live, "1") == 0
    assert live.stopped
    assert live.closed


def test_baseline_options_reach_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-baseline, --baseline and --engine."""
    live = FakeLive()
    run(monkeypatch, live, "1", "1", "--no-baseline", "--engine", "libbpf")
    assert live.opened == (Path("/"), "libbpf", False)
    live = FakeLive()
    run(monkeypatch, live, "1", "1", "--baseline")
    assert (live.opened, live.baselines) == ((Path("/"), "auto", True), 1)


def test_unknown_container_is_not_found_with_close_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4 after the first sample, one sentence, nothing on stdout."""
    live = FakeLive()
    assert run(monkeypatch, live, "-c", "postgre") == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "memtrace: nothing matches container 'postgre'; did you mean postgres?\n"
    assert live.closed


def test_filter_narrows_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what was asked for."""
    run(monkeypatch, FakeLive(), "--json", "-n", "shop", "1", "1")
    document = json.loads(capsys.readouterr().out)
    assert [c["cgroup"] for c in document["containers"]] == ["/pg"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["0.01"], 2),
        (["nan"], 2),
        (["inf"], 2),
        (["soon"], 2),
        (["1", "0"], 2),
        (["1", "x"], 2),
        (["-r", "0"], 2),
        (["-s", "colour"], 2),
        (["--nonsense"], 2),
        (["--json", "--plain"], 2),
        (["--baseline", "--no-baseline"], 2),
        (["--root", "/no/such/directory"], 2),
        (["--pid", "999999999"], 4),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stderr, with an exit code, without a traceback."""
    live = FakeLive()
    assert run(monkeypatch, live, *arguments) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), live.opened) == ("", 1, None)
    assert err.startswith("memtrace: ")


def test_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`memtrace top | head` ends with 0 and says nothing."""

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    live = FakeLive()
    monkeypatch.setattr(sys, "stdout", Closed())
    assert run(monkeypatch, live, "1") == 0
    assert live.closed


def test_closed_stdout_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`memtrace top >&-`: exit 1, and nothing is opened in its place."""
    live = FakeLive()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert run(patch, live, "1", "1") == 1
    assert live.opened is None
    assert "standard output is closed" in capsys.readouterr().err


def test_closed_stderr_and_stdin_are_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`memtrace top 2>&- <&-` prints its table."""
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdin", None)
    assert run(monkeypatch, FakeLive(), "1", "1") == 0
    assert "CONTAINER" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["top", "doctor"])
def test_a_root_that_is_no_directory(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and no word about privileges."""
    assert main.main([command, "--root", "/no/such/directory"]) == 2
    assert "no directory" in capsys.readouterr().err


def test_unexpected_failure_is_a_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1; the traceback only with -v."""
    live = FakeLive()
    monkeypatch.setattr(live, "sample", lambda: 1 / 0)
    assert run(monkeypatch, live) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, live, "-v")


def test_cgroup_of_a_process_comes_from_the_memory_hierarchy(tmp_path: Path) -> None:
    """v1 names its controllers, v2 has one line."""
    from memtrace.commands.common import cgroup_of

    process = tmp_path / "proc" / "7"
    process.mkdir(parents=True)
    (process / "cgroup").write_text("4:cpu:/a\n3:memory:/b\n0::/c\n")
    assert cgroup_of(7, tmp_path) == "/b"
    (process / "cgroup").write_text("0::/c:d\n")
    assert cgroup_of(7, tmp_path) == "/c:d"


def test_help_names_every_command() -> None:
    """And loads nothing heavy."""
    code = (
        "import sys; from memtrace.commands.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy' if any(m.startswith(('memtrace.model', 'memtrace.collect', 'structlog'))"
        " for m in sys.modules) else 'light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(main.COMMANDS) <= set(done.stdout.split())
    assert done.stdout.endswith("light\n")


@pytest.mark.parametrize("word", main.COMMANDS)
def test_every_command_teaches(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its --help says how to call it and what that does, and shows examples."""
    with pytest.raises(SystemExit) as ended:
        main.main([word, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"usage: memtrace {word} ")
    assert "examples:" in told


def test_sort_keys_are_those_of_the_model() -> None:
    """They are written twice so that --help need not load the model."""
    from memtrace.model.selection import SORTS

    assert SORTS == top.SORTS


def test_nothing_is_watched_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on demand is off by default."""
    live = FakeLive()
    assert run(monkeypatch, live, "--json", "0.1", "2") == 0
    assert live.watched == []


def test_watch_begins_before_the_first_sample_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a choice of containers all of them are watched, from the start."""
    live = FakeLive()
    assert run(monkeypatch, live, "--json", "--watch", "dirtiers", "0.1", "1") == 0
    assert live.watched == [(frozenset({"dirtiers"}), None)]


def test_watch_follows_the_chosen_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With -c only the containers of that name are watched, once they are known."""
    live = FakeLive()
    arguments = ("--json", "--watch", "dirtiers", "-c", "postgres", "0.1", "1")
    assert run(monkeypatch, live, *arguments) == 0
    assert live.watched == [(frozenset({"dirtiers"}), frozenset({2}))]


def test_unknown_watches_are_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, and the names there are."""
    assert run(monkeypatch, FakeLive(), "--watch", "dirtiers,ghosts", "0.1", "1") == 2
    error = capsys.readouterr().err
    assert "'ghosts'" in error
    assert all(name in error for name in NAMES)


def test_slab_is_watched_from_the_first_line_whoever_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A census counts everybody: it need not know whom."""
    live = FakeLive()
    arguments = ("--json", "--watch", "slab", "-c", "postgres", "0.1", "1")
    assert run(monkeypatch, live, *arguments) == 0
    slab = frozenset({"slab"})
    assert live.watched == [(slab, frozenset()), (slab, frozenset({2}))]
