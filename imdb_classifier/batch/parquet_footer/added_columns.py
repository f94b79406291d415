"""A footer with columns added to it, whose chunks follow the bytes of the old file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    read_struct,
    write_struct,
)
from imdb_classifier.batch.parquet_footer.file_footer import MAGIC, FileFooter
from imdb_classifier.batch.parquet_footer.schema_keys import extended_value
from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.storage import readable

MOST_GROUP_ROWS: Final = 1 << 26
"""Rows of a row group that pyarrow writes at the most."""

# Fields by their numbers, from
# https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
_SCHEMA: Final = 2
_ROW_GROUPS: Final = 4
_KEY_VALUES: Final = 5
_COLUMN_ORDERS: Final = 7
_ENCRYPTION: Final = 8
_ELEMENT_CHILDREN: Final = 5
_GROUP_CHUNKS: Final = 1
_GROUP_BYTES: Final = 2
_GROUP_ROWS: Final = 3
_GROUP_COMPRESSED_BYTES: Final = 6
_CHUNK_FILE: Final = 1
_CHUNK_METADATA: Final = 3
_CHUNK_PATH: Final = 3
_CHUNK_BYTES: Final = 6
_CHUNK_SIZES: Final = 16
_DECODED_BYTES: Final = 1
_CHUNK_OFFSETS: Final = (2,)
# A chunk's next field is the length of the index.
_OFFSET_INDEX: Final = 4
_COLUMN_INDEX: Final = 6
_PAGES: Final = 1
_PAGE_OFFSET: Final = 1
_METADATA_OFFSETS: Final = (9, 10, 11, 14)
_KEY: Final = 1
_VALUE: Final = 2


def extendable(footer: FileFooter) -> Struct:
    """A footer's ``FileMetaData``, if columns can be added to its file.

    Raises:
        UnreadableFileError: The footer is damaged, the file is encrypted, some of its columns lie
            in other files, or a row group is too large.
    """
    tree = footer.tree()
    with readable(footer.name):
        sizes = row_group_rows(tree)
        groups = list(_structs(tree, _ROW_GROUPS))
        elsewhere = any(
            chunk.find(_CHUNK_FILE) for group in groups for chunk in _structs(group, _GROUP_CHUNKS)
        )
    if tree.find(_ENCRYPTION):
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
    return [group.integer(_GROUP_ROWS) for group in _structs(tree, _ROW_GROUPS)]


def text_bytes(tree: Struct, path: Sequence[str]) -> int:
    """Bytes of text in a column, without encodings if the footer says so.

    Args:
        tree: A ``FileMetaData``.
        path: The column's name, or the names from a struct to its field.
    """
    names = List(BINARY, [name.encode() for name in path])
    total = 0
    for group in _structs(tree, _ROW_GROUPS):
        for chunk in _structs(group, _GROUP_CHUNKS):
            field = chunk.find(_CHUNK_METADATA)
            if field is None or not isinstance(metadata := field.value, Struct):
                continue
            found = metadata.find(_CHUNK_PATH)
            if found is not None and found.value == names:
                sizes = metadata.find(_CHUNK_SIZES)
                decoded = sizes.value if sizes is not None else None
                total += (
                    decoded.integer(_DECODED_BYTES) if isinstance(decoded, Struct) else 0
                ) or metadata.integer(_CHUNK_BYTES)
    return total


def add_columns(footer: Struct, added: Struct, fields: Sequence[pa.Field]) -> None:
    """Add the columns of one footer to another.

    Args:
        footer: The ``FileMetaData`` that is extended.
        added: That of a file with the new columns alone, in row groups of the same rows, once its
            offsets are those in the extended file.
        fields: The new columns.
    """
    elements = _list(footer, _SCHEMA)
    root = next(elements.structs())
    root.set(_ELEMENT_CHILDREN, I32, root.integer(_ELEMENT_CHILDREN) + len(fields))
    elements.items += _list(added, _SCHEMA).items[1:]
    groups = zip(_structs(footer, _ROW_GROUPS), _structs(added, _ROW_GROUPS), strict=True)
    for group, new_group in groups:
        _list(group, _GROUP_CHUNKS).items += _list(new_group, _GROUP_CHUNKS).items
        for size in (_GROUP_BYTES, _GROUP_COMPRESSED_BYTES):
            if group.find(size):
                group.set(size, I64, group.integer(size) + new_group.integer(size))
    # A file without orders makes no promise about the statistics of its columns, and orders for
    # some columns only are not allowed.
    if footer.find(_COLUMN_ORDERS):
        _list(footer, _COLUMN_ORDERS).items += _list(added, _COLUMN_ORDERS).items
    kept = []
    for entry in _key_values(footer):
        key, value = entry.text(_KEY), entry.text(_VALUE)
        extended = extended_value(key, value, fields) if key and value else value
        if extended is not None:
            entry.set(_VALUE, BINARY, extended)
        if extended is not None or value is None:
            kept.append(entry)
    footer.set(_KEY_VALUES, LIST, List(STRUCT, [*kept]))


def move_columns(content: bytes, footer: FileFooter, tree: Struct, to: int) -> bytes:
    """The data of a file with other offsets, to be written at another place.

    Args:
        content: The file.
        footer: Its footer.
        tree: The footer's ``FileMetaData``. Its offsets become those at the new place.
        to: Where its first chunk will stand, in bytes.

    Returns:
        Column chunks, then column indexes, then offset indexes.
    """
    by = to - len(MAGIC)
    chunks = [
        chunk for group in _structs(tree, _ROW_GROUPS) for chunk in _structs(group, _GROUP_CHUNKS)
    ]
    indexes = [chunk.integer(index) for chunk in chunks for index in (_COLUMN_INDEX, _OFFSET_INDEX)]
    end = min([footer.begins_at, *filter(None, indexes)])
    moved = bytearray(content[len(MAGIC) : end])
    for chunk in chunks:
        _move(chunk, _CHUNK_OFFSETS, by)
        if (metadata := chunk.find(_CHUNK_METADATA)) and isinstance(metadata.value, Struct):
            _move(metadata.value, _METADATA_OFFSETS, by)
    for index in (_COLUMN_INDEX, _OFFSET_INDEX):
        for chunk in chunks:
            if begin := chunk.integer(index):
                part = content[begin : begin + chunk.integer(index + 1)]
                if index == _OFFSET_INDEX:
                    pages = read_struct(part)
                    for page in _structs(pages, _PAGES):
                        _move(page, (_PAGE_OFFSET,), by)
                    part = write_struct(pages)
                chunk.set(index, I64, to + len(moved))
                chunk.set(index + 1, I32, len(part))
                moved += part
    return bytes(moved)


def set_key_value(footer: Struct, key: bytes, value: bytes) -> None:
    """Set an entry of the key-value metadata, in place of one with the same key."""
    entries = [entry for entry in _key_values(footer) if entry.text(_KEY) != key]
    entries.append(Struct([Field(_KEY, BINARY, key), Field(_VALUE, BINARY, value)]))
    footer.set(_KEY_VALUES, LIST, List(STRUCT, [*entries]))


def _move(struct: Struct, numbers: Sequence[int], by: int) -> None:
    for number in numbers:
        # Where there is nothing to point to, an offset is 0 or missing.
        if offset := struct.integer(number):
            struct.set(number, I64, offset + by)


def _key_values(footer: Struct) -> list[Struct]:
    return list(_structs(footer, _KEY_VALUES)) if footer.find(_KEY_VALUES) else []


def _structs(struct: Struct, number: int) -> Iterator[Struct]:
    return _list(struct, number).structs()


def _list(struct: Struct, number: int) -> List:
    found = struct.find(number)
    if found is None or not isinstance(found.value, List):
        raise ValueError(f"field {number} holds no list")
    return found.value
