"""A copy of a Parquet file, or of some of its columns, followed by the new columns.

The copy begins with the bytes of the input up to its footer; or, if columns are chosen, with the
bytes of their chunks. The chunks of the new columns follow, one for each row group of the input,
and a footer that describes both. The old columns are never decoded, so that they are the input's
own to the last bit, whatever their types are.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from errno import EIO
from functools import partial
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.inputs.reader import CheckedInput
from imdb_classifier.batch.outputs.provenance import end_with_provenance
from imdb_classifier.batch.outputs.scored_rows import ScoredRows
from imdb_classifier.batch.parquet_footer.added_columns import add_columns, row_group_rows
from imdb_classifier.batch.parquet_footer.compact_protocol import Struct
from imdb_classifier.batch.parquet_footer.file_footer import MAGIC, FileFooter, end_of_file
from imdb_classifier.batch.parquet_footer.moved_columns import move_columns
from imdb_classifier.batch.parquet_footer.selected_columns import select_columns
from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.storage import readable

WRITER_OPTIONS: Final[Mapping[str, Any]] = {
    # Every reader of Parquet knows it, so that whoever reads the input can read the new columns.
    "compression": "snappy",
    "write_page_checksum": True,
    "write_page_index": True,
    "store_schema": False,
}
_PIECE_BYTES: Final = 1 << 22
"""Bytes that are copied at a time, and of new columns that are kept in memory: 4 MiB."""


class AppendedCopy:
    """A copy that is being written; a context manager.

    Args:
        path: Where it is written, on this machine.
        source: The input.
        checked: The input, too.
        fields: The new columns, see `scored_fields`.
        columns: Columns to copy; None for all.

    Attributes:
        copied: The footer of what was copied, which the copy ends with as yet.

    Raises:
        UnreadableFileError: The input cannot be read.
        OSError: The copy cannot be written.
    """

    def __init__(
        self,
        path: str,
        source: pa.NativeFile,
        checked: CheckedInput,
        fields: Sequence[pa.Field],
        columns: Sequence[str] | None,
    ) -> None:
        self._schema = pa.schema(fields)
        self._tree = checked.tree
        self._sizes = row_group_rows(self._tree)
        self._groups_written = 0
        self._waiting: list[pa.RecordBatch] = []
        self._rows_waiting = 0
        with ExitStack() as opened:
            self._sink = opened.enter_context(pa.OSFile(os.fsencode(path), "wb"))
            copied = sha256()
            for piece in copied_bytes(source, checked.footer, self._tree, columns):
                copied.update(piece)
                self._sink.write(piece)
            self._copied_bytes, self._input_sha256 = self._sink.tell(), copied.hexdigest()
            self.copied = checked.footer
            if columns is not None:
                end = end_of_file(self._tree)
                size = self._copied_bytes + len(end)
                self.copied = FileFooter(checked.footer.name, size, end)
            # A file of its own, since pyarrow cannot append to one: about 4 bytes a row.
            self._added = opened.enter_context(
                SpooledTemporaryFile(_PIECE_BYTES, dir=posixpath.dirname(path), prefix=".")
            )
            self._writer = pq.ParquetWriter(
                self._added,
                self._schema,
                use_dictionary=[field.name for field in fields if field.type == pa.string()],
                **WRITER_OPTIONS,
            )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # Of a copy that is given up, pyarrow would write the end all the same.
        self._writer.is_open = False
        self._opened.close()

    def write(self, rows: ScoredRows) -> None:
        """Add the scores of the next rows."""
        self._waiting.append(pa.RecordBatch.from_arrays(rows.columns, schema=self._schema))
        self._rows_waiting += len(rows.labels)
        if self._rows_waiting >= self._next_size:
            self._write_groups()

    def finish(self, provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Write the footer, once all rows are written.

        Args:
            provenance: What the footer says about model, options and input.

        Returns:
            The same, with what it says about the copy's bytes.
        """
        self._write_groups()
        self._writer.close()
        with pa.PythonFile(self._added, "r") as added:
            tree = FileFooter.of(added, "the new columns").tree()
            digest = sha256()
            for piece in move_columns(partial(_pieces, added), tree, self._copied_bytes):
                digest.update(piece)
                self._sink.write(piece)
        add_columns(self._tree, tree, list(self._schema))
        complete = {
            **provenance,
            "copied_bytes": self._copied_bytes,
            "data_bytes": self._sink.tell(),
            "input_sha256": self._input_sha256,
            "added_sha256": digest.hexdigest(),
        }
        self._sink.write(end_with_provenance(self._tree, complete))
        self._sink.close()
        return complete

    @property
    def _next_size(self) -> int:
        return self._sizes[self._groups_written] if self._groups_written < len(self._sizes) else 0

    def _write_groups(self) -> None:
        """Write the row groups whose rows are all there."""
        table = pa.Table.from_batches(self._waiting, self._schema)
        begin = 0
        while self._groups_written < len(self._sizes):
            size = self._next_size
            if begin + size > len(table):
                break
            self._writer.write_table(table.slice(begin, size), row_group_size=max(size, 1))
            self._groups_written += 1
            begin += size
        self._waiting = table.slice(begin).to_batches()
        self._rows_waiting -= begin


def copied_bytes(
    source: pa.NativeFile, footer: FileFooter, tree: Struct | None, columns: Sequence[str] | None
) -> Iterator[bytes]:
    """Yield what an output begins with: its input up to the footer, or the chosen columns of it.

    Args:
        source: The input.
        footer: Its footer.
        tree: The footer's ``FileMetaData``, which is needed for chosen columns. In the end, it is
            that of what was copied.
        columns: The chosen columns; None for all.

    Raises:
        UnreadableFileError: The input is damaged.
        UnavailableError: It cannot be reached.
    """

    def read(begin: int, size: int) -> Iterator[bytes]:
        if begin < 0 or size < 0 or begin + size > footer.begins_at:
            raise UnreadableFileError(footer.name, "a column lies outside of the file")
        return _pieces(source, begin, size)

    with readable(footer.name):
        if columns is None or tree is None:
            yield from read(0, footer.begins_at)
        else:
            select_columns(tree, columns)
            yield MAGIC
            yield from move_columns(read, tree, len(MAGIC))


def _pieces(source: pa.NativeFile, begin: int, size: int) -> Iterator[bytes]:
    """Yield bytes of a file, from an offset on, so many of them."""
    source.seek(begin)
    while size:
        piece = source.read(min(size, _PIECE_BYTES))
        if not piece:
            raise OSError(EIO, "it became shorter, or its connection broke")
        yield piece
        size -= len(piece)
        del piece  # before the next one is read
