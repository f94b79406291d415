"""Reviews to measure with: the IMDB data set if it is configured, else generated text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.schema import LABEL, TEXT
from imdb_classifier.text.encoding import Vocabulary

# Mean and standard deviation of the logarithm of the number of words in an IMDB review.
_LOG_WORDS = (5.2, 0.65)
_GENERATED_ROWS = 25_000


def is_real() -> bool:
    """Return whether the IMDB data set is configured."""
    return bool(os.environ.get(DATA_VARIABLE))


def reviews(split: Literal["train", "test"]) -> pa.Table:
    """Return the 25,000 labeled reviews of a split, with the schema `dataset.REVIEWS`."""
    if is_real():
        return load_reviews(None, split).table.select(REVIEWS.names).combine_chunks()
    return _generated(["train", "test"].index(split))


def write_reviews(path: Path, rows: int) -> None:
    """Write the test split, repeated, as one row group: the hardest case for memory.

    Args:
        path: The Parquet file.
        rows: Number of rows; the column ``id`` numbers them from 0.
    """
    texts = reviews("test")[TEXT].combine_chunks()
    schema = pa.schema([("id", pa.int64()), (TEXT, pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        whole = pa.chunked_array(
            [texts.slice(0, min(len(texts), rows - at)) for at in range(0, rows, len(texts))]
        )
        writer.write_table(pa.table([np.arange(rows), whole], schema=schema), row_group_size=rows)


def _generated(seed: int) -> pa.Table:
    """Return texts of words drawn by Zipf's law, as long as IMDB's reviews, with random labels."""
    generator = np.random.default_rng(seed)
    words = (bundled_path() / "vocabulary.txt").read_text("utf-8").split("\n")[:-1]
    vocabulary = Vocabulary(words)
    lengths = np.exp(generator.normal(*_LOG_WORDS, _GENERATED_ROWS)).astype(int).clip(5, 2_500)
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    drawn = generator.choice(len(vocabulary), lengths.sum(), p=weights / weights.sum())
    flat = vocabulary.words.take(pa.array(drawn))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    texts = pc.binary_join(pa.ListArray.from_arrays(offsets, flat), " ")
    labels = pa.array(generator.integers(0, 2, len(lengths)), pa.int8())
    return pa.table({TEXT: texts, LABEL: labels}, schema=REVIEWS)
