"""Whether a new model may replace the champion: gates, comparisons, and one decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from imdb_classifier.evaluation.comparison import Comparison, LabelChanges
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.limits import limits_of
from imdb_classifier.version import __version__

DECISION_SCHEMA_VERSION: Final = 1
SIGNIFICANCE: Final = 0.05
"""Chance of a difference at least this large if the models were equally good, at which it counts;
shared out over the slices (Bonferroni)."""


@dataclass(frozen=True)
class Gates:
    """What a model must reach, whatever the champion does, and how far it may fall behind it.

    Attributes:
        accuracy: Share of the test rows labeled correctly, at least.
        log_loss: Nats a row, at most.
        calibration_error: Expected calibration error, at most.
        accuracy_lost: Accuracy below the champion's, at most; a loss that is significant is refused
            however small it is.
        label_changes: Share of the rows of an unlabeled batch that get another label than from
            the champion, at most.
    """

    accuracy: float = 0.8
    log_loss: float = 0.5
    calibration_error: float = 0.1
    accuracy_lost: float = 0.005
    label_changes: float = 0.1

    @classmethod
    def of(cls, limits: Mapping[str, float]) -> Self:
        """The default gates, but for those that are given.

        Raises:
            ConfigurationError: There is no such gate, or it is no number from 0 up.
        """
        return limits_of(cls, limits, called="The gates", example="--gate accuracy=0.9")


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the new model.

    Attributes:
        name: What was looked at.
        passed: Whether it was as it must be.
        found: What was found, and what is required, as a sentence.
    """

    name: str
    passed: bool
    found: str


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
        label_changes: What would change in an unlabeled batch, or None where none was named.
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
    label_changes: LabelChanges | None
    data: Mapping[str, Any]
    package_version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON values."""
        return {"schema_version": DECISION_SCHEMA_VERSION, **asdict(self)}


def decide(
    challenger: Evaluation,
    champion: Evaluation,
    overall: Comparison,
    slices: tuple[Comparison, ...],
    gates: Gates,
    label_changes: LabelChanges | None = None,
    further: tuple[Check, ...] = (),
) -> Decision:
    """The verdict: a model is promoted when it passes every check.

    Args:
        challenger: The new model's evaluation on the rows that both were compared on.
        champion: The old one's.
        overall: Both models on these rows.
        slices: Both models on parts of these rows.
        gates: What must be reached.
        label_changes: What would change in an unlabeled batch, if there is one.
        further: Checks that were made elsewhere.
    """
    checks = (
        *_absolute(challenger, gates),
        _not_worse(overall, gates.accuracy_lost, SIGNIFICANCE),
        *(_not_worse(part, 1.0, SIGNIFICANCE / len(slices)) for part in slices),
        *([_few_label_changes(label_changes, gates.label_changes)] if label_changes else []),
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
        label_changes=label_changes,
        data=challenger.data,
    )


def _absolute(challenger: Evaluation, gates: Gates) -> tuple[Check, ...]:
    figures = {name: figure.value for name, figure in challenger.figures.items()}
    accuracy, loss, gap = (figures[n] for n in ("accuracy", "log_loss", "calibration_error"))
    return (
        Check(
            "accuracy",
            accuracy >= gates.accuracy,
            f"{accuracy:.2%} of the test rows are labeled right, {gates.accuracy:.2%} must be.",
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


def _few_label_changes(changes: LabelChanges, most: float) -> Check:
    return Check(
        "label changes",
        changes.share <= most,
        f"{changes.share:.2%} of {changes.rows:,} unlabeled rows get another label, "
        f"{most:.2%} may.",
    )


def _not_worse(part: Comparison, most_lost: float, significance: float) -> Check:
    """A part of the rows in which the new model may not fall behind the old one."""
    lost = max(-part.difference, 0.0)
    proven = lost > 0 and part.p_value < significance
    return Check(
        part.name,
        not proven and lost <= most_lost,
        f"{part.challenger_accuracy:.2%} of {part.rows:,} rows are labeled right, by the champion "
        f"{part.champion_accuracy:.2%}: {100 * part.difference:+.2f} points "
        f"[{100 * part.low:+.2f}, {100 * part.high:+.2f}], p = {part.p_value:.3f}"
        + (f" (proven from {significance:.3f} down)" if proven else "")
        + ".",
    )
