from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.scored_rows import CHUNKS_AHEAD
from imdb_classifier.batch.results import FileResult
from imdb_classifier.errors import (
    AmbiguousColumnError,
    ColumnExistsError,
    ImdbClassifierError,
    MissingColumnError,
    TextTypeError,
)
from imdb_classifier.scoring.scorer import CHUNK_ROWS, PendingProbabilities, Scorer

TEXTS = ["A wonderful film.", None, "", "  ", "Dull and badly acted.", "Good 🎬, élan"]
Score = Callable[..., FileResult]


def assert_refused(score: Score, error: type[ImdbClassifierError], match: str) -> None:
    with pytest.raises(error, match=match):
        score()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "in.parquet")


def test_every_column_comes_out_as_it_went_in(score: Score, tmp_path: Path) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    rich = pa.table(
        {
            "id": pa.array(range(6), pa.uint8()),
            "price": pa.array([Decimal("1.50")] * 6, pa.decimal128(9, 2)),
            "when": pa.array(
                [dt.datetime(2026, 11, 24, 8, tzinfo=zone)] * 6, pa.timestamp("us", "+02:00")
            ),
            "tags": pa.array([["a", None], [], None, ["b"], [], []], pa.list_(pa.string())),
            "nested": pa.array([{"x": 1, "y": [1.5]}] * 6),
            "map": pa.array([[("k", 1)]] * 6, pa.map_(pa.string(), pa.int32())),
            "category": pa.array(["x", "y", "x", None, "y", "x"]).dictionary_encode(),
            "raw": pa.array([b"\xff\x00"] * 6, pa.binary()),
            "large": pa.array(["l"] * 6, pa.large_string()),
            "uuid": pa.array([bytes(16)] * 6, pa.uuid()),
            "half": pa.array(np.arange(6), pa.float16()),
            "text": pa.array(TEXTS, pa.large_string()),
        },
        metadata={b"owner": b"data team"},
    )
    pq.write_table(rich, tmp_path / "in.parquet", row_group_size=4)
    result = score()
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.select(rich.column_names).equals(pq.read_table(tmp_path / "in.parquet"))
    assert scored.select(rich.column_names).schema.equals(rich.schema)
    assert scored.schema.metadata[b"owner"] == b"data team"
    assert scored.column_names[-2:] == ["sentiment_label", "sentiment_probability"]
    assert scored.schema.field("sentiment_label").type == pa.string()
    assert scored.schema.field("sentiment_probability").type == pa.float32()
    assert scored["sentiment_label"].is_null().to_pylist() == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert (result.rows, result.without_text) == (6, 3)
    assert result.positive + result.negative == 3
    assert result.status == "scored"


def test_texts_longer_than_the_model_reads_are_counted(
    score: Score, scorer: Scorer, tmp_path: Path
) -> None:
    # A start token stands in front of the words.
    longest = scorer.bundle.recipe.encoding.sequence_length - 1
    texts = ["word " * longest, "word " * (longest + 1), None, " ", "dull " + "word " * 5_000]
    pq.write_table(pa.table({"text": texts * 500}), tmp_path / "in.parquet")
    assert (score().truncated, score().truncated) == (1_000, 1_000)


@pytest.mark.parametrize("compliant", [True, False], ids=["element", "item"])
def test_the_items_of_lists_keep_their_name(score: Score, tmp_path: Path, compliant: bool) -> None:
    table = pa.table({"text": ["x"], "tags": [["a"]], "nested": [{"tags": [1]}]})
    pq.write_table(table, tmp_path / "in.parquet", use_compliant_nested_type=compliant)
    score()
    before, after = (pq.read_metadata(tmp_path / name) for name in ("in.parquet", "out.parquet"))
    paths = [before.schema.column(i).path for i in range(before.num_columns)]
    assert paths[1] == ("tags.list.element" if compliant else "tags.list.item")
    assert [after.schema.column(i).path for i in range(before.num_columns)] == paths


def test_a_scored_file_can_be_scored_under_another_prefix(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score()
    once = pq.read_table(tmp_path / "out.parquet")
    (tmp_path / "out.parquet").rename(tmp_path / "in.parquet")
    score(ScoreOptions(prefix="again_"))
    twice = pq.read_table(tmp_path / "out.parquet")
    assert twice.column_names == [*once.column_names, "again_label", "again_probability"]
    assert twice["again_probability"].equals(once["sentiment_probability"])
    assert score(ScoreOptions(prefix="again_")).status == "reused"


def test_a_pandas_file_stays_a_pandas_file(score: Score, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": TEXTS, "n": range(6)}, index=pd.Index(list("abcdef"), name="key"))
    frame.to_parquet(tmp_path / "in.parquet")
    score()
    read = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(read[["text", "n"]], pd.read_parquet(tmp_path / "in.parquet"))
    assert read.index.name == "key"


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_text_of_any_type_gets_the_same_scores(
    score: Score, scorer: Scorer, tmp_path: Path, kind: pa.DataType
) -> None:
    column = (
        pa.array(TEXTS).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(TEXTS, kind)
    )
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    score()
    scored = pq.read_table(tmp_path / "out.parquet")["sentiment_probability"].combine_chunks()
    assert scored.equals(scorer.probabilities(pa.array(TEXTS)))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([bytes(16)], pa.uuid()),
        pa.array([1]),
        pa.array([["text"]]),
        pa.array([{"t": "text"}]),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_a_column_of_another_type_is_refused(
    score: Score, tmp_path: Path, column: pa.Array
) -> None:
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    assert_refused(score, TextTypeError, "Column 'text' of .*in.parquet must contain text")
    assert leftovers(tmp_path) == []


def test_invalid_utf8_is_refused_and_not_quoted(score: Score, tmp_path: Path) -> None:
    data = b"canary\xff"
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    column = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    with pytest.raises(TextTypeError, match="not valid UTF-8") as caught:
        score()
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("row_group_size", [1, 7, 10_000], ids=["tiny", "odd", "one"])
def test_row_groups_do_not_change_scores(
    score: Score, scorer: Scorer, tmp_path: Path, row_group_size: int
) -> None:
    texts = pa.array([f"{TEXTS[i % 6]} {i}" for i in range(500)])
    pq.write_table(
        pa.table({"text": texts}), tmp_path / "in.parquet", row_group_size=row_group_size
    )
    score()
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored["text"].combine_chunks().equals(texts)
    np.testing.assert_allclose(
        np.asarray(scored["sentiment_probability"]),
        np.asarray(scorer.probabilities(texts)),
        atol=1e-6,
    )


def test_batches_are_read_while_others_are_scored(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = [0]
    start, result = Scorer.start, PendingProbabilities.result

    def counted_start(scorer: Scorer, texts: pa.Array) -> PendingProbabilities:
        under_way.append(under_way[-1] + 1)
        return start(scorer, texts)

    def counted_result(pending: PendingProbabilities) -> pa.Array:
        under_way.append(under_way[-1] - 1)
        return result(pending)

    monkeypatch.setattr(Scorer, "start", counted_start)
    monkeypatch.setattr(PendingProbabilities, "result", counted_result)
    texts = pa.array(["Good"] + [None] * (30 * CHUNK_ROWS), pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    score()
    assert max(under_way) == CHUNKS_AHEAD + 1
    assert under_way[-1] == 0


@pytest.mark.parametrize("row_group_size", [100, 1_000_000], ids=["many small", "one large"])
def test_row_groups_of_the_output(score: Score, tmp_path: Path, row_group_size: int) -> None:
    texts = pa.array(["Good"] + [None] * 10_004, pa.string())
    pq.write_table(
        pa.table({"text": texts}), tmp_path / "in.parquet", row_group_size=row_group_size
    )
    score()
    before, after = (
        [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        for metadata in (pq.read_metadata(tmp_path / n) for n in ("in.parquet", "out.parquet"))
    )
    assert after == before


def test_rows_keep_their_order_across_batches(score: Score, scorer: Scorer, tmp_path: Path) -> None:
    rows = 20_001
    texts: list[str | None] = [None] * rows
    for row in (0, 9_999, 10_000, rows - 1):
        texts[row] = f"A film {'good ' * (row % 7)}"
    table = pa.table({"n": range(rows), "text": pa.array(texts, pa.string())})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=10_000)
    done: list[int] = []
    assert score(on_rows=done.append).without_text == rows - 4
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.select(["n", "text"]).equals(table)
    np.testing.assert_allclose(
        scored["sentiment_probability"].to_numpy(),
        scorer.probabilities(table["text"].combine_chunks()).to_numpy(zero_copy_only=False),
        atol=1e-6,
    )
    assert sum(done) == rows
    assert len(done) > 1


@pytest.mark.parametrize("groups", [0, 1])
def test_no_rows(score: Score, tmp_path: Path, groups: int) -> None:
    empty = pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
    with pq.ParquetWriter(tmp_path / "in.parquet", empty.schema) as writer:
        for _ in range(groups):
            writer.write_table(empty)
    assert score().rows == 0
    assert pq.read_schema(tmp_path / "out.parquet").names == [
        "id", "text", "sentiment_label", "sentiment_probability",
    ]  # fmt: skip


def test_columns_that_are_missing_taken_or_twice(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "body": ["x"]}), tmp_path / "in.parquet")
    assert_refused(score, MissingColumnError, r"Its columns: id, body\..*`text_column`")
    pq.write_table(pa.table({"text": ["x"], "sentiment_label": ["x"]}), tmp_path / "in.parquet")
    assert_refused(score, ColumnExistsError, r"sentiment_label.*`prefix`")
    pq.write_table(pa.table({"text": ["x"], "Sentiment_LABEL": ["x"]}), tmp_path / "in.parquet")
    assert_refused(score, ColumnExistsError, r"already has: Sentiment_LABEL\..*`prefix`")
    pq.write_table(pa.Table.from_arrays([["x"], ["y"]], ["text", "text"]), tmp_path / "in.parquet")
    assert_refused(score, AmbiguousColumnError, "2 columns named 'text'")
    pq.write_table(pa.table({}), tmp_path / "in.parquet")
    assert_refused(score, MissingColumnError, "Its columns: none")
    assert leftovers(tmp_path) == []


def test_other_columns_may_have_one_name(score: Score, tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array([1]), pa.array([2]), pa.array(["x"])], ["a", "a", "text"]
    )
    pq.write_table(table, tmp_path / "in.parquet")
    score()
    assert pq.ParquetFile(tmp_path / "out.parquet").schema_arrow.names[:3] == ["a", "a", "text"]


@given(
    rows=st.lists(
        st.tuples(st.integers(), st.one_of(st.none(), st.text(max_size=60))), max_size=80
    ),
    row_group_size=st.integers(1, 90),
)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_rows_columns_and_counts_hold_for_any_table(
    score: Score, tmp_path: Path, rows: list[tuple[int, str | None]], row_group_size: int
) -> None:
    (tmp_path / "out.parquet").unlink(missing_ok=True)
    numbers = pa.array([n % 2**31 for n, _ in rows], pa.int64())
    table = pa.table({"n": numbers, "text": pa.array([text for _, text in rows], pa.string())})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=row_group_size)
    result = score()
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.select(["n", "text"]).equals(table)
    blank = [text is None or not text.strip() for _, text in rows]
    label, probability = (
        scored[name].to_pylist() for name in ("sentiment_label", "sentiment_probability")
    )
    assert [value is None for value in label] == [value is None for value in probability]
    assert all(
        value is None or (value >= 0.5) == (name == "positive")
        for name, value in zip(label, probability, strict=True)
    )
    assert result.without_text == label.count(None)
    assert result.positive == label.count("positive")
    assert result.rows == len(rows) == result.positive + result.negative + result.without_text
    # Python and Arrow disagree on a few control characters only (U+001C to U+001F).
    odd = any(text and set(text) & set("\x1c\x1d\x1e\x1f\x85") for _, text in rows)
    assert odd or [value is None for value in label] == blank
