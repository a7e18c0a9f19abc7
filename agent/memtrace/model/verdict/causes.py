"""Who filled a cache and who uses it, in a claim's words, as far as it was seen. Judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from memtrace.model.shapes import Driver, File
from memtrace.model.units import size
from memtrace.model.verdict.case import MIB, Case
from memtrace.model.words import VERBS

MOST = 0.5
"""Of what was added: from there on one kind of I/O by one program is what filled the cache. Of the
largest file: who read less of it all only passed by."""
LITTLE = 0.01
"""Of the cache: files and causes of less are not named."""


_IDLE = (
    "put there before memtrace watched, and nobody was seen reading it since "
    "(what is mapped is read unseen)"
)


class _Cause(NamedTuple):
    """One program doing one kind of I/O, and how much it added."""

    comm: str | None
    kind: str
    bytes: int
    function: str | None

    def __str__(self) -> str:
        """Return who, how, and in which function."""
        how = VERBS.get(self.kind, self.kind)
        return (
            f"{self.comm or 'a process'} ({how}{f' in {self.function}' if self.function else ''})"
        )


def filled_by(case: Case) -> str:
    """Return ", ..." with who filled the cache and how; else who uses it, or that nobody was seen.

    What was there before memtrace watched has no cause in the ledger.
    """
    cause, whole, file = _cause(case), added(case), case.memory.file_bytes or 0
    if whole >= MOST * file:
        if cause is not None and cause.bytes >= MOST * whole:
            return f", most of it put there by {cause}"
        program = _program(case, whole)
        return f", most of it put there by {program}" if program else ""
    seen = [*_since(cause, file)]
    told = cause.comm if cause is not None and seen else None
    seen += [f"read meanwhile by {each}" for each in _readers_of_most(case) if each != told]
    if idle(case):
        seen.append(_IDLE)
    return "".join(f", {words}" for words in seen)


def idle(case: Case) -> bool:
    """Tell whether the cache was there before, and nobody was seen adding to it or using it.

    Pages that are mapped already are used without any event, so this is no proof of disuse.
    """
    uses = [file.row.uses for file in case.rows.files]
    seen = any(each is None or each.own is None or each.own or each.touched_by for each in uses)
    file = case.memory.file_bytes or 0
    return bool(uses) and not seen and added(case) < LITTLE * file


def added(case: Case) -> int:
    """Return what was added since memtrace watches, by anybody."""
    rows = case.rows
    return sum(driver.added_bytes for driver in rows.drivers) + rows.drivers_other_bytes


def _cause(case: Case) -> _Cause | None:
    """Return the largest one, with the function of its largest part."""
    amounts: Counter[tuple[str | None, str]] = Counter()
    for driver in case.rows.drivers:
        amounts[driver.row.comm, driver.row.kind] += driver.added_bytes
    if not amounts:
        return None
    (key, amount) = amounts.most_common(1)[0]
    first = next(each for each in case.rows.drivers if _is(each, *key))
    return _Cause(*key, amount, first.row.function)


def _program(case: Case, whole: int) -> str | None:
    """Return the program that added most, to so many files that no single cause shows it."""
    amounts: Counter[str] = Counter()
    for process in case.rows.processes:
        if process.row.comm:
            amounts[process.row.comm] += process.added_bytes
    comm, amount = next(iter(amounts.most_common(1)), ("", 0))
    return comm if amount and amount >= MOST * whole else None


def _is(driver: Driver, comm: str | None, kind: str) -> bool:
    return (driver.row.comm, driver.row.kind) == (comm, kind)


def _since(cause: _Cause | None, file: int) -> Iterator[str]:
    """Yield what the largest cause added, unless that is next to nothing."""
    if cause is not None and cause.bytes >= max(MIB, LITTLE * file):
        yield f"{size(cause.bytes)} of it put there by {cause} since memtrace watches"


def _readers_of_most(case: Case) -> Iterator[str]:
    """Yield the program that was seen reading most of it, whoever pays, if there is one."""
    files = case.rows.files
    amounts: Counter[str] = Counter()
    for file in files:
        amounts.update(_readers(file))
    comm, amount = next(iter(amounts.most_common(1)), ("", 0))
    largest = max((file.resident_bytes or 0 for file in files), default=0)
    if amount and amount >= MOST * largest:
        yield comm


def _readers(file: File) -> Counter[str]:
    found: Counter[str] = Counter()
    if file.row.uses is not None:
        for user in (*(file.row.uses.touched_by or ()), *(file.row.uses.own or ())):
            found[user.comm or f"process {user.pid}"] += user.bytes
    return found


def readers(file: File) -> str:
    """Return the payer's own processes that were seen reading it, by name; empty: none."""
    uses = file.row.uses
    names = dict.fromkeys(user.comm for user in (uses.own or ()) if user.comm) if uses else {}
    return f"read by {', '.join(list(names)[:2])}" if names else ""
