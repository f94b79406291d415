"""Which changes of a batch count as input drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from imdb_classifier.settings import limits_of


@dataclass(frozen=True)
class DriftLimits:
    """The largest changes that do not count as drift.

    Attributes:
        scores: Population stability index of the probabilities.
        lengths: Population stability index of the text lengths.
        positive: Change in the share of texts labeled positive.
        unknown_words: Change in the share of words that are not in the vocabulary.
        truncated: Change in the share of texts that are truncated.
        without_text: Change in the share of rows without text.
    """

    scores: float = 0.2
    lengths: float = 0.2
    positive: float = 0.1
    unknown_words: float = 0.05
    truncated: float = 0.05
    without_text: float = 0.05

    @classmethod
    def of(cls, limits: Mapping[str, float]) -> Self:
        """Return the given limits, and defaults for the others.

        Raises:
            ConfigurationError: There is no limit of that name, or its value is not at least 0.
        """
        return limits_of(cls, limits, called="Drift limits", parameter="drift_limits")
