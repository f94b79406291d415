"""What the bundled model makes of negated opinions and of names, in the behavior suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from imdb_classifier.evaluation.behavior.cases import Capability, load_suite
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.scoring.scorer import Scorer

CAPABILITIES = {capability.name: capability for capability in load_suite()}


@pytest.fixture(scope="module")
def bundled() -> Iterator[Scorer]:
    with Scorer(load_bundle(bundled_path())) as scorer:
        yield scorer


def probabilities(scorer: Scorer, capability: Capability) -> list[NDArray[np.float32]]:
    texts = pa.array([text for case in capability.cases for text in case.texts])
    found = scorer.probabilities(texts).to_numpy()
    ends = np.cumsum([len(case.texts) for case in capability.cases])
    return np.split(found, ends[:-1])


@pytest.mark.parametrize(
    ("name", "share"),
    [("negated praise", 0.7), ("negated blame", 0.6), ("verbs negated", 0.5)],
)
def test_a_negated_opinion_is_its_opposite(bundled: Scorer, name: str, share: float) -> None:
    capability = CAPABILITIES[name]
    passed = [
        case.passes(*found)
        for case, found in zip(capability.cases, probabilities(bundled, capability), strict=True)
    ]
    assert np.mean(passed) >= share


def test_names_of_people_and_groups_turn_few_labels_round(bundled: Scorer) -> None:
    turned = [
        (first >= THRESHOLD) != (second >= THRESHOLD)
        for capability in CAPABILITIES.values()
        if capability.area == "names and groups"
        for case, (first, *others) in zip(
            capability.cases, probabilities(bundled, capability), strict=True
        )
        if case.expected == "unchanged"
        for second in others
    ]
    assert len(turned) > 200
    assert np.mean(turned) <= 0.05
