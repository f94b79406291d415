"""Compares an output with its input at the level of footers, chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Collection
from itertools import compress
from pathlib import Path
from struct import pack

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.batch.parquet_footer.compact_protocol import List, Struct, read_struct
from imdb_classifier.batch.parquet_footer.file_metadata import (
    CHUNK_COLUMN_INDEX,
    CHUNK_OFFSET_INDEX,
    ELEMENT_TYPE,
    METADATA_BYTES,
    METADATA_COMPRESSED_BYTES,
    chunk_metadata,
    column_name,
    columns_of,
)

SCHEMA, ROWS, ROW_GROUPS, KEY_VALUES, COLUMN_ORDERS = 2, 3, 4, 5, 7
CHUNKS, BYTES, COMPRESSED_BYTES = 1, 2, 6
METADATA, OFFSET_INDEX, COLUMN_INDEX = 3, 4, 6
DATA_OFFSET, STATISTICS = 9, 12
PAGES, PAGE_OFFSET, PAGE_BYTES, FIRST_ROW = 1, 1, 2, 3
LEAST, GREATEST, NULLS = 2, 3, 5
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
    else:
        assert new.find(COLUMN_ORDERS) is None
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


def assert_statistics(path: Path, columns: int = 2) -> int:
    """The statistics of the last columns are right, by row group and by page; count the pages."""
    content, (_, footer) = path.read_bytes(), split(path)
    checked = 0
    with pq.ParquetFile(path) as file:
        first = file.metadata.num_columns - columns
        names = [file.schema.column(first + number).path for number in range(columns)]
        for number, group in enumerate(items(footer, ROW_GROUPS)):
            table = file.read_row_group(number, names)
            for chunk, name in zip(items(group, CHUNKS)[-columns:], names, strict=True):
                statistics = inner(inner(chunk, METADATA), STATISTICS)
                least, greatest = map(plain, bounds(table[name]))
                assert (statistics.text(6), statistics.text(5)) == (least, greatest)
                assert statistics.integer(3) == table[name].null_count
                # As a reader that skips pages does: a chunk says where its indexes are.
                offset_index, column_index = (
                    read_struct(content[chunk.integer(index) :][: chunk.integer(index + 1)])
                    for index in (OFFSET_INDEX, COLUMN_INDEX)
                )
                locations = items(offset_index, PAGES)
                at = inner(chunk, METADATA).integer(DATA_OFFSET)
                for location in locations:
                    assert location.integer(PAGE_OFFSET) == at
                    at += location.integer(PAGE_BYTES)
                begins = [location.integer(FIRST_ROW) for location in locations]
                pages = [
                    table[name].slice(begin, end - begin)
                    for begin, end in zip(begins, [*begins[1:], len(table)], strict=True)
                ]
                for field, expected in (
                    (LEAST, [plain(bounds(page)[0]) for page in pages]),
                    (GREATEST, [plain(bounds(page)[1]) for page in pages]),
                    (NULLS, [page.null_count for page in pages]),
                ):
                    found = column_index.find(field)
                    assert found is not None
                    assert isinstance(found.value, List)
                    assert found.value.items == expected
                checked += len(pages)
    return checked


def inner(struct: Struct, number: int) -> Struct:
    found = struct.find(number)
    assert found is not None
    assert isinstance(found.value, Struct)
    return found.value


def bounds(values: pa.ChunkedArray) -> tuple[object, object]:
    found = pc.min_max(values).as_py()
    return found["min"], found["max"]


def plain(value: object) -> bytes:
    """A string or a float as it stands in statistics."""
    return value.encode() if isinstance(value, str) else pack("<f", value)


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


def assert_selected(before: Path, after: Path, names: Collection[str], columns: int = 2) -> None:
    """The output is some columns of the input, at other places, and some columns more."""
    (_, old), (_, new) = split(before), split(after)
    contents = before.read_bytes(), after.read_bytes()
    tops = columns_of(old)
    chosen = [element for top in tops if column_name(top) in names for element in top]
    assert items(new, SCHEMA)[1:-columns] == chosen
    is_chosen = [
        column_name(top) in names for top in tops for element in top if element.find(ELEMENT_TYPE)
    ]
    for group, new_group in zip(items(old, ROW_GROUPS), items(new, ROW_GROUPS), strict=True):
        new_chunks = items(new_group, CHUNKS)
        chunks = zip(compress(items(group, CHUNKS), is_chosen), new_chunks[:-columns], strict=True)
        for pair in chunks:
            assert_moved(pair, contents)
        sizes = [chunk_metadata(chunk).integer(METADATA_BYTES) for chunk in new_chunks]
        assert new_group.integer(BYTES) == sum(sizes)
    if old.find(COLUMN_ORDERS):
        orders = list(compress(items(old, COLUMN_ORDERS), is_chosen))
        assert items(new, COLUMN_ORDERS)[:-columns] == orders
    else:
        assert new.find(COLUMN_ORDERS) is None
    changed = (SCHEMA, ROW_GROUPS, KEY_VALUES, COLUMN_ORDERS)
    assert rest(new, *changed) == rest(old, *changed)


def assert_moved(chunks: tuple[Struct, Struct], contents: tuple[bytes, bytes]) -> None:
    """A column chunk of one file and its indexes are those of the other, at another place."""
    metadata, new_metadata = map(chunk_metadata, chunks)
    data, dictionary, bloom_filter = 9, 11, 14
    offsets = (data, dictionary, bloom_filter)
    assert rest(new_metadata, *offsets) == rest(metadata, *offsets)

    def begins(of: Struct) -> int:
        return min(filter(None, map(of.integer, (data, dictionary))))

    size = metadata.integer(METADATA_COMPRESSED_BYTES)
    by = begins(new_metadata) - begins(metadata)
    for number in (data, dictionary):
        offset = metadata.integer(number)
        assert new_metadata.integer(number) == (offset and offset + by)
    places = [[(begins(of), size) for of in (metadata, new_metadata)]]
    places += [
        [(of.integer(number), of.integer(number + 1)) for of in both]
        for both, number in (
            ((metadata, new_metadata), bloom_filter),
            (chunks, CHUNK_COLUMN_INDEX),
        )
    ]
    for (begin, length), (new_begin, new_length) in places:
        old_bytes = contents[0][begin : begin + length]
        assert contents[1][new_begin : new_begin + new_length] == old_bytes
    if chunks[0].find(CHUNK_OFFSET_INDEX):
        pages, new_pages = (
            [page.integer(1) for page in items(read_struct(content[index:]), 1)]
            for content, index in zip(
                contents, (chunk.integer(CHUNK_OFFSET_INDEX) for chunk in chunks), strict=True
            )
        )
        assert new_pages == [page + by for page in pages]
