from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import LONGEST, REVIEW_PARTS, Ngrams, fingerprints, padded_ngrams


def sequences_of(*rows: list[int]) -> TokenSequences:
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenSequences(np.array([i for row in rows for i in row], np.int32), offsets)


def known(*rows: list[int], in_parts: bool = False) -> Ngrams:
    """The n-grams of these reviews."""
    parts = range(len(REVIEW_PARTS) if in_parts else 1)
    found = [fingerprints(sequences_of(*rows), part)[0] for part in parts]
    return Ngrams(np.unique(np.concatenate(found)), in_parts)


ROWS = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=8), max_size=6)


@given(ROWS)
def test_each_run_of_tokens_has_a_fingerprint_of_its_own(rows: list[list[int]]) -> None:
    found, reviews = fingerprints(sequences_of(*rows))
    assert found.dtype == np.uint32
    expected = [
        (tuple(row[start : start + length]), review)
        for length in range(1, LONGEST + 1)
        for review, row in enumerate(rows)
        for start in range(len(row) - length + 1)
    ]
    assert reviews.tolist() == [review for _, review in expected]
    # One to one: as many pairs as there are on either side.
    runs = [run for run, _ in expected]
    pairs = {*zip(runs, found.tolist(), strict=True)}
    assert len(pairs) == len({*runs}) == len({*found.tolist()})


@given(ROWS, ROWS, st.booleans())
def test_each_ngram_is_held_once(
    listed: list[list[int]], rows: list[list[int]], in_parts: bool
) -> None:
    ngrams = known(*listed, in_parts=in_parts)
    ids, reviews = ngrams.held_by(sequences_of(*rows))
    for review, row in enumerate(rows):
        there = known(row, in_parts=in_parts).listed
        expected = {*np.flatnonzero(np.isin(ngrams.listed, there)).tolist()}
        assert (ids[reviews == review] - 1).tolist() == sorted(expected)
    assert (np.diff(reviews) >= 0).all()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 32, 33, 64, 65, 200])
def test_ngrams_of_a_part_are_those_of_its_tokens_and_of_no_other_part(length: int) -> None:
    row = list(range(3, 3 + length))
    parts = [row, row[-64:], row[-16:], row[:32]]
    found = [fingerprints(sequences_of([9], row, [9]), part) for part in range(len(parts))]
    for (_, reviews), tokens in zip(found, parts, strict=True):
        assert reviews.tolist() == fingerprints(sequences_of([9], tokens, [9]))[1].tolist()
    together = np.concatenate([np.unique(prints) for prints, _ in found])
    assert len(np.unique(together)) == len(together)


def test_fingerprints_spread_evenly() -> None:
    generator = np.random.default_rng(0)
    # Words are about as frequent as the inverse of their rank.
    ids = (30_000 ** generator.random(300_000)).astype(np.int32) + 2
    rows = TokenSequences(ids, np.array([0, len(ids)]))
    runs = sum(
        len(np.unique(np.lib.stride_tricks.sliding_window_view(ids, length), axis=0))
        for length in range(1, LONGEST + 1)
    )
    found = np.unique(fingerprints(rows)[0])
    # As few share one as by chance: half the number of pairs, over 2**32; 23 of 450,000 or so.
    assert runs - len(found) == pytest.approx(runs**2 / 2 / 2**32, abs=20)
    counts, _ = np.histogram(found, 256, (0, 2**32))
    assert counts.std() < 1.5 * np.sqrt(counts.mean())


@pytest.mark.parametrize("few", [0, 10_000])
def test_fingerprints_are_found_where_they_are_listed(
    monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("imdb_classifier.text.ngrams._FEW", few)
    numbers = np.random.default_rng(0).integers(0, 2**32, 4_000, np.uint32)
    listed = np.unique(np.append(numbers[:2_000], np.array([0, 2**32 - 1], np.uint32)))
    ids = {number: place for place, number in enumerate(listed.tolist(), 1)}
    found = np.concatenate([numbers, listed, listed[1:] - 1])
    assert Ngrams(listed).ids_of(found).tolist() == [ids.get(n, 0) for n in found.tolist()]


def test_weights_of_a_review_are_summed_over_the_root_of_its_tokens() -> None:
    ngrams = known([5], [6])
    weights = np.array([0.0, 1.0, 10.0], np.float32)
    five, six = (ngrams.held_by(sequences_of([word]))[0][0] for word in (5, 6))
    found = ngrams.log_odds(sequences_of([5, 7, 5, 6], [7], [6]), weights)
    expected = [(weights[five] + weights[six]) / 2, 0, weights[six]]
    np.testing.assert_allclose(found, expected)


def test_the_end_of_a_review_counts_again() -> None:
    ngrams = known([5], in_parts=True)
    assert len(ngrams) == len(REVIEW_PARTS)
    weights = np.array([0.0, 1.0, 1.0, 1.0, 1.0], np.float32)
    # In the whole review, and its last 64, last 16 or first 32 tokens.
    for place, times in ((0, 2), (33, 1), (40, 2), (99, 3)):
        row = [7] * 100
        row[place] = 5
        assert ngrams.log_odds(sequences_of(row), weights).tolist() == [times / 10]


@pytest.mark.parametrize("ngrams", [known([5], [6]), known()])
def test_padded_ngrams(ngrams: Ngrams) -> None:
    found: NDArray[np.int32] = padded_ngrams(ngrams, sequences_of([5, 6, 5], [7], [6]))
    assert found.dtype == np.int32
    assert (found > 0).sum(axis=1).tolist() == ([2, 0, 1] if len(ngrams) else [0, 0, 0])
    assert (np.diff((found > 0).astype(int), axis=1) <= 0).all()
