"""Where rows are left out, the others come out as they went in, whatever their types are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.parquet_footer.compact_protocol import I32
from imdb_classifier.batch.parquet_footer.file_footer import end_of_file
from imdb_classifier.batch.parquet_footer.file_metadata import ELEMENT_NAME, list_of
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import BadDataError
from imdb_classifier.scoring.scorer import Scorer
from tests.batch.test_appended_copy import SPARK_KEY, TEXTS, WRITERS, from_duckdb, pandas_frame
from tests.footers import SCHEMA, entries, items, split
from tests.troublesome import CASES, Case

Score = Callable[..., FileResult]
SKIP = ScoreOptions(on_null="skip")
FIRST, LAST = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
LEGAL = [case for case in CASES if case.refused is None and case.text_column == "text"]


def schema_elements(path: Path) -> list[object]:
    return list(items(split(path)[1], SCHEMA))


@pytest.mark.parametrize("writer", WRITERS)
def test_schema_and_row_groups_are_the_input_s_own(
    score: Score, scorer: Scorer, tmp_path: Path, writer: str
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS[writer](source)
    score(SKIP)
    assert schema_elements(output)[1:-2] == schema_elements(source)[1:]
    before, after = (pq.read_metadata(path) for path in (source, output))
    groups = [[m.row_group(i).num_rows for i in range(m.num_row_groups)] for m in (before, after)]
    assert groups[0] == groups[1]
    assert verify_output(output, scorer, source=source).problems == ()


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: case.name)
def test_any_legal_file_can_be_rewritten(score: Score, tmp_path: Path, case: Case) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    case.write(source)
    score(SKIP)
    assert schema_elements(output)[1:-2] == schema_elements(source)[1:]
    tables = [pq.ParquetFile(path).read() for path in (source, output)]
    kept = [row for row, text in enumerate(case.texts or ()) if text and text.strip()]
    for number, field in enumerate(tables[0].schema):
        assert tables[1].schema.field(number).equals(field, check_metadata=True)
        old, new = (decoded(table.column(number)) for table in tables)
        assert len(new) == len(kept)
        # One by one: not all types can be taken.
        assert all(new[at].equals(old[row]) for at, row in enumerate(kept))


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without dictionaries, which are those of the row groups."""
    is_dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_dictionary else column


def test_int96_of_every_year_and_nanosecond(score: Score, tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["Good.", None, "Bad.", "Fine."],
            "far": pa.array([FIRST, FIRST, LAST, None], pa.timestamp("us")),
            "list": pa.array([[FIRST, LAST]] * 4, pa.list_(pa.timestamp("us"))),
            "precise": pa.array([1, 2, -3, 10**18 + 789], pa.timestamp("ns")),
        }
    )
    source, output = (str(tmp_path / name) for name in ("in.parquet", "out.parquet"))
    pq.write_table(table, source, use_deprecated_int96_timestamps=True)
    score(SKIP)
    # pyarrow reads INT96 as nanoseconds, which the first and the last year do not have.
    far = duckdb.execute(f"SELECT far, list FROM '{output}'").fetchall()
    assert far == [(FIRST, [FIRST, LAST]), (LAST, [FIRST, LAST]), (None, [FIRST, LAST])]
    precise = pq.read_table(output)["precise"].cast(pa.int64())
    assert precise.to_pylist() == [1, -3, 10**18 + 789]
    for number in (1, 2, 3):
        column = pq.read_metadata(output).row_group(0).column(number)
        assert column.physical_type == "INT96"
        assert not column.is_stats_set


@pytest.mark.parametrize("kind", ["span", "clock", "anything"])
def test_types_that_pyarrow_does_not_know(score: Score, tmp_path: Path, kind: str) -> None:
    from_duckdb(tmp_path / "all.parquet")
    duckdb.execute(
        f"COPY (SELECT id, CASE WHEN id % 2 = 0 THEN text END AS text, {kind} "
        f"FROM '{tmp_path}/all.parquet') TO '{tmp_path}/in.parquet' (FORMAT parquet)"
    )
    score(SKIP)
    before, after = (
        duckdb.execute(
            f"SELECT id, {kind}, typeof({kind}) FROM '{tmp_path}/{name}' WHERE text IS NOT NULL"
        ).fetchall()
        for name in ("in.parquet", "out.parquet")
    )
    assert after == before
    assert len(after) == len(TEXTS) / 2
    if kind != "anything":
        # pyarrow would take the order of plain values, which is not that of these types.
        column = pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(2)
        assert not column.is_stats_set


def test_statistics_stay_where_their_order_is_known(score: Score, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": TEXTS, "n": pa.array(range(len(TEXTS)), pa.uint32())}),
        tmp_path / "in.parquet",
    )
    score(SKIP)
    column = pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(1)
    assert (column.statistics.min, column.statistics.max) == (0, len(TEXTS) - 1)
    assert column.has_column_index


def test_keys_are_extended_in_rewritten_files_too(score: Score, tmp_path: Path) -> None:
    pandas_frame().to_parquet(tmp_path / "in.parquet")
    with pq.ParquetFile(tmp_path / "in.parquet") as file:
        table = file.read()
    keys = {**table.schema.metadata, SPARK_KEY: b'{"fields": []}', b"iceberg.schema": b"{}"}
    pq.write_table(table.replace_schema_metadata(keys), tmp_path / "in.parquet")
    score(SKIP)
    found = dict(entries(split(tmp_path / "out.parquet")[1]))
    assert [field["name"] for field in json.loads(found[SPARK_KEY] or b"")["fields"]] == [
        "sentiment_label",
        "sentiment_probability",
    ]
    assert b"iceberg.schema" not in found
    assert b"sentiment_label" in (found[b"pandas"] or b"")


def test_a_shape_that_pyarrow_does_not_write_is_refused(score: Score, tmp_path: Path) -> None:
    numbers = pa.list_(pa.field("element", pa.int32(), nullable=False))
    table = pa.table({"id": [1], "text": ["Good."], "list": pa.array([[1, 2]], numbers)})
    pq.write_table(table, tmp_path / "in.parquet")
    data, footer = split(tmp_path / "in.parquet")
    # As old writers have lists: one group less, and the same levels.
    elements = list_of(footer, SCHEMA)
    _, _, _, group, inner, leaf = elements.structs()
    assert group.text(ELEMENT_NAME) == b"list"
    leaf.set(3, I32, inner.integer(3))
    elements.items.remove(inner)
    (tmp_path / "in.parquet").write_bytes(data + end_of_file(footer))
    assert pq.read_table(tmp_path / "in.parquet")["list"].to_pylist() == [[1, 2]]
    with pytest.raises(BadDataError, match=r"in\.parquet has others: list\. .*with `columns`"):
        score(SKIP)
    assert not (tmp_path / "out.parquet").exists()
    score(ScoreOptions(on_null="skip", columns=["id", "text"]))
    assert pq.read_table(tmp_path / "out.parquet").column_names[:2] == ["id", "text"]
