"""A footer that describes some of its columns only."""

from __future__ import annotations

from collections.abc import Collection
from itertools import compress, takewhile
from typing import Final

from imdb_classifier.batch.parquet_footer.compact_protocol import (
    BINARY,
    I32,
    I64,
    List,
    Struct,
)
from imdb_classifier.batch.parquet_footer.file_metadata import (
    COLUMN_ORDERS,
    ELEMENT_CHILDREN,
    ELEMENT_TYPE,
    GROUP_BYTES,
    GROUP_CHUNKS,
    GROUP_COMPRESSED_BYTES,
    GROUP_SORTING,
    KEY,
    METADATA_BYTES,
    METADATA_COMPRESSED_BYTES,
    ROW_GROUPS,
    SCHEMA_ELEMENTS,
    VALUE,
    chunk_metadata,
    column_name,
    columns_of,
    key_values,
    list_of,
    structs,
)
from imdb_classifier.batch.parquet_footer.schema_keys import selected_value

_SORTED_COLUMN: Final = 1


def select_columns(tree: Struct, names: Collection[str]) -> None:
    """Leave all other columns out of a footer. Offsets stay as they are.

    Args:
        tree: The ``FileMetaData``; it is changed.
        names: Top-level columns. They stay in the order of the file.

    Raises:
        ValueError: The footer is damaged.
    """
    columns = columns_of(tree)
    kept = [column for column in columns if column_name(column) in names]
    is_kept = [
        column_name(column) in names
        for column in columns
        for element in column
        if element.find(ELEMENT_TYPE)
    ]
    elements = list_of(tree, SCHEMA_ELEMENTS)
    next(elements.structs()).set(ELEMENT_CHILDREN, I32, len(kept))
    elements.items[1:] = [element for column in kept for element in column]
    for group in structs(tree, ROW_GROUPS):
        _select(list_of(group, GROUP_CHUNKS), is_kept)
        chunks = [chunk_metadata(chunk) for chunk in structs(group, GROUP_CHUNKS)]
        for size, of_chunk in (
            (GROUP_BYTES, METADATA_BYTES),
            (GROUP_COMPRESSED_BYTES, METADATA_COMPRESSED_BYTES),
        ):
            if group.find(size):
                group.set(size, I64, sum(chunk.integer(of_chunk) for chunk in chunks))
        if group.find(GROUP_SORTING):
            _select_sorting(list_of(group, GROUP_SORTING), is_kept)
    if tree.find(COLUMN_ORDERS):
        _select(list_of(tree, COLUMN_ORDERS), is_kept)
    for entry in key_values(tree):
        key, value = entry.text(KEY), entry.text(VALUE)
        if key and value:
            entry.set(VALUE, BINARY, selected_value(key, value, names))


def _select(found: List, is_kept: list[bool]) -> None:
    if len(found.items) != len(is_kept):
        raise ValueError("a list of another length than the file has columns")
    found.items = list(compress(found.items, is_kept))


def _select_sorting(sorting: List, is_kept: list[bool]) -> None:
    """Rows are sorted by the second column only among those that are alike in the first."""
    kept = takewhile(lambda by: is_kept[by.integer(_SORTED_COLUMN)], sorting.structs())
    sorting.items = [*kept]
    for by in sorting.structs():
        number = by.integer(_SORTED_COLUMN)
        by.set(_SORTED_COLUMN, I32, sum(is_kept[:number]))
