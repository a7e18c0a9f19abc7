"""`memtrace top` on a terminal, around a source of samples made by hand."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
import time
from pathlib import Path

import pytest

from memtrace.commands import screen
from memtrace.commands.common import MissingFeatureError

ROOT = Path(__file__).parents[3]

# A source that samples, waits and fails as told, in place of the kernel.
PROGRAM = """
import os, select, sys, time
from contextlib import contextmanager
sys.path.insert(0, {root!r})
from memtrace.commands import main, top
from memtrace.commands.common import CommandError, MissingFeatureError
from tests.unit.views.screen.scenes import node

class Live:
    on_progress = None
    steps = 0
    wake = os.pipe()
    def sample(self):
        {sample}
        self.steps += 1
        return node(self.steps)
    def wait(self, seconds, also=None):
        return bool(select.select([also], [], [], seconds)[0])
    def request_baseline(self):
        self.on_progress(3, 99)
        time.sleep(0.5)
    def stop(self):
        raise AssertionError("the screen stops by its own pipe")

@contextmanager
def opened(root, engine, baseline):
    {opening}
    try:
        yield Live()
    finally:
        open({trace!r}, "w").write("closed")

run = top.run
top.run = lambda options: run(options, opened)
sys.exit(main.main(["top", *sys.argv[1:]]))
"""


class Terminal:
    """memtrace at a terminal of its own."""

    def __init__(
        self,
        tmp_path: Path,
        *arguments: str,
        sample: str = "pass",
        opening: str = "pass",
        program: str = PROGRAM,
    ) -> None:
        self._trace = tmp_path / "trace"
        code = textwrap.dedent(program).format(
            root=str(ROOT), trace=str(self._trace), sample=sample, opening=opening
        )
        environ = {**os.environ, "TERM": "xterm-256color"}
        self._fd, child = pty.openpty()
        termios.tcsetwinsize(child, (24, 80))
        self.before = termios.tcgetattr(child)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=child,
            stdout=child,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environ,
            preexec_fn=_take_terminal,
        )
        self._child = child
        os.set_blocking(self._fd, False)
        self.text = ""

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Read until the text was written."""
        end = time.monotonic() + seconds
        while text not in self.text:
            self._read()
            assert time.monotonic() < end, self.text
            time.sleep(0.02)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def end(self, seconds: float = 20) -> tuple[int, str]:
        """Wait for the end; return the exit code and what went to standard error."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self._read()
            time.sleep(0.02)
        self._read()
        assert termios.tcgetattr(self._child) == self.before
        os.close(self._child)
        errors = self.process.communicate(timeout=1)[1].decode()
        os.close(self._fd)
        return self.process.returncode, errors

    @property
    def closed(self) -> bool:
        """Whether the source was closed in order."""
        return self._trace.exists()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self._fd, 1 << 20).decode(errors="replace")


def _take_terminal() -> None:
    """Make standard input the controlling terminal, as a shell's is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


LEFT = "\x1b[?1049l"  # the terminal's own screen again


def test_q_ends_it(tmp_path: Path) -> None:
    """Exit 0, the source closed, the terminal as it was, nothing on standard error."""
    top = Terminal(tmp_path, "1")
    top.wait_for("CONTAINER")
    top.type("q")
    assert top.end() == (0, "")
    assert top.closed
    assert LEFT in top.text
    assert top.text.rstrip().endswith("l")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("times", [1, 2])
def test_signals_end_it(tmp_path: Path, number: signal.Signals, times: int) -> None:
    """As q does, also when sent twice."""
    top = Terminal(tmp_path, "30")
    top.wait_for("CONTAINER")
    for _ in range(times):
        top.process.send_signal(number)
    assert top.end() == (0, "")
    assert LEFT in top.text


def test_count_ends_it(tmp_path: Path) -> None:
    """After as many snapshots, the last one shown for an interval like the others."""
    started = time.monotonic()
    top = Terminal(tmp_path, "0.3", "3")
    assert top.end() == (0, "")
    assert time.monotonic() - started >= 0.9
    assert top.closed


def test_the_frame_is_there_before_the_kernel(tmp_path: Path) -> None:
    """Attaching and looking at what is cached take their time; the screen says so."""
    top = Terminal(tmp_path, "--baseline", opening="time.sleep(1)")
    top.wait_for("attaching to the kernel ...")
    assert "CONTAINER" not in top.text
    top.wait_for("file systems, 99 pages")
    top.wait_for("CONTAINER")
    top.type("q")
    assert top.end() == (0, "")


def test_slow_sampling_does_not_stop_the_keys(tmp_path: Path) -> None:
    """While a sample takes long, the cursor moves."""
    top = Terminal(tmp_path, "0.1", sample="time.sleep(3 if self.steps else 0)")
    top.wait_for("CONTAINER")
    top.type("?")
    top.wait_for("Which container's memory grows", 2)
    top.type("q")
    assert top.end()[0] == 0


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        ("raise CommandError('the kernel refused a read')", 1, "the kernel refused a read"),
        ("raise MissingFeatureError('this kernel lacks BTF')", 3, "this kernel lacks BTF"),
        ("1 / 0", 1, "failed: ZeroDivisionError: division by zero. Run again with -v"),
    ],
)
def test_errors_of_the_source_end_it_with_a_sentence(
    tmp_path: Path, failure: str, code: int, sentence: str
) -> None:
    """And with their exit code, after the terminal is restored."""
    top = Terminal(tmp_path, "0.2", sample=f"if self.steps: {failure}")
    found, errors = top.end()
    assert found == code
    assert errors.startswith(f"memtrace: {sentence}")
    assert errors.count("\n") == 1
    assert LEFT in top.text


def test_unknown_container_ends_it_with_close_names(tmp_path: Path) -> None:
    """Exit 4, as in plain rows."""
    code, errors = Terminal(tmp_path, "-c", "postgre").end()
    assert (code, errors) == (
        4,
        "memtrace: nothing matches container 'postgre'; did you mean postgres?\n",
    )


@pytest.mark.parametrize("arguments", [["--json", "1", "1"], ["--plain", "1", "1"], ["1", "1"]])
def test_the_screen_is_not_loaded_where_it_is_not_shown(
    tmp_path: Path, arguments: list[str]
) -> None:
    """Neither Textual nor Rich, for JSON, plain rows and pipes: they cost 25 MB."""
    code = textwrap.dedent(PROGRAM).format(
        root=str(ROOT), trace=str(tmp_path / "trace"), sample="pass", opening="pass"
    )
    code = code.replace("sys.exit(", "assert not (").replace(
        "from tests.unit.views.screen.scenes import node",
        "from tests.unit.model.builders import sample\nnode = lambda _step: sample()",
    )
    code += "assert not {'textual', 'rich', 'asyncio'} & set(sys.modules), 'loaded'\n"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(
    ("environ", "encoding", "colour", "unicode"),
    [
        ({"TERM": "xterm-256color"}, "UTF-8", True, True),
        ({"TERM": "screen"}, "utf-8", True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "UTF-8", False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, "UTF-8", True, True),
        ({"TERM": "vt100"}, "UTF-8", False, False),
        ({"TERM": "linux"}, "UTF-8", True, False),
        ({"TERM": "xterm"}, "ISO-8859-1", True, False),
    ],
)
def test_what_a_terminal_can_show(
    environ: dict[str, str], encoding: str, colour: bool, unicode: bool
) -> None:
    """Colours unless NO_COLOR or the terminal is against; letters that it has."""
    look = screen.look_of(environ, encoding)
    assert (look.colour, look.ellipsis == "…") == (colour, unicode)


def test_without_textual_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that somebody left out is no traceback."""
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(MissingFeatureError, match="use --plain"):
        screen.load()


def test_no_screen_without_a_terminal_that_can_move_its_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TERM=dumb, unknown or none at all: plain rows."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(screen, "in_foreground", lambda: True)
    assert screen.possible({"TERM": "vt100"})
    for term in ("dumb", "unknown", ""):
        assert not screen.possible({"TERM": term})
    assert not screen.possible({})
