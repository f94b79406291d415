"""Runs of one to three tokens, told apart by fingerprints, and which of them a review holds.

The n-grams that count are a sorted list of fingerprints; an n-gram is known by its place there. A
list of them costs 4 bytes each, and no text: two n-grams share one of 2**32 fingerprints as seldom
as chance has it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.text.encoding import PADDING, TokenSequences

LONGEST: Final = 3

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, to the next odd number: spreads what it multiplies evenly."""
_FINGERPRINT_BITS: Final = np.uint64(32)


def fingerprints(sequences: TokenSequences) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Every n-gram of every review, as often as it stands there.

    N-grams are hashed by multiplication (Knuth, The Art of Computer Programming, 6.4): the digits
    of a number to the base `_BASE`, of which the upper half is kept.

    Returns:
        uint32, (n-grams,), of one token, then of two, then of three; int64, (n-grams,), the review
        that each stands in.
    """
    ids = sequences.ids.astype(np.uint64)
    reviews = np.repeat(np.arange(len(sequences)), sequences.lengths)
    numbers = np.zeros_like(ids)
    found, places = [], []
    for length in range(1, min(LONGEST, len(ids)) + 1):
        numbers = numbers[: len(ids) - length + 1] * _BASE + ids[length - 1 :]
        within = reviews[: len(numbers)] == reviews[length - 1 :]
        found.append((numbers[within] * _BASE >> _FINGERPRINT_BITS).astype(np.uint32))
        places.append(reviews[: len(numbers)][within])
    if not found:
        return np.empty(0, np.uint32), np.empty(0, np.int64)
    return np.concatenate(found), np.concatenate(places)


class Ngrams:
    """The n-grams that have an id of their own, from 1 on; 0 is padding.

    Args:
        listed: uint32, (n-grams,), their fingerprints, ascending, each once.
    """

    def __init__(self, listed: NDArray[np.uint32]) -> None:
        from pandas import Index

        self.listed = listed
        self._index = Index(listed)
        # Its hash table is built by the first look-up, which threads must not do side by side.
        self._index.get_indexer(self._index[:1])

    def __len__(self) -> int:
        return len(self.listed)

    def held_by(self, sequences: TokenSequences) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of these n-grams each review holds, each once however often it stands there.

        Returns:
            int64, (held,), ids in [1, len(self)], ascending within a review; int64, (held,), the
            reviews, ascending.
        """
        found, reviews = fingerprints(sequences)
        ids = self._index.get_indexer(found) + 1  # type: ignore[arg-type]  # takes any array
        known = ids != PADDING
        bits = len(self).bit_length()
        keys = np.sort(reviews[known] << bits | ids[known])
        keys = keys[np.diff(keys, prepend=-1) != 0]
        return keys & (1 << bits) - 1, keys >> bits

    def log_odds(
        self, sequences: TokenSequences, weights: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """The sum of the weights of each review's n-grams, over the root of its tokens.

        Args:
            sequences: The reviews.
            weights: float32, (at least n-grams + 1,), by id.

        Returns:
            float64, (reviews,).
        """
        ids, reviews = self.held_by(sequences)
        sums = np.bincount(reviews, weights[ids], minlength=len(sequences))
        log_odds: NDArray[np.float64] = sums / np.sqrt(sequences.lengths)
        return log_odds


def padded_ngrams(ngrams: Ngrams, sequences: TokenSequences) -> NDArray[np.int32]:
    """The ids of the n-grams that each review holds: int32, (reviews, most), padding behind."""
    ids, reviews = ngrams.held_by(sequences)
    counts = np.bincount(reviews, minlength=len(sequences))
    held = np.full((len(sequences), counts.max()), PADDING, np.int32)
    held[np.arange(held.shape[1]) < counts[:, None]] = ids
    return held
