"""N-grams of one to three tokens, identified by 32-bit fingerprints.

The n-grams of a model are a sorted array of fingerprints, and the id of an n-gram is its position
there, from 1 up. The array takes 4 bytes per n-gram and contains no text. Any two n-grams share a
fingerprint with a probability of about 1 in 2**32.

A verdict at the end of a review says more than the same words elsewhere. So, if a recipe wants it,
the n-grams of some parts of a review (see `REVIEW_PARTS`) are n-grams of their own, besides those
of the whole review.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.text.encoding import PADDING, TokenSequences

LONGEST: Final = 3
REVIEW_PARTS: Final = (0, -64, -16, 32)
"""Parts of a review, in tokens: all of it, the last 64, the last 16, and the first 32."""

BASE: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio, rounded to an odd number: products are spread evenly."""
FINGERPRINT_BITS: Final = np.uint64(32)
_SPARE_BITS: Final = 2
"""The table of the highest bits has 4 to 8 entries for each n-gram of a model."""
_FEW: Final = 10_000
"""Up to this many fingerprints, binary search is faster than making that table."""


def fingerprints(
    sequences: TokenSequences, part: int = 0
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the fingerprints of all n-grams in each review, with repetitions.

    N-grams are hashed by multiplication (Knuth, The Art of Computer Programming, 6.4): token ids
    are the digits of a 64-bit number in base `BASE`, whose upper half is kept. The number of the
    part is a digit in front of them.

    Args:
        sequences: The reviews.
        part: The number of the part to look in, see `REVIEW_PARTS`.

    Returns:
        uint32, (n-grams,), all of one token, then of two, then of three; int64, (n-grams,), the
        review that contains each.
    """
    sequences = part_of(sequences, part)
    ids = sequences.ids.astype(np.uint64)
    reviews = np.repeat(np.arange(len(sequences)), sequences.lengths)
    numbers = np.zeros_like(ids)
    found, places = [], []
    for length in range(1, min(LONGEST, len(ids)) + 1):
        numbers = numbers[: len(ids) - length + 1] * BASE + ids[length - 1 :]
        within = reviews[: len(numbers)] == reviews[length - 1 :]
        found.append(_hashed(numbers[within], part))
        places.append(reviews[: len(numbers)][within])
    if not found:
        return np.empty(0, np.uint32), np.empty(0, np.int64)
    return np.concatenate(found), np.concatenate(places)


def fingerprints_of(ngrams: NDArray[np.int32], part: int = 0) -> NDArray[np.uint32]:
    """Return the fingerprints of given n-grams.

    Args:
        ngrams: int32, (n-grams, length), their token ids.
        part: The number of the part that they are of, see `REVIEW_PARTS`.

    Returns:
        uint32, (n-grams,).
    """
    numbers = np.zeros(len(ngrams), np.uint64)
    for column in ngrams.T.astype(np.uint64):
        numbers = numbers * BASE + column
    return _hashed(numbers, part)


def part_of(sequences: TokenSequences, part: int) -> TokenSequences:
    """Return a part of each review, by its number; of short reviews, it is all of them."""
    size = REVIEW_PARTS[part]
    if size == 0:
        return sequences
    return sequences.tails(-size) if size < 0 else sequences.heads(size)


def _hashed(numbers: NDArray[np.uint64], part: int) -> NDArray[np.uint32]:
    marked = numbers + np.uint64(marker(part))
    return (marked * BASE >> FINGERPRINT_BITS).astype(np.uint32)


def marker(part: int) -> int:
    """Return what is added to the number of an n-gram of a part: a digit in front of its tokens."""
    return part * int(BASE) ** LONGEST % 2**64


class Ngrams:
    """The n-grams of a model, which have ids from 1 up; 0 is padding.

    Args:
        listed: uint32, (n-grams,), their fingerprints, ascending and unique.
        in_parts: Whether n-grams of all `REVIEW_PARTS` are among them, or those of whole reviews
            only.
    """

    def __init__(self, listed: NDArray[np.uint32], in_parts: bool = False) -> None:
        self.listed = listed
        self.in_parts = in_parts
        self.parts = range(len(REVIEW_PARTS) if in_parts else 1)
        # Fingerprints are spread evenly: the highest bits of one nearly say where it is listed.
        self._bits = min(len(listed).bit_length() + _SPARE_BITS, 32)
        self._shift = np.uint32(32 - self._bits)
        # Fingerprints that would be listed past the end are not 0.
        self._ended = np.append(listed, np.uint32(0))

    @cached_property
    def _begins(self) -> NDArray[np.int64]:
        """Where the fingerprints with each value of the highest bits begin in the list."""
        counts = np.bincount(self.listed >> self._shift, minlength=1 << self._bits)
        begins: NDArray[np.int64] = np.cumsum(counts)
        begins -= counts  # in place, since each array has megabytes
        return begins

    def __len__(self) -> int:
        return len(self.listed)

    def held_by(self, sequences: TokenSequences) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of these n-grams each review contains, without repetitions.

        Returns:
            int64, (found,), ids in [1, len(self)], ascending within a review; int64, (found,), the
            reviews, ascending.
        """
        parts = [fingerprints(sequences, part) for part in self.parts]
        found, reviews = (np.concatenate(column) for column in zip(*parts, strict=True))
        ids = self.ids_of(found)
        known = ids != PADDING
        bits = len(self).bit_length()
        keys = np.sort(reviews[known] << bits | ids[known])
        keys = keys[np.diff(keys, prepend=-1) != 0]
        return keys & (1 << bits) - 1, keys >> bits

    def ids_of(self, found: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the ids of fingerprints, and `PADDING` for those that are not listed."""
        return self._positions(found) + 1

    def _positions(self, found: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return where fingerprints are listed, and -1 for those that are not."""
        if len(self) == 0:
            return np.full(len(found), -1)
        places: NDArray[np.int64]
        if len(found) <= _FEW:
            places = np.searchsorted(self.listed, found)
        else:
            places = self._begins.take(found >> self._shift)
            # Few share their highest bits with a smaller one that is listed.
            behind = np.flatnonzero(self._ended.take(places) < found)
            places[behind] = np.searchsorted(self.listed, found[behind])
        places[self._ended.take(places) != found] = -1
        return places

    def log_odds(
        self, sequences: TokenSequences, weights: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the sum of each review's n-gram weights, divided by the root of its token count.

        Args:
            sequences: The reviews.
            weights: floats, (at least n-grams + 1,), indexed by id.

        Returns:
            float64, (reviews,).
        """
        ids, reviews = self.held_by(sequences)
        sums = np.bincount(reviews, weights[ids], minlength=len(sequences))
        log_odds: NDArray[np.float64] = sums / np.sqrt(sequences.lengths)
        return log_odds


def padded_ngrams(ngrams: Ngrams, sequences: TokenSequences) -> NDArray[np.int32]:
    """Return the ids of each review's n-grams, padded at the end: int32, (reviews, longest)."""
    ids, reviews = ngrams.held_by(sequences)
    counts = np.bincount(reviews, minlength=len(sequences))
    held = np.full((len(sequences), counts.max()), PADDING, np.int32)
    held[np.arange(held.shape[1]) < counts[:, None]] = ids
    return held
