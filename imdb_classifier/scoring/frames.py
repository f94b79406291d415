"""Pandas frames in, pandas frames out: the same model, the same code, the same figures."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from imdb_classifier.errors import (
    AmbiguousColumnError,
    ColumnExistsError,
    MissingColumnError,
    TextTypeError,
)
from imdb_classifier.registry.versions import CHAMPION
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT, scored_fields
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.scoring.text_columns import as_text, labels

PIECE_ROWS: Final = 65_536


def score_dataframe(
    data: pd.DataFrame | pd.Series[Any],
    *,
    text_column: Hashable = TEXT,
    model: str | Path | Scorer = CHAMPION,
    prefix: str = DEFAULT_PREFIX,
) -> pd.DataFrame:
    """Put a sentiment label and a probability next to each text.

    ``df.pipe(score_dataframe)`` works too.

    Args:
        data: A frame with a column of text, or a series of text. Any string type will do: object
            (of strings, or of UTF-8 bytes), string, category or Arrow-backed. It is not changed.
        text_column: The column of the frame that holds the text.
        model: ``@champion``, a version's id, the path of a bundle, or a scorer that is loaded.
        prefix: What the names of the two new columns begin with.

    Returns:
        A new frame with the same index: the columns of a frame, if one was given, then
        ``sentiment_label`` (string: ``positive`` or ``negative``) and ``sentiment_probability``
        (float32, in [0, 1], the probability of positive). Where the text is missing, empty or
        blank, both are missing (``pd.NA`` and NaN).

    Raises:
        MissingColumnError: The frame has no such column.
        AmbiguousColumnError: The frame has several columns of that name.
        ColumnExistsError: The frame already has a column of a new one's name.
        TextTypeError: The column holds something that is no text.
        UnknownModelError: The model reference names nothing.
    """
    label_name, probability_name = (field.name for field in scored_fields(prefix))
    if isinstance(data, pd.DataFrame):
        found = [name == text_column for name in data.columns].count(True)
        if found == 0:
            columns = [str(column) for column in data.columns]
            raise MissingColumnError(str(text_column), "the frame", columns, "text_column=")
        if found > 1:
            raise AmbiguousColumnError(str(text_column), "The frame", found, "text_column=")
        taken = [name for name in (label_name, probability_name) if name in data.columns]
        if taken:
            raise ColumnExistsError(taken, "The frame", "prefix=")
        texts, result = data[text_column], data.copy(deep=False)
    else:
        texts, result = data, pd.DataFrame(index=data.index)

    column = _to_arrow(texts, str(texts.name))
    if isinstance(model, Scorer):
        probabilities = model.probabilities(column)
    else:
        with Scorer.load(model) as scorer:
            probabilities = scorer.probabilities(column)
    new_columns = {
        label_name: pd.array(labels(probabilities).to_pylist(), dtype="string"),
        probability_name: probabilities.to_numpy(zero_copy_only=False),
    }
    lower_levels = [""] * (result.columns.nlevels - 1)
    for name, values in new_columns.items():
        result[(name, *lower_levels) if lower_levels else name] = values
    return result


def _to_arrow(texts: pd.Series[Any], name: str) -> pa.ChunkedArray:
    try:
        column = pa.Array.from_pandas(texts)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        reason = "a mixture of text and other values"
    except UnicodeEncodeError:
        reason = "not valid Unicode"
    else:
        if column.null_count == len(column):
            # A column without any value has whatever type pandas guessed.
            column = pa.nulls(len(column), pa.string())
        # Pieces, because plain Arrow strings end at 2 GiB.
        pieces = [column.slice(start, PIECE_ROWS) for start in range(0, len(column), PIECE_ROWS)]
        return as_text(pa.chunked_array(pieces, column.type), name, "the data")
    # Outside the handlers, so that no message which quotes a value is chained to this one.
    raise TextTypeError(name, "the data", reason)
