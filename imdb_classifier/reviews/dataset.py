"""A split of labeled reviews in memory, and its fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.schema import LABEL, TEXT, TOKEN_IDS

REVIEWS: Final = pa.schema([pa.field(TEXT, pa.string()), pa.field(LABEL, pa.int8())])
"""Labeled reviews: 0 negative, 1 positive."""

ENCODED_REVIEWS: Final = pa.schema(
    [pa.field(TOKEN_IDS, pa.list_(pa.int32())), pa.field(LABEL, pa.int8())]
)
"""Reviews from Keras: token ids without text."""


@dataclass(frozen=True)
class Reviews:
    """A split of labeled reviews (unlabeled ones in the unsupervised split).

    Attributes:
        source: ``keras``, ``aclimdb`` or ``parquet``.
        split: ``train``, ``test`` or ``unsupervised``.
        table: Columns ``text`` (string) and ``label`` (int8); for the keras source, ``token_ids``
            (list of int32) instead of ``text``. There are no null values and no blank texts.
        words: The word index in rank order, starting with rank 1, for the keras source; otherwise
            None.
        left_out: Number of rows that were dropped because their text is ``null`` or ``blank`` or
            they are ``unlabeled``; each row counts once, for the first reason that applies.
        fingerprint: SHA-256 (hexadecimal) of contents and labels, in order. Equal rows have equal
            fingerprints, whatever files they come from.
    """

    source: str
    split: str
    # Not in the repr: logs and tracebacks must not contain review text.
    table: pa.Table = field(repr=False)
    words: tuple[str, ...] | None = field(repr=False)
    left_out: Mapping[str, int]
    fingerprint: str

    @property
    def labels(self) -> NDArray[np.int8]:
        """The labels: int8, (rows,), 0 negative, 1 positive; -1 in the unsupervised split."""
        labels: NDArray[np.int8] = self.table.column(LABEL).to_numpy()
        return labels

    def __len__(self) -> int:
        return int(self.table.num_rows)


def fingerprint_of(table: pa.Table) -> str:
    """Return the SHA-256 of row count, lengths, contents and labels, independent of the chunks."""
    chunks = [chunk for chunk in table.column(0).chunks if len(chunk)]
    digest = hashlib.sha256(f"{table.column_names[0]} {table.num_rows}\n".encode())
    for chunk in chunks:
        digest.update(_lengths(chunk).tobytes())
    for chunk in chunks:
        digest.update(_payload(chunk))
    digest.update(table.column(LABEL).to_numpy().tobytes())
    return digest.hexdigest()


def _lengths(chunk: pa.Array) -> NDArray[np.int64]:
    is_list = pa.types.is_list(chunk.type)
    lengths = pc.list_value_length(chunk) if is_list else pc.binary_length(chunk)
    return np.asarray(lengths, dtype="<i8")


def _payload(chunk: pa.Array) -> bytes | memoryview:
    """Return the concatenated bytes of all values of a chunk without nulls."""
    if pa.types.is_list(chunk.type):
        return np.asarray(chunk.flatten(), dtype="<i4").tobytes()
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
    return memoryview(data)[ends[0] : ends[1]]
