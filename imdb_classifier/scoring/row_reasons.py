"""Why a row has its label, or none."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.scoring.text_columns import is_unsure
from imdb_classifier.text.encoding import UNKNOWN, TokenSequences

SCORED, BLANK, TRUNCATED, MOSTLY_UNKNOWN, UNSURE = range(5)
_NAMES: Final = ("scored", "blank", "truncated", "mostly unknown words", "unsure")


def remarks_of(untruncated: TokenSequences, sequence_length: int) -> NDArray[np.int8]:
    """Return what there is to say about texts, whatever their score: int8, (texts,).

    Args:
        untruncated: The texts, encoded without truncation.
        sequence_length: Number of tokens that the model reads of a text.
    """
    words = untruncated.lengths - 1
    starts = untruncated.offsets[:-1]
    unknown = np.add.reduceat(untruncated.ids == UNKNOWN, starts, dtype=np.int64)
    remarks = np.where(untruncated.lengths > sequence_length, TRUNCATED, SCORED).astype(np.int8)
    remarks[2 * unknown > words] = MOSTLY_UNKNOWN
    return remarks


def reasons(
    remarks: NDArray[np.int8], probabilities: pa.Array, at_least: float | None = None
) -> pa.Array:
    """Return the reason for the label of each row, or for its absence: string, (rows,).

    Of several reasons, the first one in this order: ``blank`` (no text), ``mostly unknown words``,
    ``unsure``, ``truncated``; otherwise ``scored``.

    Args:
        remarks: As of `remarks_of`, (rows,), with `BLANK` in rows without text.
        probabilities: Those of positive: float32, (rows,), in [0, 1] or null.
        at_least: Confidence, in [0.5, 1], below which a row is unsure; None for none.
    """
    codes = remarks
    if at_least is not None:
        may_be_unsure = np.isin(codes, (SCORED, TRUNCATED))
        codes = np.where(may_be_unsure & is_unsure(probabilities, at_least), UNSURE, codes)
    return pa.array(_NAMES).take(pa.array(codes))
