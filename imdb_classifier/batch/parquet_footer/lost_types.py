"""Columns whose type does not survive when pyarrow reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.parquet_footer.compact_protocol import List, Struct
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import BadDataError
from imdb_classifier.storage import readable

# Fields by their numbers, from
# https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
_SCHEMA: Final = 2
_TYPE: Final = 1
_TYPE_LENGTH: Final = 2
_CHILDREN: Final = 5
_CONVERTED_TYPE: Final = 6
_LOGICAL_TYPE: Final = 10
_MAP: Final = 2
_LIST: Final = 3
_DECIMAL: Final = 5
_FIXED_LENGTH_BYTES: Final = 7
_PLAIN_INTEGERS: Final = (17, 18)
"""Converted types INT_32 and INT_64: what integers without any are, too."""


@dataclass(frozen=True)
class _Kind:
    """The type of a leaf, or of a group that is more than a struct, a list or a map."""

    physical: tuple[int, int] | None
    converted: int | None
    logical: Struct | None

    def is_same(self, other: _Kind) -> bool:
        if self.logical is None or other.logical is None:
            # Old writers give converted types only.
            is_annotated_alike = self.converted == other.converted
        else:
            is_annotated_alike = self.logical == other.logical
        # A decimal may be an integer or bytes.
        is_decimal = self.logical is not None and self.logical.find(_DECIMAL) is not None
        return is_annotated_alike and (is_decimal or self.physical == other.physical)


def check_survival(footer: FileFooter) -> None:
    """Make sure that every column can be written as it was read.

    Args:
        footer: The footer of the file whose columns are to be rewritten.

    Raises:
        UnreadableFileError: The footer is damaged.
        BadDataError: A column would change its type.
    """
    empty = footer.schema.empty_table()
    with readable(footer.name):
        kinds = _columns(footer.tree())
        lost = [
            name
            for number, name in enumerate(empty.column_names)
            if not _survives(empty.select([number]), kinds[number])
        ]
    if lost:
        raise BadDataError(
            "Leaving rows out needs columns that can be rewritten without a change of their type.",
            f"{footer.name} has others: {', '.join(lost)}.",
            "Keep all rows with --on-null label, and filter them out afterwards.",
        )


def _survives(column: pa.Table, kinds: list[_Kind]) -> bool:
    """Whether a table of one column, without rows, is written as it was read."""
    sink = pa.BufferOutputStream()
    try:
        # Rows of some types cannot be selected.
        pa.nulls(1, column.schema.field(0).type).filter(pa.array([True]))
        pq.write_table(column, sink)
    except pa.ArrowException:
        return False
    (written,) = _columns(FileFooter.of(pa.BufferReader(sink.getvalue()), "the column").tree())
    return len(written) == len(kinds) and all(
        new.is_same(old) for new, old in zip(written, kinds, strict=True)
    )


def _columns(tree: Struct) -> list[list[_Kind]]:
    """The types in each column of a ``FileMetaData``."""
    found = tree.find(_SCHEMA)
    if found is None or not isinstance(found.value, List):
        raise ValueError("the footer has no schema")
    root, *elements = found.value.structs()
    rest = iter(elements)
    return [list(_kinds(next(rest), rest)) for _ in range(root.integer(_CHILDREN))]


def _kinds(element: Struct, rest: Iterator[Struct]) -> Iterator[_Kind]:
    is_leaf = element.find(_TYPE) is not None
    physical = element.integer(_TYPE)
    # Some writers give a length where it means nothing.
    length = element.integer(_TYPE_LENGTH) if physical == _FIXED_LENGTH_BYTES else 0
    converted, logical = element.find(_CONVERTED_TYPE), element.find(_LOGICAL_TYPE)
    kind = _Kind(
        (physical, length) if is_leaf else None,
        None if converted is None else element.integer(_CONVERTED_TYPE),
        logical.value if logical is not None and isinstance(logical.value, Struct) else None,
    )
    if kind.converted in _PLAIN_INTEGERS:
        kind = _Kind(kind.physical, None, None)
    if is_leaf or (kind.logical and not (kind.logical.find(_LIST) or kind.logical.find(_MAP))):
        yield kind
    for _ in range(element.integer(_CHILDREN)):
        yield from _kinds(next(rest), rest)
