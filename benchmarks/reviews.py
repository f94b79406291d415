"""Parquet files of review text of any size, to measure on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.encoding import Vocabulary
from imdb_classifier.imdb import DATA_VARIABLE, load_reviews
from imdb_classifier.registry import bundled_path
from imdb_classifier.schema import TEXT

# Mean and deviation of the logarithm of the number of words of an IMDB review.
_LOG_WORDS = (5.2, 0.65)
_DISTINCT_ROWS = 25_000


def write_reviews(path: Path, rows: int) -> str:
    """Write a Parquet file of that many reviews, as one row group: the hardest case for memory.

    Args:
        path: The file.
        rows: The IMDB test split repeated where it is configured, else generated reviews.

    Returns:
        Which of the two it was, for the report.
    """
    if os.environ.get(DATA_VARIABLE):
        texts, kind = load_reviews(None, "test").table[TEXT].combine_chunks(), "IMDB test split"
    else:
        texts, kind = _generated(), "generated text"
    schema = pa.schema([("id", pa.int64()), (TEXT, pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        whole = pa.chunked_array(
            [texts.slice(0, min(len(texts), rows - at)) for at in range(0, rows, len(texts))]
        )
        writer.write_table(pa.table([np.arange(rows), whole], schema=schema), row_group_size=rows)
    return kind


def _generated() -> pa.Array:
    """Words of the bundled vocabulary by Zipf's law, lengths as IMDB has them."""
    generator = np.random.default_rng(0)
    words = (bundled_path() / "vocabulary.txt").read_text("utf-8").split("\n")[:-1]
    vocabulary = Vocabulary(words)
    lengths = np.exp(generator.normal(*_LOG_WORDS, _DISTINCT_ROWS)).astype(int).clip(5, 2_500)
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    drawn = generator.choice(len(vocabulary), lengths.sum(), p=weights / weights.sum())
    flat = vocabulary.words.take(pa.array(drawn))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, flat), " ")
