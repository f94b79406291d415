"""Columns as pyarrow reads and writes them without a change, whatever their types mean.

A type in Parquet is a physical type, such as an integer or bytes, and an annotation that says what
it means, such as a date or a variant. Where pyarrow would write another type than it has read, the
annotation is left out of the footer that it reads the file by, and stands in the footer of the file
that is written. INT96 becomes 12 bytes in the meantime.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.parquet_footer.added_columns import extend_key_values
from imdb_classifier.batch.parquet_footer.compact_protocol import I32, LIST, STRUCT, List, Struct
from imdb_classifier.batch.parquet_footer.file_footer import MAGIC, FileFooter, end_of_file
from imdb_classifier.batch.parquet_footer.file_metadata import (
    CHUNK_COLUMN_INDEX,
    ELEMENT_CHILDREN,
    ELEMENT_TYPE,
    GROUP_BYTES,
    GROUP_CHUNKS,
    KEY_VALUES,
    METADATA_PATH,
    METADATA_TYPE,
    ROW_GROUPS,
    SCHEMA_ELEMENTS,
    chunk_metadata,
    column_name,
    columns_of,
    key_values,
    list_of,
    structs,
)
from imdb_classifier.batch.parquet_footer.selected_columns import select_columns
from imdb_classifier.errors import BadDataError
from imdb_classifier.storage import readable

_LENGTH: Final = 2
_REPETITION: Final = 3
_CONVERTED: Final = 6
_LOGICAL: Final = 10
_ANNOTATION: Final = (_CONVERTED, 7, 8, _LOGICAL)
"""With scale and precision."""
_METADATA_STATISTICS: Final = 12

_INT96: Final = 3
_INT96_BYTES: Final = 12
_FIXED_LENGTH_BYTES: Final = 7
_NESTED: Final = (1, 2, 3)
"""Converted types MAP, MAP_KEY_VALUE and LIST."""
_PLAIN_INTEGERS: Final = (17, 18)
"""Converted types INT_32 and INT_64: what integers without any are, too."""


@dataclass(frozen=True)
class PlainColumns:
    """How columns of a file are read to be written again.

    Attributes:
        metadata: The file's metadata, to read it by.
        schema: The columns to be written, as pyarrow reads them.
    """

    metadata: pq.FileMetaData
    schema: pa.Schema
    _tree: Struct
    _is_plain: Sequence[bool]

    @classmethod
    def of(cls, footer: FileFooter, names: Collection[str] | None) -> Self:
        """Return how the columns of a file are read.

        Args:
            footer: The file's footer.
            names: The columns to be written; None for all.

        Raises:
            UnreadableFileError: The footer is damaged.
            BadDataError: A column cannot be written as it is.
        """
        with readable(footer.name):
            tree, plain = footer.tree(), footer.tree()
            if names is not None:
                select_columns(tree, names)
            # They name other types for the columns.
            plain.remove(KEY_VALUES)
            columns = [
                column
                for column in columns_of(plain)
                if names is None or column_name(column) in names
            ]
            is_plain = [
                is_lost
                for column, field in zip(columns, _read(plain, names)[1], strict=True)
                for is_lost in _strip(column, field)
            ]
            _widen_int96(plain)
            metadata, schema = _read(plain, names)
            lost = [
                field.name
                for column, field in zip(columns, schema, strict=True)
                if _shape(_written(field)) != _shape(column)
            ]
        if lost:
            raise BadDataError(
                "Leaving rows out needs columns that can be rewritten as they are.",
                f"{footer.name} has others: {', '.join(lost)}.",
                "Keep all rows with `on_null=label`, or leave such columns out with `columns`.",
            )
        return cls(metadata, schema, tree, is_plain)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the columns in the file, uncompressed."""
        return sum(group.integer(GROUP_BYTES) for group in structs(self._tree, ROW_GROUPS))

    def restore(self, written: Struct, fields: Sequence[pa.Field]) -> None:
        """Give the columns of a written file the types of those that were read.

        Args:
            written: The ``FileMetaData`` of the written file: the columns, then the new ones.
            fields: The new columns.
        """
        old, new = list_of(self._tree, SCHEMA_ELEMENTS), list_of(written, SCHEMA_ELEMENTS)
        next(new.structs()).set(ELEMENT_CHILDREN, I32, len(self.schema) + len(fields))
        new.items[1 : -len(fields)] = old.items[1:]
        for group in structs(written, ROW_GROUPS):
            # Whatever has been written comes from a row group.
            before = structs(next(structs(self._tree, ROW_GROUPS)), GROUP_CHUNKS)
            chunks = islice(structs(group, GROUP_CHUNKS), len(self._is_plain))
            for chunk, old_chunk, is_plain in zip(chunks, before, self._is_plain, strict=True):
                metadata, old_metadata = chunk_metadata(chunk), chunk_metadata(old_chunk)
                for number in (METADATA_TYPE, METADATA_PATH):
                    if (field := old_metadata.find(number)) is not None:
                        metadata.set(number, field.type, field.value)
                if is_plain:
                    # Their order was that of the plain values.
                    metadata.remove(_METADATA_STATISTICS)
                    chunk.remove(CHUNK_COLUMN_INDEX)
                    chunk.remove(CHUNK_COLUMN_INDEX + 1)
        written.set(KEY_VALUES, LIST, List(STRUCT, [*key_values(self._tree)]))
        extend_key_values(written, fields)


def _read(tree: Struct, names: Collection[str] | None) -> tuple[pq.FileMetaData, pa.Schema]:
    """Return what pyarrow makes of a ``FileMetaData``: all of it, and the chosen columns."""
    file = pq.ParquetFile(pa.BufferReader(MAGIC + end_of_file(tree)))
    fields = [field for field in file.schema_arrow if names is None or field.name in names]
    return file.metadata, pa.schema(fields)


def _strip(column: Sequence[Struct], field: pa.Field) -> list[bool]:
    """Leave out the annotations that pyarrow would not write again.

    Returns:
        For each leaf of the column, whether its annotation was left out.
    """
    for element in column:
        if not (_is_leaf(element) or element.integer(_CONVERTED) in _NESTED):
            _leave_out_annotation(element)
    leaves, written = (
        [element for element in elements if _is_leaf(element)]
        for elements in (column, _written(field))
    )
    if len(written) != len(leaves):
        written = [Struct()] * len(leaves)
    lost = [not _is_alike(leaf, new) for leaf, new in zip(leaves, written, strict=True)]
    for leaf in compress(leaves, lost):
        _leave_out_annotation(leaf)
    return lost


def _leave_out_annotation(element: Struct) -> None:
    for number in _ANNOTATION:
        element.remove(number)


def _widen_int96(tree: Struct) -> None:
    """Make 12 bytes of each INT96, which are stored in the same way."""
    for element in structs(tree, SCHEMA_ELEMENTS):
        if _physical(element)[0] == _INT96:
            element.set(ELEMENT_TYPE, I32, _FIXED_LENGTH_BYTES)
            element.set(_LENGTH, I32, _INT96_BYTES)
    for group in structs(tree, ROW_GROUPS):
        for metadata in map(chunk_metadata, structs(group, GROUP_CHUNKS)):
            if metadata.integer(METADATA_TYPE) == _INT96:
                metadata.set(METADATA_TYPE, I32, _FIXED_LENGTH_BYTES)


def _written(field: pa.Field) -> list[Struct]:
    """Return the schema elements that pyarrow writes for a column; none if it cannot."""
    sink = pa.BufferOutputStream()
    try:
        # Rows of some types cannot be selected.
        pa.nulls(1, field.type).filter(pa.array([True]))
        pq.write_table(pa.schema([field]).empty_table(), sink, store_schema=False)
    except pa.ArrowException:
        return []
    return columns_of(FileFooter.of(pa.BufferReader(sink.getvalue()), "the column").tree())[0]


def _is_leaf(element: Struct) -> bool:
    return element.find(ELEMENT_TYPE) is not None


def _physical(element: Struct) -> tuple[int | None, int]:
    if not _is_leaf(element):
        return None, 0
    kind = element.integer(ELEMENT_TYPE)
    # Some writers give a length where it means nothing.
    return kind, element.integer(_LENGTH) if kind == _FIXED_LENGTH_BYTES else 0


def _is_alike(old: Struct, new: Struct) -> bool:
    """Whether two leaves are of one type."""
    number = _LOGICAL if old.find(_LOGICAL) else _CONVERTED
    annotation = old.find(number)
    if old.integer(_CONVERTED) in _PLAIN_INTEGERS:
        annotation = None
    return _physical(old) == _physical(new) and annotation == new.find(number)


def _shape(column: Sequence[Struct]) -> list[tuple[object, ...]]:
    return [
        (_physical(element), element.integer(_REPETITION), element.integer(ELEMENT_CHILDREN))
        for element in column
    ]
