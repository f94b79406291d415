from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imdb_classifier.batching import (
    POOL_BATCHES,
    length_buckets,
    pad_for,
    pad_left,
    pad_right,
    shuffled_batches,
)
from imdb_classifier.config import SEED, TINY, EncodingConfig
from imdb_classifier.encoding import TokenSequences

LENGTHS = st.lists(st.integers(1, 30), max_size=60).map(lambda rows: np.array(rows, np.int64))
BATCH_ROWS = st.integers(1, 9)
SEEDS = st.integers(0, 2**32 - 1)


def sequences_of(*rows: list[int]) -> TokenSequences:
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenSequences(np.array([id for row in rows for id in row], np.int32), offsets)


def check_partition(batches: list[NDArray[np.int64]], rows: int, batch_rows: int) -> None:
    """Every row once, batches as large as they may be."""
    together = np.concatenate([np.empty(0, np.int64), *batches])
    assert np.sort(together).tolist() == list(range(rows))
    sizes = sorted((len(batch) for batch in batches), reverse=True)
    assert len(sizes) == -(-rows // batch_rows)
    assert all(size == batch_rows for size in sizes[:-1])
    assert all(1 <= size <= batch_rows for size in sizes)


@given(LENGTHS, BATCH_ROWS)
def test_length_buckets(lengths: NDArray[np.int64], batch_rows: int) -> None:
    batches = length_buckets(lengths, batch_rows)
    check_partition(batches, len(lengths), batch_rows)
    together = np.concatenate([np.empty(0, np.int64), *batches])
    pairs = list(zip(lengths[together].tolist(), together.tolist(), strict=True))
    assert pairs == sorted(pairs)


@given(LENGTHS, BATCH_ROWS)
def test_rows_are_the_way_back(lengths: NDArray[np.int64], batch_rows: int) -> None:
    result = np.zeros(len(lengths), np.int64)
    for rows in length_buckets(lengths, batch_rows):
        result[rows] = lengths[rows] * 10
    assert result.tolist() == (lengths * 10).tolist()


@given(LENGTHS, BATCH_ROWS, SEEDS, st.booleans())
def test_shuffled_batches(
    lengths: NDArray[np.int64], batch_rows: int, seed: int, bucketed: bool
) -> None:
    def batches() -> list[list[int]]:
        generator = np.random.default_rng(seed)
        drawn = shuffled_batches(lengths, batch_rows, generator, bucketed=bucketed)
        check_partition(drawn, len(lengths), batch_rows)
        return [batch.tolist() for batch in drawn]

    np.random.seed(1)
    first = batches()
    np.random.seed(2)
    assert batches() == first


@pytest.mark.parametrize("bucketed", [False, True])
def test_order_comes_from_the_generator(bucketed: bool) -> None:
    lengths = np.arange(1, 101)

    def batches(generator: np.random.Generator) -> list[list[int]]:
        drawn = shuffled_batches(lengths, 8, generator, bucketed=bucketed)
        return [batch.tolist() for batch in drawn]

    generator = np.random.default_rng(1)
    first, second = batches(generator), batches(generator)
    assert first != second
    assert first != batches(np.random.default_rng(2))
    assert first == batches(np.random.default_rng(1))


def test_order_does_not_depend_on_lengths_unless_bucketed() -> None:
    short, long = np.ones(40, np.int64), np.arange(40)
    first, second = (
        shuffled_batches(lengths, 7, np.random.default_rng(3), bucketed=False)
        for lengths in (short, long)
    )
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in second]


def test_bucketed_batches_hold_reviews_of_like_length() -> None:
    rows = 4 * POOL_BATCHES  # one pool
    lengths = np.random.default_rng(0).permutation(rows)
    batches = shuffled_batches(lengths, 4, np.random.default_rng(5), bucketed=True)
    spans = [lengths[batch].tolist() for batch in batches]
    assert sorted(spans) == [[n, n + 1, n + 2, n + 3] for n in range(0, rows, 4)]
    assert spans != sorted(spans)


def test_bucketed_batches_are_drawn_from_pools() -> None:
    lengths = np.arange(2 * 4 * POOL_BATCHES)
    batches = shuffled_batches(lengths, 4, np.random.default_rng(5), bucketed=True)
    widths = [int(np.ptp(lengths[batch])) for batch in batches]
    # A pool has every other review or so: wider than one sorted order, far narrower than chance.
    assert 4 < np.mean(widths) < 20


def test_pad_right() -> None:
    padded = pad_right(sequences_of([1, 5], [1], [1, 6, 7]))
    assert padded.tolist() == [[1, 5, 0], [1, 0, 0], [1, 6, 7]]
    assert padded.dtype == np.int32


def test_pad_left() -> None:
    padded = pad_left(sequences_of([1, 5], [1], [1, 6, 7, 8]), 4)
    assert padded.tolist() == [[0, 0, 1, 5], [0, 0, 0, 1], [1, 6, 7, 8]]
    assert padded.dtype == np.int32
    assert pad_left(sequences_of([1]), 3).tolist() == [[0, 0, 1]]


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9))
@settings(max_examples=50)
def test_padding_stands_on_one_side_only(rows: list[list[int]]) -> None:
    sequences, longest = sequences_of(*rows), max(map(len, rows))
    assert pad_right(sequences).tolist() == [row + [0] * (longest - len(row)) for row in rows]
    assert pad_left(sequences, 11).tolist() == [[0] * (11 - len(row)) + row for row in rows]


def test_recipes_pad_as_they_are_trained() -> None:
    sequences = sequences_of([1, 5, 6], [1])
    assert TINY.network.masked
    assert pad_for(TINY, sequences).tolist() == [[1, 5, 6], [1, 0, 0]]
    assert pad_for(SEED, sequences).shape == (2, 500)
    short = replace(SEED, encoding=EncodingConfig(num_words=9, sequence_length=4))
    assert pad_for(short, sequences).tolist() == [[0, 1, 5, 6], [0, 0, 0, 1]]
