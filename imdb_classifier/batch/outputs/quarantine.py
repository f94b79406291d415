"""What could not be scored, as a Parquet file of its own: which row of which file, and why."""

from __future__ import annotations

import os
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imdb_classifier.storage import storage_of

SCHEMA: Final = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())],
)
"""The row counts from 0, and is null where a whole file was refused."""


class Quarantine:
    """The rows of one file that could not be scored.

    Args:
        path: Where they are listed.
        name: What the file is called there.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self._rows: list[NDArray[np.int64] | pa.Array] = []
        self._reasons: list[pa.Array] = []

    def add_rows(self, rows: NDArray[np.int64], texts: pa.Array) -> None:
        """List rows whose texts, (rows,), are null, empty or blank."""
        empty = pc.equal(pc.binary_length(texts), 0)
        reasons = pc.if_else(pc.is_null(texts), "null", pc.if_else(empty, "empty", "blank"))
        self._rows.append(pa.array(rows))
        self._reasons.append(reasons)

    def add_file(self, reason: str) -> None:
        """List the whole file, instead of any rows."""
        self._rows, self._reasons = [pa.nulls(1, pa.int64())], [pa.array([reason])]

    def commit(self) -> None:
        """Write the list, or remove that of a run before where there is nothing to list."""
        storage = storage_of(self.path)
        if not self._rows:
            storage.delete(self.path)
            return
        rows, reasons = (pa.chunked_array(part) for part in (self._rows, self._reasons))
        names = pa.array([self.name] * len(rows))
        with storage.writing(self.path) as unfinished:
            table = pa.table([names, rows, reasons], schema=SCHEMA)
            pq.write_table(table, pa.OSFile(os.fsencode(unfinished), "wb"), compression="zstd")
