from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from imdb_classifier import score_dataframe
from imdb_classifier.errors import (
    AmbiguousColumnError,
    ColumnExistsError,
    MissingColumnError,
    TextTypeError,
)
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.scoring.frames import PIECE_ROWS
from imdb_classifier.scoring.scorer import Scorer

GOOD, BAD = "A wonderful, moving film.", "Dull and badly acted."


def test_a_frame_gets_two_columns_more(scorer: Scorer) -> None:
    frame = pd.DataFrame({"id": [7, 8, 9], "text": [GOOD, None, BAD]})
    before = frame.copy(deep=True)
    scored = score_dataframe(frame, model=scorer)
    assert list(scored.columns) == ["id", "text", "sentiment_label", "sentiment_probability"]
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(scored[["id", "text"]], before)
    assert scored["sentiment_label"].dtype == pd.StringDtype()
    assert scored["sentiment_label"].iloc[1] is pd.NA
    assert scored["sentiment_probability"].dtype == np.float32
    assert scored["sentiment_label"].isna().tolist() == [False, True, False]
    assert scored["sentiment_probability"].isna().tolist() == [False, True, False]
    expected = scorer.probabilities(pa.array([GOOD, None, BAD])).to_pylist()
    assert scored["sentiment_probability"].tolist()[0::2] == expected[0::2]
    names = {True: "positive", False: "negative"}
    assert scored["sentiment_label"].tolist()[0::2] == [names[p >= 0.5] for p in expected[0::2]]


def test_it_can_be_piped_and_takes_references(tiny_bundle: Bundle, scorer: Scorer) -> None:
    frame = pd.DataFrame({"body": [GOOD, BAD]})
    by_path = frame.pipe(score_dataframe, text_column="body", model=tiny_bundle.path, prefix="m_")
    by_scorer = score_dataframe(frame, text_column="body", model=scorer, prefix="m_")
    pd.testing.assert_frame_equal(by_path, by_scorer)
    assert list(by_path.columns) == ["body", "m_label", "m_probability"]


MISSING = [None, np.nan, pd.NA, pd.NaT]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([GOOD, BAD, *MISSING], dtype=object),
        pd.Series([GOOD, BAD, *MISSING], dtype="string"),
        pd.Series([GOOD, BAD, *MISSING], dtype="string[pyarrow]"),
        pd.Series([GOOD, BAD, *[None] * 4]),
        pd.Series([GOOD, BAD, *[None] * 4], dtype="category"),
        pd.Series([GOOD, BAD, *[None] * 4], dtype=pd.ArrowDtype(pa.string())),
        pd.Series([GOOD, BAD, *[None] * 4], dtype=pd.ArrowDtype(pa.large_string())),
        pd.Series([GOOD, BAD, *[None] * 4], dtype=pd.ArrowDtype(pa.string_view())),
        pd.concat([pd.Series([GOOD, BAD], dtype="string[pyarrow]"), pd.Series(MISSING)]),
    ],
    ids=lambda series: str(series.dtype),
)
def test_text_of_every_dtype(scorer: Scorer, series: pd.Series[Any]) -> None:
    series.index = pd.Index(list("abcdef"))
    scored = score_dataframe(series, model=scorer)
    assert list(scored.columns) == ["sentiment_label", "sentiment_probability"]
    assert scored.index.equals(series.index)
    assert scored["sentiment_label"].isna().tolist() == [False, False, *[True] * 4]
    expected = scorer.probabilities(pa.array([GOOD, BAD])).to_pylist()
    assert scored["sentiment_probability"].tolist()[:2] == expected


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([], dtype=object),
        pd.Series([], dtype="category"),
        pd.Series([np.nan, np.nan]),
        pd.Series([None, None], dtype=object),
        pd.Series(["", "  "]),
    ],
    ids=["empty", "empty category", "nan", "none", "blank"],
)
def test_nothing_to_score(scorer: Scorer, series: pd.Series[Any]) -> None:
    scored = score_dataframe(series, model=scorer)
    assert len(scored) == len(series)
    assert scored.isna().all(axis=None)
    assert scored["sentiment_probability"].dtype == np.float32


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([5, 5, 5], name="twice"),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["x", "y"]),
        pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"),
    ],
    ids=["duplicates", "MultiIndex", "dates"],
)
def test_every_index_is_kept(scorer: Scorer, index: pd.Index[Any]) -> None:
    frame = pd.DataFrame({"text": [GOOD, BAD, None]}, index=index)
    for data in (frame, frame["text"]):
        scored = score_dataframe(data, model=scorer)
        pd.testing.assert_index_equal(scored.index, index)
        assert scored["sentiment_label"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "values",
    [
        ["canary", 1],
        [1, 2],
        [b"canary \xff"],
        [["canary"]],
        [{"canary": 1}],
        [GOOD, 2.5],
        ["canary \ud800"],
    ],
    ids=["text and numbers", "numbers", "bytes", "lists", "dicts", "text and floats", "surrogate"],
)
def test_what_is_no_text_is_refused_and_not_quoted(scorer: Scorer, values: list[Any]) -> None:
    with pytest.raises(TextTypeError, match="Column 'text' of the data must hold text") as caught:
        score_dataframe(pd.DataFrame({"text": pd.Series(values, dtype=object)}), model=scorer)
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_missing_column_is_named_with_the_others(scorer: Scorer) -> None:
    frame = pd.DataFrame({"id": [1], "body": [GOOD]})
    with pytest.raises(MissingColumnError, match=r"Its columns: id, body\. Name .* text_column="):
        score_dataframe(frame, model=scorer)
    twice = pd.DataFrame([[GOOD, BAD]], columns=["text", "text"])
    with pytest.raises(AmbiguousColumnError, match="The frame has 2 columns named 'text'"):
        score_dataframe(twice, model=scorer)


def test_a_column_is_never_overwritten(scorer: Scorer) -> None:
    frame = pd.DataFrame({"text": [GOOD], "sentiment_label": ["mine"]})
    with pytest.raises(ColumnExistsError, match=r"already has: sentiment_label\. .* prefix="):
        score_dataframe(frame, model=scorer)
    assert score_dataframe(frame, model=scorer, prefix="our_")["sentiment_label"].tolist() == [
        "mine"
    ]


@pytest.mark.filterwarnings("error")
def test_names_need_not_be_strings(scorer: Scorer) -> None:
    frame = pd.DataFrame({0: [GOOD], 1: [2]})
    assert score_dataframe(frame, text_column=0, model=scorer).shape == (1, 4)
    levels = pd.DataFrame({("review", "text"): [GOOD], ("review", "id"): [2]})
    scored = score_dataframe(levels, text_column=("review", "text"), model=scorer)
    assert scored.columns[:2].equals(levels.columns)
    new_columns: list[Any] = list(scored.columns[2:])
    assert new_columns == [("sentiment_label", ""), ("sentiment_probability", "")]
    with pytest.raises(MissingColumnError, match="Column 'text' is not in the frame"):
        score_dataframe(levels, model=scorer)


def test_rows_keep_their_places_across_pieces(scorer: Scorer) -> None:
    scored = score_dataframe(pd.Series([GOOD, *[None] * PIECE_ROWS, BAD]), model=scorer)
    expected = scorer.probabilities(pa.array([GOOD, BAD])).to_pylist()
    assert scored["sentiment_probability"].dropna().to_dict() == dict(
        zip([0, PIECE_ROWS + 1], expected, strict=True)
    )
