from __future__ import annotations

import re
import subprocess
import sys
from collections import UserList, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from imdb_classifier import score_dataframe
from imdb_classifier.errors import (
    AmbiguousColumnError,
    ColumnExistsError,
    MissingColumnError,
    TextTypeError,
    UnknownModelError,
    UnsupportedDataError,
)
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.scoring.frame_kinds import PIECE_ROWS
from imdb_classifier.scoring.scorer import Scorer

GOOD, BAD = "A wonderful, moving film.", "Dull and badly acted."
TEXTS = [GOOD, None, BAD]


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
    with pytest.raises(
        TextTypeError, match="Column 'text' of the data must contain text"
    ) as caught:
        score_dataframe(pd.DataFrame({"text": pd.Series(values, dtype=object)}), model=scorer)
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_type_that_arrow_does_not_have_is_refused(scorer: Scorer) -> None:
    with pytest.raises(TextTypeError, match=r"It is of a type that pyarrow [\d.]+ does not read"):
        score_dataframe(pd.DataFrame({"text": [1j]}), model=scorer)


def test_a_missing_column_is_named_with_the_others(scorer: Scorer) -> None:
    frame = pd.DataFrame({"id": [1], "body": [GOOD]})
    with pytest.raises(MissingColumnError, match=r"Its columns: id, body\. Name .* `text_column`"):
        score_dataframe(frame, model=scorer)
    twice = pd.DataFrame([[GOOD, BAD]], columns=["text", "text"])
    with pytest.raises(AmbiguousColumnError, match="The frame has 2 columns named 'text'"):
        score_dataframe(twice, model=scorer)


def test_a_column_is_never_overwritten(scorer: Scorer) -> None:
    frame = pd.DataFrame({"text": [GOOD], "sentiment_label": ["mine"]})
    with pytest.raises(ColumnExistsError, match=r"already has: sentiment_label\. .* `prefix`"):
        score_dataframe(frame, model=scorer)
    # DuckDB and Spark would take it for the same.
    with pytest.raises(ColumnExistsError, match=r"already has: Sentiment_Label\. "):
        score_dataframe(frame.rename(columns={"sentiment_label": "Sentiment_Label"}), model=scorer)
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


@pytest.fixture(scope="module")
def expected(scorer: Scorer) -> list[tuple[str | None, float | None]]:
    """Label and probability of each of `TEXTS`."""
    scored = score_dataframe(pa.array(TEXTS), model=scorer)
    assert scored.schema.names == ["sentiment_label", "sentiment_probability"]
    return [tuple(row.values()) for row in scored.to_pylist()]


def test_the_expected_scores_are_those_of_the_scorer(
    scorer: Scorer, expected: list[tuple[str | None, float | None]]
) -> None:
    good, nothing, bad = scorer.probabilities(pa.array(TEXTS)).to_pylist()
    names = {True: "positive", False: "negative"}
    assert expected == [(names[good >= 0.5], good), (None, nothing), (names[bad >= 0.5], bad)]
    assert nothing is None


@pytest.mark.parametrize(
    "dtype",
    [pl.String, pl.Categorical, pl.Enum([GOOD, BAD]), pl.Binary],
    ids=["String", "Categorical", "Enum", "Binary"],
)
def test_a_polars_frame_comes_back_as_one(
    scorer: Scorer, expected: list[tuple[str | None, float | None]], dtype: Any
) -> None:
    frame = pl.DataFrame({"id": [7, 8, 9], "text": pl.Series(TEXTS).cast(dtype)})
    before = frame.clone()
    scored = score_dataframe(frame, model=scorer)
    assert frame.equals(before)
    assert scored.select("id", "text").equals(before)
    assert scored.columns == ["id", "text", "sentiment_label", "sentiment_probability"]
    assert scored.dtypes[2:] == [pl.String, pl.Float32]
    assert scored.rows()[1][2:] == (None, None)
    assert [row[2:] for row in scored.rows()] == expected
    alone = score_dataframe(frame["text"], model=scorer)
    assert alone.equals(scored.select("sentiment_label", "sentiment_probability"))


@pytest.mark.parametrize("batch", [False, True], ids=["table", "record batch"])
def test_arrow_data_comes_back_as_such(
    scorer: Scorer, expected: list[tuple[str | None, float | None]], batch: bool
) -> None:
    table = pa.table({"text": TEXTS, "id": [7, 8, 9]}).replace_schema_metadata({"made": "by hand"})
    data = table.to_batches()[0] if batch else table
    scored = score_dataframe(data, model=scorer, prefix="m_")
    assert type(scored) is type(data)
    assert scored.schema == pa.schema(
        [*table.schema, ("m_label", pa.string()), ("m_probability", pa.float32())]
    )
    assert scored.schema.metadata == {b"made": b"by hand"}
    assert scored.select(["text", "id"]).equals(data)
    assert [tuple(row.values())[2:] for row in scored.to_pylist()] == expected


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:1], [], TEXTS[1:]]),
    ],
    ids=["large_string", "string_view", "dictionary", "chunks"],
)
def test_arrow_arrays_become_a_table(
    scorer: Scorer, expected: list[tuple[str | None, float | None]], texts: Any
) -> None:
    scored = score_dataframe(texts, model=scorer)
    assert isinstance(scored, pa.Table)
    assert [tuple(row.values()) for row in scored.to_pylist()] == expected


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        tuple(TEXTS),
        UserList(TEXTS),
        deque(TEXTS),
        np.array(TEXTS, object),
        np.array([GOOD, "", BAD]),
        np.array([GOOD, "", BAD]).astype("S"),
        pytest.param(
            np.array([GOOD, "", BAD], np.dtypes.StringDType()),
            marks=pytest.mark.skipif(pa.cpp_version_info.major < 26, reason="new in Arrow 26"),
        ),
        np.ma.masked_array([GOOD, GOOD, BAD], [False, True, False]),
        pd.array(TEXTS, "string"),
        pd.Index(TEXTS),
    ],
    ids=lambda texts: f"{type(texts).__name__} {getattr(texts, 'dtype', '')}",
)
def test_a_list_or_an_array_becomes_a_pandas_frame(
    scorer: Scorer, expected: list[tuple[str | None, float | None]], texts: Any
) -> None:
    scored = score_dataframe(texts, model=scorer)
    pd.testing.assert_index_equal(scored.index, pd.RangeIndex(3))
    assert list(scored.columns) == ["sentiment_label", "sentiment_probability"]
    assert scored["sentiment_label"].dtype == pd.StringDtype()
    assert scored["sentiment_probability"].dtype == np.float32
    rows = scored.astype(object).where(scored.notna(), None).itertuples(index=False, name=None)
    assert list(rows) == expected


@pytest.mark.parametrize("empty", [[], np.array([]), pl.Series([], dtype=pl.String), pa.array([])])
def test_no_texts_give_no_rows(scorer: Scorer, empty: Any) -> None:
    scored: Any = score_dataframe(empty, model=scorer)
    assert len(scored) == 0
    assert len(scored.columns) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a canary", "It received a single text. Pass a list of texts."),
        (b"a canary", "It received a single text. Pass a list of texts."),
        (np.array([["a canary"]]), "It received a NumPy array of 2 dimensions."),
        (pl.LazyFrame({"text": ["a canary"]}), "a Polars LazyFrame. Call its collect() first."),
        ({"text": ["a canary"]}, "It received a builtins.dict. Convert it"),
        (iter(["a canary"]), "It received a builtins.list_iterator. Convert it"),
        (None, "It received a builtins.NoneType. Convert it"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_and_not_quoted(scorer: Scorer, data: Any, message: str) -> None:
    with pytest.raises(UnsupportedDataError, match=re.escape(message)) as caught:
        score_dataframe(data, model=scorer)
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        ["canary", 1],
        [["canary"]],
        np.array([1.5, 2]),
        range(2),
        pl.Series([1, 2]),
        pl.Series([{"canary": 1}]),
        pl.Series(["canary"], dtype=pl.Object),
        pa.array([1, 2]),
        pa.array([None, None], pa.int64()),
        pd.Series([1, 2]),
    ],
    ids=lambda data: f"{type(data).__name__} {getattr(data, 'dtype', '')}"[:24],
)
def test_texts_that_are_not_text_are_refused_and_not_quoted(scorer: Scorer, data: Any) -> None:
    with pytest.raises(TextTypeError, match=r"^The data must contain text: .* first\.$") as caught:
        score_dataframe(data, model=scorer)
    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.table], ids=["Polars", "Arrow"])
def test_columns_are_checked_in_every_kind_of_frame(
    scorer: Scorer, kind: Callable[[Any], Any]
) -> None:
    frame = kind({"id": [1], "body": [GOOD], "sentiment_label": ["mine"]})
    with pytest.raises(MissingColumnError, match=r"Its columns: id, body, sentiment_label\."):
        score_dataframe(frame, model=scorer)
    with pytest.raises(ColumnExistsError, match=r"already has: sentiment_label\. .* `prefix`"):
        score_dataframe(frame, text_column="body", model=scorer)
    with pytest.raises(TextTypeError, match=r"Column 'id' of the data must contain text: .* int64"):
        score_dataframe(frame, text_column="id", model=scorer, prefix="our_")
    twice = pa.Table.from_arrays([pa.array([GOOD])] * 2, ["text", "text"])
    with pytest.raises(AmbiguousColumnError, match="The frame has 2 columns named 'text'"):
        score_dataframe(twice, model=scorer)


def test_a_reference_is_looked_up_in_the_registry(tmp_path: Path, tiny_bundle: Bundle) -> None:
    registry = Registry.at(tmp_path)
    with pytest.raises(UnknownModelError, match="'@challenger' is none of these"):
        score_dataframe([GOOD], model="@challenger", registry=registry)
    registry.register(tiny_bundle, "{}", "")
    registry.promote(tiny_bundle.model_id)
    by_champion = score_dataframe([GOOD], registry=registry)
    pd.testing.assert_frame_equal(by_champion, score_dataframe([GOOD], model=tiny_bundle.path))


def test_polars_is_not_needed() -> None:
    program = (
        "import sys; sys.modules['polars'] = None\n"
        "from imdb_classifier import score_dataframe\n"
        f"print(score_dataframe([{GOOD!r}])['sentiment_label'][0])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "positive\n", ran.stderr
