"""The results of the behavior suite: failures by capability, with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import printable
from imdb_classifier.evaluation.behavior.cases import Capability

MOST_EXAMPLES: Final = 3


@dataclass(frozen=True)
class SuiteScores:
    """What a model makes of the texts of a suite.

    Attributes:
        probabilities: float32 (texts,), of positive, of each text of `texts_of`.
        learned: bool (texts,), whether the model was trained on it, labeled or not.
    """

    probabilities: NDArray[np.floating[Any]]
    learned: NDArray[np.bool_]


@dataclass(frozen=True)
class FailedCase:
    """A case that the model fails.

    Attributes:
        texts: The text and, if the test is about a change, the changed text.
        expected: What was expected, in words.
        probabilities: The probability of positive of each text.
    """

    texts: tuple[str, ...]
    expected: str
    probabilities: tuple[float, ...]

    @property
    def in_words(self) -> str:
        """The case as one line: each text with its probability, and what was expected."""
        scored = (
            f"{printable(text)} ({probability:.2f})"
            for text, probability in zip(self.texts, self.probabilities, strict=True)
        )
        return f"{' → '.join(scored)}: expected {self.expected}"


@dataclass(frozen=True)
class CapabilityResult:
    """How a model does on one capability.

    Attributes:
        area: The group of capabilities that it belongs to.
        name: The capability's name.
        texts: Number of different texts.
        cases: Number of cases, each of which is a text or a pair of texts.
        failures: Number of cases that the model fails.
        examples: Some of these, at most `MOST_EXAMPLES`, from the first to the last one.
    """

    area: str
    name: str
    texts: int
    cases: int
    failures: int
    examples: tuple[FailedCase, ...]

    @property
    def failure_rate(self) -> float:
        """Share of the cases that the model fails, in [0, 1]."""
        return self.failures / self.cases

    @property
    def pass_rate(self) -> float:
        """Share of the cases that the model passes, in [0, 1]."""
        return 1 - self.failure_rate


@dataclass(frozen=True)
class Behavior:
    """How a model does on the behavior suite.

    Attributes:
        suite: The suite's fingerprint. Only results of the same suite can be compared.
        texts: Number of different texts.
        learned: Texts among them that the model was trained on; their cases are left out.
        capabilities: The results in the order of the suite, without capabilities of which no case
            is left.
    """

    suite: str
    texts: int
    learned: int
    capabilities: tuple[CapabilityResult, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore results from plain JSON values.

        Raises:
            KeyError: A value is missing.
            TypeError: There is an unknown value.
        """
        capabilities = tuple(
            CapabilityResult(
                **{
                    **part,
                    "examples": tuple(
                        FailedCase(
                            tuple(failed["texts"]),
                            failed["expected"],
                            tuple(failed["probabilities"]),
                        )
                        for failed in part["examples"]
                    ),
                }
            )
            for part in values["capabilities"]
        )
        return cls(**{**values, "capabilities": capabilities})


def texts_of(suite: Sequence[Capability]) -> list[str]:
    """Return the different texts of a suite, in order."""
    return list(
        dict.fromkeys(
            text for capability in suite for case in capability.cases for text in case.texts
        )
    )


def judge(suite: Sequence[Capability], fingerprint: str, scores: SuiteScores) -> Behavior:
    """Return how a model does on a suite, without cases of texts that it was trained on.

    Args:
        suite: The capabilities.
        fingerprint: The suite's fingerprint.
        scores: What the model makes of the suite's texts.
    """
    texts = texts_of(suite)
    probability_of = dict(zip(texts, scores.probabilities.tolist(), strict=True))
    unseen = {text for text, known in zip(texts, scores.learned.tolist(), strict=True) if not known}
    results = (_result(capability, probability_of, unseen) for capability in suite)
    return Behavior(
        suite=fingerprint,
        texts=len(texts),
        learned=len(texts) - len(unseen),
        capabilities=tuple(result for result in results if result.cases),
    )


def _result(
    capability: Capability, probability_of: Mapping[str, float], unseen: set[str]
) -> CapabilityResult:
    cases = [case for case in capability.cases if unseen.issuperset(case.texts)]
    failed = [
        FailedCase(case.texts, case.requirement, probabilities)
        for case in cases
        for probabilities in [tuple(probability_of[text] for text in case.texts)]
        if not case.passes(*probabilities)
    ]
    shown = min(len(failed), MOST_EXAMPLES)
    return CapabilityResult(
        area=capability.area,
        name=capability.name,
        texts=len({text for case in cases for text in case.texts}),
        cases=len(cases),
        failures=len(failed),
        examples=tuple(failed[at] for at in np.linspace(0, len(failed) - 1, shown).astype(int)),
    )
