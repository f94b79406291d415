"""Raw text through our encoding gives Keras' published ids."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from imdb_classifier.config import EncodingConfig
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.text.encoding import UNKNOWN, Vocabulary, encode

# Wide enough to keep every rank and every token.
UNCAPPED = EncodingConfig(num_words=100_000, sequence_length=100_000)
# The review that Keras returns first, as ids; it has 218 of them.
FIRST_REVIEW = [
    1, 14, 22, 16, 43, 530, 973, 1622, 1385, 65, 458, 4468, 66, 3941, 4, 173, 36, 256, 5, 25, 100,
]  # fmt: skip


@pytest.fixture(scope="module")
def train_texts() -> pa.ChunkedArray:
    return load_reviews(None, "train").table["text"]


@pytest.fixture(scope="module")
def official() -> Vocabulary:
    """Keras' word index in rank order."""
    path = Path(os.environ[DATA_VARIABLE]) / "imdb_word_index.json"
    if not path.exists():
        pytest.skip(f"{DATA_VARIABLE} holds no imdb_word_index.json")
    index: dict[str, int] = json.loads(path.read_text("utf-8"))
    return Vocabulary(sorted(index, key=index.__getitem__))


@pytest.fixture(scope="module")
def counted(train_texts: pa.ChunkedArray) -> Vocabulary:
    return Vocabulary.count(train_texts, "keras")


@pytest.mark.parametrize(("split", "mean"), [("train", 238.7128), ("test", 230.8043)])
def test_mean_lengths(official: Vocabulary, split: Any, mean: float) -> None:
    encoded = encode(load_reviews(None, split).table["text"], official, UNCAPPED)
    # Keras dropped the words that its index lacks.
    kept = np.count_nonzero(encoded.ids != UNKNOWN)
    assert round(kept / len(encoded), 4) == mean


def test_keras_first_review(official: Vocabulary, train_texts: pa.ChunkedArray) -> None:
    encoded = encode(train_texts, official, UNCAPPED)
    starts = encoded.offsets[:-1][encoded.lengths == 218]
    heads = encoded.ids[starts[:, None] + np.arange(len(FIRST_REVIEW))]
    assert (heads == FIRST_REVIEW).all(axis=1).sum() == 1


def test_the_index_was_counted_on_the_train_split(
    official: Vocabulary, counted: Vocabulary, train_texts: pa.ChunkedArray
) -> None:
    assert (len(official), len(counted)) == (88_584, 88_582)
    shared = pc.is_in(counted.words[:5_000], value_set=official.words[:5_000])
    assert pc.sum(shared).as_py() == 4_993
    occurrences = np.bincount(
        encode(train_texts, official, UNCAPPED).ids, minlength=len(official) + 4
    )[4:]
    assert np.count_nonzero(np.diff(occurrences) > 0) == 23
