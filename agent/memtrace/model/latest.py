"""What was added to the caches since the previous sample, biggest first, like with like.

Many short-lived processes of one name doing one thing to one file are one addition.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from memtrace.model.shapes import Container, Driver
from memtrace.model.words import target


class Addition(NamedTuple):
    """One thing done to one cgroup's cache; `driver` is one of those who did it.

    `times`: how many ledger rows: processes or, where a file was made anew, files.
    """

    container: Container
    driver: Driver
    added_bytes: int
    times: int


def additions(rows: Iterable[Container]) -> list[Addition]:
    """Return all additions of the interval; none at the first sample."""
    found: dict[tuple[object, ...], Addition] = {}
    for container in rows:
        for driver in container.rows.drivers:
            if driver.added_delta_bytes:
                _note(found, container, driver, driver.added_delta_bytes)
    return sorted(found.values(), key=_amount, reverse=True)


def _note(
    found: dict[tuple[object, ...], Addition], container: Container, driver: Driver, amount: int
) -> None:
    row = driver.row
    key = (container.source.cgroup_id, row.kind, row.comm, target(row))
    same = found.get(key)
    if same is None:
        found[key] = Addition(container, driver, amount, 1)
    else:
        found[key] = same._replace(added_bytes=same.added_bytes + amount, times=same.times + 1)


def _amount(addition: Addition) -> int:
    return addition.added_bytes
