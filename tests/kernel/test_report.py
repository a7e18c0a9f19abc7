"""A report of a real recording: what the workload did is in it, by name and to the page."""

from __future__ import annotations

import subprocess
from pathlib import Path

from memtrace.collect.opening import open_live
from memtrace.model.units import size
from memtrace.store.writer import Writer
from tests.kernel.harness.files import PAGE
from tests.kernel.harness.memtrace import PROGRAM
from tests.kernel.harness.room import Rooms
from tests.unit.views.html.reading import check

FILES, PAGES = 3, 256


def test_a_report_tells_what_a_workload_wrote(rooms: Rooms, disk: Path) -> None:
    """Each file with what was added to it, and all of it as one kind of I/O."""
    room, path, out = rooms.open("reported"), disk / "r.mtr", disk / "r.html"
    writer = Writer(path, "boot")
    with open_live() as source:
        writer.append(source.sample())
        for number in range(FILES):
            room.run("write", room.path(f"file-{number}"), PAGES, PAGE)
            source.wait(0.3)
            writer.append(source.sample())
    writer.close()
    command = [PROGRAM, "report", path, room.cgroup.path, "-o", out]
    subprocess.run(command, check=True, timeout=60)
    text = check(out.read_text()).text
    for number in range(FILES):
        assert room.path(f"file-{number}").name in text
    assert f"{size(PAGES * PAGE)}added: {size(PAGES * PAGE)}writewrite" in text
    assert f"{size(FILES * PAGES * PAGE)}write: {size(FILES * PAGES * PAGE)}write" in text
