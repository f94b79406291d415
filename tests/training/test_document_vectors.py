from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.training.ngram_models import document_vectors
from imdb_classifier.training.ngram_models.document_vectors import train_document_vectors
from imdb_classifier.training.ngram_models.ngram_counts import count_ngrams

REVIEWS, SIZE, PASSES = 300, 6, 20
CONFIG = TeachersConfig(3, SIZE, PASSES, 0.5)


@pytest.fixture(scope="module")
def counts() -> Any:
    """Reviews of two kinds, which share most of their words; the last holds no word of theirs."""
    generator = np.random.default_rng(5)
    rows = [generator.integers(3, 403, 150) + 20 * (row % 2) for row in range(REVIEWS - 1)]
    rows.append(np.array([2]))
    offsets = np.cumsum([0, *map(len, rows)])
    sequences = TokenSequences(np.concatenate(rows).astype(np.int32), offsets)
    _, counts = count_ngrams(sequences, np.arange(REVIEWS), 3)
    return counts


def vectors(counts: Any, ratio: float = 2.0, seed: int = 1) -> tuple[Any, list[int]]:
    passed: list[int] = []
    ratios = np.full(counts.shape[1], ratio, np.float32)
    return train_document_vectors(counts, ratios, CONFIG, seed, passed.append), passed


def gap(vectors: Any) -> float:
    """How much nearer reviews of one kind are to each other than to those of the other kind."""
    cosines = vectors[:-1] @ vectors[:-1].T / SIZE
    kinds = np.arange(REVIEWS - 1) % 2
    same = np.equal.outer(kinds, kinds)
    return float(cosines[same].mean() - cosines[~same].mean())


def test_reviews_of_a_kind_end_nearer_to_each_other_than_they_start(counts: Any) -> None:
    found, passed = vectors(counts)
    assert found.dtype == np.float32
    assert found.shape == (REVIEWS, SIZE)
    assert passed == list(range(1, PASSES + 1))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.sqrt(SIZE), rtol=1e-5)
    # Where no n-gram is ever taken, vectors stay where latent semantic analysis put them.
    start, _ = vectors(counts, ratio=0.0)
    assert gap(found) > gap(start) + 0.3 > 0.6


def test_the_seed_decides(counts: Any) -> None:
    first, _ = vectors(counts)
    np.testing.assert_array_equal(first, vectors(counts)[0])
    assert not np.array_equal(first, vectors(counts, seed=2)[0])


def test_rates_fall_to_the_last_one(counts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def step(*arguments: Any) -> None:
        seen.append(float(arguments[3]))

    monkeypatch.setattr(document_vectors, "_step", step)
    for config in (
        replace(CONFIG, vector_passes=3, last_rate=0.2),
        replace(CONFIG, vector_passes=1),
    ):
        ratios = np.full(counts.shape[1], 2, np.float32)
        train_document_vectors(counts, ratios, config, 1, lambda _: None)
    assert list(dict.fromkeys(seen)) == pytest.approx([1, 0.6, 0.2])
