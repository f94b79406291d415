"""264 short labeled reviews, half positive and half negative, written for this project.

They are enough for a first run, a demonstration and the tests, without a download, but far too few
to judge a model. Besides plain film and series reviews, there are hard cases (negation, irony,
mixed verdicts, very short and long texts) and product reviews, which show what a model does outside
its domain. ``tests/samples/build.py`` builds the Parquet files from ``reviews.toml`` next to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Contains ``train-*.parquet`` and ``test-*.parquet`` with the columns ``text: string``,
``label: int64`` (0 negative, 1 positive) and ``kind: string``."""

KIND: Final = "kind"
"""Column with the kind of text in each row."""
