"""Whether a new model may replace the one that scores: gates, a paired test, slices, one verdict.

It knows no model and no text: whoever has both scores the same rows with both models and hands over
the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.evaluation import intervals
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.limits import NamedLimits
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.version import __version__

SCHEMA_VERSION: Final = 1
SIGNIFICANCE: Final = 0.05
"""Chance of a difference at least this large if the models were equally good, at which it counts;
shared out over the slices (Bonferroni)."""


@dataclass(frozen=True)
class Gates(NamedLimits):
    """What a model must reach, whatever the champion does, and how far it may fall behind it.

    Attributes:
        accuracy: Share of the test rows labelled correctly, at least.
        log_loss: Nats a row, at most.
        calibration_error: Expected calibration error, at most.
        accuracy_lost: Accuracy below the champion's, at most; a loss that is significant is refused
            however small it is.
        flips: Share of the rows of an unlabelled batch that get another label than from the
            champion, at most.
    """

    called = "The gates"
    example = "--gate accuracy=0.9"

    accuracy: float = 0.8
    log_loss: float = 0.5
    calibration_error: float = 0.1
    accuracy_lost: float = 0.005
    flips: float = 0.1


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
class Flip:
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
class Flips:
    """What a new model would change in a batch that nobody has labelled.

    Attributes:
        rows: Rows with text.
        to_positive: Rows that become positive.
        to_negative: Rows that become negative.
        mean_move: Mean distance between the two models' probabilities.
        move_quantiles: Quantiles of that distance: of 50, 90, 99 and 100 % of the rows.
        largest: The flips whose probability moves furthest, at most 20.
    """

    rows: int
    to_positive: int
    to_negative: int
    mean_move: float
    move_quantiles: Mapping[str, float]
    largest: tuple[Flip, ...]

    @property
    def share(self) -> float:
        """Of the rows, that get another label."""
        return (self.to_positive + self.to_negative) / self.rows


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the new model.

    Attributes:
        name: What was looked at.
        passed: Whether it was as it must be.
        said: What was found, and what must hold, as a sentence.
    """

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Decision:
    """The verdict, and all that it rests on.

    Attributes:
        promote: The verdict.
        reason: The verdict as one sentence.
        challenger: The new model's id.
        champion: The id of the one that scores until then.
        checks: All that was looked at.
        overall: Both models on all test rows.
        slices: Both models on parts of them.
        flips: What would change in an unlabelled batch, or None where none was named.
        data: What is known of the test rows, as the evaluation says.
        package_version: Of this package.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str
    checks: tuple[Check, ...]
    overall: Comparison
    slices: tuple[Comparison, ...]
    flips: Flips | None
    data: Mapping[str, Any]
    package_version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


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


def decide(
    challenger: Evaluation,
    champion: Evaluation,
    overall: Comparison,
    slices: tuple[Comparison, ...],
    gates: Gates,
    flips: Flips | None = None,
    further: tuple[Check, ...] = (),
) -> Decision:
    """The verdict: a model is promoted when it passes every check.

    Args:
        challenger: The new model's evaluation on the rows that both were compared on.
        champion: The old one's.
        overall: Both models on these rows.
        slices: Both models on parts of these rows.
        gates: What must be reached.
        flips: What would change in an unlabelled batch, if there is one.
        further: Checks that were made elsewhere.
    """
    checks = (
        *_absolute(challenger, gates),
        _not_worse(overall, gates.accuracy_lost, SIGNIFICANCE),
        *(_not_worse(part, 1.0, SIGNIFICANCE / len(slices)) for part in slices),
        *([_few_flips(flips, gates.flips)] if flips else []),
        *further,
    )
    failed = [check for check in checks if not check.passed]
    ours, theirs = challenger.model["id"], champion.model["id"]
    told = (
        f"Challenger {ours} labels {overall.challenger_accuracy:.2%} of {overall.rows:,} test rows "
        f"correctly, champion {theirs} {overall.champion_accuracy:.2%}"
    )
    why = f", because of {', '.join(check.name for check in failed)}" if failed else ""
    return Decision(
        promote=not failed,
        reason=f"{told}: {'refused' if failed else 'promoted'}{why}.",
        challenger=ours,
        champion=theirs,
        checks=checks,
        overall=overall,
        slices=slices,
        flips=flips,
        data=challenger.data,
    )


def _absolute(challenger: Evaluation, gates: Gates) -> tuple[Check, ...]:
    figures = {name: figure.value for name, figure in challenger.figures.items()}
    accuracy, loss, gap = (figures[n] for n in ("accuracy", "log_loss", "calibration_error"))
    return (
        Check(
            "accuracy",
            accuracy >= gates.accuracy,
            f"{accuracy:.2%} of the test rows are labelled right, {gates.accuracy:.2%} must be.",
        ),
        Check(
            "log loss",
            loss <= gates.log_loss,
            f"It is {loss:.3f} nats a row, and may be {gates.log_loss:.3f}.",
        ),
        Check(
            "calibration error",
            gap <= gates.calibration_error,
            f"It is {gap:.3f}, and may be {gates.calibration_error:.3f}.",
        ),
    )


def _few_flips(flips: Flips, most: float) -> Check:
    return Check(
        "flips",
        flips.share <= most,
        f"{flips.share:.2%} of {flips.rows:,} unlabelled rows get another label, {most:.2%} may.",
    )


def _not_worse(part: Comparison, most_lost: float, significance: float) -> Check:
    """A part of the rows in which the new model may not fall behind the old one."""
    lost = max(-part.difference, 0.0)
    proven = lost > 0 and part.p_value < significance
    return Check(
        part.name,
        not proven and lost <= most_lost,
        f"{part.challenger_accuracy:.2%} of {part.rows:,} rows are labelled right, by the champion "
        f"{part.champion_accuracy:.2%}: {100 * part.difference:+.2f} points "
        f"[{100 * part.low:+.2f}, {100 * part.high:+.2f}], p = {part.p_value:.3f}"
        + (f" (proven from {significance:.3f} down)" if proven else "")
        + ".",
    )
