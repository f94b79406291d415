"""Invented reviews for a year: their words mean nothing, except that some praise and some blame.

Labeled reviews of later weeks use more of the words that praise or blame, so a model that is
trained on them labels more test reviews correctly.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.schema import LABEL, TEXT

_SYLLABLES: Final = ["".join(parts) for parts in product("bdfgklmnprstvz", "aeiou")]
_WORDS: Final = ["".join(parts) for parts in product(_SYLLABLES, repeat=3)][::431]
_OPINIONS: Final = 50
"""Number of words that praise, and of words that blame."""
_PRAISE, _BLAME = _WORDS[:_OPINIONS], _WORDS[_OPINIONS : 2 * _OPINIONS]
_OTHERS: Final = _WORDS[2 * _OPINIONS : 2 * _OPINIONS + 300]
_STRANGE: Final = _WORDS[2 * _OPINIONS + 300 :]
_OPINIONS_A_REVIEW: Final = 2


def write_reviews(
    file: Path,
    rows: int,
    seed: int,
    *,
    known: float = 1.0,
    labeled: bool = False,
    swapped: bool = False,
    strange: bool = False,
) -> None:
    """Write reviews as a Parquet file, half of them positive.

    Args:
        file: The file; its folder is created if missing.
        rows: Number of reviews.
        seed: Reviews of different seeds differ.
        known: Share of the words that praise or blame that occur in them, in (0, 1].
        labeled: Whether to add the column ``label``.
        swapped: Whether to confuse the labels.
        strange: Whether they are of another kind: long, with words that occur nowhere else.
    """
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(rows) % 2)
    few = round(known * _OPINIONS)
    texts = []
    for label in labels:
        length = generator.integers(60, 90) if strange else generator.integers(8, 20)
        words = generator.choice(_STRANGE if strange else _OTHERS, length)
        at = generator.choice(length, _OPINIONS_A_REVIEW, replace=False)
        words[at] = generator.choice((_PRAISE if label else _BLAME)[:few], _OPINIONS_A_REVIEW)
        texts.append(" ".join(words))
    table = pa.table({TEXT: texts})
    if labeled:
        table = table.append_column(LABEL, pa.array(labels ^ swapped))
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
