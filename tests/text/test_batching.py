from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imdb_classifier.config import PRODUCTION, SEED, TINY
from imdb_classifier.text.batching import (
    POOL_BATCHES,
    length_buckets,
    pad_left,
    pad_right,
    padded,
    shuffled_batches,
)
from imdb_classifier.text.encoding import TokenSequences


def sequences_of(*rows: list[int]) -> TokenSequences:
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return TokenSequences(np.array([i for row in rows for i in row], np.int32), offsets)


LENGTHS = st.lists(st.integers(1, 2_000), max_size=300).map(lambda xs: np.array(xs, np.int64))


@given(LENGTHS, st.integers(1, 70))
def test_buckets_hold_every_row_once_in_order_of_length(
    lengths: NDArray[np.int64], batch_rows: int
) -> None:
    batches = length_buckets(lengths, batch_rows)
    order = np.concatenate(batches) if batches else np.empty(0, np.int64)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) >= 0).all()
    assert all(len(batch) == batch_rows for batch in batches[:-1])


def test_equal_lengths_keep_their_order() -> None:
    assert length_buckets(np.array([2, 1, 2, 1]), 3)[0].tolist() == [1, 3, 0]


@given(LENGTHS, st.integers(1, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_shuffled_batches_are_a_permutation_that_the_generator_decides(
    lengths: NDArray[np.int64], batch_rows: int, bucketed: bool, seed: int
) -> None:
    first, again = (
        shuffled_batches(lengths, batch_rows, np.random.default_rng(seed), bucketed=bucketed)
        for _ in range(2)
    )
    assert sorted(row for batch in first for row in batch) == list(range(len(lengths)))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_bucketed_batches_are_of_like_length_and_differ_between_epochs() -> None:
    lengths = np.random.default_rng(1).integers(1, 500, 16 * POOL_BATCHES)
    epochs = [
        shuffled_batches(lengths, 16, np.random.default_rng([1, epoch]), bucketed=True)
        for epoch in (1, 2)
    ]
    assert np.mean([np.ptp(lengths[batch]) for batch in epochs[0]]) < 20
    assert [batch.tolist() for batch in epochs[0]] != [batch.tolist() for batch in epochs[1]]
    plain = shuffled_batches(lengths, 16, np.random.default_rng(1), bucketed=False)
    assert np.mean([np.ptp(lengths[batch]) for batch in plain]) > 300


def test_padding_stands_behind_or_in_front() -> None:
    sequences = sequences_of([1, 7], [1], [1, 8, 9])
    assert pad_right(sequences).tolist() == [[1, 7, 0], [1, 0, 0], [1, 8, 9]]
    assert pad_left(sequences, 4).tolist() == [[0, 0, 1, 7], [0, 0, 0, 1], [0, 1, 8, 9]]
    assert pad_right(sequences).dtype == np.int32


def test_masked_recipes_pad_what_is_read_to_the_longest_and_the_tutorial_to_500() -> None:
    sequences = sequences_of([1, 7], [1])
    np.testing.assert_array_equal(padded(TINY, sequences), [[1, 7], [1, 0]])
    of_the_end = replace(TINY.network, ngrams=1, lstm_tokens=1)
    end = padded(replace(PRODUCTION, network=of_the_end), sequences)
    np.testing.assert_array_equal(end, [[7], [1]])
    in_front = padded(SEED, sequences)
    assert in_front.shape == (2, 500)
    assert in_front[0, -2:].tolist() == [1, 7]
