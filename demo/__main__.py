"""The demo: stories of memory in throw-away cgroups, and what memtrace says of each.

`make demo`, or as root in the source tree: .venv/bin/python -m demo [--keep DIRECTORY].
Takes about a minute and 600 MB of disk, needs no network, leaves nothing behind, also on Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, NoReturn

from demo.keep import keep
from demo.place import Place, place
from demo.workloads import LAYER_BYTES, LAYERS, MIB
from memtrace.host.hierarchy import HostError
from memtrace.store.database import remove
from memtrace.store.errors import StoreError

PROGRAM = Path(sys.prefix) / "bin" / "memtrace"
WORKLOADS = Path(__file__).with_name("workloads.py")
SOURCE = Path(__file__).parents[1]
NEEDED_BYTES = 1 << 30
WATCHED = "5s"
_KILL_SECONDS = 60
_RECORD_SECONDS = 30
_AFTER_SECONDS = 2  # for what was killed to be seen gone
RECORDING = "demo.mtr"


class Story(NamedTuple):
    """`seen`: what people see; `limit` None: none."""

    name: str
    title: str
    seen: str
    limit: int | None = None
    layers: bool = False


STORIES = (
    Story(
        "mirror",
        "A registry mirror that 'leaks'",
        "Its memory climbs with every image it serves and never falls; its heap is tiny. It serves "
        "files with sendfile, without a memory limit.",
        layers=True,
    ),
    Story(
        "replica",
        "A database replica whose memory follows the size of the database",
        "It writes a copy of a database, and its log as thousands of small files.",
    ),
    Story(
        "reader",
        "A job that sits at its limit all day",
        "All of its limit is used and the alert fires, yet it is never killed. It reads 144 MiB of "
        "files again and again under a limit of 64 MiB.",
        64 * MIB,
        layers=True,
    ),
)
SERVICE = Story(
    "service",
    "A Go service that is killed at peaks",
    "It keeps 64 MiB alive under a limit of 112 MiB, with GOGC=100 and no GOMEMLIMIT.",
    112 * MIB,
)
HOG = Story(
    "hog",
    "A program that is killed for want of memory",
    "It keeps more and more memory of its own under a limit of 64 MiB. This kill is real.",
    64 * MIB,
)


def main() -> int:
    """Tell all stories. Ctrl-C is a clean end."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep a recording of it and reports as HTML there"
    )
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where (%(default)s)")
    options = parser.parse_args()
    if os.geteuid():
        return _refuse("the demo needs root: sudo make demo", 3)
    if shutil.disk_usage(options.disk).free < NEEDED_BYTES:
        return _refuse(f"{options.disk} has less than 1 GiB free; choose another with --disk", 1)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        with place(options.disk) as here:
            _tell(here, options.keep)
        took = time.monotonic() - started
        print(f"\nThat took {took:.0f} s, and nothing of it is left on this machine.")
    except KeyboardInterrupt:
        print("\nmemtrace demo: ended early; nothing is left behind")
    except (HostError, StoreError, OSError, subprocess.TimeoutExpired) as error:
        return _refuse(str(error), 1)
    return 0


def _tell(here: Place, kept: Path | None) -> None:
    print("memtrace demo: stories in throw-away cgroups; about a minute, Ctrl-C ends it")
    _say("preparing files, starting the programs and `memtrace oom watch`")
    whole = here.directory / "whole.mtr"
    state = ("--state-dir", here.directory / "state")
    oom = ("--oom-dir", here.directory / "oom")
    recorder = None
    if kept is not None:
        recorder = here.start_quietly(PROGRAM, "record", whole, "1", "--for", "10m", *state)
    here.start_quietly(PROGRAM, "oom", "watch", *oom, *state)
    service = _go_service(here)
    running = [_begin(here, story) for story in STORIES]
    for story, process in zip(STORIES, running, strict=True):
        _wait_ready(process, story)
    if service is not None:  # it will be killed soon
        _wait_ready(here.start(here.cgroup(SERVICE.name, SERVICE.limit), service), SERVICE)
    for story in STORIES if service is None else (SERVICE, *STORIES):
        _heading(story)
        _show("explain", f"/{here.top.name}/{story.name}", "--for", WATCHED, *state)
    _heading(HOG)
    _begin(here, HOG).wait(_KILL_SECONDS)
    record = _record(here, HOG)
    _show("oom", "show", record, *oom)
    if service is not None:
        _heading(SERVICE._replace(title="The Go service of the first story, since then"))
        _show("oom", "show", _record(here, SERVICE), *oom)
    if kept is not None and recorder is not None:
        time.sleep(_AFTER_SECONDS)
        recorder.terminate()
        recorder.wait(_RECORD_SECONDS)
        _keep(here, kept, whole)
        _show("report", kept / RECORDING, "-o", kept / "demo.html", *oom)
        _show("report", record, "-o", kept / "kill.html", *oom)


def _begin(here: Place, story: Story) -> subprocess.Popen[str]:
    """Start the program of a story in its cgroup."""
    directory = here.directory / story.name
    directory.mkdir()
    if story.layers:
        _write_layers(directory)
    cgroup = here.cgroup(story.name, story.limit)
    program = directory / story.name  # what the kernel calls the process
    program.symlink_to(Path(sys.executable).resolve())
    script = shutil.copy(WORKLOADS, directory / "workloads.py")
    # -I -S: neither this user's nor this machine's own modules are part of the story
    return here.start(cgroup, program, "-I", "-S", script, story.name, directory)


def _go_service(here: Place) -> Path | None:
    """Build the Go story's program; None, and a word of it, where that cannot be done."""
    own = sorted(map(str, SOURCE.glob("build/go/toolchains/*/go/bin/go")))
    go, built = shutil.which("go") or (own[-1] if own else None), here.directory / "service"
    cache = {"GOCACHE": str(here.directory / "cache"), "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    if go is not None:
        command = (go, "build", "-o", str(built), ".")
        where, setting = SOURCE / "demo" / "service", os.environ | cache
        done = subprocess.run(command, cwd=where, env=setting, capture_output=True, check=False)
        if done.returncode == 0:
            return built
    _say("the story of a Go service is left out: there is no Go that builds it")
    return None


def _write_layers(directory: Path) -> None:
    """Files that are on disk and not in the page cache, so that their reader pays for them."""
    for number in range(LAYERS):
        with (directory / f"layer-{number}").open("wb") as file:
            file.write(os.urandom(MIB) * (LAYER_BYTES // MIB))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _wait_ready(process: subprocess.Popen[str], story: Story) -> None:
    """Raises OSError when the program ends instead."""
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise OSError(f"the program of the story '{story.name}' ended: {process.stdout.read()}")


def _record(here: Place, story: Story) -> str:
    """Return the id of the kill in that story's cgroup. Raises OSError when there is none."""
    cgroup = f"/{here.top.name}/{story.name}"
    deadline = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < deadline:
        for path in (here.directory / "oom").glob("*.json"):
            if json.loads(path.read_bytes())["oom_cgroup"]["path"] == cgroup:
                return path.stem
        time.sleep(0.2)
    raise OSError("the kill was not recorded; 'memtrace doctor' says why that may be")


def _keep(here: Place, directory: Path, whole: Path) -> None:
    """Keep what was recorded of the stories, and nothing else of this machine but its name."""
    directory.mkdir(parents=True, exist_ok=True)
    target, top = directory / RECORDING, f"/{here.top.name}"
    remove(target)
    keep(whole, target, os.uname().nodename, lambda each: f"{each.path}/".startswith(f"{top}/"))


def _heading(story: Story) -> None:
    print(f"\n{'=' * 80}\n{story.title}\n")
    print(textwrap.fill(story.seen, 80))


def _show(*arguments: str | Path) -> None:
    """Run memtrace and let it print."""
    told = takewhile(lambda each: not each.startswith("--"), map(str, arguments))
    print(f"\n$ memtrace {' '.join(told)}\n", flush=True)
    subprocess.run([PROGRAM, *arguments], check=False, timeout=120)


def _say(text: str) -> None:
    print(f"... {text}", flush=True)


def _refuse(sentence: str, code: int) -> int:
    print(f"memtrace demo: {sentence}", file=sys.stderr)
    return code


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
