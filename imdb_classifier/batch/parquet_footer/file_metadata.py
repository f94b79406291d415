"""A footer's ``FileMetaData`` as a Thrift tree: numbers of its fields, and ways to its parts.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from imdb_classifier.batch.parquet_footer.compact_protocol import List, Struct

SCHEMA_ELEMENTS: Final = 2
ROW_GROUPS: Final = 4
KEY_VALUES: Final = 5
COLUMN_ORDERS: Final = 7
ENCRYPTION: Final = 8

ELEMENT_TYPE: Final = 1
ELEMENT_NAME: Final = 4
ELEMENT_CHILDREN: Final = 5

GROUP_CHUNKS: Final = 1
GROUP_BYTES: Final = 2
GROUP_ROWS: Final = 3
GROUP_SORTING: Final = 4
GROUP_OFFSET: Final = 5
GROUP_COMPRESSED_BYTES: Final = 6

CHUNK_FILE: Final = 1
CHUNK_OFFSET: Final = 2
CHUNK_METADATA: Final = 3
CHUNK_OFFSET_INDEX: Final = 4
"""An index's offset; the next field is its length."""
CHUNK_COLUMN_INDEX: Final = 6

METADATA_TYPE: Final = 1
METADATA_PATH: Final = 3
METADATA_BYTES: Final = 6
METADATA_COMPRESSED_BYTES: Final = 7
METADATA_DATA_OFFSET: Final = 9
METADATA_INDEX_OFFSET: Final = 10
METADATA_DICTIONARY_OFFSET: Final = 11
METADATA_BLOOM_FILTER_OFFSET: Final = 14
"""The next field is its length."""
METADATA_SIZES: Final = 16

KEY: Final = 1
VALUE: Final = 2


def list_of(struct: Struct, number: int) -> List:
    """The list in a field.

    Raises:
        ValueError: The field holds none.
    """
    found = struct.find(number)
    if found is None or not isinstance(found.value, List):
        raise ValueError(f"field {number} holds no list")
    return found.value


def structs(struct: Struct, number: int) -> Iterator[Struct]:
    """The structs of the list in a field.

    Raises:
        ValueError: The field holds no list of structs.
    """
    return list_of(struct, number).structs()


def key_values(tree: Struct) -> list[Struct]:
    """The entries of the key-value metadata."""
    return list(structs(tree, KEY_VALUES)) if tree.find(KEY_VALUES) else []


def chunk_metadata(chunk: Struct) -> Struct:
    """The ``ColumnMetaData`` of a column chunk.

    Raises:
        ValueError: The chunk has none.
    """
    found = chunk.find(CHUNK_METADATA)
    if found is None or not isinstance(found.value, Struct):
        raise ValueError("a column chunk has no metadata")
    return found.value


def columns_of(tree: Struct) -> list[list[Struct]]:
    """The schema elements of each top-level column: its own, then those below it, depth first.

    Raises:
        ValueError: The schema is damaged.
    """
    root, *elements = structs(tree, SCHEMA_ELEMENTS)
    rest = iter(elements)
    return [_with_children(rest) for _ in range(root.integer(ELEMENT_CHILDREN))]


def column_name(column: Sequence[Struct]) -> str:
    """The name of a top-level column, of its schema elements."""
    return (column[0].text(ELEMENT_NAME) or b"").decode()


def _with_children(rest: Iterator[Struct]) -> list[Struct]:
    element = next(rest, None)
    if element is None:
        raise ValueError("the schema ends early")
    children = [_with_children(rest) for _ in range(element.integer(ELEMENT_CHILDREN))]
    return [element, *(below for child in children for below in child)]
