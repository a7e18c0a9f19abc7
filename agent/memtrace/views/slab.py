"""A census of kernel memory as text or JSON lines, schema memtrace.slab/1 (docs/slab.schema.json).

Draws; chooses no containers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from memtrace.model.caches import meaning
from memtrace.model.selection import display_name
from memtrace.model.shapes import Container, SlabFigures, Snapshot
from memtrace.model.slab import of_nobody, shown
from memtrace.model.units import percent, size
from memtrace.samples import SlabRow
from memtrace.views.json import census_state, line_of
from memtrace.views.slab_json import slab_rows
from memtrace.views.text import columns, cut, pad, printable

SCHEMA = "memtrace.slab/1"
DEFAULT_WIDTH = 80
_LEAST_WIDTH = 60
_CACHE_WIDTH = 19
_NOBODY = "(nobody)"


class Page(NamedTuple):
    """What to draw: containers in order, how many were left out, caches of each, columns."""

    containers: Sequence[Container]
    left_out: int
    caches: int
    nobody: bool
    width: int = DEFAULT_WIDTH


def render_json(snapshot: Snapshot, containers: Sequence[Container], most: int | None) -> str:
    """Return a line for each container, the last for what nobody pays for."""
    lines = [_line(snapshot, container, container.slab, most) for container in containers]
    lines.append(_line(snapshot, None, of_nobody(snapshot.census.nobody), most))
    return "".join(f"{line_of(line)}\n" for line in lines)


def _line(
    snapshot: Snapshot, container: Container | None, slab: SlabFigures | None, most: int | None
) -> dict[str, Any]:
    rows, rest = ((), None) if slab is None else shown(slab, most or len(slab.rows))
    return {
        "schema": SCHEMA,
        "time": snapshot.time,
        "node": snapshot.node,
        "cgroup_mode": snapshot.cgroup_mode,
        **_identity(container),
        "slab_bytes": None if slab is None else slab.bytes,
        "slab_objects": None if slab is None else slab.objects,
        "reclaimable_bytes": None if slab is None else slab.reclaimable_bytes,
        "page_table_bytes": None if slab is None else slab.page_table_bytes,
        "other_page_bytes": None if slab is None else slab.other_page_bytes,
        "kernel_bytes": None if slab is None else slab.kernel_bytes,
        "unattributed_bytes": None if slab is None else slab.unattributed_bytes,
        "slab": None if slab is None else slab_rows(rows),
        "slab_other_bytes": rest,
        "slab_census": census_state(snapshot.census),
    }


def _identity(container: Container | None) -> dict[str, Any]:
    if container is None:
        names = ("cgroup_id", "parent_id", "cgroup", "kind", "namespace", "pod", "container")
        return {**dict.fromkeys(names), "name": _NOBODY, "leaf": None}
    source, identity = container.source, container.source.identity
    return {
        "cgroup_id": source.cgroup_id,
        "parent_id": source.parent_id,
        "cgroup": source.path,
        "kind": identity.kind,
        "namespace": identity.namespace,
        "pod": identity.pod,
        "container": identity.container,
        "name": identity.name,
        "leaf": container.leaf,
    }


def render_text(snapshot: Snapshot, page: Page) -> str:
    """Return a paragraph for each container, and what is to be known of the census."""
    width = max(page.width, _LEAST_WIDTH)
    lines: list[str] = []
    for container in page.containers:
        name = printable(display_name(container))
        lines += _paragraph(name, container.slab, snapshot.cgroup_mode, page, width)
    if page.left_out:
        lines += [f"{page.left_out} more containers: use -r ROWS to see them.", ""]
    if page.nobody:
        nobody = of_nobody(snapshot.census.nobody)
        lines += _paragraph(_NOBODY, nobody, snapshot.cgroup_mode, page, width)
    for line in _remarks(snapshot, page.nobody):
        lines += textwrap.wrap(line, width, subsequent_indent="  ")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _paragraph(
    name: str, slab: SlabFigures | None, mode: str, page: Page, width: int
) -> Iterator[str]:
    if slab is None:
        yield from (cut(f"{name}: came after the census", width), "")
        return
    title = f"{name}: {size(slab.bytes)} in {slab.objects} objects of {len(slab.rows)} caches"
    yield cut(title, width)
    rows, rest = shown(slab, page.caches)
    if rows:
        yield f"   BYTES   OBJECTS  {pad('CACHE', _CACHE_WIDTH)} FREED  WHAT IT HOLDS"
    yield from (_row(row, width) for row in rows)
    if len(rows) < len(slab.rows):
        yield f"{size(rest):>8}            in {len(slab.rows) - len(rows)} more caches"
    for line in _against(slab, mode):
        yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    yield ""


def _row(row: SlabRow, width: int) -> str:
    freed = "yes" if row.reclaimable else "no"
    cache = pad(cut(printable(row.cache), _CACHE_WIDTH), _CACHE_WIDTH)
    head = f"{size(row.bytes):>8} {row.objects:>9}  {cache} {freed:<5}  "
    return head + cut(meaning(row.cache), width - columns(head))


def _against(slab: SlabFigures, mode: str) -> Iterable[str]:
    """Set the sum against the kernel's figure."""
    share = percent(slab.reclaimable_bytes, slab.bytes)
    yield f"reclaimable: {size(slab.reclaimable_bytes)} ({share})"
    if slab.kernel_bytes is None:
        return
    rest = f"not attributed: {size(slab.unattributed_bytes)}"
    if mode == "v2":
        yield f"the kernel's figure for slab: {size(slab.kernel_bytes)}; {rest}"
        return
    tables = "" if slab.page_table_bytes is None else f"page tables {size(slab.page_table_bytes)}, "
    yield (
        f"the kernel's figure for all kernel memory: {size(slab.kernel_bytes)}; in it besides: "
        f"{tables}other pages (stacks, pipes, BPF maps, vmalloc) {size(slab.other_page_bytes)}; "
        f"{rest} (per-CPU data, charges in stock)"
    )


def _remarks(snapshot: Snapshot, nobody: bool) -> Iterable[str]:
    census = snapshot.census
    yield (
        f"The census took {census.cost_seconds or 0:.2f} s, at most "
        f"{1000 * (census.longest_seconds or 0):.1f} ms at a time. All slabs have "
        f"{size(census.slab_bytes)} of pages, free places in them included."
    )
    if census.lost_bytes:
        yield f"{size(census.lost_bytes)} belong to cgroups that came or went meanwhile."
    if census.odd_slabs:
        yield f"{census.odd_slabs} slabs changed while they were read and are left out."
    yield (
        "FREED yes: the kernel frees these under memory pressure. Objects of removed cgroups "
        "belong to their parents."
        + (f" {_NOBODY}: what no memory cgroup pays for." if nobody else "")
    )
    yield "Who has them allocated is seen while they are: memtrace top --watch slab."
