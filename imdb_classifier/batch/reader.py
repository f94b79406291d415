"""The rows of one Parquet file, and the texts in them; errors say where in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.errors import (
    AmbiguousColumnError,
    MissingColumnError,
    TextTypeError,
    UnreadableFileError,
    first_line,
)
from imdb_classifier.scoring.scorer import CHUNK_ROWS
from imdb_classifier.scoring.text_columns import as_text, holds_text
from imdb_classifier.storage import readable, storage_of

READ_BUFFER_BYTES: Final = 1 << 20
BATCH_BYTES: Final = 1 << 30
"""Of a batch at the most, unless one row is larger."""


class RowReader:
    """A Parquet file that is read in batches.

    Args:
        file: The open file.
        name: What errors call it.
    """

    def __init__(self, file: pq.ParquetFile, name: str) -> None:
        self.schema: pa.Schema = file.schema_arrow
        self.rows: int = file.metadata.num_rows
        self.name = name
        self._file = file

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in batches of `CHUNK_ROWS`, as they are scored.

        Raises:
            UnreadableFileError: The file is damaged or gone.
        """
        read = 0
        try:
            for batch in self._file.iter_batches(batch_size=CHUNK_ROWS):
                read += batch.num_rows
                yield from _pieces(batch)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(error) from error
        if read != self.rows:
            reason = f"its footer says {self.rows:,} rows, its row groups hold {read:,}"
            raise UnreadableFileError(self.name, reason)

    def text_path(self, column: str) -> list[str]:
        """Where a column of text is: its name, or the names from a struct to its field.

        Args:
            column: A column's name, or else such names with dots between them.

        Raises:
            MissingColumnError: There is none of this name.
            AmbiguousColumnError: There are several.
            TextTypeError: It is of a type that holds no text.
        """
        path = [column] if column in self.schema.names else column.split(".")
        fields, found = list(self.schema), []
        for name in path:
            found = [field for field in fields if field.name == name]
            inner = found[0].type if found else pa.null()
            fields = inner.fields if pa.types.is_struct(inner) else []
        if not found:
            raise MissingColumnError(column, self.name, self.schema.names, "--text-column")
        if len(found) > 1:
            raise AmbiguousColumnError(column, self.name, len(found), "--text-column")
        if self.rows:
            # By its type; whether its bytes are text shows when they are read.
            as_text(pa.nulls(0, found[0].type), ".".join(path), self.name)
        return path

    def texts(self, batch: pa.RecordBatch, path: Sequence[str], first_row: int) -> pa.Array:
        """The texts of a batch, as plain Arrow strings.

        Args:
            batch: The batch.
            path: What `text_path` gave.
            first_row: The number in the file of the batch's first row, from 0.

        Raises:
            TextTypeError: They are no text.
        """
        column = batch.column(path[0])
        if path[1:]:
            column = pc.struct_field(column, list(path[1:]))
        name = ".".join(path)
        try:
            return as_text(column, name, self.name)
        except TextTypeError:
            if holds_text(column.type):
                self._name_row(column, name, first_row)
            raise

    def _name_row(self, column: pa.Array, name: str, first_row: int) -> None:
        """Raise the error of the first text that is none."""
        for row in range(len(column)):
            try:
                as_text(column.slice(row, 1), name, self.name)
            except TextTypeError as error:
                place = f"row {first_row + row} (row group {self._group_of(first_row + row)})"
                raise TextTypeError(name, self.name, error.received, place) from None

    def _group_of(self, row: int) -> int:
        metadata = self._file.metadata
        rows = (metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        return next(i for i, end in enumerate(accumulate(rows)) if row < end)

    def _unreadable(self, error: Exception) -> UnreadableFileError:
        """Read column by column, for the first that is damaged."""
        for group in range(self._file.metadata.num_row_groups):
            for column in self.schema.names:
                try:
                    self._file.read_row_group(group, columns=[column])
                except (OSError, pa.ArrowException) as damage:
                    place = f"column '{column}', row group {group}"
                    return UnreadableFileError(self.name, f"{first_line(damage)}, in {place}")
        return UnreadableFileError(self.name, first_line(error))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch, cut where its texts would be too large for one Arrow array of strings."""
    half = batch.num_rows // 2
    if half == 0 or batch.nbytes <= BATCH_BYTES:
        yield batch
    else:
        yield from _pieces(batch.slice(0, half))
        yield from _pieces(batch.slice(half))


@contextmanager
def open_rows(path: str, name: str) -> Iterator[RowReader]:
    """Open a Parquet file.

    Args:
        path: The file.
        name: What errors call it.

    Raises:
        UnreadableFileError: It is not Parquet, or damaged, or gone.
    """
    with ExitStack() as stack:
        with readable(name):
            stream = stack.enter_context(storage_of(path).open(path))
            # Checksums: damaged pages read as good data otherwise. A buffer and no pre-buffering: a
            # column of a huge row group is held in memory whole otherwise.
            file = pq.ParquetFile(
                stream,
                page_checksum_verification=True,
                pre_buffer=False,
                buffer_size=READ_BUFFER_BYTES,
            )
            reader = RowReader(file, name)
        yield reader
