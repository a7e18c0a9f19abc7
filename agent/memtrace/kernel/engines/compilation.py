"""The child process that compiles with BCC: how it is asked, waited for and believed.

From a request to bytecode by function. What to compile is bcc.py's knowledge.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from memtrace.kernel.engines import PACKAGE, SYSTEM_PYTHON
from memtrace.kernel.engines.bcc_child import WITHOUT_BCC
from memtrace.kernel.errors import EngineError

CHILD = Path(__file__).with_name("bcc_child.py")
CHILD_SECONDS = 240.0  # it needs about 0.5; minutes with headers in a busy emulated machine
ANSWER_BYTES = 8 << 20


class Compilation:
    """One request, at which the child works from here on. Raises EngineError when none starts.

    A child that nobody asks for its bytecode ends by itself and leaves nothing.
    """

    def __init__(self, request: Mapping[str, object], python: str = SYSTEM_PYTHON) -> None:
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 -- read once the child has ended
        self._due = time.monotonic() + CHILD_SECONDS
        try:
            with tempfile.TemporaryFile() as asked:
                asked.write(json.dumps(request).encode())
                asked.seek(0)
                self._child = subprocess.Popen(
                    [python, "-I", str(CHILD)],
                    stdin=asked,
                    stdout=self._answer,
                    stderr=subprocess.STDOUT,
                    env={"PATH": os.defpath},
                )
            resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (ANSWER_BYTES, ANSWER_BYTES))
        except OSError as error:
            raise EngineError(f"BCC's compiler cannot be started: {error}") from error

    def bytecode(self) -> dict[str, bytes]:
        """By function, once the child has ended. Raises EngineError when it does not answer so."""
        status = self._ended()
        with self._answer:
            self._answer.seek(0)
            text = self._answer.read().decode(errors="replace").strip()
        if status < 0:
            raise EngineError(f"BCC's compiler was killed by signal {-status}", text)
        if status == WITHOUT_BCC:
            raise EngineError(f"the bcc engine needs {PACKAGE}: {_reason(text)}", text)
        if status:
            raise EngineError(f"BCC cannot compile memtrace's programs: {_reason(text)}", text)
        return decoded(text.rpartition("\n")[2])

    def _ended(self) -> int:
        """The child's exit code; what does not end in time is killed."""
        ending = os.pidfd_open(self._child.pid)  # Popen.wait would look every 50 ms only
        waiting = select.poll()
        waiting.register(ending, select.POLLIN)
        ended = waiting.poll(max(0.0, self._due - time.monotonic()) * 1000)
        os.close(ending)
        if not ended:
            self._child.kill()
        status = self._child.wait()
        if not ended:
            raise EngineError(f"BCC's compiler did not end within {CHILD_SECONDS:g} seconds")
        return status


def decoded(answer: str) -> dict[str, bytes]:
    """The child's last line. Raises EngineError when it is no bytecode by function."""
    try:
        found = {str(name): bytes.fromhex(code) for name, code in json.loads(answer).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EngineError("BCC's compiler gave an answer that makes no sense") from error
    if not found or any(len(code) % 8 or not code for code in found.values()):
        raise EngineError("BCC's compiler gave an answer that makes no sense")
    return found


def _reason(text: str) -> str:
    """The first error among clang's words, or else the last line."""
    lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
    return next((line for line in lines if "error:" in line), lines[-1])
