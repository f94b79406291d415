"""Input drift: how much a batch differs from the reviews that its model was evaluated on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.monitoring.expected_accuracy import ExpectedAccuracy, estimate_accuracy
from imdb_classifier.schema import ScoreHistogram
from imdb_classifier.text.batch_profile import BatchProfile

DRIFT_SCHEMA_VERSION: Final = 1
PSI_BINS: Final = 10
"""Number of ranges of probability in which distributions of scores are compared."""
CHANCE: Final = 0.001
"""Significance level: a change counts only if chance alone produces it less often than this."""
_TRUST: Final = ("scores", "lengths", "unknown_words", "truncated")
"""Measures that show texts of another kind, on which confidence says little about accuracy. The
others show fewer positive texts or more rows without text, which it accounts for."""


@dataclass(frozen=True)
class Measure:
    """One measure by which a batch is compared with its reference.

    Attributes:
        name: Name of the measure, as in `DriftLimits`.
        batch: Share in the batch; None for a population stability index.
        reference: Share in the reference; None for a population stability index.
        change: Difference of the shares, or the population stability index.
        chance: Largest change that chance explains between batches of these sizes.
        limit: Largest change that does not count as drift.
        crossed: Whether the change exceeds both `chance` and `limit`.
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
    """A batch compared with its model's reference.

    Attributes:
        model_id: Id of the model that scored the batch.
        measures: In the order of `DriftLimits`; empty if the batch has no text.
        batch: Profile of the batch.
        reference: Profile of the reference.
        expected_accuracy: The accuracy to expect of the batch's labels; None if it has no text or
            the labels of the reference are not known.
        unsure: Number of texts without a label, because their confidence is too low.
    """

    model_id: str
    measures: tuple[Measure, ...]
    batch: BatchProfile
    reference: BatchProfile
    expected_accuracy: ExpectedAccuracy | None = None
    unsure: int = 0

    @property
    def rows(self) -> int:
        """Number of rows in the batch."""
        return self.batch.rows

    @property
    def crossed(self) -> tuple[Measure, ...]:
        """The measures that count as drift."""
        return tuple(measure for measure in self.measures if measure.crossed)

    @property
    def summary(self) -> str:
        """One line that names the crossed limits."""
        if not self.crossed:
            return "No input drift."
        found = ", ".join(f"{m.name} {m.change:+.3f} (limit {m.limit:g})" for m in self.crossed)
        return f"Input drift: {found}."

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return {"schema_version": DRIFT_SCHEMA_VERSION, "rows": self.rows, **asdict(self)}


def measure_drift(
    model_id: str,
    batch: BatchProfile,
    reference: BatchProfile,
    limits: DriftLimits | None = None,
    checked: ScoreHistogram | None = None,
    unsure: int = 0,
) -> Drift:
    """Compare a batch with the reference of the model that scored it.

    A change counts as drift if it exceeds both its limit and what chance explains. Distributions
    are compared by the population stability index, the sum of ``(p - q) ln(p / q)`` over the
    ranges. Between two samples of the same distribution, the index divided by ``1 / n + 1 / m`` is
    approximately chi-squared, with one degree of freedom fewer than there are ranges (B. Yurdakul,
    Statistical Properties of Population Stability Index, 2018). Shares are compared by their
    difference and its normal interval. Words of the same text are not independent, so the sample
    size of their share is the number of texts.

    Args:
        model_id: Id of the model that scored the batch.
        batch: Profile of the batch.
        reference: Profile of reviews that the model has not learned from.
        limits: The largest changes that do not count as drift; by default, `DriftLimits()`.
        checked: The reviews of the reference by label and probability, for the expected accuracy.
        unsure: Number of texts whose confidence is below `at_least`.
    """
    # Other limits silence alarms, and make no estimate more trustworthy.
    outside = (
        measure.name
        for measure in _measures(batch, reference, DriftLimits())
        if measure.crossed and measure.name in _TRUST
    )
    expected = estimate_accuracy(batch, checked, outside, unsure) if checked else None
    measures = _measures(batch, reference, limits or DriftLimits())
    return Drift(model_id, measures, batch, reference, expected, unsure)


def _measures(
    batch: BatchProfile, reference: BatchProfile, limits: DriftLimits
) -> tuple[Measure, ...]:
    if not batch.texts:
        return ()
    ours, theirs = _shares(batch), _shares(reference)
    lengths = np.array(batch.lengths), np.array(reference.lengths)
    return (
        _index("scores", by_score(batch), by_score(reference), limits.scores),
        _index("lengths", *lengths, limits.lengths),
        *(_change(name, ours[name], theirs[name], getattr(limits, name)) for name in ours),
    )


def by_score(profile: BatchProfile) -> NDArray[np.int64]:
    """Return the number of texts in each of `PSI_BINS` ranges of probability: int64, (ranges,)."""
    counts: NDArray[np.int64] = np.reshape(profile.scores, (PSI_BINS, -1)).sum(1)
    return counts


def drift_of(
    bundle: Bundle, batch: BatchProfile, limits: DriftLimits | None = None, unsure: int = 0
) -> Drift | None:
    """Compare a batch with the test reviews that its model was evaluated on, see `measure_drift`.

    Training reviews would be no reference, because a model is more confident on the reviews that it
    has learned from than on any others.

    Returns:
        The comparison; None if the model was not evaluated.
    """
    evaluation = bundle.evaluation or {}
    if not evaluation.get("profile"):
        return None
    reference = BatchProfile.from_dict(evaluation["profile"])
    histogram = evaluation.get("histogram")
    checked = ScoreHistogram(**histogram) if histogram else None
    return measure_drift(bundle.model_id, batch, reference, limits, checked, unsure)


def _index(
    name: str, batch: NDArray[np.int64], reference: NDArray[np.int64], limit: float
) -> Measure:
    # With half a text added to each range, empty ranges do not make the index infinite.
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (batch, reference))
    index = float(((p - q) * np.log(p / q)).sum())
    chance = _chi_squared(len(p) - 1) * float(1 / batch.sum() + 1 / reference.sum())
    return Measure(name, None, None, index, chance, limit, index > max(limit, chance))


def _chi_squared(freedom: int) -> float:
    """Return the value that chi-squared exceeds with probability `CHANCE`, to within 2 %.

    SciPy would give the exact value, but scoring does not need SciPy otherwise.

    Source: E. B. Wilson and M. M. Hilferty, The distribution of chi-square, 1931.
    """
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NormalDist().inv_cdf(1 - CHANCE) * math.sqrt(spread)) ** 3


def _shares(profile: BatchProfile) -> Mapping[str, tuple[float, int]]:
    """Return shares by the names of `DriftLimits`, each with its sample size."""
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
