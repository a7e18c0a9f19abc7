"""A `memtrace record` beside a test, ended on exit, when its recording is complete."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.kernel.harness.memtrace import PROGRAM

_SECONDS = 60.0


class Recorder:
    """Records a sample a second into `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> Recorder:
        self._process = subprocess.Popen(
            [PROGRAM, "record", self._file, "1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _SECONDS
        while not self._file.exists():
            assert self._process.poll() is None, "record ended at once"
            assert time.monotonic() < deadline, "record does not begin"
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(_SECONDS) == 0
