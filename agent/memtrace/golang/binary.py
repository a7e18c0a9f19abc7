"""What a program file is: one answer per file, whatever is in it. Never raises at content.

The only door to the room for programs that are to be observed; symbolize.py is the one for
addresses. An answer holds no descriptor, so it can be kept for as long as the file is the same.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from memtrace.golang import gccontroller, heap_profile, probes
from memtrace.golang.buildinfo import BuildInfo, read_build_info
from memtrace.golang.elf import Elf
from memtrace.golang.gccontroller import Places
from memtrace.golang.heap_profile import ProfilePlaces
from memtrace.golang.pclntab import open_pclntab
from memtrace.golang.probes import ProbePoints
from memtrace.golang.refusal import Refusal, State, refusal_of

_OLDEST = 19  # the first Go whose runtime is known here
_PACKER, _PACKER_WITHIN = b"UPX!", 4096
_PAGE = 4096
_Part = TypeVar("_Part")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Identity(NamedTuple):
    """What tells one program file from another.

    Without the device: two overlay mounts of one lower file have two, and an uprobe belongs
    to the file below them.
    """

    inode: int
    size: int
    mtime_ns: int
    build_id: str | None


@dataclass(frozen=True, slots=True)
class GoBinary:
    """A file and what is known of it; what is not known is None.

    `reason` is a sentence, empty where the state is GO. `missing` says why a part of a Go
    program is None: "gc_controller", "gomaxprocs", "cycles", "probes", "heap_profile". Addresses
    are link-time ones, see `running_at`.
    """

    state: State
    reason: str = ""
    identity: Identity | None = None
    build: BuildInfo | None = None
    stripped: bool | None = None
    position_independent: bool | None = None  # False: it runs where it was linked to
    base: int = 0
    places: Places | None = None
    probes: ProbePoints | None = None
    profile: ProfilePlaces | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def running_at(self, address: int, mapped: int) -> int:
        """An address in a process whose lowest mapping of this file begins at `mapped`."""
        return address - self.base + mapped


def inspect_path(path: Path | str) -> GoBinary:
    """The same for a path, such as /proc/PID/exe; nothing stays open."""
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        refusal = refusal_of(error) if isinstance(error, OSError) else None
        return _refused(refusal or Refusal(State.UNREADABLE, "not a path"))
    try:
        return inspect(fd)
    finally:
        os.close(fd)


def inspect(fd: int) -> GoBinary:
    """Everything there is to know about the program behind a descriptor open for reading."""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return _refused(Refusal(State.UNREADABLE, "not a regular file"))
        identity = Identity(status.st_ino, status.st_size, status.st_mtime_ns, None)
        return _inspect_file(fd, identity)
    except OSError as error:
        return _refused(refusal_of(error))


def _inspect_file(fd: int, identity: Identity) -> GoBinary:
    """Of a regular file; what is refused half-way keeps what was known until then."""
    known = GoBinary(State.GO, identity=identity)
    try:
        elf = Elf(fd)
        known = replace(known, identity=identity._replace(build_id=elf.build_id))
        build = read_build_info(elf)
        if build is None:
            raise _no_build_information(elf)
        known = replace(
            known,
            build=build,
            stripped=".symtab" not in elf.sections,
            position_independent=elf.position_independent,
            base=_base(elf),
        )
        if build.minor is None or build.minor < _OLDEST:
            raise Refusal(State.VERSION_ONLY, f"{build.version} is not observed")
        return _with_runtime(known, elf, build.minor)
    except Refusal as refusal:
        return replace(known, state=refusal.state, reason=refusal.reason)


def _base(elf: Elf) -> int:
    """The address of the file's lowest mapping."""
    lowest = min((segment.address for segment in elf.segments), default=0)
    return lowest // _PAGE * _PAGE


def _with_runtime(known: GoBinary, elf: Elf, minor: int) -> GoBinary:
    """Add what is found in the runtime's code; what is not there is missing with a reason."""
    wanted = gccontroller.FUNCTIONS | probes.FUNCTIONS | heap_profile.FUNCTIONS
    functions = open_pclntab(elf).find(wanted)
    missing: dict[str, str] = {}

    def attempt(part: str, find: Callable[[], _Part]) -> _Part | None:
        try:
            return find()
        except Refusal as refusal:
            missing[part] = refusal.reason
            return None

    places = attempt("gc_controller", lambda: gccontroller.find_places(elf, functions))
    for name in ("gomaxprocs", "cycles"):
        if places and getattr(places, name) is None:
            missing[name] = f"{name} was not found in the runtime's code"
    return replace(
        known,
        places=places,
        probes=attempt("probes", lambda: probes.find_probe_points(elf, functions, minor)),
        profile=attempt("heap_profile", lambda: heap_profile.find_profile(elf, functions)),
        missing=missing,
    )


def _no_build_information(elf: Elf) -> Refusal:
    """A file that does not say it is Go: packed, or something else."""
    if _PACKER in elf.read(0, min(_PACKER_WITHIN, elf.size)):
        return Refusal(State.PACKED, "packed by UPX: not observed")
    return Refusal(State.NOT_GO, "no build information of Go")


def _refused(refusal: Refusal) -> GoBinary:
    return GoBinary(refusal.state, refusal.reason)
