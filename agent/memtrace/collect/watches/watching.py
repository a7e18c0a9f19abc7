"""Arms and disarms what may be watched, and puts what it tells into rows of files and drivers.

Without a request, and without a cgroup that thrashes, nothing is loaded, attached or done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from pathlib import Path

from memtrace.collect.cgroups import REMOVED, Node
from memtrace.collect.names import Names
from memtrace.collect.watches.functions import Driver, Functions
from memtrace.collect.watches.on_demand import Cgroups, Watch
from memtrace.collect.watches.stacks import StackWatch
from memtrace.collect.watches.thrashing import Thrashing
from memtrace.collect.watches.uses import User, UseWatch
from memtrace.host.identity import Resolver
from memtrace.kernel import wire
from memtrace.kernel.plan import STACKS, OnDemand
from memtrace.kernel.session import Session
from memtrace.samples import (
    CgroupSample,
    DriverRow,
    Feature,
    FileRow,
    FileUser,
    FileUses,
    Ledger,
    StackRow,
)

SHOWN_USERS = 10
"""Of each file's users: as many as a row carries."""

_UNASKED = OnDemand((), "not asked of this kernel")
EXACTNESS = {
    "touchers": "pages that were asked for or mapped; who pays is looked up where each read begins",
    "dirtiers": "exact, as the kernel accounts dirty pages",
    "refaults": "exact, as the kernel counts refaults",
}
"""What may be watched, and how closely it counts."""


class Watching:
    """Everything that may be watched. `page` is the bytes of a page.

    Besides what is asked for, refaults are followed of cgroups that thrash.
    """

    def __init__(
        self,
        session: Session,
        plans: Mapping[str, OnDemand],
        names: Names,
        resolver: Resolver,
        nodes: Mapping[int, Node],
        page: int,
        root: Path = Path("/"),
    ) -> None:
        self._names = names
        self._resolver = resolver
        self._nodes = nodes
        self._page = page
        self._watches = {
            name: UseWatch(session, name, plans.get(name, _UNASKED), exactness)
            for name, exactness in EXACTNESS.items()
        }
        stacks = StackWatch(session, plans.get(STACKS, _UNASKED))
        self._functions = Functions(stacks, root, names.comm, page)
        self._all: dict[str, Watch] = {**self._watches, STACKS: stacks}
        self._thrashing = Thrashing()
        self._asked: frozenset[str] = frozenset()
        self._cgroups: Cgroups = None
        self._whose: dict[str, Cgroups] = {}  # of what is wanted now
        self._turn = 0  # of what is watched, and whose
        self._filled: dict[int, tuple[Ledger, int]] = {}

    def watch(self, names: frozenset[str], cgroups: Cgroups) -> None:
        """Have these watched for these cgroups and all below. Names of other things do nothing."""
        self._asked, self._cgroups = names & self._all.keys(), cgroups
        self._follow()

    def gather(self) -> None:
        """Take what was counted. To be called right after the session's own `gather`."""
        for name in self._whose.keys() & self._watches.keys():
            self._watches[name].gather()
        if STACKS in self._whose:
            self._functions.gather()

    def note(self, made: Sequence[CgroupSample], now: float) -> None:
        """A sample's cgroups, at `now` (monotonic seconds): the next one may watch others."""
        self._thrashing.note(made, now)
        for watch in self._watches.values():
            watch.table.changed.clear()
        self._functions.changed.clear()
        self._follow()

    def attached(self) -> tuple[str, ...]:
        """The programs that are attached on demand now."""
        return tuple(name for watch in self._all.values() for name in watch.attached())

    def features(self) -> dict[str, Feature]:
        """What may be watched, by name: whether it is, and why not."""
        found = {name: watch.feature for name, watch in self._all.items()}
        return {**found, STACKS: self._functions.feature}

    def forget(self, cgroup: int) -> None:
        """The cgroup is released."""
        self._filled.pop(cgroup, None)
        self._functions.forget(cgroup)

    def stacks(self, cgroup: int) -> tuple[StackRow, ...] | None:
        """From which code a cgroup's pages came; None while nobody watches."""
        return self._functions.of(cgroup) if self._follows(STACKS, cgroup) else None

    # --- rows ---

    def fill(self, cgroup: int, ledger: Ledger) -> Ledger:
        """The ledger with uses of files and functions of drivers; itself when nothing is new."""
        known, turn = self._filled.get(cgroup, (None, 0))
        if known is None and not self._whose:
            return ledger
        if ledger is known and turn == self._turn and not self._changed(cgroup):
            return ledger
        files = tuple([self._with_uses(cgroup, row) for row in ledger.files])
        if any(new is not old for new, old in zip(files, ledger.files, strict=True)):
            ledger = replace(ledger, files=files)
        ledger = self._with_functions(cgroup, ledger)
        if self._whose:
            self._filled[cgroup] = ledger, self._turn
        else:
            self._filled.pop(cgroup, None)
        return ledger

    def news(self, cgroup: int) -> bool:
        """Whether the rows of a cgroup may have to be filled in anew."""
        known = self._filled.get(cgroup)
        if known is None:
            return bool(self._whose)
        return known[1] != self._turn or self._changed(cgroup)

    def _changed(self, cgroup: int) -> bool:
        if cgroup in self._functions.changed:
            return True
        return any(cgroup in watch.table.changed for watch in self._watches.values())

    def _with_functions(self, cgroup: int, ledger: Ledger) -> Ledger:
        known = self._functions.by_driver(cgroup)
        if not known:
            return ledger
        drivers = tuple([_with_function(row, known) for row in ledger.drivers])
        if any(new is not old for new, old in zip(drivers, ledger.drivers, strict=True)):
            return replace(ledger, drivers=drivers)
        return ledger

    def _with_uses(self, cgroup: int, row: FileRow) -> FileRow:
        uses = self._uses(cgroup, row)
        return row if row.uses == uses else row._replace(uses=uses)

    def _uses(self, cgroup: int, row: FileRow) -> FileUses | None:
        if row.file is None or not any(self._follows(name, cgroup) for name in self._whose):
            return None
        file = wire.FILE.pack(row.file.inode, row.file.device, row.file.generation)
        refaults = self._told("refaults", cgroup, file)
        touched, dirtied = (self._told(name, cgroup, file) for name in ("touchers", "dirtiers"))
        return FileUses(
            None if refaults is None else sum(refaults.values()) * self._page,
            self._users(_of(touched, cgroup, own=False)),
            self._users(dirtied),
            self._users(_of(touched, cgroup, own=True)),
        )

    def _told(self, name: str, cgroup: int, file: bytes) -> Mapping[User, int] | None:
        """Pages by user; None while it is not watched."""
        watch = self._watches[name]
        follows = watch.armed and self._follows(name, cgroup)
        return watch.table.users(cgroup, file) if follows else None

    def _users(self, told: Mapping[User, int] | None) -> tuple[FileUser, ...] | None:
        """Who, the largest first; None while it is not watched."""
        if told is None:
            return None
        kept = ((user, pages) for user, pages in told.items() if pages > 0)
        first = nlargest(SHOWN_USERS, kept, key=lambda item: item[1])
        return tuple(self._user(user, pages) for user, pages in first)

    def _user(self, user: User, pages: int) -> FileUser:
        node = self._nodes.get(user.cgroup)
        path, name, container = None, f"cgroup {user.cgroup}", None
        if node is not None and node.path:
            path = node.path
            identity = self._resolver.resolve(node.id, node.path, node.state == REMOVED)
            name, container = identity.name, identity.container
        pid = wire.PROCESS.unpack(user.process)[0]
        comm = self._names.comm(user.process)
        return FileUser(user.cgroup, path, name, container, pid, comm, pages * self._page)

    # --- whose ---

    def _follow(self) -> None:
        """Arm what is wanted, disarm what is not, and aim."""
        whose = self._wanted()
        if whose == self._whose:
            return
        for name, watch in self._all.items():
            if name not in whose:
                (self._functions if name == STACKS else watch).disarm()
            else:
                watch.arm()
                watch.aim(whose[name])
        self._whose = whose
        self._turn += 1

    def _wanted(self) -> dict[str, Cgroups]:
        """Whose cgroups for each thing that is wanted now; None: every one."""
        asked = self._with_below(self._cgroups) if self._asked else None
        whose: dict[str, Cgroups] = dict.fromkeys(self._asked, asked)
        thrash = self._thrashing.cgroups
        if thrash and whose.get("refaults", frozenset()) is not None:
            whose["refaults"] = (whose.get("refaults") or frozenset()) | thrash
        return whose

    def _with_below(self, cgroups: Cgroups) -> Cgroups:
        """The cgroups and every one below them."""
        if cgroups is None:
            return None
        found = set(cgroups)
        for node in sorted(self._nodes.values(), key=lambda node: len(node.path)):
            if node.parent in found:
                found.add(node.id)
        return frozenset(found)

    def _follows(self, name: str, cgroup: int) -> bool:
        whose = self._whose.get(name, frozenset())
        return whose is None or cgroup in whose


def _of(told: Mapping[User, int] | None, payer: int, own: bool) -> Mapping[User, int] | None:
    """Those of the cgroup that pays, or the others."""
    if told is None:
        return None
    return {user: pages for user, pages in told.items() if (user.cgroup == payer) is own}


def _with_function(row: DriverRow, known: Mapping[Driver, str]) -> DriverRow:
    if row.file is None:
        return row
    function = known.get((row.file, row.tgid, row.kind))
    return row if function == row.function else row._replace(function=function)
