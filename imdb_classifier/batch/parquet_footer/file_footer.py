"""The footer of a Parquet file: its bytes, and what pyarrow and Thrift make of them."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EIO
from functools import cached_property
from hashlib import sha256
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.parquet_footer.compact_protocol import (
    Struct,
    read_struct,
    write_struct,
)
from imdb_classifier.storage import readable, storage_of

MAGIC: Final = b"PAR1"
_ENCRYPTED_MAGIC: Final = b"PARE"
_TAIL_BYTES: Final = 8
"""At the end of a file: the footer's length, and four bytes that say that it is Parquet."""
_FIRST_READ_BYTES: Final = 1 << 16
"""Most footers are shorter, so that one request to an object store is enough."""


@dataclass(frozen=True)
class FileFooter:
    """The end of a Parquet file, from the footer on.

    Attributes:
        name: What errors call the file.
        file_bytes: Length of the file.
        end: The footer, its length as four bytes, and the magic bytes. If there is no footer, the
            last bytes of the file.
    """

    name: str
    file_bytes: int
    end: bytes

    @classmethod
    def read(cls, path: str, name: str | None = None) -> Self:
        """The footer of a file; whether it is Parquet shows later.

        Args:
            path: The file.
            name: What errors call it; by default its path.

        Raises:
            UnreadableFileError: The file cannot be read.
        """
        with readable(name or path), storage_of(path).open(path) as file:
            return cls.of(file, name or path)

    @classmethod
    def of(cls, file: pa.NativeFile, name: str) -> Self:
        """The footer of an open file.

        Args:
            file: The file.
            name: What errors call it.

        Raises:
            OSError: The file cannot be read.
        """
        size = file.size()
        end = _read_end(file, size, _FIRST_READ_BYTES)
        wanted = int.from_bytes(end[-_TAIL_BYTES:][:4], "little") + _TAIL_BYTES
        if end[-len(MAGIC) :] not in (MAGIC, _ENCRYPTED_MAGIC) or wanted > size:
            # Whatever ends a file of another format is no length.
            wanted = _TAIL_BYTES
        if wanted > len(end):
            end = _read_end(file, size, wanted)
        return cls(name, size, end[-wanted:])

    @property
    def begins_at(self) -> int:
        """Length of everything before the footer, in bytes."""
        return self.file_bytes - len(self.end)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the file's length and its footer.

        It nearly always differs where the content does; to be sure, all of the file has to be read.
        """
        return sha256(f"{self.file_bytes}".encode() + self.end).hexdigest()

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        """What the footer says about the file, as pyarrow reads it.

        Do not access its column chunks: pyarrow aborts the process if they are damaged or
        encrypted.

        Raises:
            UnreadableFileError: The file is not Parquet, or its footer is damaged.
        """
        with readable(self.name):
            return pq.read_metadata(self._without_data())

    @cached_property
    def schema(self) -> pa.Schema:
        """The file's columns as Arrow fields, with the file's key-value metadata.

        Raises:
            UnreadableFileError: The file is not Parquet, or its footer is damaged.
        """
        with readable(self.name):
            return pq.ParquetFile(self._without_data(), metadata=self.metadata).schema_arrow

    def _without_data(self) -> pa.BufferReader:
        head = MAGIC if self.begins_at >= len(MAGIC) else b""
        return pa.BufferReader(head + self.end)

    def tree(self) -> Struct:
        """What the footer says about the file, as Thrift has it: a ``FileMetaData``.

        Raises:
            UnreadableFileError: The footer is damaged.
        """
        with readable(self.name):
            return read_struct(self.end[:-_TAIL_BYTES])


def end_of_file(tree: Struct) -> bytes:
    """What follows a file's data: the footer, its length, and the magic bytes.

    Args:
        tree: A ``FileMetaData``.
    """
    content = write_struct(tree)
    return content + len(content).to_bytes(4, "little") + MAGIC


def _read_end(file: pa.NativeFile, size: int, wanted: int) -> bytes:
    """Read the last bytes of a file, or all if it has fewer."""
    begin = max(size - wanted, 0)
    file.seek(begin)
    end = bytes(file.read())
    if len(end) != size - begin:
        # A broken connection must not pass for a damaged file.
        raise OSError(EIO, f"{len(end):,} bytes arrived instead of {size - begin:,}")
    return end
