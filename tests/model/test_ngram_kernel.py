"""The compiled sums of n-gram weights are those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imdb_classifier.model.engines.compiled_engine import NgramSums
from imdb_classifier.model.weights import rounded
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import REVIEW_PARTS, Ngrams, fingerprints

LAST = 2**32 - 1


def sequences_of(reviews: list[list[int]]) -> TokenSequences:
    ids = np.concatenate([np.array(review, np.int32) for review in reviews])
    return TokenSequences(ids, np.cumsum([0, *map(len, reviews)]))


def assert_sums_of_numpy(
    listed: NDArray[np.uint32], sequences: TokenSequences, in_parts: bool = False
) -> None:
    ngrams = Ngrams(listed, in_parts)
    weights = np.random.default_rng(len(listed)).normal(size=len(listed) + 1).astype(np.float32)
    weights = rounded(weights)
    found = NgramSums(ngrams, weights).of(sequences) / np.sqrt(sequences.lengths)
    assert found.tobytes() == ngrams.log_odds(sequences, weights).tobytes()


@given(
    reviews=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=40), min_size=1, max_size=8),
    every=st.integers(1, 5),
    offset=st.integers(0, 4),
)
@settings(max_examples=100, deadline=None)
def test_any_reviews(reviews: list[list[int]], every: int, offset: int) -> None:
    sequences = sequences_of(reviews)
    found = np.unique(fingerprints(sequences)[0])
    assert_sums_of_numpy(found[offset::every], sequences)


@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=8),
    words=st.sampled_from([3, 30, 3_000]),
    every=st.integers(1, 5),
)
@settings(max_examples=100, deadline=None)
def test_parts_of_any_reviews(lengths: list[int], words: int, every: int) -> None:
    generator = np.random.default_rng(len(lengths))
    sequences = sequences_of([generator.integers(0, words, length).tolist() for length in lengths])
    found = [fingerprints(sequences, part)[0] for part in range(len(REVIEW_PARTS))]
    assert_sums_of_numpy(np.unique(np.concatenate(found))[::every], sequences, in_parts=True)


@pytest.mark.parametrize("unlisted", [0, 1])
@pytest.mark.parametrize("edge", ["lowest", "highest"])
def test_fingerprints_that_share_their_highest_bits(edge: str, unlisted: int) -> None:
    sequences = sequences_of([[5, 6, 7, 5, 6, 7, 8], [9], [7, 5]])
    found = np.unique(fingerprints(sequences)[0]).astype(np.int64)
    neighbours = np.concatenate([found + step for step in range(-20, 21) if step])
    ends = np.arange(200) if edge == "lowest" else LAST - np.arange(200)
    listed = np.union1d(np.concatenate([neighbours, ends]), found[unlisted::2])
    assert_sums_of_numpy(listed[(listed >= 0) & (listed <= LAST)].astype(np.uint32), sequences)


def test_fingerprints_are_any_numbers() -> None:
    # Padding has the fingerprint 0, and so has every n-gram of it.
    sequences = sequences_of([[0, 0, 0], [1, 0], [2]])
    assert 0 in fingerprints(sequences)[0]
    for listed in ([], [0], [0, LAST], [LAST], [1, 2, 3]):
        assert_sums_of_numpy(np.array(listed, np.uint32), sequences)


def test_a_weight_of_nothing_hides_no_ngram() -> None:
    reviews = sequences_of([[token] for token in range(1, 100)])
    found = fingerprints(reviews)[0]
    # Its first slot is that of fingerprint 0, whose word would be 0 with this weight.
    low = int(found[found < 2**29][0])
    listed, weights = np.array([0, low], np.uint32), np.array([0, 0, 1], np.float32)
    assert NgramSums(Ngrams(listed), weights).of(reviews).tolist() == (found == low).tolist()


def test_short_reviews_that_repeat_a_long_one() -> None:
    long = np.random.default_rng(1).integers(0, 900, 30_000).tolist()
    sequences = sequences_of([long, *(long[start : start + 7] for start in range(0, 30_000, 10))])
    assert_sums_of_numpy(np.unique(fingerprints(sequences)[0])[::3], sequences)
    assert_sums_of_numpy(np.unique(fingerprints(sequences)[0]), sequences)
