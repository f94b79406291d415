"""What could not be scored, as a CSV file: which row of which file, and why.

It is no Parquet file, because readers that look through all folders would take it for scored rows.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from imdb_classifier.batch.outputs.provenance import state_of_own
from imdb_classifier.storage import ABSENT, State, storage_of

HEADER: Final = b"file,row,reason\n"
_SCHEMA: Final = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())])


class Quarantine:
    """The list of what could not be scored of one file, written while it is found.

    Leaving the context stores the list, or deletes that of an earlier run if there is nothing to
    list. After an exception, everything stays as it was.

    Args:
        path: Where the list is stored.
        name: What the file is called in it.

    Raises:
        OutputExistsError: The path has a file that is no such list. (On entering the context.)
        CannotWriteError: It has one that cannot be read.
        OSError: The list cannot be written.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self._replaced: State = ABSENT
        self._opened = ExitStack()
        self._writer: csv.CSVWriter | None = None

    def __enter__(self) -> Self:
        self._replaced = state_of_own(self.path, lambda file: file.read(len(HEADER)) == HEADER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and self._writer is None and self._replaced != ABSENT:
            storage_of(self.path).delete(self.path)
        self._opened.__exit__(kind, error, traceback)

    def add_rows(self, rows: NDArray[np.int64], texts: pa.Array) -> None:
        """List rows, by their numbers from 0, whose texts, (rows,), are null, empty or blank."""
        # Not bare "null", which pandas would read as a missing value.
        empty = pc.equal(pc.binary_length(texts), 0)
        kinds = pc.if_else(pc.is_null(texts), "null", pc.if_else(empty, "empty", "blank"))
        reasons = pc.binary_join_element_wise("text is", kinds, " ")
        self._add(pa.array(rows, pa.int64()), reasons)

    def add_file(self, reason: str) -> None:
        """List the whole file; its row number is empty."""
        self._add(pa.nulls(1, pa.int64()), pa.array([reason]))

    def _add(self, rows: pa.Array, reasons: pa.Array) -> None:
        if self._writer is None:
            enter = self._opened.enter_context
            unfinished = enter(storage_of(self.path).writing(self.path, self._replaced))
            sink = enter(pa.OSFile(os.fsencode(unfinished), "wb"))
            sink.write(HEADER)
            without_header = csv.WriteOptions(include_header=False)
            self._writer = enter(csv.CSVWriter(sink, _SCHEMA, write_options=without_header))
        names = pa.repeat(self.name, len(rows))
        self._writer.write(pa.record_batch([names, rows, reasons], schema=_SCHEMA))
