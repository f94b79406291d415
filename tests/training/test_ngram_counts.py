from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams
from imdb_classifier.training.ngram_models.ngram_counts import (
    count_ngrams,
    log_count_ratios,
    log_ratio_log_odds,
    present,
    tf_idf,
    tf_idf_log_odds,
)

LABELS = np.array([1, 0] * 10, np.int8)
EVERY = np.arange(20)
CONFIG = TeachersConfig(2, 8, 3, 0.5)


def sequences_of(rows: list[list[int]]) -> TokenSequences:
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenSequences(np.array([i for row in rows for i in row], np.int32), offsets)


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    """Twenty reviews of 1 to 20 tokens; 5 stands in positive ones only, 6 in negative ones."""
    generator = np.random.default_rng(1)
    return [
        [1, *generator.integers(7, 12, length).tolist(), 5 if label else 6][: length + 1]
        if length
        else [1]
        for length, label in zip(range(20), LABELS, strict=True)
    ]


@pytest.mark.parametrize("minimum", [1, 3])
def test_counts_are_those_of_scikit_learn(rows: list[list[int]], minimum: int) -> None:
    vectorizer = CountVectorizer(
        ngram_range=(1, 3), min_df=minimum, token_pattern=r"\d+", dtype=np.float32
    )
    expected = vectorizer.fit_transform([" ".join(map(str, row)) for row in rows]).toarray()
    listed, counts = count_ngrams(sequences_of(rows), EVERY, minimum)
    ngrams = Ngrams(listed)
    found = counts.toarray()
    assert found.dtype == np.float32
    assert found.shape == (20, len(ngrams))

    def columns(counts: NDArray[np.float32]) -> list[list[float]]:
        return sorted(counts.T.tolist())

    assert columns(found) == columns(expected)
    # The ids that n-grams are known by are the columns, from 1 on.
    ids, reviews = ngrams.held_by(sequences_of(rows))
    held = np.zeros_like(found)
    held[reviews, ids - 1] = 1
    np.testing.assert_array_equal(held, found > 0)


def test_counts_of_a_part_are_those_of_its_tokens() -> None:
    rows = [[3] * 30 + [4] * 16, [4] * 16]
    listed, counts = count_ngrams(sequences_of(rows), np.array([0, 1]), 2, part=2)
    expected, of_ends = count_ngrams(sequences_of([[4] * 16] * 2), np.array([0, 1]), 2, part=2)
    assert listed.tolist() == expected.tolist()
    assert counts.toarray().tolist() == of_ends.toarray().tolist()


def test_reviews_not_looked_at_bring_no_ngram() -> None:
    listed, counts = count_ngrams(sequences_of([[3], [3], [4], [4]]), np.array([0, 1, 2]), 2)
    assert len(listed) == 1
    assert counts.toarray().tolist() == [[1], [1], [0], [0]]


def test_ratios_compare_smoothed_shares() -> None:
    rows = np.arange(4)
    _, counts = count_ngrams(sequences_of([[3], [3, 3], [4], [3]]), rows, 1)
    ratios = np.sort(log_count_ratios(present(counts), np.array([1, 1, 0, 0], np.int8), rows, 1.0))
    # Once a review: 3 twice in positive and once in negative ones, 4 never and once, and the
    # pair 3 3 once and never; each and one more, of seven and five in all.
    expected = np.log(np.array([1 / 6 / (2 / 5), 3 / 6 / (2 / 5), 2 / 6 / (1 / 5)]))
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


def test_tf_idf_gives_each_review_the_length_one(rows: list[list[int]]) -> None:
    _, counts = count_ngrams(sequences_of(rows), EVERY, 1)
    lengths = np.sqrt((tf_idf(counts).toarray() ** 2).sum(axis=1))
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_what_is_learned_from_some_reviews_holds_for_others() -> None:
    generator = np.random.default_rng(2)
    labels = np.tile(np.array([1, 0], np.int8), 100)
    rows = [[*generator.integers(7, 12, 9).tolist(), 5 if label else 6] for label in labels]
    _, counts = count_ngrams(sequences_of(rows), np.arange(200), 2)
    # Labels past the rows to learn from are not looked at.
    hidden = np.where(np.arange(200) < 100, labels, -1).astype(np.int8)
    for log_odds in (
        log_ratio_log_odds(present(counts), hidden, np.arange(100), CONFIG),
        tf_idf_log_odds(counts, hidden, np.arange(100), CONFIG),
    ):
        assert log_odds.dtype == np.float32
        assert ((log_odds[100:] > 0) == labels[100:]).mean() > 0.95
