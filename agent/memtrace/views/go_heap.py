"""The functions that hold a Go heap, as lines below the row of their process."""

from __future__ import annotations

import textwrap

from memtrace.model.units import percent, size
from memtrace.samples import GoHeapFunctions
from memtrace.views.text import cut, printable

_INDENT = " " * 8
_AMOUNT = 7  # "999 MiB"
_SHARE = 4
_NAMELESS = "(functions without names)"
_OTHERS = "(all other functions)"


def heap_lines(heap: GoHeapFunctions | None, width: int) -> list[str]:
    """Return a line for each, and why some or all are missing; nothing when nobody asked."""
    if heap is None:
        return []
    lines = [cut(line, width) for line in _table(heap)]
    if heap.reason:
        said = f"heap by function: {printable(heap.reason)}"
        lines += textwrap.wrap(
            said, width, initial_indent=_INDENT, subsequent_indent=f"{_INDENT}  "
        )
    return lines


def _table(heap: GoHeapFunctions) -> list[str]:
    if heap.rows is None:
        return []
    amounts = [(row.bytes, row.function or _NAMELESS) for row in heap.rows]
    if heap.other_bytes:
        amounts.append((heap.other_bytes, _OTHERS))
    if not amounts:
        return [f"{_INDENT}heap by function: no allocation was sampled yet"]
    whole = sum(amount for amount, _ in amounts)
    return [
        f"{_INDENT}{size(amount):>{_AMOUNT}}  {percent(amount, whole):>{_SHARE}}  {printable(text)}"
        for amount, text in amounts
    ]
