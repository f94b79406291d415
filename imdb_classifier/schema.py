"""Names, values and Arrow schemas that cross a border of this library."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TEXT: Final = "text"
LABEL: Final = "label"
TOKEN_IDS: Final = "token_ids"

NEGATIVE: Final = "negative"
POSITIVE: Final = "positive"
UNLABELED: Final = -1
THRESHOLD: Final = 0.5
"""A probability of at least this is ``positive``."""

DEFAULT_PREFIX: Final = "sentiment_"
FOOTER_KEY: Final = b"imdb_classifier"
"""The one key in a scored file's footer under which our metadata stands, as JSON."""

REVIEWS: Final = pa.schema([pa.field(TEXT, pa.string()), pa.field(LABEL, pa.int8())])
"""Labeled reviews: 0 negative, 1 positive."""

ENCODED_REVIEWS: Final = pa.schema(
    [pa.field(TOKEN_IDS, pa.list_(pa.int32())), pa.field(LABEL, pa.int8())]
)
"""Reviews that come as Keras' token ids, without their text."""


def scored_fields(prefix: str = DEFAULT_PREFIX) -> tuple[pa.Field, pa.Field]:
    """The two columns that scoring adds: label (string) and probability of positive (float32).

    Both are null where there was no text to score.
    """
    return (
        pa.field(f"{prefix}label", pa.string()),
        pa.field(f"{prefix}probability", pa.float32()),
    )
