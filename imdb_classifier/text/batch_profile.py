"""What a batch of texts looks like, in counts: no text, no word, no row of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.schema import THRESHOLD
from imdb_classifier.text.encoding import UNKNOWN, TokenSequences

LENGTH_EDGES: Final = (50, 100, 200, 300, 500)
"""Upper ends of the ranges of lengths, in words, inclusive; longer texts make a last range."""
SCORE_BINS: Final = 20
"""Bins of equal width over probabilities from 0 to 1; the last one is closed."""


@dataclass(frozen=True)
class BatchProfile:
    """Counts of a batch; those of its parts add up to it.

    Attributes:
        without_text: Rows whose text is null, empty or blank. The others are its texts.
        positive: Texts labeled positive.
        truncated: Texts longer than the model reads.
        words: Words of all texts.
        unknown_words: Of these, the ones that the vocabulary lacks.
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
        """Count.

        Args:
            untruncated: The texts, encoded without a cut.
            probabilities: float32, (texts,), in [0, 1].
            sequence_length: The tokens that the model reads of a text.
            without_text: Rows beside these texts that have none.
        """
        # The start token is no word of the text's.
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
        """Rows with text."""
        return sum(self.scores)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.texts + self.without_text

    def __add__(self, other: BatchProfile) -> BatchProfile:
        """The profile of both batches together."""
        both = vars(self), vars(other)
        arrays = {
            name: np.add(*(np.array(profile[name]) for profile in both)) for name in vars(self)
        }
        return self.from_dict({name: array.tolist() for name, array in arrays.items()})

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchProfile:
        """The inverse of `to_dict`.

        Raises:
            TypeError: A key is unknown.
        """
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**values)
