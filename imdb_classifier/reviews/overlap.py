"""Which reviews are also in another set, by their letters and digits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.text.unicode_form import composed

_NO_LETTER_OR_DIGIT: Final = r"<[^<>]*>|&#?\w+;|[^\p{L}\p{M}\p{N}]"
_DIGEST_BYTES: Final = 8


def fingerprints_of(tables: Iterable[pa.Table]) -> NDArray[np.uint64]:
    """Return what identifies the reviews of some tables, to look for them later.

    A fingerprint is BLAKE2b of a review's letters and digits, shortened to 64 bits: among 75,000
    reviews, an unrelated one is found with a probability of 4e-15.

    Args:
        tables: Reviews as in `Reviews.table`.

    Returns:
        Distinct values in ascending order: uint64, (reviews at most,).
    """
    return np.unique(np.concatenate([row_fingerprints(table) for table in tables]))


def known_rows(table: pa.Table, fingerprints: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each review is among those that were fingerprinted.

    Args:
        table: Reviews as in `Reviews.table`.
        fingerprints: The result of `fingerprints_of`.

    Returns:
        bool, (reviews,).
    """
    return np.isin(row_fingerprints(table), fingerprints)


def repeated_rows(table: pa.Table) -> NDArray[np.bool_]:
    """Return whether each review is the same as an earlier one, in normal form.

    Args:
        table: Reviews as in `Reviews.table`.

    Returns:
        bool, (reviews,).
    """
    repeated = np.ones(table.num_rows, np.bool_)
    repeated[np.unique(row_fingerprints(table), return_index=True)[1]] = False
    return repeated


def row_fingerprints(table: pa.Table) -> NDArray[np.uint64]:
    """Return the fingerprint of each review's letters and digits: uint64, (reviews,)."""
    column = table.column(0)
    chunks = map(
        _token_bytes if pa.types.is_list(column.type) else _letters_and_digits, column.chunks
    )
    digests = (
        hashlib.blake2b(content.as_buffer(), digest_size=_DIGEST_BYTES).digest()
        for chunk in chunks
        for content in chunk
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64, copy=False)


def _letters_and_digits(texts: pa.Array) -> pa.Array:
    """Texts without tags, case, spaces and punctuation; those without letters as they are."""
    letters = pc.replace_substring_regex(pc.utf8_lower(composed(texts)), _NO_LETTER_OR_DIGIT, "")
    return pc.if_else(pc.equal(letters, ""), texts, letters)


def _token_bytes(chunk: pa.Array) -> pa.Array:
    """Lists of token ids as the bytes of their little-endian int32 values."""
    ids = np.ascontiguousarray(chunk.flatten(), "<i4")
    lengths = np.asarray(pc.list_value_length(chunk), np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]) * ids.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(ids)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(chunk), buffers)
