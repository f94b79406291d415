"""A footer with columns added to it, whose chunks follow the bytes of the old file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from imdb_classifier.batch.parquet_footer.compact_protocol import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Field,
    List,
    Struct,
)
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.parquet_footer.file_metadata import (
    CHUNK_FILE,
    CHUNK_METADATA,
    COLUMN_ORDERS,
    ELEMENT_CHILDREN,
    ENCRYPTION,
    GROUP_BYTES,
    GROUP_CHUNKS,
    GROUP_COMPRESSED_BYTES,
    GROUP_ROWS,
    KEY,
    KEY_VALUES,
    METADATA_BYTES,
    METADATA_PATH,
    METADATA_SIZES,
    ROW_GROUPS,
    SCHEMA_ELEMENTS,
    VALUE,
    key_values,
    list_of,
    structs,
)
from imdb_classifier.batch.parquet_footer.schema_keys import extended_value
from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.storage import readable

MOST_GROUP_ROWS: Final = 1 << 26
"""Rows of a row group that pyarrow writes at the most."""

_DECODED_BYTES: Final = 1


def extendable(footer: FileFooter) -> Struct:
    """A footer's ``FileMetaData``, if columns can be added to its file.

    Raises:
        UnreadableFileError: The footer is damaged, the file is encrypted, some of its columns lie
            in other files, or a row group is too large.
    """
    tree = footer.tree()
    with readable(footer.name):
        sizes = row_group_rows(tree)
        groups = list(structs(tree, ROW_GROUPS))
        elsewhere = any(
            chunk.find(CHUNK_FILE) for group in groups for chunk in structs(group, GROUP_CHUNKS)
        )
    if tree.find(ENCRYPTION):
        raise UnreadableFileError(footer.name, "it is encrypted")
    if elsewhere:
        raise UnreadableFileError(footer.name, "some of its columns lie in other files")
    if sum(sizes) != footer.metadata.num_rows:
        reason = (
            f"its footer says {footer.metadata.num_rows:,} rows, its row groups hold {sum(sizes):,}"
        )
        raise UnreadableFileError(footer.name, reason)
    if max(sizes, default=0) > MOST_GROUP_ROWS:
        reason = f"a row group has {max(sizes):,} rows, and the limit is {MOST_GROUP_ROWS:,}"
        raise UnreadableFileError(footer.name, reason)
    return tree


def row_group_rows(tree: Struct) -> list[int]:
    """Rows of each row group in a ``FileMetaData``."""
    return [group.integer(GROUP_ROWS) for group in structs(tree, ROW_GROUPS)]


def text_bytes(tree: Struct, path: Sequence[str]) -> int:
    """Bytes of text in a column, without encodings if the footer says so.

    Args:
        tree: A ``FileMetaData``.
        path: The column's name, or the names from a struct to its field.
    """
    names = List(BINARY, [name.encode() for name in path])
    total = 0
    for group in structs(tree, ROW_GROUPS):
        for chunk in structs(group, GROUP_CHUNKS):
            field = chunk.find(CHUNK_METADATA)
            if field is None or not isinstance(metadata := field.value, Struct):
                continue
            found = metadata.find(METADATA_PATH)
            if found is not None and found.value == names:
                sizes = metadata.find(METADATA_SIZES)
                decoded = sizes.value if sizes is not None else None
                total += (
                    decoded.integer(_DECODED_BYTES) if isinstance(decoded, Struct) else 0
                ) or metadata.integer(METADATA_BYTES)
    return total


def add_columns(footer: Struct, added: Struct, fields: Sequence[pa.Field]) -> None:
    """Add the columns of one footer to another.

    Args:
        footer: The ``FileMetaData`` that is extended.
        added: That of a file with the new columns alone, in row groups of the same rows, once its
            offsets are those in the extended file.
        fields: The new columns.
    """
    elements = list_of(footer, SCHEMA_ELEMENTS)
    root = next(elements.structs())
    root.set(ELEMENT_CHILDREN, I32, root.integer(ELEMENT_CHILDREN) + len(fields))
    elements.items += list_of(added, SCHEMA_ELEMENTS).items[1:]
    groups = zip(structs(footer, ROW_GROUPS), structs(added, ROW_GROUPS), strict=True)
    for group, new_group in groups:
        list_of(group, GROUP_CHUNKS).items += list_of(new_group, GROUP_CHUNKS).items
        for size in (GROUP_BYTES, GROUP_COMPRESSED_BYTES):
            if group.find(size):
                group.set(size, I64, group.integer(size) + new_group.integer(size))
    # A file without orders makes no promise about the statistics of its columns, and orders for
    # some columns only are not allowed.
    if footer.find(COLUMN_ORDERS):
        list_of(footer, COLUMN_ORDERS).items += list_of(added, COLUMN_ORDERS).items
    extend_key_values(footer, fields)


def extend_key_values(footer: Struct, fields: Sequence[pa.Field]) -> None:
    """Add columns to the entries of the key-value metadata that describe columns.

    Args:
        footer: The ``FileMetaData`` that is extended.
        fields: The new columns.
    """
    kept = []
    for entry in key_values(footer):
        key, value = entry.text(KEY), entry.text(VALUE)
        extended = extended_value(key, value, fields) if key and value else value
        if extended is not None:
            entry.set(VALUE, BINARY, extended)
        if extended is not None or value is None:
            kept.append(entry)
    footer.set(KEY_VALUES, LIST, List(STRUCT, [*kept]))


def set_key_value(footer: Struct, key: bytes, value: bytes) -> None:
    """Set an entry of the key-value metadata, in place of one with the same key."""
    entries = [entry for entry in key_values(footer) if entry.text(KEY) != key]
    entries.append(Struct([Field(KEY, BINARY, key), Field(VALUE, BINARY, value)]))
    footer.set(KEY_VALUES, LIST, List(STRUCT, [*entries]))
