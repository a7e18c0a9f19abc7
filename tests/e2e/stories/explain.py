"""`memtrace explain --json` of one target, and the questions that stories ask of its answer."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.kernel.harness.memtrace import PROGRAM

ALARMS = ("warning", "critical")
GO_SETTINGS = ("GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG")
_START_SECONDS = 200
"""A busy machine takes long to look at what is cached already; an idle one a second."""


@dataclass(frozen=True)
class Answer:
    """What explain said; `said` is all of it."""

    said: dict[str, Any]

    @property
    def verdict(self) -> dict[str, Any]:
        """The first one."""
        verdict: dict[str, Any] = self.said["verdict"]
        return verdict

    @property
    def id(self) -> str:
        """Of the first verdict."""
        return str(self.verdict["id"])

    @property
    def others(self) -> list[str]:
        """The ids of what else applies; nothing of it is graver than the first."""
        return list(self.verdict["others"])

    @property
    def alarms(self) -> bool:
        """Whether it warns, or worse."""
        return self.verdict["severity"] in ALARMS

    @property
    def advice(self) -> list[dict[str, Any]]:
        """What it says to do."""
        return list(self.verdict["advice"])

    @property
    def text(self) -> str:
        """Claim and evidence as words."""
        lines = [self.verdict["claim"], *(each["text"] for each in self.verdict["evidence"])]
        return "\n".join(lines)

    def evidence(self, words: str) -> Any:
        """The value of the evidence with this text, else of the first that has it in its text."""
        rows = [each for each in self.verdict["evidence"] if words in each["text"]]
        assert rows, f"no evidence of '{words}' in {self.verdict['evidence']}"
        return ([each for each in rows if each["text"] == words] or rows)[0]["value"]

    def advised(self, setting: str) -> int:
        """The amount that its advice on a setting names: bytes, or a count."""
        values = [each["to"] for each in self.advice if each["setting"] == setting]
        found = [value for value in values if isinstance(value, int)]
        assert found, f"no amount for {setting} in {self.advice}"
        return found[0]

    @property
    def sets_go(self) -> bool:
        """Whether it says to set anything of Go's; to leave GOMEMLIMIT unset sets nothing."""
        return any(each["setting"] in GO_SETTINGS and each["to"] != "unset" for each in self.advice)


def explain(target: str, seconds: float, *more: str) -> Answer:
    """Let memtrace look at a target for so long; `more` arguments may name a recording."""
    command = [PROGRAM, "explain", target, "--for", f"{seconds:g}s", "--json", *more]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + _START_SECONDS, check=False
    )
    assert done.returncode == 0, f"explain exited with {done.returncode}: {done.stderr}"
    return Answer(json.loads(done.stdout))
