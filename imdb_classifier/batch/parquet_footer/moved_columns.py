"""Column chunks and their indexes, taken from one file to another place in another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imdb_classifier.batch.parquet_footer.compact_protocol import (
    I32,
    I64,
    Struct,
    read_struct,
    write_struct,
)
from imdb_classifier.batch.parquet_footer.file_metadata import (
    CHUNK_COLUMN_INDEX,
    CHUNK_OFFSET,
    CHUNK_OFFSET_INDEX,
    GROUP_CHUNKS,
    GROUP_OFFSET,
    METADATA_BLOOM_FILTER_OFFSET,
    METADATA_COMPRESSED_BYTES,
    METADATA_DATA_OFFSET,
    METADATA_DICTIONARY_OFFSET,
    METADATA_INDEX_OFFSET,
    ROW_GROUPS,
    chunk_metadata,
    structs,
)

_PAGES = 1
_PAGE_OFFSET = 1

Read = Callable[[int, int], Iterator[bytes]]
"""Yields bytes of a file, from an offset on, so many of them."""


def move_columns(read: Read, tree: Struct, to: int) -> Iterator[bytes]:
    """Yield the data of columns as they stand at another place, and move their offsets there.

    Column chunks come first, then Bloom filters, column indexes, and offset indexes.

    Args:
        read: Reads the file.
        tree: A ``FileMetaData`` of the columns to be taken. Once all bytes have been taken, its
            offsets are those at the new place.
        to: Where the first chunk will stand, in bytes.

    Raises:
        ValueError: The footer is damaged.
    """
    at = to
    chunks: list[tuple[Struct, int]] = []
    for group in structs(tree, ROW_GROUPS):
        if group.find(GROUP_OFFSET):
            group.set(GROUP_OFFSET, I64, at)
        for chunk in structs(group, GROUP_CHUNKS):
            begin, size = _extent(chunk)
            yield from read(begin, size)
            _move_chunk(chunk, begin, size, at - begin)
            chunks.append((chunk, at - begin))
            at += size
    for chunk, _ in chunks:
        metadata = chunk_metadata(chunk)
        begin = metadata.integer(METADATA_BLOOM_FILTER_OFFSET)
        size = metadata.integer(METADATA_BLOOM_FILTER_OFFSET + 1)
        if begin and size:
            yield from read(begin, size)
            metadata.set(METADATA_BLOOM_FILTER_OFFSET, I64, at)
            at += size
        else:
            # Old writers give no length. A file may be without.
            metadata.remove(METADATA_BLOOM_FILTER_OFFSET)
    for index in (CHUNK_COLUMN_INDEX, CHUNK_OFFSET_INDEX):
        for chunk, by in chunks:
            if begin := chunk.integer(index):
                content = b"".join(read(begin, chunk.integer(index + 1)))
                if index == CHUNK_OFFSET_INDEX:
                    content = _move_pages(content, by)
                yield content
                chunk.set(index, I64, at)
                chunk.set(index + 1, I32, len(content))
                at += len(content)


def _extent(chunk: Struct) -> tuple[int, int]:
    """Return where a chunk's pages begin, and how many bytes they take."""
    metadata = chunk_metadata(chunk)
    numbers = (METADATA_DATA_OFFSET, METADATA_DICTIONARY_OFFSET)
    # Where there is nothing to point to, an offset is 0 or missing.
    begin = min(filter(None, map(metadata.integer, numbers)), default=0)
    return begin, metadata.integer(METADATA_COMPRESSED_BYTES)


def _move_chunk(chunk: Struct, begin: int, size: int, by: int) -> None:
    # Deprecated. It may point to a copy of the metadata behind the chunk, which is not taken along.
    offset = chunk.integer(CHUNK_OFFSET)
    chunk.set(CHUNK_OFFSET, I64, offset + by if begin <= offset < begin + size else 0)
    metadata = chunk_metadata(chunk)
    for number in (METADATA_DATA_OFFSET, METADATA_INDEX_OFFSET, METADATA_DICTIONARY_OFFSET):
        if offset := metadata.integer(number):
            metadata.set(number, I64, offset + by)


def _move_pages(offset_index: bytes, by: int) -> bytes:
    tree = read_struct(offset_index)
    for page in structs(tree, _PAGES):
        page.set(_PAGE_OFFSET, I64, page.integer(_PAGE_OFFSET) + by)
    return write_struct(tree)
