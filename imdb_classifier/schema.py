"""Names and values of the data that this library reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

TEXT: Final = "text"
LABEL: Final = "label"
TOKEN_IDS: Final = "token_ids"

NEGATIVE: Final = "negative"
POSITIVE: Final = "positive"
UNLABELED: Final = -1
THRESHOLD: Final = 0.5
"""Probabilities of at least this value are labeled ``positive``."""

DEFAULT_PREFIX: Final = "sentiment_"
FOOTER_KEY: Final = b"imdb_classifier"
"""Key in the footer of a scored file that holds this library's metadata, as JSON."""


def scored_fields(prefix: str = DEFAULT_PREFIX) -> tuple[pa.Field, pa.Field]:
    """Return the two columns that scoring adds: label (string) and probability (float32).

    Both are null in rows without text. The probability is that of ``positive``.
    """
    # Here, because a Prefect server imports this module for its catalog of blocks.
    import pyarrow as pa

    return (
        pa.field(f"{prefix}label", pa.string()),
        pa.field(f"{prefix}probability", pa.float32()),
    )
