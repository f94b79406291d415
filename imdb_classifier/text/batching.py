"""Ragged token ids to padded batches of reviews of like length, named by the rows they hold.

Every batch is an array of row positions: whoever computes something for a batch writes it to those
positions of its result, which is the way back to row order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.text.encoding import PADDING, TokenSequences

POOL_BATCHES: Final = 50


def length_buckets(lengths: NDArray[np.int64], batch_rows: int) -> list[NDArray[np.int64]]:
    """Rows sorted by length and cut into batches, so that little of a batch is padding.

    Args:
        lengths: int64, (reviews,), in tokens.
        batch_rows: Reviews of one batch; the last one may be smaller.

    Returns:
        int64, (batch,) each; together every row once. Equal lengths keep their order.
    """
    return _cut(np.argsort(lengths, kind="stable"), batch_rows)


def shuffled_batches(
    lengths: NDArray[np.int64],
    batch_rows: int,
    generator: np.random.Generator,
    *,
    bucketed: bool,
) -> list[NDArray[np.int64]]:
    """The batches of one training epoch, in the order they are to be used.

    Args:
        lengths: int64, (reviews,), in tokens.
        batch_rows: Reviews of one batch; the last one may be smaller.
        generator: The source of the order.
        bucketed: True: reviews of a batch are of like length, drawn from pools of `POOL_BATCHES`
            batches so that the batches differ from epoch to epoch.
    """
    order = generator.permutation(len(lengths))
    if not bucketed:
        return _cut(order, batch_rows)
    batches = [
        pool[rows]
        for pool in _cut(order, batch_rows * POOL_BATCHES)
        for rows in length_buckets(lengths[pool], batch_rows)
    ]
    return [batches[position] for position in generator.permutation(len(batches))]


def pad_right(sequences: TokenSequences) -> NDArray[np.int32]:
    """Sequences as one array, padding behind the tokens: int32, (reviews, longest)."""
    lengths = sequences.lengths
    return _pad(sequences, np.arange(lengths.max()) < lengths[:, None])


def pad_left(sequences: TokenSequences, width: int) -> NDArray[np.int32]:
    """Sequences as one array, padding in front of the tokens: int32, (reviews, width).

    Args:
        sequences: None longer than `width`.
        width: Columns of the result.
    """
    return _pad(sequences, np.arange(width) >= width - sequences.lengths[:, None])


def padded(recipe: Recipe, sequences: TokenSequences) -> NDArray[np.int32]:
    """Sequences as the recipe's Keras network takes them: int32, (reviews, steps)."""
    if recipe.network.masked:
        return pad_right(sequences)
    return pad_left(sequences, recipe.encoding.sequence_length)


def _pad(sequences: TokenSequences, is_token: NDArray[np.bool_]) -> NDArray[np.int32]:
    # Both run row by row, so the n-th True takes the n-th id.
    padded = np.full(is_token.shape, PADDING, dtype=np.int32)
    padded[is_token] = sequences.ids
    return padded


def _cut(rows: NDArray[np.int64], batch_rows: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + batch_rows] for start in range(0, len(rows), batch_rows)]
