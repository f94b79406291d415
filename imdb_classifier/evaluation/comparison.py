"""Comparison of two models on the same rows: accuracies, a paired test, and label changes.

It works on labels and probabilities; it needs neither models nor texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.evaluation import intervals
from imdb_classifier.evaluation.result import OwnSet
from imdb_classifier.schema import THRESHOLD


@dataclass(frozen=True)
class Comparison:
    """Two models compared on the same rows.

    Attributes:
        name: The name of this set of rows.
        rows: The number of rows.
        challenger_accuracy: Share of them that the new model labels correctly.
        champion_accuracy: Share of them that the old model labels correctly.
        better: Rows that only the new model labels correctly.
        worse: Rows that only the old model labels correctly.
        low: Lower end of the 95 % interval of `difference`.
        high: Upper end of the same interval.
        p_value: Probability of a difference at least this large between two equally good models
            (McNemar's test).
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
        """The new model's accuracy minus the old one's, in [-1, 1]."""
        return self.challenger_accuracy - self.champion_accuracy


@dataclass(frozen=True)
class OwnComparison:
    """A new model's result on a set of the user's own labeled reviews, compared with others.

    Attributes:
        result: The new model's result.
        champion: It and the champion compared on the rows that neither was trained on.
        reference: The same with the fixed model; None if that is one of the two.
    """

    result: OwnSet
    champion: Comparison
    reference: Comparison | None


@dataclass(frozen=True)
class LabelChange:
    """A row that gets another label from the new model than from the old one.

    Attributes:
        file: The name of the row's file.
        row: The row's number in the file, from 0.
        challenger_probability: The new model's probability of positive.
        champion_probability: The old model's probability of positive.
    """

    file: str
    row: int
    challenger_probability: float
    champion_probability: float


@dataclass(frozen=True)
class LabelChanges:
    """What a new model would change in an unlabeled batch.

    Attributes:
        rows: Rows with text.
        to_positive: Rows that become positive.
        to_negative: Rows that become negative.
        mean_move: Mean absolute difference between the two models' probabilities.
        move_quantiles: Quantiles of this difference, by share of the rows: ``50%``, ``90%``,
            ``99%`` and ``100%``.
        largest: The label changes with the largest differences, at most 20.
    """

    rows: int
    to_positive: int
    to_negative: int
    mean_move: float
    move_quantiles: Mapping[str, float]
    largest: tuple[LabelChange, ...]

    @property
    def share(self) -> float:
        """Share of the rows that get another label."""
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
        name: The name of this set of rows.
        labels: int (rows,), 0 negative, 1 positive; at least one row.
        challenger: Probabilities of the new model, (rows,).
        champion: Probabilities of the old model, (rows,).

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
