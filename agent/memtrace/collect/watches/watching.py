"""Arms and disarms what may be watched, and puts what it tells into the rows of files.

Off by default: without a request nothing is loaded, attached or done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from heapq import nlargest

from memtrace.collect.cgroups import REMOVED, Node
from memtrace.collect.names import Names
from memtrace.collect.watches.uses import User, UseWatch
from memtrace.collect.watches.watch import Cgroups, Watch
from memtrace.host.identity import Resolver
from memtrace.kernel import wire
from memtrace.kernel.errors import BpfError
from memtrace.kernel.plan import OnDemand
from memtrace.kernel.session import Session
from memtrace.samples import Feature, FileRow, FileUser, FileUses, Ledger

SHOWN_USERS = 10
"""Of each file's users: as many as a row carries."""


class Watching:
    """Everything that may be watched. `page` is the bytes of a page."""

    def __init__(
        self,
        session: Session,
        plans: Mapping[str, OnDemand],
        names: Names,
        resolver: Resolver,
        nodes: Mapping[int, Node],
        page: int,
    ) -> None:
        self._names = names
        self._resolver = resolver
        self._nodes = nodes
        self._page = page
        unasked = OnDemand((), "not asked of this kernel")
        self._dirtiers = UseWatch(session, "dirtiers", plans.get("dirtiers", unasked), "exact")
        self._watches: dict[str, Watch] = {watch.name: watch for watch in (self._dirtiers,)}
        self._wanted: frozenset[str] = frozenset()
        self._cgroups: Cgroups = None
        self._within: frozenset[int] = frozenset()
        self._refused: dict[str, str] = {}
        self._turn = 0  # of what is watched, and whose
        self._filled: dict[int, tuple[Ledger, int]] = {}

    def watch(self, names: frozenset[str], cgroups: Cgroups) -> None:
        """Have these watched for these cgroups, and nothing else. Raises BpfError."""
        if (names, cgroups) == (self._wanted, self._cgroups):
            return
        self._wanted, self._cgroups = names, cgroups
        self._turn += 1
        for name, watch in self._watches.items():
            if name not in names:
                watch.disarm()
            elif not watch.missing:
                self._arm(watch)
        self._aim()

    def begin(self) -> None:
        """A new sample: follow cgroups that came below watched ones."""
        if self._wanted and self._cgroups is not None:
            self._aim()

    def gather(self) -> None:
        """Take what was counted. To be called right after the session's own `gather`."""
        for name in self._wanted:
            self._watches[name].gather()

    def attached(self) -> tuple[str, ...]:
        """The programs that are attached on demand now."""
        return tuple(name for watch in self._watches.values() for name in watch.attached())

    def features(self) -> dict[str, Feature]:
        """What may be watched, by name: whether it is, and why not."""
        return {name: self._feature(watch) for name, watch in self._watches.items()}

    def fill(self, cgroup: int, ledger: Ledger) -> Ledger:
        """The ledger with its files' uses; itself when nothing is new."""
        known, turn = self._filled.get(cgroup, (None, 0))
        if not self._wanted and known is None:
            return ledger
        if ledger is known and turn == self._turn and cgroup not in self._changed():
            return ledger
        files = tuple([self._with_uses(cgroup, row) for row in ledger.files])
        if any(new is not old for new, old in zip(files, ledger.files, strict=True)):
            ledger = replace(ledger, files=files)
        if self._wanted:
            self._filled[cgroup] = ledger, self._turn
        else:
            del self._filled[cgroup]
        return ledger

    def news(self, cgroup: int) -> bool:
        """Whether the rows of a cgroup may have to be filled in anew."""
        known = self._filled.get(cgroup)
        if known is None:
            return bool(self._wanted)
        return known[1] != self._turn or cgroup in self._changed()

    def end(self) -> None:
        """After a sample: what was told is no news any more."""
        self._dirtiers.table.changed.clear()

    def forget(self, cgroup: int) -> None:
        """The cgroup is released."""
        self._filled.pop(cgroup, None)

    def _arm(self, watch: Watch) -> None:
        self._refused.pop(watch.name, None)
        try:
            watch.arm()
        except BpfError as error:
            self._refused[watch.name] = f"the kernel refused it: {error}"

    # --- whose ---

    def _aim(self) -> None:
        within = None if self._cgroups is None else self._with_below(self._cgroups)
        if within is not None and within != self._within:
            self._within = within
            self._turn += 1
        for name in self._wanted:
            self._watches[name].aim(within)

    def _with_below(self, cgroups: frozenset[int]) -> frozenset[int]:
        """The cgroups and every one below them."""
        found = set(cgroups)
        for node in sorted(self._nodes.values(), key=lambda node: len(node.path)):
            if node.parent in found:
                found.add(node.id)
        return frozenset(found)

    def _watches_cgroup(self, cgroup: int) -> bool:
        return self._cgroups is None or cgroup in self._within

    # --- telling ---

    def _feature(self, watch: Watch) -> Feature:
        lacking = watch.missing or self._refused.get(watch.name)
        if lacking:
            return Feature(False, lacking)
        if watch.attached():
            return Feature(True, watch.exactness)
        return Feature(False, f"off until asked for: --watch {watch.name}", on_demand=True)

    def _changed(self) -> set[int]:
        return self._dirtiers.table.changed

    def _with_uses(self, cgroup: int, row: FileRow) -> FileRow:
        uses = self._uses(cgroup, row)
        return row if row.uses == uses else row._replace(uses=uses)

    def _uses(self, cgroup: int, row: FileRow) -> FileUses | None:
        if row.file is None or not self._wanted or not self._watches_cgroup(cgroup):
            return None
        file = wire.FILE.pack(row.file.inode, row.file.device, row.file.generation)
        return FileUses(dirtied_by=self._users(self._dirtiers, cgroup, file))

    def _users(self, watch: UseWatch, cgroup: int, file: bytes) -> tuple[FileUser, ...] | None:
        """Who, the largest first; None while it is not watched."""
        if not watch.armed:
            return None
        users = watch.table.users(cgroup, file)
        first = nlargest(SHOWN_USERS, users.items(), key=lambda item: item[1])
        return tuple(self._user(user, pages) for user, pages in first)

    def _user(self, user: User, pages: int) -> FileUser:
        node = self._nodes.get(user.cgroup)
        path = node.path if node is not None else ""
        removed = node is not None and node.state == REMOVED
        identity = self._resolver.resolve(user.cgroup, path, removed) if path else None
        pid = wire.PROCESS.unpack(user.process)[0]
        comm = self._names.comm(user.process)
        name = identity.name if identity is not None else f"cgroup {user.cgroup}"
        container = identity.container if identity is not None else None
        return FileUser(user.cgroup, name, container, pid, comm, pages * self._page)
