"""Compares an output with its input at the level of footers, chunk by chunk."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.parquet_footer.compact_protocol import List, Struct, read_struct

SCHEMA, ROWS, ROW_GROUPS, KEY_VALUES, COLUMN_ORDERS = 2, 3, 4, 5, 7
CHUNKS, BYTES, COMPRESSED_BYTES = 1, 2, 6
EXTENDED_KEYS = {
    b"ARROW:schema",
    b"huggingface",
    b"imdb_classifier",
    b"org.apache.spark.sql.parquet.row.metadata",
    b"pandas",
}
DROPPED_KEYS = {b"avro.schema", b"iceberg.schema", b"parquet.avro.schema"}


def split(path: Path) -> tuple[bytes, Struct]:
    """The bytes in front of a footer, and the footer."""
    content = path.read_bytes()
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:begin], read_struct(content[begin:-8])


def assert_appended(before: Path, after: Path, columns: int = 2) -> None:
    """The output is the input and some columns more, in every byte and every field."""
    (old_data, old), (new_data, new) = split(before), split(after)
    assert new_data[: len(old_data)] == old_data
    assert items(new, SCHEMA)[1:-columns] == items(old, SCHEMA)[1:]
    for group, new_group in zip(items(old, ROW_GROUPS), items(new, ROW_GROUPS), strict=True):
        chunks, new_chunks = items(group, CHUNKS), items(new_group, CHUNKS)
        assert new_chunks[:-columns] == chunks
        assert len(new_chunks) == len(chunks) + columns
        assert rest(new_group, CHUNKS, BYTES, COMPRESSED_BYTES) == rest(
            group, CHUNKS, BYTES, COMPRESSED_BYTES
        )
    if old.find(COLUMN_ORDERS):
        assert items(new, COLUMN_ORDERS)[:-columns] == items(old, COLUMN_ORDERS)
    changed = (SCHEMA, ROW_GROUPS, KEY_VALUES, COLUMN_ORDERS)
    assert rest(new, *changed) == rest(old, *changed)
    kept, new_kept = (
        [entry for entry in entries(footer) if entry[0] not in EXTENDED_KEYS | DROPPED_KEYS]
        for footer in (old, new)
    )
    assert new_kept == kept
    assert not {key for key, _ in entries(new)} & DROPPED_KEYS
    # What pyarrow makes of it.
    seen, new_seen = (pq.read_metadata(pa.OSFile(os.fsencode(path))) for path in (before, after))
    for number in range(seen.num_row_groups):
        for column in range(seen.num_columns):
            chunk = seen.row_group(number).column(column)
            assert new_seen.row_group(number).column(column).equals(chunk)
    assert new_seen.num_columns == seen.num_columns + columns


def items(struct: Struct, number: int) -> list[Struct]:
    found = struct.find(number)
    assert found is not None
    assert isinstance(found.value, List)
    return list(found.value.structs())


def rest(struct: Struct, *numbers: int) -> list[object]:
    return [field for field in struct.fields if field.number not in numbers]


def entries(footer: Struct) -> list[tuple[bytes | None, bytes | None]]:
    found = items(footer, KEY_VALUES) if footer.find(KEY_VALUES) else []
    return [(entry.text(1), entry.text(2)) for entry in found]
