"""Scoring of data frames, tables and lists of text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, overload

import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.errors import AmbiguousColumnError, ColumnExistsError, MissingColumnError
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT, check_unsure, clashing, scored_fields
from imdb_classifier.scoring.frame_kinds import open_data, to_text
from imdb_classifier.scoring.row_reasons import reasons
from imdb_classifier.scoring.scorer import Scorer, kept_scorer_for
from imdb_classifier.scoring.text_columns import labels
from imdb_classifier.storage.paths import StrPath

if TYPE_CHECKING:
    import polars as pl


@overload
def score_dataframe(
    data: pl.DataFrame | pl.Series,
    *,
    text_column: Hashable = ...,
    model: StrPath | Scorer = ...,
    prefix: str = ...,
    at_least: float | None = ...,
    unsure_label: str | None = ...,
    reason: bool = ...,
    registry: Registry | None = ...,
) -> pl.DataFrame: ...
@overload
def score_dataframe(
    data: pd.DataFrame | pd.Series[Any] | NDArray[Any] | Sequence[str | None],
    *,
    text_column: Hashable = ...,
    model: StrPath | Scorer = ...,
    prefix: str = ...,
    at_least: float | None = ...,
    unsure_label: str | None = ...,
    reason: bool = ...,
    registry: Registry | None = ...,
) -> pd.DataFrame: ...
@overload
def score_dataframe(
    data: pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray,
    *,
    text_column: Hashable = ...,
    model: StrPath | Scorer = ...,
    prefix: str = ...,
    at_least: float | None = ...,
    unsure_label: str | None = ...,
    reason: bool = ...,
    registry: Registry | None = ...,
) -> Any: ...
def score_dataframe(
    data: object,
    *,
    text_column: Hashable = TEXT,
    model: StrPath | Scorer = CHAMPION,
    prefix: str = DEFAULT_PREFIX,
    at_least: float | None = None,
    unsure_label: str | None = None,
    reason: bool = False,
    registry: Registry | None = None,
) -> Any:
    """Add a sentiment label and a probability to each text.

    ``df.pipe(score_dataframe)`` works too. The data itself is not changed.

    Args:
        data: A pandas or Polars DataFrame, or an Arrow table or record batch, that has a column of
            text; or texts alone: a pandas or Polars Series, an Arrow array, a one-dimensional NumPy
            array, or a list or other sequence. Any string type will do: Python strings, UTF-8
            bytes, pandas' object, string and category, and those of Polars and Arrow.
        text_column: The column of a frame or table that holds the text.
        model: ``@champion``, a version's id, the path of a bundle, or a `Scorer`. A model named by
            reference is kept in memory for the next call, until `release_model`; a `Scorer` stays
            open.
        prefix: Prefix for the names of the two new columns.
        at_least: Label only texts whose label has at least this confidence, from 0.5 to 1; all
            keep their probability. By default, every text is labeled.
        unsure_label: Label for texts below ``at_least``; by default, theirs is missing.
        reason: Add a third column that says why a row has its label, or none: ``scored``,
            ``blank``, ``truncated``, ``mostly unknown words``, or ``unsure``.
        registry: Where a reference is looked up; by default `Registry.at()`.

    Returns:
        For a frame or table, a new one of the same kind: its columns (and the index of pandas),
        then ``sentiment_label`` (string, ``positive`` or ``negative``) and
        ``sentiment_probability`` (float32, in [0, 1], the probability of positive). For texts
        alone, the two new columns, one row for each text: as a Polars DataFrame for a Polars
        Series, as an Arrow table for an Arrow array, else as a pandas DataFrame, which has the
        index of a pandas Series. Where the text is missing, empty or blank, both are missing.

    Raises:
        ConfigurationError: ``at_least`` is no confidence; or ``unsure_label`` is given without it,
            is empty, or is one of the labels.
        UnsupportedDataError: The data is of none of these kinds.
        MissingColumnError: There is no such column.
        AmbiguousColumnError: There are several columns of that name.
        ColumnExistsError: A column with the name of a new one exists already.
        TextTypeError: Some of the texts are not text, or not valid Unicode.
        UnknownModelError: There is no such model.
        UnapprovedModelError: The version has not passed the promotion checks.
        BundleError: The model is damaged.

    Example:
        >>> from imdb_classifier import score_dataframe
        >>> scored = score_dataframe(["A warm and funny film.", "Dull, loud and badly cut."])
        >>> scored["sentiment_label"].tolist()
        ['positive', 'negative']
    """
    check_unsure(at_least, unsure_label)
    frame, texts = open_data(data)
    new_names = [field.name for field in scored_fields(prefix, reason)]
    if texts is None:
        found = [name == text_column for name in frame.names].count(True)
        if found == 0:
            columns = [str(column) for column in frame.names]
            way_out = "Name the text column with `text_column`."
            raise MissingColumnError(str(text_column), "the frame", columns, way_out)
        if found > 1:
            raise AmbiguousColumnError(str(text_column), "The frame", found, "`text_column`")
        taken = clashing(map(str, frame.names), prefix, reason)
        if taken:
            raise ColumnExistsError(taken, "The frame")
        column = to_text(frame.column(text_column), str(text_column))
    else:
        # An unnamed Series has the name None in pandas, and an empty name in Polars.
        name = getattr(texts, "name", None)
        column = to_text(texts, None if name in (None, "") else str(name))
    with kept_scorer_for(model, registry) as scorer:
        pending = scorer.start(column)
        probabilities = pending.result()
    new = [labels(probabilities, at_least, unsure_label), probabilities]
    if reason:
        new.append(reasons(pending.remarks(), probabilities, at_least))
    return frame.with_columns(dict(zip(new_names, new, strict=True)))
