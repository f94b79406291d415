"""Readers of Parquet files, each with its own way to filter rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb
import fastparquet  # type: ignore[import-untyped]
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tests.other_systems import OtherSystems

PROBABILITY: Final = "sentiment_probability"

Read = Callable[[OtherSystems, Path, "float | None"], pa.Table]
"""Reads all columns of the rows whose probability is above a limit, or of all rows."""


def in_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def filters(limit: float | None) -> list[tuple[str, str, float]] | None:
    return None if limit is None else [(PROBABILITY, ">", limit)]


def with_pyarrow(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    return ds.dataset(path).to_table(
        filter=None if limit is None else ds.field(PROBABILITY) > limit
    )


def with_pandas(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    return in_arrow(pd.read_parquet(path, filters=filters(limit)))


def with_polars(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    frame = pl.scan_parquet(path)
    if limit is not None:
        frame = frame.filter(pl.col(PROBABILITY) > limit)
    return frame.collect().to_arrow()


def with_duckdb(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    where = "" if limit is None else f"WHERE {PROBABILITY} > {limit!r}::FLOAT"
    with duckdb.connect() as connection:
        return connection.sql(f"FROM '{path}' {where}").to_arrow_table()


def with_fastparquet(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    # Its own filter of rows fails in columns of several pages, so that it only skips row groups.
    frame = fastparquet.ParquetFile(str(path)).to_pandas(filters=filters(limit) or [])
    return in_arrow(frame if limit is None else frame[frame[PROBABILITY] > limit])


def with_dask(_: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    # It comes with the extra that scores on a cluster.
    dataframe = pytest.importorskip("dask.dataframe")
    return in_arrow(dataframe.read_parquet(path, filters=filters(limit)).compute())


def with_spark(systems: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    frame = systems.spark.read.parquet(str(path))
    return (frame if limit is None else frame.where(f"{PROBABILITY} > float({limit!r})")).toArrow()


def with_datasets(systems: OtherSystems, path: Path, limit: float | None) -> pa.Table:
    rows = systems.datasets.load_dataset(
        "parquet", data_files=str(path), split="train", filters=filters(limit),
        cache_dir=str(path.parent / "cache"),
    )  # fmt: skip
    return rows.with_format("arrow")[:]


READERS: Final[dict[str, Read]] = {
    "pyarrow": with_pyarrow,
    "pandas": with_pandas,
    "Polars": with_polars,
    "DuckDB": with_duckdb,
    "fastparquet": with_fastparquet,
    "Dask": with_dask,
    "Spark": with_spark,
    "Hugging Face datasets": with_datasets,
}
