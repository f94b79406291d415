from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from imdb_classifier.config import PRODUCTION, TeachersConfig
from imdb_classifier.reviews.dataset import REVIEWS, Reviews
from imdb_classifier.text.encoding import INDEX_FROM
from imdb_classifier.training.data import prepare_training_data

RECIPE = replace(
    PRODUCTION,
    encoding=replace(PRODUCTION.encoding, num_words=30, sequence_length=20),
    network=replace(PRODUCTION.network, ngrams=50),
    training=replace(PRODUCTION.training, validation_fraction=0.2),
    teachers=TeachersConfig(minimum_reviews=2, vector_size=8, vector_passes=3, vector_weight=0.5),
)


def reviews(rows: int, seed: int, *, labeled: bool) -> Reviews:
    """Reviews of films that are good, as every other one is, or bad."""
    generator = np.random.default_rng(seed)
    texts = [
        " ".join([*generator.choice(list("abcdefgh"), 3 + row % 7), "good" if row % 2 else "bad"])
        for row in range(rows)
    ]
    labels = [row % 2 if labeled else -1 for row in range(rows)]
    return Reviews("parquet", "train", pa.table([texts, labels], schema=REVIEWS), None, {}, "f")


def test_a_network_with_teachers_learns_labels_and_what_teachers_say(tmp_path: Path) -> None:
    unlabeled = reviews(60, 2, labeled=False)
    data = prepare_training_data(reviews(100, 1, labeled=True), unlabeled, RECIPE, 1, tmp_path)
    assert (len(data.training), len(data.validation)) == (80 + 60, 20)
    good = data.vocabulary.words.to_pylist().index("good") + INDEX_FROM + 1
    for part in (data.training, data.validation):
        ids, offsets = part.sequences.ids, part.sequences.offsets[:-1]
        is_good = np.logical_or.reduceat(ids == good, offsets)
        np.testing.assert_array_equal(part.targets[0][:, 0] > 0.5, is_good)
