"""A Parquet file written anew with the new columns, where rows are left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.inputs.reader import CheckedInput
from imdb_classifier.batch.outputs.provenance import end_with_provenance
from imdb_classifier.batch.outputs.scored_rows import ScoredRows
from imdb_classifier.batch.parquet_footer.added_columns import row_group_rows
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.parquet_footer.plain_columns import PlainColumns
from imdb_classifier.storage.files import sha256_of

ROW_GROUP_ROWS: Final = 131_072
ROW_GROUP_BYTES: Final = 1 << 27
"""A row group ends with one of the input, or once it has so many rows or bytes in memory."""
REWRITE_OPTIONS: Final[Mapping[str, Any]] = {
    "compression": "zstd",
    # Compliant nested types would rename the items of lists in files that call them "item".
    "use_compliant_nested_type": False,
    "write_page_checksum": True,
    "write_page_index": True,
    "store_schema": False,
}


class RewrittenCopy:
    """A file that is being written from rows with text; a context manager.

    Args:
        path: Where it is written, on this machine.
        source: The input, on this machine.
        checked: The input.
        plain: How its columns are read to be rewritten.
        fields: The new columns, see `scored_fields`.
        columns: Columns to write; None for all.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(
        self,
        path: str,
        source: str,
        checked: CheckedInput,
        plain: PlainColumns,
        fields: Sequence[pa.Field],
        columns: Sequence[str] | None,
    ) -> None:
        self._path = Path(path)
        self._source = Path(source)
        self._input_bytes = checked.footer.begins_at
        self._plain = plain
        self._fields = fields
        self._schema = pa.schema([*plain.schema, *fields])
        self._columns = columns
        self._sizes = iter(row_group_rows(checked.tree))
        self._rows_to_come = next(self._sizes, 0)
        self._waiting: list[pa.RecordBatch] = []
        self._rows_waiting = self._bytes_waiting = 0
        with ExitStack() as opened:
            sink = opened.enter_context(pa.OSFile(os.fsencode(path), "wb"))
            self._writer = opened.enter_context(
                pq.ParquetWriter(sink, self._schema, **REWRITE_OPTIONS)
            )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def write(self, rows: ScoredRows) -> None:
        """Add the next rows, without those that have no text."""
        begin = 0
        for batch in rows.chunk.batches:
            new = (column.slice(begin, len(batch)) for column in rows.columns)
            old = (
                batch.columns
                if self._columns is None
                else map(batch.column, self._plain.schema.names)
            )
            scored = pa.RecordBatch.from_arrays([*old, *new], schema=self._schema)
            begin += len(batch)
            while len(scored):
                self._add(scored.slice(0, self._rows_to_come))
                rows_here = min(len(scored), self._rows_to_come)
                self._rows_to_come -= rows_here
                scored = scored.slice(rows_here)
                while self._rows_to_come == 0 and (size := next(self._sizes, None)) is not None:
                    self._write_group()
                    self._rows_to_come = size

    def finish(self, provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Write the footer, once all rows are written.

        Args:
            provenance: What the footer says about model, options and input.

        Returns:
            The same, with what it says about the file's bytes.
        """
        self._write_group()
        self._opened.close()
        written = FileFooter.read(str(self._path))
        tree = written.tree()
        self._plain.restore(tree, self._fields)
        complete = {
            **provenance,
            "copied_bytes": 0,
            "data_bytes": written.begins_at,
            "input_sha256": sha256_of(self._source, 0, self._input_bytes),
            "added_sha256": sha256_of(self._path, 0, written.begins_at),
        }
        with self._path.open("r+b") as file:
            file.truncate(written.begins_at)
            file.seek(written.begins_at)
            file.write(end_with_provenance(tree, complete))
        return complete

    def _add(self, scored: pa.RecordBatch) -> None:
        # By the probability, the second of the new columns.
        kept = scored.filter(scored.column(len(self._plain.schema) + 1).is_valid())
        self._waiting.append(kept)
        self._rows_waiting += len(kept)
        self._bytes_waiting += kept.nbytes
        if self._rows_waiting >= ROW_GROUP_ROWS or self._bytes_waiting >= ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if self._rows_waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting, self._rows_waiting, self._bytes_waiting = [], 0, 0
