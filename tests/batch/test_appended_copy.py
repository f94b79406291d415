"""The output is its input's bytes and two columns more, whoever wrote the input."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import duckdb
import fastparquet  # type: ignore[import-untyped]
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.version import parse

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.scoring.scorer import Scorer
from tests.footers import assert_appended, entries, split

Score = Callable[..., FileResult]
TEXTS = [f"A {'wonderful' if row % 3 else 'dull'} film, number {row}." for row in range(3_000)]
SPARK_KEY = b"org.apache.spark.sql.parquet.row.metadata"


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "stars": [1.5, 2.5, None] * 1_000})


def from_duckdb(path: Path) -> None:
    columns = "i AS id, 'A film, number ' || i AS text, INTERVAL (i) DAY AS span, "
    # Releases before 1.4 know no variants.
    has_variants = parse(duckdb.__version__) >= parse("1.4")
    clock = "TIMETZ '12:00:00+02'"
    odd = f"{clock} AS clock, {'{a: i}::VARIANT' if has_variants else clock} AS anything"
    query = f"SELECT {columns}{odd} FROM range(3000) t(i)"
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")


def with_index_and_bloom_filter(path: Path) -> None:
    table = pa.table({"id": range(len(TEXTS)), "text": TEXTS})
    pq.write_table(
        table,
        path,
        row_group_size=1_000,
        write_page_index=True,
        write_page_checksum=True,
        bloom_filter_options={"id": True},
        sorting_columns=[pq.SortingColumn(0)],
        compression="gzip",
    )


WRITERS: dict[str, Callable[[Path], Any]] = {
    "pyarrow": lambda path: pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=700),
    "page index and bloom filter": with_index_and_bloom_filter,
    "pandas": lambda path: pandas_frame().to_parquet(path),
    "Polars": lambda path: pl.from_pandas(pandas_frame()).write_parquet(path, row_group_size=900),
    "DuckDB": from_duckdb,
    "fastparquet": lambda path: fastparquet.write(
        str(path), pandas_frame(), row_group_offsets=[0, 1_000, 2_000]
    ),
    "INT96": lambda path: pq.write_table(
        pa.table({"text": TEXTS, "when": [dt.datetime(2026, 11, 26)] * len(TEXTS)}),
        path,
        use_deprecated_int96_timestamps=True,
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_but_two_columns_is_added(
    score: Score, scorer: Scorer, tmp_path: Path, writer: str
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS[writer](source)
    score()
    assert_appended(source, output)
    assert verify_output(output, scorer, source=source).problems == ()


def test_dates_far_from_now_survive(score: Score, tmp_path: Path) -> None:
    # 2932897 days after 1970-01-01 is 10000-01-01, which nanoseconds cannot hold.
    table = pa.table({"text": TEXTS, "when": [dt.datetime(2026, 11, 26)] * len(TEXTS)})
    pq.write_table(
        table, tmp_path / "in.parquet", use_deprecated_int96_timestamps=True, compression="none",
        use_dictionary=["when"],
    )  # fmt: skip
    content = (tmp_path / "in.parquet").read_bytes()
    julian_day = 2_440_588
    near, far = (
        pack("<qi", 0, julian_day + (day - dt.date(1970, 1, 1)).days)
        for day in (dt.date(2026, 11, 26), dt.date(9999, 12, 31))
    )
    assert content.count(near) == 1
    (tmp_path / "in.parquet").write_bytes(content.replace(near, far))
    score()
    read = pq.ParquetFile(tmp_path / "out.parquet", coerce_int96_timestamp_unit="us").read(["when"])
    assert read["when"][0].as_py() == dt.datetime(9999, 12, 31)


def replace_keys(path: Path, **keys: Any) -> None:
    """Write a file again with other entries in its footer."""
    metadata = {key.replace("__", "."): json.dumps(value) for key, value in keys.items()}
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)


def test_keys_that_describe_columns_are_extended_and_others_kept(
    score: Score, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    text = {"name": "text", "type": "string", "nullable": True, "metadata": {}}
    replace_keys(
        tmp_path / "in.parquet",
        org__apache__spark__sql__parquet__row__metadata={"type": "struct", "fields": [text]},
        huggingface={"info": {"features": {"text": {"dtype": "string", "_type": "Value"}}}},
        parquet__avro__schema={"type": "record", "fields": []},
        iceberg__schema={"type": "struct", "fields": []},
        owner="data team",
        pandas=["not what pandas writes"],
    )
    score()
    keys = dict(entries(split(tmp_path / "out.parquet")[1]))
    assert json.loads(keys[SPARK_KEY] or b"") == {
        "type": "struct",
        "fields": [
            text,
            {"name": "sentiment_label", "type": "string", "nullable": True, "metadata": {}},
            {"name": "sentiment_probability", "type": "float", "nullable": True, "metadata": {}},
        ],
    }
    assert json.loads(keys[b"huggingface"] or b"")["info"]["features"] == {
        "text": {"dtype": "string", "_type": "Value"},
        "sentiment_label": {"dtype": "string", "_type": "Value"},
        "sentiment_probability": {"dtype": "float32", "_type": "Value"},
    }
    assert not {b"parquet.avro.schema", b"iceberg.schema"} & keys.keys()
    assert keys[b"owner"] == b'"data team"'
    assert json.loads(keys[b"pandas"] or b"") == ["not what pandas writes"]
    assert pq.read_schema(tmp_path / "out.parquet").names == [
        "text", "sentiment_label", "sentiment_probability",
    ]  # fmt: skip


def test_no_column_but_the_text_is_decoded(score: Score, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": TEXTS, "n": range(len(TEXTS))}), tmp_path / "in.parquet",
        compression="none", use_dictionary=False, write_page_checksum=True,
    )  # fmt: skip
    content = bytearray((tmp_path / "in.parquet").read_bytes())
    chunk = pq.read_metadata(tmp_path / "in.parquet").row_group(0).column(1)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    (tmp_path / "in.parquet").write_bytes(content)
    # Damage in a column that nobody asked for is handed on as it is.
    assert score().rows == len(TEXTS)
    assert_appended(tmp_path / "in.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("on_null", ["label", "skip"])
@pytest.mark.parametrize(
    "labels", [pd.Index([0, 1]), pd.MultiIndex.from_tuples([("a", "b"), ("text", "c")])], ids=str
)
def test_frames_whose_labels_are_no_strings(
    score: Score, tmp_path: Path, labels: pd.Index, on_null: Any
) -> None:
    frame = pd.DataFrame([[1, "Good."], [2, "Bad."]], columns=labels)
    frame.to_parquet(tmp_path / "in.parquet")
    text = str(labels[1])
    score(ScoreOptions(text_column=text, on_null=on_null))
    read = pd.read_parquet(tmp_path / "out.parquet")
    assert list(read.columns) == [
        *(str(label) for label in labels), "sentiment_label", "sentiment_probability",
    ]  # fmt: skip


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_columns_in_other_files_are_refused_either_way(
    score: Score, tmp_path: Path, on_null: Any
) -> None:
    fastparquet.write(
        str(tmp_path / "set"), pandas_frame(), row_group_offsets=[0, 1_500], file_scheme="hive"
    )
    (tmp_path / "set" / "_metadata").rename(tmp_path / "in.parquet")
    with pytest.raises(UnreadableFileError, match="some of its columns lie in other files"):
        score(ScoreOptions(on_null=on_null))


def test_a_large_file_that_is_not_parquet_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "in.parquet").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write((900_000_000).to_bytes(4, "little") + b"abcd")
    footer = FileFooter.read(str(tmp_path / "in.parquet"))
    assert len(footer.end) == 8
    with pytest.raises(UnreadableFileError, match="must be a readable Parquet file"):
        _ = footer.metadata
