"""264 short labeled reviews, half positive and half negative, written for this project.

Enough for a first run, a demonstration and the tests with no download, and far too few to judge a
model by. Beside plain film and series reviews they hold the hard kinds (negation, irony, mixed
verdicts, very short and long texts) and product reviews, which show what a model does outside film.
``tests/samples/build.py`` makes the Parquet files from ``reviews.toml`` beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Holds ``train-*.parquet`` and ``test-*.parquet``: ``text: string, label: int64, kind: string``,
with label 0 negative and 1 positive."""

KIND: Final = "kind"
"""The column that says what kind of text a row holds."""
