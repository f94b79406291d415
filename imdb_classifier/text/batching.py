"""Batches of reviews of similar length, and padding.

A batch is an array of row positions: writing the results of each batch to these positions restores
the order of the rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import NetworkConfig, Recipe
from imdb_classifier.text.encoding import PADDING, TokenSequences

POOL_BATCHES: Final = 50


def length_buckets(lengths: NDArray[np.int64], batch_rows: int) -> list[NDArray[np.int64]]:
    """Return rows sorted by length and cut into batches, which keeps padding to a minimum.

    Args:
        lengths: int64, (reviews,), in tokens.
        batch_rows: Number of reviews per batch; the last one may be smaller.

    Returns:
        int64, (batch,) each; together, they contain every row once. Rows of equal length keep
        their order.
    """
    return _cut(np.argsort(lengths, kind="stable"), batch_rows)


def shuffled_batches(
    lengths: NDArray[np.int64],
    batch_rows: int,
    generator: np.random.Generator,
    *,
    bucketed: bool,
) -> list[NDArray[np.int64]]:
    """Return the batches of one training epoch, in the order of their use.

    Args:
        lengths: int64, (reviews,), in tokens.
        batch_rows: Number of reviews per batch; the last one may be smaller.
        generator: Random generator for the order.
        bucketed: Whether the reviews of a batch have similar lengths. If so, they are drawn from
            pools of `POOL_BATCHES` batches, so that the batches differ from epoch to epoch.
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
    """Return sequences as one array, padded after the tokens: int32, (reviews, longest)."""
    lengths = sequences.lengths
    return _pad(sequences, np.arange(lengths.max()) < lengths[:, None])


def pad_left(sequences: TokenSequences, width: int) -> NDArray[np.int32]:
    """Return sequences as one array, padded before the tokens: int32, (reviews, width).

    Args:
        sequences: Sequences of at most `width` tokens.
        width: Number of columns of the result.
    """
    return _pad(sequences, np.arange(width) >= width - sequences.lengths[:, None])


def tokens_read(network: NetworkConfig, sequences: TokenSequences) -> TokenSequences:
    """Return the tokens of each review that the LSTM of a network reads."""
    if network.ngrams and network.lstm_tokens:
        return sequences.tails(network.lstm_tokens)
    return sequences


def padded(recipe: Recipe, sequences: TokenSequences) -> NDArray[np.int32]:
    """Return what the LSTM of the recipe's Keras network reads: int32, (reviews, steps)."""
    if recipe.network.masked:
        return pad_right(tokens_read(recipe.network, sequences))
    return pad_left(sequences, recipe.encoding.sequence_length)


def _pad(sequences: TokenSequences, is_token: NDArray[np.bool_]) -> NDArray[np.int32]:
    # Both are in row-major order, so the n-th True gets the n-th id.
    padded = np.full(is_token.shape, PADDING, dtype=np.int32)
    padded[is_token] = sequences.ids
    return padded


def _cut(rows: NDArray[np.int64], batch_rows: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + batch_rows] for start in range(0, len(rows), batch_rows)]
