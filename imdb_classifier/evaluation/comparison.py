"""Two models on the same rows: accuracies by a paired test, and the labels that change.

It knows no model and no text: whoever has both scores the rows and hands over the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.evaluation import intervals
from imdb_classifier.schema import THRESHOLD


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows.

    Attributes:
        name: Which rows.
        rows: How many.
        challenger_accuracy: Share of them that the new model labels correctly.
        champion_accuracy: Share of them that the old one labels correctly.
        better: Rows that only the new model labels correctly.
        worse: Rows that only the old one labels correctly.
        low: Lower end of the 95 % interval of the accuracies' difference.
        high: Upper end of it.
        p_value: McNemar's: the chance of a difference at least this large between equal models.
    """

    name: str
    rows: int
    challenger_accuracy: float
    champion_accuracy: float
    better: int
    worse: int
    low: float
    high: float
    p_value: float

    @property
    def difference(self) -> float:
        """Accuracy gained, in [-1, 1]."""
        return self.challenger_accuracy - self.champion_accuracy


@dataclass(frozen=True)
class LabelChange:
    """A row that gets another label from the new model than from the old one.

    Attributes:
        file: Its file's name.
        row: Its number there, from 0.
        challenger_probability: Of positive, by the new model.
        champion_probability: By the old one.
    """

    file: str
    row: int
    challenger_probability: float
    champion_probability: float


@dataclass(frozen=True)
class LabelChanges:
    """What a new model would change in a batch that nobody has labeled.

    Attributes:
        rows: Rows with text.
        to_positive: Rows that become positive.
        to_negative: Rows that become negative.
        mean_move: Mean distance between the two models' probabilities.
        move_quantiles: Quantiles of that distance: of 50, 90, 99 and 100 % of the rows.
        largest: The changes whose probability moves furthest, at most 20.
    """

    rows: int
    to_positive: int
    to_negative: int
    mean_move: float
    move_quantiles: Mapping[str, float]
    largest: tuple[LabelChange, ...]

    @property
    def share(self) -> float:
        """Of the rows, that get another label."""
        return (self.to_positive + self.to_negative) / self.rows


def compare(
    name: str,
    labels: NDArray[np.integer[Any]],
    challenger: NDArray[np.floating[Any]],
    champion: NDArray[np.floating[Any]],
) -> Comparison:
    """Compare two models on the same rows by McNemar's exact test and the bootstrap.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions
    or percentages, Psychometrika 12 (1947), 153-157; for classifiers, T. G. Dietterich,
    Approximate statistical tests for comparing supervised classification learning algorithms,
    Neural Computation 10 (1998), 1895-1923.

    Args:
        name: Which rows these are.
        labels: int (rows,), 0 negative, 1 positive; at least one row.
        challenger: Probabilities of the new model, (rows,).
        champion: Probabilities of the old one, (rows,).

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy.stats import binomtest
    except ModuleNotFoundError as error:
        raise MissingExtraError("A comparison", "scipy", "train") from error
    truth = labels == 1
    ours, theirs = ((scores >= THRESHOLD) == truth for scores in (challenger, champion))
    better, worse = (int(np.count_nonzero(rows)) for rows in (ours & ~theirs, theirs & ~ours))
    apart = better + worse
    low, high = intervals.paired_difference(better, worse, len(labels))
    return Comparison(
        name=name,
        rows=len(labels),
        challenger_accuracy=float(ours.mean()),
        champion_accuracy=float(theirs.mean()),
        better=better,
        worse=worse,
        low=low,
        high=high,
        p_value=float(binomtest(worse, apart).pvalue) if apart else 1.0,
    )
