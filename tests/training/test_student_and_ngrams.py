"""How a trained student and n-grams become one network; nothing is trained here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imdb_classifier.config import PRODUCTION, TeachersConfig
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.network import build_student, without_vectors
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, fingerprints
from imdb_classifier.training import loop
from imdb_classifier.training.data import Dataset
from imdb_classifier.training.teachers import Teaching

TEACHERS = TeachersConfig(minimum_reviews=1, vector_size=8, vector_passes=1, vector_weight=0.5)
RECIPE = replace(
    PRODUCTION,
    encoding=replace(PRODUCTION.encoding, num_words=10, sequence_length=100),
    network=replace(PRODUCTION.network, embedding_dim=4, lstm_units=4, ngrams=5),
    teachers=TEACHERS,
)


def test_each_part_of_a_network_counts_as_it_is_right() -> None:
    # Words 4 and 5 tell reviews apart, and a fresh LSTM knows neither. The longest stand first, so
    # that batches of like length come in the opposite order.
    labels = np.repeat([1, 0], 30)
    rows = [[1, 5 - label, *[6] * (70 - row)] for row, label in enumerate(labels)]
    sequences = TokenSequences(
        np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)])
    )
    validation = Dataset(sequences, (labels.astype(np.float32)[:, None],), RECIPE)
    good, bad = (
        fingerprints(TokenSequences(np.array([word], np.int32), np.array([0, 1])))[0][0]
        for word in (4, 5)
    )
    order = np.argsort([good, bad])
    teaching = Teaching(
        targets=np.full(60, 0.8, np.float32),
        vectors=np.empty((0, 8), np.float32),
        ngrams=Ngrams(np.array([good, bad])[order]),
        ngram_weights=np.array([9, -9], np.float32)[order],
    )
    student = without_vectors(
        build_student(RECIPE.encoding, RECIPE.network, RECIPE.regularization, 8, seed=1)
    )
    network = loop._with_ngrams(student, teaching, validation, RECIPE, TEACHERS)
    kernel, bias = network.get_layer("positive").get_weights()
    of_student, of_ngrams = (
        kernel[0, 0] / student.get_layer("positive").get_weights()[0][0, 0],
        kernel[-1, 0],
    )
    # Both parts know that four in five are positive.
    assert bias[0] == pytest.approx(np.log(4) * (1 - of_student - of_ngrams), rel=1e-3)
    probabilities = KerasEngine(network, RECIPE, teaching.ngrams).probabilities(sequences)
    assert np.abs(probabilities - labels).max() < 0.3
