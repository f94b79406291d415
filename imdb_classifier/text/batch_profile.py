"""Counts that describe a batch of texts, such as lengths and unknown words, without any text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import add
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.schema import THRESHOLD
from imdb_classifier.text.encoding import UNKNOWN, TokenSequences

LENGTH_EDGES: Final = (50, 100, 200, 300, 500)
"""Upper bounds of the length ranges, in words, inclusive; longer texts are in one more range."""
SCORE_BINS: Final = 20
"""Number of bins of equal width for probabilities from 0 to 1; the last bin includes 1."""


@dataclass(frozen=True)
class BatchProfile:
    """Counts for a batch; adding the profiles of its parts gives the same.

    Attributes:
        without_text: Rows whose text is null, empty or blank. All other rows are texts.
        positive: Texts with a probability of at least `schema.THRESHOLD`.
        truncated: Texts longer than the model reads.
        words: Words in all texts.
        unknown_words: Words that are not in the vocabulary.
        lengths: Texts by length, see `LENGTH_EDGES`.
        scores: Texts by probability of positive, see `SCORE_BINS`.
    """

    without_text: int = 0
    positive: int = 0
    truncated: int = 0
    words: int = 0
    unknown_words: int = 0
    lengths: tuple[int, ...] = (0,) * (len(LENGTH_EDGES) + 1)
    scores: tuple[int, ...] = (0,) * SCORE_BINS

    @classmethod
    def of(
        cls,
        untruncated: TokenSequences,
        probabilities: NDArray[np.float32],
        sequence_length: int,
        without_text: int = 0,
    ) -> BatchProfile:
        """Return the profile of a batch.

        Args:
            untruncated: The texts, encoded without truncation.
            probabilities: float32, (texts,), in [0, 1].
            sequence_length: Number of tokens that the model reads of a text.
            without_text: Number of rows without text, in addition to these texts.
        """
        # The start token is not a word.
        words = untruncated.lengths - 1
        bins = np.minimum((probabilities * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        ranges = np.searchsorted(LENGTH_EDGES, words)
        return cls(
            without_text=without_text,
            positive=int(np.count_nonzero(probabilities >= THRESHOLD)),
            truncated=int(np.count_nonzero(untruncated.lengths > sequence_length)),
            words=int(words.sum()),
            unknown_words=int(np.count_nonzero(untruncated.ids == UNKNOWN)),
            lengths=tuple(np.bincount(ranges, minlength=len(LENGTH_EDGES) + 1).tolist()),
            scores=tuple(np.bincount(bins, minlength=SCORE_BINS).tolist()),
        )

    @property
    def texts(self) -> int:
        """Number of rows with text."""
        return sum(self.scores)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.texts + self.without_text

    def __add__(self, other: BatchProfile) -> BatchProfile:
        """Return the profile of both batches together."""
        theirs = vars(other)
        total: dict[str, Any] = {
            name: tuple(map(add, value, theirs[name]))
            if isinstance(value, tuple)
            else value + theirs[name]
            for name, value in vars(self).items()
        }
        return BatchProfile(**total)

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchProfile:
        """Return the profile that `to_dict` describes.

        Raises:
            TypeError: A key is unknown, or a value is no count, or not the right number of counts.
        """
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        profile = cls(**values)
        for found, usual in zip(vars(profile).values(), vars(cls()).values(), strict=True):
            counts, expected = (v if isinstance(v, tuple) else (v,) for v in (found, usual))
            if {*map(type, counts)} != {int} or len(counts) != len(expected):
                raise TypeError("a batch profile consists of counts")
        return profile
