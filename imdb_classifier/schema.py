"""Names and values of the data that this library reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imdb_classifier.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

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


@dataclass(frozen=True)
class ScoreHistogram:
    """Rows by label in 20 equal bins of the probability; the last one includes 1."""

    negatives: tuple[int, ...]
    positives: tuple[int, ...]


def scored_fields(prefix: str = DEFAULT_PREFIX, reason: bool = False) -> tuple[pa.Field, ...]:
    """Return the columns that scoring adds: label (string), probability (float32), and reason.

    Both are null in rows without text, and labels may be in rows that are unsure. The probability
    is that of ``positive``. The reason (string) is added on request only, and is never null.
    """
    # Here, because a Prefect server imports this module for its catalog of blocks.
    import pyarrow as pa

    return (
        pa.field(f"{prefix}label", pa.string()),
        pa.field(f"{prefix}probability", pa.float32()),
        *([pa.field(f"{prefix}reason", pa.string())] if reason else []),
    )


def clashing(columns: Iterable[str], prefix: str, reason: bool) -> list[str]:
    """Return those columns that readers may take for one that scoring adds.

    Spark, Hive and DuckDB take names for the same that differ in case only.
    """
    added = {field.name.casefold() for field in scored_fields(prefix, reason)}
    return [column for column in columns if column.casefold() in added]


def confidences(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of the labels: float32, (rows,), in [0.5, 1].

    Args:
        probabilities: Those of ``positive``, float32, (rows,), in [0, 1]; NaN stays NaN.
    """
    import numpy as np

    return np.maximum(probabilities, 1 - probabilities)


def check_unsure(at_least: float | None, unsure_label: str | None) -> None:
    """Check the options that decide which labels are given.

    Raises:
        ConfigurationError: ``at_least`` is no confidence; or ``unsure_label`` is given without it,
            is empty, or is one of the labels.
    """
    if at_least is not None and not THRESHOLD <= at_least <= 1:
        raise ConfigurationError(
            "`at_least` must be a confidence from 0.5 to 1: 90 % is 0.9.",
            f"It is {at_least}.",
            "Choose another `at_least`.",
        )
    if unsure_label is None:
        return
    if at_least is None:
        raise ConfigurationError(
            "`unsure_label` names labels whose confidence is below `at_least`.",
            "There is no `at_least`.",
            "Give both, for example `at_least=0.9`, or neither.",
        )
    if unsure_label in ("", POSITIVE, NEGATIVE):
        raise ConfigurationError(
            f"`unsure_label` must be a name other than {POSITIVE} and {NEGATIVE}.",
            f"It is {unsure_label!r}.",
            "Choose another `unsure_label`, or leave it out for no label.",
        )
