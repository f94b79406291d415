"""Parquet files of the same 3,000 reviews by writers that have little code in common.

The first thousand reviews are negative, the last positive; a review in fifty has no text.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import fastparquet  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from packaging.version import parse

from tests.other_systems import OtherSystems

Write = Callable[[OtherSystems, Path], None]

ROWS: Final = 3_000
GROUP_ROWS: Final = 1_000
TONES: Final = ("Bad, bad, bad and boring", "A film", "Great, great, great")


def reviews() -> pa.Table:
    """The reviews, with columns of types that most writers know."""
    texts = [None if row % 50 == 7 else f"{TONES[row // GROUP_ROWS]}, number {row}."
             for row in range(ROWS)]  # fmt: skip
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "text": pa.array(texts, pa.string()),
            "stars": pa.array([1.5, 2.5, None] * GROUP_ROWS, pa.float64()),
            "seen": pa.array([dt.datetime(2026, 11, 26, 12)] * ROWS, pa.timestamp("us")),
        }
    )


def nested_reviews() -> pa.Table:
    """The reviews, with nested columns and decimals, too."""
    more = {
        "tags": pa.array([["slow", None], [], None] * GROUP_ROWS, pa.list_(pa.string())),
        "cast": pa.array([{"lead": {"name": name}} for name in ("A. B.", None, "C.")] * GROUP_ROWS),
        "price": pa.array([Decimal("9.50"), None, Decimal("-1.25")] * GROUP_ROWS,
                          pa.decimal128(9, 2)),
    }  # fmt: skip
    table = reviews()
    for name, column in more.items():
        table = table.append_column(name, column)
    return table


def by_pyarrow(_: OtherSystems, path: Path) -> None:
    pq.write_table(
        nested_reviews(),
        path,
        row_group_size=GROUP_ROWS,
        write_page_index=True,
        write_page_checksum=True,
        bloom_filter_options={"id": True},
        sorting_columns=[pq.SortingColumn(0)],
        compression="gzip",
        data_page_size=4_096,
    )


def by_pandas(_: OtherSystems, path: Path) -> None:
    nested_reviews().to_pandas().to_parquet(path, row_group_size=GROUP_ROWS)


def by_polars(_: OtherSystems, path: Path) -> None:
    frame = pl.from_arrow(nested_reviews())
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(path, row_group_size=GROUP_ROWS)


def by_duckdb(_: OtherSystems, path: Path, more: str = "") -> None:
    with duckdb.connect() as connection:
        connection.register("reviews", nested_reviews())
        connection.execute(
            f"COPY (SELECT * {more} FROM reviews) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
        )


def by_duckdb_with_all_types(systems: OtherSystems, path: Path) -> None:
    columns = [
        "INTERVAL (id) DAY AS span",
        "TIMETZ '12:00:00+02' AS clock",
        "uuid() AS key",
        "MAP {'a': [id]} AS lists",
        "'x'::ENUM('x', 'y') AS kind",
    ]
    if parse(duckdb.__version__) >= parse("1.4"):
        columns.append("{a: id}::VARIANT AS anything")
    by_duckdb(systems, path, "".join(f", {column}" for column in columns))


def by_fastparquet(_: OtherSystems, path: Path) -> None:
    frame = reviews().to_pandas().astype({"text": object})
    fastparquet.write(str(path), frame, row_group_offsets=[*range(0, ROWS, GROUP_ROWS)])


def spark_reviews(systems: OtherSystems) -> Any:
    """The reviews as a Spark data frame, with columns of all types that Spark can write."""
    tone = " ".join(f"WHEN {group} THEN '{tone}'" for group, tone in enumerate(TONES))
    return systems.spark.sql(
        f"""
        SELECT id,
            CASE WHEN id % 50 != 7
                THEN concat(CASE id DIV {GROUP_ROWS} {tone} END, ', number ', id, '.') END AS text,
            CASE WHEN id % 3 != 2 THEN id % 3 + 1.5D END AS stars,
            timestamp'2026-11-26 12:00:00' AS seen,
            timestamp'9999-12-31 00:00:00' AS far,
            date'9999-12-31' AS day,
            cast(id AS decimal(9, 2)) AS price,
            cast(id AS decimal(38, 10)) AS large,
            array(id, NULL) AS numbers,
            named_struct('lead', named_struct('name', if(id % 2 = 0, 'A. B.', NULL))) AS cast,
            X'FF00' AS bytes,
            cast(id % 100 AS tinyint) AS tiny,
            timestamp_ntz'0001-01-01 00:00:00' AS early,
            map('a', array(1), 'b', NULL) AS lists,
            INTERVAL '3' DAY AS span,
            INTERVAL '2' MONTH AS months,
            parse_json('{{"a": 1}}') AS anything
        FROM range(0, {ROWS}, 1, 1)
        """
    )


def by_spark_with_all_types(systems: OtherSystems, path: Path) -> None:
    write_with_spark(spark_reviews(systems), path)


def by_spark(systems: OtherSystems, path: Path) -> None:
    common = ["id", "text", "stars", "seen", "price", "numbers", "cast", "bytes", "tiny"]
    write_with_spark(spark_reviews(systems).select(*common), path)


def write_with_spark(frame: Any, path: Path) -> None:
    folder = path.with_suffix(".spark")
    # Several row groups, with several pages each.
    frame.write.options(**{"parquet.block.size": "60000", "parquet.page.size": "4096"}).parquet(
        str(folder)
    )
    (part,) = folder.glob("*.parquet")
    part.rename(path)


def by_hyparquet(systems: OtherSystems, path: Path, *more: str) -> None:
    columns = nested_reviews().select(["id", "text", "stars", *more]).to_pydict()
    path.with_suffix(".json").write_text(json.dumps(columns))
    systems.node("hyparquet_writer.mjs", path.with_suffix(".json"), path)


def by_hyparquet_with_all_types(systems: OtherSystems, path: Path) -> None:
    by_hyparquet(systems, path, "tags")


def by_parquet_wasm(systems: OtherSystems, path: Path) -> None:
    table = nested_reviews()
    with pa.ipc.new_stream(path.with_suffix(".arrows"), table.schema) as stream:
        stream.write_table(table)
    systems.node("parquet_wasm.mjs", path.with_suffix(".arrows"), path)


WRITERS: Final[dict[str, Write]] = {
    "pyarrow": by_pyarrow,
    "pandas": by_pandas,
    "Polars": by_polars,
    "DuckDB": by_duckdb,
    "fastparquet": by_fastparquet,
    "Spark": by_spark,
    "hyparquet-writer": by_hyparquet,
    "parquet-wasm": by_parquet_wasm,
}
ALL_TYPES: Final[dict[str, Write]] = {
    "DuckDB, all types": by_duckdb_with_all_types,
    "Spark, all types": by_spark_with_all_types,
    "hyparquet-writer, all types": by_hyparquet_with_all_types,
}
"""Writers of columns that not every reader knows."""
