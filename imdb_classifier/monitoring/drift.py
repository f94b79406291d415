"""How far a scored batch is from the reviews that its model was checked on, by their profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.limits import limits_of
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.text.batch_profile import BatchProfile

DRIFT_SCHEMA_VERSION: Final = 1
PSI_BINS: Final = 10
"""Ranges of probability that distributions of scores are compared in."""
CHANCE: Final = 0.001
"""Changes that two batches of one kind show more often than this do not count."""


@dataclass(frozen=True)
class DriftLimits:
    """The largest changes that pass for usual.

    Attributes:
        scores: Population stability index of the probabilities.
        lengths: Population stability index of the texts' lengths.
        positive: Change of the share of texts labeled positive.
        unknown_words: Change of the share of words that the vocabulary lacks.
        truncated: Change of the share of texts longer than the model reads.
        without_text: Change of the share of rows without text.
    """

    scores: float = 0.2
    lengths: float = 0.2
    positive: float = 0.1
    unknown_words: float = 0.05
    truncated: float = 0.05
    without_text: float = 0.05

    @classmethod
    def of(cls, limits: Mapping[str, float]) -> Self:
        """The default limits, but for those that are given.

        Raises:
            ConfigurationError: There is no such limit, or it is no number from 0 up.
        """
        return limits_of(cls, limits, called="Limits of drift", example="--drift-limit scores=0.5")


@dataclass(frozen=True)
class Measure:
    """One thing that batch and reference are compared by.

    Attributes:
        name: As in `DriftLimits`.
        batch: The share in the batch; None for an index.
        reference: The share in the reference; None for an index.
        change: The difference of the shares, or the index.
        chance: What it may be between two batches of one kind that are of these sizes.
        limit: What passes for usual.
        crossed: Whether it is beyond both.
    """

    name: str
    batch: float | None
    reference: float | None
    change: float
    chance: float
    limit: float
    crossed: bool


@dataclass(frozen=True)
class Drift:
    """A batch beside its model's reference.

    Attributes:
        model_id: The model that scored it.
        measures: In the order of `DriftLimits`; none where the batch has no text.
        batch: Its profile.
        reference: The reference's.
    """

    model_id: str
    measures: tuple[Measure, ...]
    batch: BatchProfile
    reference: BatchProfile

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return self.batch.rows

    @property
    def crossed(self) -> tuple[Measure, ...]:
        """The measures that crossed their limits."""
        return tuple(measure for measure in self.measures if measure.crossed)

    @property
    def summary(self) -> str:
        """The crossed limits as one sentence."""
        if not self.crossed:
            return "The batch is like the reviews that the model was checked on."
        found = ", ".join(f"{m.name} {m.change:+.3f} (limit {m.limit:g})" for m in self.crossed)
        return f"The batch is unlike the reviews that the model was checked on: {found}."

    def to_dict(self) -> dict[str, Any]:
        """The drift as plain JSON values."""
        return {"schema_version": DRIFT_SCHEMA_VERSION, "rows": self.rows, **asdict(self)}


def measure_drift(
    model_id: str, batch: BatchProfile, reference: BatchProfile, limits: DriftLimits | None = None
) -> Drift:
    """Compare a batch with the reference of the model that scored it.

    A change counts where it passes its limit and is more than chance. Distributions are compared by
    the population stability index, the sum of ``(p - q) ln(p / q)`` over the ranges; between two
    samples of one distribution it is, times ``1 / (1 / n + 1 / m)``, about chi-squared with one
    degree of freedom less than there are ranges (B. Yurdakul, Statistical Properties of Population
    Stability Index, 2018). Shares are compared by their difference and its normal interval; words
    of one text are not independent, so their share counts by texts.

    Args:
        model_id: The model that scored the batch.
        batch: Its profile.
        reference: The profile of reviews that the model had not learned from.
        limits: What passes for usual.
    """
    limits = limits or DriftLimits()
    measures: tuple[Measure, ...] = ()
    if batch.texts:
        ours, theirs = _shares(batch), _shares(reference)
        lengths = np.array(batch.lengths), np.array(reference.lengths)
        measures = (
            _index("scores", by_score(batch), by_score(reference), limits.scores),
            _index("lengths", *lengths, limits.lengths),
            *(_change(name, ours[name], theirs[name], getattr(limits, name)) for name in ours),
        )
    return Drift(model_id, measures, batch, reference)


def by_score(profile: BatchProfile) -> NDArray[np.int64]:
    """Texts by probability in `PSI_BINS` bins of equal width: int64, (bins,)."""
    counts: NDArray[np.int64] = np.reshape(profile.scores, (PSI_BINS, -1)).sum(1)
    return counts


def reference_of(bundle: Bundle) -> BatchProfile | None:
    """The profile of the test reviews that a model was evaluated on.

    They serve as its reference, and not those that it learned from, because a model is surer of
    these than of any it meets later. None where it was never evaluated.
    """
    profile = (bundle.evaluation or {}).get("profile")
    return BatchProfile.from_dict(profile) if profile else None


def _index(
    name: str, batch: NDArray[np.int64], reference: NDArray[np.int64], limit: float
) -> Measure:
    # Half a text in each range, so that an empty one is no infinite change.
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (batch, reference))
    index = float(((p - q) * np.log(p / q)).sum())
    chance = _chi_squared(len(p) - 1) * float(1 / batch.sum() + 1 / reference.sum())
    return Measure(name, None, None, index, chance, limit, index > max(limit, chance))


def _chi_squared(freedom: int) -> float:
    """What chi-squared exceeds with `CHANCE`, within 2 %.

    SciPy has it exactly, but only training and evaluation need SciPy.

    Source: E. B. Wilson and M. M. Hilferty, The distribution of chi-square, 1931.
    """
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NormalDist().inv_cdf(1 - CHANCE) * math.sqrt(spread)) ** 3


def _shares(profile: BatchProfile) -> Mapping[str, tuple[float, int]]:
    """Shares by the names of `DriftLimits`, and how many things each one counts by."""
    texts, rows = profile.texts, profile.rows
    return {
        "positive": (profile.positive / texts, texts),
        "unknown_words": (profile.unknown_words / max(profile.words, 1), texts),
        "truncated": (profile.truncated / texts, texts),
        "without_text": (profile.without_text / rows, rows),
    }


def _change(
    name: str, batch: tuple[float, int], reference: tuple[float, int], limit: float
) -> Measure:
    (share, n), (usual, m) = batch, reference
    pooled = (share * n + usual * m) / (n + m)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    chance = NormalDist().inv_cdf(1 - CHANCE / 2) * deviation
    change = share - usual
    return Measure(name, share, usual, change, chance, limit, abs(change) > max(limit, chance))
