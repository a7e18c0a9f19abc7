"""One table of fields, in step with the shapes that carry them."""

from __future__ import annotations

from memtrace.model.fields import MEMORY, PAGE_CACHE, PLAIN
from memtrace.model.shapes import MemoryFigures, PageCache


def test_table_and_shapes_name_the_same_figures_in_the_same_order() -> None:
    """A figure cannot be added in one place only."""
    assert tuple(field.name for field in MEMORY) == MemoryFigures._fields
    names = tuple(field.name for field in PAGE_CACHE)
    assert names + tuple(field.delta_name for field in PAGE_CACHE) == PageCache._fields


def test_every_field_is_explained_and_fits_its_column() -> None:
    """Help and title are there, and titles are no wider than their columns."""
    for field in (*MEMORY, *PAGE_CACHE, *PLAIN):
        assert field.help
        assert len(field.title) <= max(field.width, 8)
