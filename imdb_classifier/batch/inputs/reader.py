"""One Parquet file as it is read: whether it can be scored, then its rows and their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.batch.inputs.file_names import hive_keys
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.parquet_footer.added_columns import extendable
from imdb_classifier.batch.parquet_footer.compact_protocol import Struct
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.parquet_footer.plain_columns import PlainColumns
from imdb_classifier.errors import (
    AmbiguousColumnError,
    BadDataError,
    ColumnExistsError,
    MissingColumnError,
    TextTypeError,
    UnreadableFileError,
    first_line,
    printable,
)
from imdb_classifier.schema import clashing
from imdb_classifier.scoring.scorer import CHUNK_ROWS
from imdb_classifier.scoring.text_columns import as_text, has_text, holds_text
from imdb_classifier.storage import is_fault, readable, storage_of
from imdb_classifier.system_errors import cannot_read

READ_BUFFER_BYTES: Final = 1 << 20
READ_ROWS: Final = 128
"""Rows that are decoded at a time. How long their texts are shows only then."""
CHUNK_BYTES: Final = 1 << 23
"""Columns of a chunk at the most, but for the last rows that were decoded: 8 MiB."""
PIECE_BYTES: Final = 1 << 30
"""Of decoded rows that become one Arrow array of strings, at the most, unless one row is larger."""


@dataclass(frozen=True)
class CheckedInput:
    """An input file that can be scored.

    Attributes:
        footer: Its footer.
        tree: The footer's ``FileMetaData``.
        path: Where its text is, see `text_path`.
        plain: How it is read to be rewritten; None if it is copied.
    """

    footer: FileFooter
    tree: Struct
    path: Sequence[str]
    plain: PlainColumns | None


@dataclass(frozen=True)
class TextChunk:
    """Consecutive rows of a file.

    Attributes:
        first_row: Number of the first one in the file, from 0.
        texts: string, (rows,), valid UTF-8.
        batches: The rows' columns, as they were asked for.
    """

    first_row: int
    texts: pa.Array
    batches: Sequence[pa.RecordBatch]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory, about."""
        return int(self.texts.nbytes + sum(batch.nbytes for batch in self.batches))


class RowReader:
    """A Parquet file whose rows are read in order.

    Args:
        file: The open file.
        name: What errors call it.

    Attributes:
        rows: Rows in the file.
        name: What errors call it.
    """

    def __init__(self, file: pq.ParquetFile, name: str) -> None:
        self.rows: int = file.metadata.num_rows
        self.name = name
        self._file = file

    def chunks(self, path: Sequence[str], others: Sequence[str] | None = ()) -> Iterator[TextChunk]:
        """All rows in chunks of `CHUNK_ROWS`; of fewer, where texts are long.

        Args:
            path: Where the text is, see `text_path`.
            others: Columns that come with it; None for all. No other column is decoded.

        Raises:
            UnreadableFileError: The file is damaged.
            TextTypeError: Some text is not valid UTF-8.
        """
        columns = None if others is None else [".".join(path), *others]
        texts: list[pa.Array] = []
        batches: list[pa.RecordBatch] = []
        read = rows = held_bytes = 0
        for batch in self._pieces(columns):
            texts.append(self._texts(batch, path, read))
            # Without other columns the text is all there is, and is held already.
            batches += [batch] if others != () else []
            read += len(batch)
            rows += len(batch)
            held_bytes += texts[-1].nbytes if others == () else batch.nbytes
            if rows > CHUNK_ROWS - READ_ROWS or held_bytes >= CHUNK_BYTES:
                yield TextChunk(read - rows, _joined(texts), batches)
                texts, batches, rows, held_bytes = [], [], 0, 0
        if rows:
            yield TextChunk(read - rows, _joined(texts), batches)
        if read != self.rows:
            reason = f"its footer says {self.rows:,} rows, its row groups hold {read:,}"
            raise UnreadableFileError(self.name, reason)

    def _pieces(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._file.iter_batches(
                READ_ROWS, columns=columns, use_threads=self.rows > CHUNK_ROWS
            ):
                yield from _halves(batch)
        except (OSError, pa.ArrowException) as error:
            if is_fault(error):
                raise cannot_read(self.name, error) from error
            raise self._unreadable(error, columns) from error

    def _texts(self, batch: pa.RecordBatch, path: Sequence[str], first_row: int) -> pa.Array:
        """The texts of some rows, as plain Arrow strings."""
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
        """Raise the error of the first value that is not valid text."""
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

    def _unreadable(self, error: Exception, columns: Sequence[str] | None) -> UnreadableFileError:
        """Read column by column, for the first that is damaged."""
        for group in range(self._file.metadata.num_row_groups):
            for column in columns or self._file.schema_arrow.names:
                try:
                    for _ in self._file.iter_batches(READ_ROWS, [group], [column]):
                        pass
                except (OSError, pa.ArrowException) as damage:
                    place = f"column '{column}', row group {group}"
                    return UnreadableFileError(self.name, f"{first_line(damage)}, in {place}")
        return UnreadableFileError(self.name, first_line(error))


class ScoredTexts:
    """The texts of a file, for one row of its output after the other; a context manager.

    Args:
        path: The file.
        footer: Its footer.
        options: What it was scored with.

    Raises:
        BadDataError: It cannot be read, or has no such text.
    """

    def __init__(self, path: str, footer: FileFooter, options: ScoreOptions) -> None:
        self._opened = ExitStack()
        reader = self._opened.enter_context(open_rows(path, footer))
        self._chunks = reader.chunks(text_path(footer, options.text_column))
        self._leaves_out = options.on_null == "skip"
        self._waiting = pa.array([], pa.string())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def take(self, rows: int) -> pa.Array:
        """The texts of the next rows: string, (rows,); null once there are no more."""
        while len(self._waiting) < rows and (chunk := next(self._chunks, None)) is not None:
            texts = chunk.texts
            if self._leaves_out:
                texts = texts.filter(pc.fill_null(has_text(texts), False))
            self._waiting = pa.concat_arrays([self._waiting, texts])
        taken, self._waiting = self._waiting.slice(0, rows), self._waiting.slice(rows)
        return pa.concat_arrays([taken, pa.nulls(rows - len(taken), pa.string())])


def check_input(footer: FileFooter, name: str, options: ScoreOptions) -> CheckedInput:
    """Make sure that an input can be scored.

    Args:
        footer: Its footer.
        name: Its path relative to the input; its output has the same Hive partition folders.
        options: Columns, and rows without text.

    Raises:
        UnreadableFileError: The input is not Parquet, is damaged or encrypted, or has columns in
            other files.
        BadDataError: It lacks the text column or another that is asked for, has no text in it, has
            a column or a Hive partition that an output column would overwrite, or, where rows are
            left out, one that cannot be rewritten as it is; or columns are left out, and their
            lengths are wrong.
    """
    path = text_path(footer, options.text_column)
    written = footer.schema.names
    if options.columns is not None:
        _check_columns(options.columns, footer)
        written = options.columns
    taken = clashing(written, options.prefix, options.reason)
    keys = clashing(hive_keys(name), options.prefix, options.reason)
    taken += [f"the partition {key}" for key in keys]
    if taken:
        raise ColumnExistsError(taken, footer.name)
    tree = extendable(footer)
    is_rewritten = options.on_null == "skip"
    if options.columns is not None and not is_rewritten:
        _check_lengths(footer)
    plain = PlainColumns.of(footer, options.columns) if is_rewritten else None
    return CheckedInput(footer, tree, path, plain)


def _check_columns(columns: Sequence[str], footer: FileFooter) -> None:
    """Make sure that a file has each of these columns once."""
    names = footer.schema.names
    for column in columns:
        if column not in names:
            way_out = "List only these in `columns`; a field of a struct cannot be listed."
            raise MissingColumnError(column, footer.name, names, way_out)
        if names.count(column) > 1:
            raise AmbiguousColumnError(column, footer.name, names.count(column), "`columns`")


def _check_lengths(footer: FileFooter) -> None:
    """Make sure that a footer tells the length of each column chunk."""
    writer = footer.metadata.created_by or ""
    # These leave out the header of the dictionary page (PARQUET-816).
    if re.match(r"parquet-mr version (0|1\.[01]|1\.2\.[0-8])\b", writer):
        raise BadDataError(
            "`columns` needs a file whose footer tells the length of its columns.",
            f"{footer.name} was written by {printable(writer)}, whose lengths are too short.",
            "Keep all columns, or rewrite the file first.",
        )


def text_path(footer: FileFooter, column: str) -> list[str]:
    """Where a file's column of text is: its name, or the names from a struct to its field.

    Args:
        footer: The file's footer.
        column: A column's name, or else such names with dots between them.

    Raises:
        UnreadableFileError: The footer is damaged.
        MissingColumnError: There is none of this name.
        AmbiguousColumnError: There are several.
        TextTypeError: It is of a type that holds no text.
    """
    names = footer.schema.names
    path = [column] if column in names else column.split(".")
    fields, found = list(footer.schema), []
    for name in path:
        found = [field for field in fields if field.name == name]
        if len(found) > 1:
            raise AmbiguousColumnError(name, footer.name, len(found), "`text_column`")
        inner = found[0].type if found else pa.null()
        fields = inner.fields if pa.types.is_struct(inner) else []
    if not found:
        way_out = "Name the text column with `text_column`."
        raise MissingColumnError(column, footer.name, names, way_out)
    if footer.metadata.num_rows:
        # By its type; whether its bytes are text shows when they are read.
        as_text(pa.nulls(0, found[0].type), ".".join(path), footer.name)
    return path


def _joined(texts: Sequence[pa.Array]) -> pa.Array:
    # Arrow copies even a single array, which may be a text of hundreds of megabytes.
    return texts[0] if len(texts) == 1 else pa.concat_arrays(texts)


def _halves(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch, cut where its texts would be too large for one Arrow array of strings."""
    half = batch.num_rows // 2
    if half == 0 or batch.nbytes <= PIECE_BYTES:
        yield batch
    else:
        yield from _halves(batch.slice(0, half))
        yield from _halves(batch.slice(half))


@contextmanager
def open_rows(
    path: str, footer: FileFooter, metadata: pq.FileMetaData | None = None
) -> Iterator[RowReader]:
    """Open a Parquet file to read its rows.

    Args:
        path: A file that begins with the bytes of the Parquet file; its footer may be missing.
        footer: The Parquet file's footer.
        metadata: What it is read by, in place of the footer's own.

    Raises:
        UnreadableFileError: The file is not Parquet, or damaged, or gone.
    """
    with ExitStack() as stack:
        with readable(footer.name):
            stream = stack.enter_context(storage_of(path).open(path))
            # Checksums: damaged pages read as good data otherwise. A buffer and no pre-buffering: a
            # column of a huge row group is held in memory whole otherwise.
            file = pq.ParquetFile(
                stream,
                metadata=metadata or footer.metadata,
                page_checksum_verification=True,
                pre_buffer=False,
                buffer_size=min(READ_BUFFER_BYTES, footer.file_bytes),
            )
            reader = RowReader(file, footer.name)
        yield reader
