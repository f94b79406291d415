"""One split of labeled reviews in memory, and how two of them compare."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.schema import LABEL


@dataclass(frozen=True)
class Reviews:
    """One split of labeled (or, in the unsupervised split, unlabeled) reviews.

    Attributes:
        source: ``keras``, ``aclimdb`` or ``parquet``.
        split: ``train``, ``test`` or ``unsupervised``.
        table: Columns ``text`` (string) and ``label`` (int8); from the keras source ``token_ids``
            (list of int32) in place of ``text``. No value is null and no text blank.
        words: The word index in rank order, rank 1 first, from the keras source; None elsewhere.
        left_out: Rows that were left out because their text is ``null`` or ``blank`` or they are
            ``unlabeled``; each row counts once, under the first of these that fits.
        fingerprint: SHA-256 over contents and labels in their order, hexadecimal; equal wherever
            the rows are equal, whatever file they come from.
    """

    source: str
    split: str
    # Not in the repr: logs and tracebacks must not hold review text.
    table: pa.Table = field(repr=False)
    words: tuple[str, ...] | None = field(repr=False)
    left_out: Mapping[str, int]
    fingerprint: str

    @property
    def labels(self) -> NDArray[np.int8]:
        """int8, (rows,): 0 negative, 1 positive; -1 throughout in the unsupervised split."""
        labels: NDArray[np.int8] = self.table.column(LABEL).to_numpy()
        return labels

    def __len__(self) -> int:
        return int(self.table.num_rows)


def count_overlap(train: Reviews, test: Reviews) -> int:
    """Rows of ``test`` whose exact content also stands in ``train``, whatever their labels.

    Raises:
        ConfigurationError: One has text and the other token ids.
    """
    if train.table.schema != test.table.schema:
        raise ConfigurationError(
            "Reviews can only be compared with reviews of the same kind.",
            "One side has text, the other token ids.",
            "Load both from the same source.",
        )
    seen = pc.is_in(_contents(test.table), value_set=_contents(train.table))
    return int(pc.sum(seen, min_count=0).as_py())


def fingerprint_of(table: pa.Table) -> str:
    """SHA-256 over row count, lengths, contents and labels: the same however rows are chunked."""
    chunks = [chunk for chunk in table.column(0).chunks if len(chunk)]
    digest = hashlib.sha256(f"{table.column_names[0]} {table.num_rows}\n".encode())
    for chunk in chunks:
        digest.update(_lengths(chunk).tobytes())
    for chunk in chunks:
        digest.update(_payload(chunk))
    digest.update(table.column(LABEL).to_numpy().tobytes())
    return digest.hexdigest()


def _contents(table: pa.Table) -> pa.ChunkedArray:
    """The reviews as one value each; token ids as their bytes, for Arrow cannot look up lists."""
    column = table.column(0)
    if not pa.types.is_list(column.type):
        return column
    chunks = []
    for chunk in column.chunks:
        offsets = np.concatenate([[0], np.cumsum(_lengths(chunk))]) * np.dtype("<i4").itemsize
        buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(_payload(chunk))]
        chunks.append(pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(chunk), buffers))
    return pa.chunked_array(chunks, type=pa.large_binary())


def _lengths(chunk: pa.Array) -> NDArray[np.int64]:
    is_list = pa.types.is_list(chunk.type)
    lengths = pc.list_value_length(chunk) if is_list else pc.binary_length(chunk)
    return np.asarray(lengths, dtype="<i8")


def _payload(chunk: pa.Array) -> bytes | memoryview:
    """The bytes of all values of a chunk without nulls, one behind the other."""
    if pa.types.is_list(chunk.type):
        return np.asarray(chunk.flatten(), dtype="<i4").tobytes()
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
    return memoryview(data)[ends[0] : ends[1]]
