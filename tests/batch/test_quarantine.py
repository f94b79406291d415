"""The lists of what could not be scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fastparquet  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import OutputExistsError
from imdb_classifier.scoring.scorer import Scorer

Score = Callable[..., FileResult]
TEXTS = ["A wonderful film.", None, "", "  ", "Dull and badly acted."]
OPTIONS = ScoreOptions(quarantine=True)
LISTED = [(1, "text is null"), (2, "text is empty"), (3, "text is blank")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "day=1/b"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in" / f"{name}.parquet")
    return tmp_path / "in"


def lines(name: str) -> str:
    return "".join(f'"{name}",{row},"{reason}"\n' for row, reason in LISTED)


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_rows_without_text_are_listed_with_the_reason(
    score: Score, tmp_path: Path, on_null: str
) -> None:
    pq.write_table(pa.table({"n": range(5), "text": TEXTS}), tmp_path / "in.parquet")
    score(ScoreOptions(on_null=on_null, quarantine=True))  # type: ignore[arg-type]
    listed = tmp_path / "_quarantine" / "out_parquet.csv"
    assert listed.read_text() == "file,row,reason\n" + lines("in.parquet")
    read = list(zip([*["in.parquet"] * 3], *zip(*LISTED, strict=True), strict=True))
    assert list(pd.read_csv(listed).itertuples(index=False, name=None)) == read
    assert pl.read_csv(listed).rows() == read
    assert duckdb.execute(f"FROM '{listed}'").fetchall() == read
    assert [tuple(row.values()) for row in csv.read_csv(listed).to_pylist()] == read


def test_rows_are_counted_through_the_whole_file(score: Score, tmp_path: Path) -> None:
    texts = ["Fine."] * 5_000
    pq.write_table(pa.table({"text": [*texts, None, *texts, " "]}), tmp_path / "in.parquet")
    score(OPTIONS)
    assert pd.read_csv(tmp_path / "_quarantine" / "out_parquet.csv")["row"].to_list() == [
        5_000,
        10_001,
    ]


def test_memory_does_not_grow_with_the_rows_that_are_listed(tmp_path: Path) -> None:
    texts = pa.nulls(10_000, pa.string())
    before = pa.total_allocated_bytes()
    with Quarantine(str(tmp_path / "list.csv"), "a.parquet") as quarantine:
        for number in range(100):
            quarantine.add_rows(np.arange(10_000) + number * 10_000, texts)
        assert pa.total_allocated_bytes() - before < 4_000_000
        (unfinished,) = tmp_path.iterdir()
        assert unfinished.stat().st_size > 20_000_000
    assert csv.read_csv(tmp_path / "list.csv")["row"].to_pylist() == list(range(1_000_000))


def test_bad_files_are_listed_until_they_are_mended(
    folder: Path, tmp_path: Path, scorer: Scorer
) -> None:
    output, source = tmp_path / "out", folder / "a.parquet"
    listed = output / "_quarantine" / "a_parquet.csv"
    good = source.read_bytes()
    source.write_bytes(b"no parquet")
    assert score_parquet(folder, output, scorer, OPTIONS).exit_code == 75
    (row,) = csv.read_csv(listed).to_pylist()
    assert (row["file"], row["row"]) == ("a.parquet", None)
    assert "must be a readable Parquet file" in row["reason"]
    source.write_bytes(good)
    assert score_parquet(folder, output, scorer, OPTIONS).exit_code == 0
    assert listed.read_text() == "file,row,reason\n" + lines("a.parquet")
    pq.write_table(pa.table({"text": ["Fine."]}), source)
    score_parquet(folder, output, scorer, OPTIONS, selection=Selection("new,stale"))
    assert not listed.exists()
    # It is no input of its own.
    assert len(discover_files(str(output), str(tmp_path / "again")).files) == 2


def test_a_file_that_fails_keeps_its_earlier_list(score: Score, tmp_path: Path) -> None:
    def interrupt(rows: int) -> None:
        raise KeyboardInterrupt

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score(OPTIONS)
    before = (tmp_path / "_quarantine" / "out_parquet.csv").read_text()
    pq.write_table(pa.table({"text": ["Fine.", None]}), tmp_path / "in.parquet")
    with pytest.raises(KeyboardInterrupt):
        score(OPTIONS, selection=Selection("stale"), on_rows=interrupt)
    (listed,) = (tmp_path / "_quarantine").iterdir()
    assert (listed.name, listed.read_text()) == ("out_parquet.csv", before)


def test_runs_of_single_files_share_no_list(folder: Path, tmp_path: Path, scorer: Scorer) -> None:
    source, output = folder / "a.parquet", tmp_path / "out"
    score_parquet(source, output / "first.parquet", scorer, OPTIONS)
    first = (output / "_quarantine" / "first_parquet.csv").read_text()
    assert first == "file,row,reason\n" + lines("a.parquet")
    pq.write_table(pa.table({"text": ["Fine.", None]}), source)
    score_parquet(source, output / "second.parquet", scorer, OPTIONS)
    pq.write_table(pa.table({"text": ["Fine."]}), source)
    score_parquet(source, output / "third.parquet", scorer, OPTIONS)
    names = sorted(path.name for path in (output / "_quarantine").iterdir())
    assert names == ["first_parquet.csv", "second_parquet.csv"]
    assert (output / "_quarantine" / "first_parquet.csv").read_text() == first


def test_no_two_files_share_a_list(tmp_path: Path, scorer: Scorer) -> None:
    names = ["a", "a.parquet", "a.pq", "x.parq", "x.parq.parquet"]
    (tmp_path / "in").mkdir()
    for rows, name in enumerate(names):
        pq.write_table(pa.table({"text": ["Fine."] * rows + [None]}), tmp_path / "in" / name)
    output, alone = tmp_path / "out", tmp_path / "alone"
    assert score_parquet(tmp_path / "in" / "*", output, scorer, OPTIONS).exit_code == 0
    for name in names:
        score_parquet(tmp_path / "in" / name, alone, scorer, OPTIONS)
    for folder in (output, alone):
        lists = [csv.read_csv(path).to_pylist() for path in (folder / "_quarantine").iterdir()]
        listed = sorted((row["row"], row["file"]) for (row,) in lists)
        assert listed == list(enumerate(names))


@pytest.mark.parametrize("length", [240, 252, 255])
def test_names_have_up_to_255_bytes(tmp_path: Path, length: int) -> None:
    name = "é" * ((length - 8) // 2) + "x" * (length % 2) + ".parquet"
    assert len(name.encode()) == length
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in" / name)
    with Scorer.load() as bundled:
        for source, output in (("in", "out"), (f"in/{name}", "file"), (f"in/{name}", f"1/{name}")):
            folder = (tmp_path / output).parent if output.startswith("1/") else tmp_path / output
            paths = (tmp_path / source, tmp_path / output)
            assert score_parquet(*paths, bundled, OPTIONS).files[0].status == "scored"
            assert score_parquet(*paths, bundled, OPTIONS).files[0].status == "reused"
            (listed,) = (folder / "_quarantine").iterdir()
            assert listed.read_text() == "file,row,reason\n" + lines(name)
            assert (folder / name).exists()
            assert len(list(folder.iterdir())) == (5 if output == "out" else 3)


def test_lists_go_with_the_outputs_that_are_pruned(
    folder: Path, tmp_path: Path, scorer: Scorer
) -> None:
    output = tmp_path / "out"
    score_parquet(folder, output, scorer, OPTIONS)
    (folder / "day=1" / "b.parquet").unlink()
    prune = Selection(prune=True)
    assert score_parquet(folder, output, scorer, OPTIONS, selection=prune).pruned
    assert [*(output / "_quarantine").rglob("*.csv")] == [output / "_quarantine" / "a_parquet.csv"]


@pytest.mark.parametrize("content", ["mine\n", "", "file,row,reason,more\n"])
@pytest.mark.parametrize("texts", [TEXTS, ["Fine."]], ids=["rows to list", "none"])
def test_lists_of_others_are_never_replaced_or_deleted(
    folder: Path, tmp_path: Path, scorer: Scorer, content: str, texts: list[str | None]
) -> None:
    foreign = tmp_path / "out" / "_quarantine" / "a_parquet.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text(content)
    pq.write_table(pa.table({"text": texts}), folder / "a.parquet")
    result = score_parquet(folder, tmp_path / "out", scorer, OPTIONS)
    (failed,) = result.failed
    assert (failed.name, failed.exit_code) == ("a.parquet", 73)
    assert "a_parquet.csv must not exist" in str(failed.error)
    (folder / "a.parquet").write_bytes(b"no parquet")
    (failed,) = score_parquet(folder, tmp_path / "out", scorer, OPTIONS).failed
    assert failed.exit_code == 65
    assert "It could not be listed in _quarantine: " in str(failed.error)
    pq.write_table(pa.table({"text": texts}), folder / "a.parquet")
    with pytest.raises(
        OutputExistsError, match=r"a_parquet\.csv .* imdb-classifier did not write it"
    ):
        score_parquet(folder / "a.parquet", tmp_path / "out" / "a.parquet", scorer, OPTIONS)
    assert foreign.read_text() == content
    assert not (tmp_path / "out" / "a.parquet").exists()


def test_names_are_printable_and_quoted(tmp_path: Path, scorer: Scorer) -> None:
    names = [b"caf\xe9.parquet", b'5",\n=1.parquet', "\u202eü🎬.parquet".encode()]
    folder = tmp_path / "in"
    folder.mkdir()
    for name in names:
        with (folder / name.decode("utf-8", "surrogateescape")).open("wb") as sink:
            pq.write_table(pa.table({"text": ["Fine.", None]}), sink)
    assert score_parquet(folder, tmp_path / "out", scorer, OPTIONS).exit_code == 0
    lists = sorted((tmp_path / "out" / "_quarantine").iterdir())
    listed = [pd.read_csv(file)["file"].item() for file in lists]
    assert listed == [r'5",\n=1.parquet', r"caf\xe9.parquet", r"\u202eü🎬.parquet"]
    again = score_parquet(folder, tmp_path / "again", scorer, OPTIONS)
    assert again.exit_code == 0
    for file in lists:
        assert (tmp_path / "again" / "_quarantine" / file.name).read_bytes() == file.read_bytes()


READERS: dict[str, Callable[[str], Any]] = {
    "pandas": lambda output: len(pd.read_parquet(output)),
    "pyarrow": lambda output: ds.dataset(output, partitioning="hive").count_rows(),
    "dask": lambda output: len(pytest.importorskip("dask.dataframe").read_parquet(output)),
    "fastparquet": lambda output: fastparquet.ParquetFile(output).count(),
    "Polars": lambda output: pl.read_parquet(f"{output}/**/*.parquet").height,
    "DuckDB": lambda output: duckdb.execute(
        f"SELECT count(sentiment_probability) + 6 FROM '{output}/**/*.parquet'"
    ).fetchall()[0][0],
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_the_output_see_nothing_but_its_rows(
    folder: Path, tmp_path: Path, scorer: Scorer, reader: str
) -> None:
    score_parquet(folder, tmp_path / "out", scorer, OPTIONS)
    lists = tmp_path / "out" / "_quarantine"
    found = [path.relative_to(lists).as_posix() for path in sorted(lists.rglob("*.*"))]
    assert found == ["a_parquet.csv", "day=1/b_parquet.csv"]
    assert READERS[reader](str(tmp_path / "out")) == 10
