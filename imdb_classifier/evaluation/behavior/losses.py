"""What a model can no longer do that another one can."""

from __future__ import annotations

from dataclasses import dataclass

from imdb_classifier.errors import counted
from imdb_classifier.evaluation.behavior.cases import load_suite, suite_fingerprint
from imdb_classifier.evaluation.behavior.judgment import Behavior, SuiteScores, judge


@dataclass(frozen=True)
class BehaviorComparison:
    """Two models on the cases of the behavior suite that have no text either was trained on.

    Attributes:
        other: What the other model is called.
        ours: The results of the model.
        theirs: The results of the other one on the same cases.
        untested: Capabilities that the other one can be tested on, but of which no case is left.
    """

    other: str
    ours: Behavior
    theirs: Behavior
    untested: tuple[str, ...] = ()

    @property
    def losses(self) -> dict[str, float]:
        """The other model's share of passed cases minus that of the model, by capability."""
        # Rounded, so that a loss of exactly the margin is allowed.
        return {
            ours.name: round(theirs.pass_rate - ours.pass_rate, 9)
            for ours, theirs in zip(self.ours.capabilities, self.theirs.capabilities, strict=True)
        }

    def lost(self, most: float) -> dict[str, str]:
        """Return what was found on each capability that the model loses against the other one.

        Args:
            most: The largest loss that is allowed, in [0, 1].
        """
        losses = self.losses
        found = dict.fromkeys(
            self.untested,
            f"The model or the {self.other} was trained on texts of every case, so they cannot be "
            "compared.",
        )
        for ours, theirs in zip(self.ours.capabilities, self.theirs.capabilities, strict=True):
            loss = losses[ours.name]
            if loss > most:
                found[ours.name] = (
                    f"{ours.pass_rate:.1%} of {counted(ours.cases, 'case')} passed, "
                    f"{theirs.pass_rate:.1%} by the {self.other}: {-100 * loss:+.1f} points. A "
                    f"loss of at most {100 * most:.1f} points is allowed."
                )
        return found


def compare_behavior(other: str, ours: SuiteScores, theirs: SuiteScores) -> BehaviorComparison:
    """Compare two models on the cases of the suite that count for both.

    Args:
        other: What the other model is called.
        ours: What the model makes of the suite.
        theirs: What the other one makes of it.
    """
    suite, fingerprint = load_suite(), suite_fingerprint()
    by_us, by_them, alone = (
        judge(suite, fingerprint, SuiteScores(probabilities, learned))
        for probabilities, learned in (
            (ours.probabilities, ours.learned | theirs.learned),
            (theirs.probabilities, ours.learned | theirs.learned),
            (theirs.probabilities, theirs.learned),
        )
    )
    left = {part.name for part in by_us.capabilities}
    untested = (part.name for part in alone.capabilities if part.name not in left)
    return BehaviorComparison(other, by_us, by_them, tuple(untested))
