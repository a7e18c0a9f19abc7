"""The known workloads of tests/workloads, compiled once per test run."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "workloads"
BIG_PAGES = 1009


class Workloads:
    """Paths of the compiled workloads by name: `workloads["write"]`."""

    def __init__(self, directory: Path) -> None:
        """Compile every workload into `directory`."""
        self._directory = directory
        for source in sorted(SOURCES.glob("*.c")):
            self._compile(source, directory / source.stem)
        self._compile(SOURCES / "big.c", directory / "big", "-static", f"-DBIG_PAGES={BIG_PAGES}")

    def __getitem__(self, name: str) -> Path:
        path = self._directory / name
        assert path.exists(), f"no workload named {name}"
        return path

    @staticmethod
    def _compile(source: Path, target: Path, *flags: str) -> None:
        if target.name == "big" and not flags:
            return
        command: list[str | Path] = [
            "gcc",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            *flags,
            "-o",
            target,
            source,
        ]
        subprocess.run(command, check=True)
