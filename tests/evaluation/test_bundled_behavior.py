"""What the bundled model makes of negated opinions and of names, in the behavior suite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from imdb_classifier.evaluation.behavior.cases import Capability, load_suite
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.samples import FOLDER
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
    [("negated praise", 0.7), ("negated blame", 0.8), ("verbs negated", 0.6)],
)
def test_a_negated_opinion_is_its_opposite(bundled: Scorer, name: str, share: float) -> None:
    capability = CAPABILITIES[name]
    passed = [
        case.passes(*found)
        for case, found in zip(capability.cases, probabilities(bundled, capability), strict=True)
    ]
    assert np.mean(passed) >= share


@pytest.mark.parametrize("text", ["It isn't good.", "The acting isn't good.", "Not good at all."])
def test_plain_praise_that_is_negated_is_blame(bundled: Scorer, text: str) -> None:
    (found,) = bundled.probabilities(pa.array([text])).to_pylist()
    assert found < THRESHOLD


def test_short_sentences_on_products_are_labeled(bundled: Scorer) -> None:
    sample = pa.concat_tables(map(pq.read_table, sorted(FOLDER.glob("*.parquet"))))
    products = sample.filter(pc.field("kind") == "product")
    positive = bundled.probabilities(products["text"]).to_numpy() >= THRESHOLD
    assert np.mean(positive == (products["label"].to_numpy() == 1)) >= 0.88


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
