"""What a container's memory consists of, part by part, in the words of the table of fields."""

from __future__ import annotations

from typing import NamedTuple

from memtrace.model import fields, words
from memtrace.model.shapes import Container, PageCache
from memtrace.model.units import percent
from memtrace.views.screen import cells
from memtrace.views.screen.listing import FILL, Column
from memtrace.views.screen.table import figure, sized

# Which figure contains which: how deep each stands below usage.
_DEPTHS: dict[str, int] = {
    "usage_bytes": 0,
    "anon_bytes": 1,
    "file_bytes": 1,
    "clean_bytes": 2,
    "dirty_bytes": 2,
    "writeback_bytes": 2,
    "shmem_bytes": 2,
    "kernel_bytes": 1,
    "slab_bytes": 2,
    "kernel_stack_bytes": 2,
    "page_table_bytes": 2,
    "percpu_bytes": 2,
    "sock_bytes": 1,
    "unexplained_bytes": 1,
    "limit_bytes": 0,
    "working_set_bytes": 0,
    "rss_bytes": 1,
    "active_file_bytes": 1,
    "reclaimable_slab_bytes": 1,
    "reclaimable_bytes": 0,
    "reclaimable_file_bytes": 1,
    "swap_bytes": 0,
    "swap_limit_bytes": 0,
    "hugetlb_bytes": 0,
    "attributed_bytes": 0,
    "baseline_bytes": 1,
    "added_bytes": 1,
    "removed_bytes": 1,
    "unattributed_bytes": 0,
    "refaulted_bytes": 0,
}
_OF = {field.name: field for field in (*fields.MEMORY, *fields.WORKING_SET, *fields.PAGE_CACHE)}


class Part(NamedTuple):
    """One figure; `share` of usage only where it is a part of it."""

    field: fields.Field
    depth: int
    bytes: int | None
    change: int | None
    share: str
    meaning: str


def parts(container: Container) -> list[Part]:
    """Return all figures, each below the one it belongs to."""
    usage = container.memory.usage_bytes
    within = [name for name in _DEPTHS if name != "limit_bytes"]
    in_usage = within[: within.index("working_set_bytes")]
    return [
        Part(
            _OF[name],
            depth,
            figure(container, name),
            _change(container, name),
            percent(figure(container, name), usage) if name in in_usage else "",
            _meaning(container, name),
        )
        for name, depth in _DEPTHS.items()
    ]


def _change(container: Container, name: str) -> int | None:
    if name == "usage_bytes":
        return container.usage_delta_bytes
    if name == "file_bytes":
        return container.file_delta_bytes
    delta = _OF[name].delta_name
    return figure(container, delta) if delta in PageCache._fields else None


def _called(field: fields.Field) -> str:
    return field.name.removesuffix("_bytes").replace("_", " ")


def _meaning(container: Container, name: str) -> str:
    text = _OF[name].help
    by = container.memory.limit_cgroup
    if name == "working_set_bytes":
        return words.working_set(container.working_set) or text
    return f"{text}: {by}" if name == "limit_bytes" and by else text


COMPOSITION: tuple[Column[Part], ...] = (
    Column(
        fields.WHAT,
        lambda part, room: cells.left("  " * part.depth + _called(part.field), room),
        0,
        right=False,
        wider=((2, 18),),
    ),
    sized(fields.BYTES, 1, lambda part: part.bytes),
    Column(fields.SHARE, lambda part, room: cells.number(part.share, room), 3),
    sized(fields.CHANGE, 4, lambda part: part.change),
    Column(fields.MEANING, lambda part, room: cells.left(part.meaning, room), 2, None, False, FILL),
)
