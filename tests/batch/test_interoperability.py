"""Whoever wrote a file, its output is the file and two columns more, and every reader sees them.

`make interop` installs Spark, Hugging Face datasets and the JavaScript writers, an extra Dask.
No writer is in R, because Debian has no package of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.scoring.text_columns import labels
from tests.footers import (
    SCHEMA,
    assert_appended,
    assert_selected,
    assert_statistics,
    items,
    split,
)
from tests.other_systems import OtherSystems
from tests.parquet_readers import PROBABILITY, READERS
from tests.parquet_writers import (
    ALL_TYPES,
    GROUP_ROWS,
    ROWS,
    TONES,
    WRITERS,
    reviews,
    spark_reviews,
)

OURS = ["sentiment_label", PROBABILITY]
Scored = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherSystems]:
    with OtherSystems(tmp_path_factory.mktemp("systems")) as systems:
        yield systems


@pytest.fixture(scope="module")
def scored(
    systems: OtherSystems, scorer: Scorer, tmp_path_factory: pytest.TempPathFactory
) -> Scored:
    """Writes and scores a file once for all tests; returns the paths of both."""

    @cache
    def scored(writer: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("scored")
        source, output = folder / "in.parquet", folder / "out.parquet"
        (WRITERS | ALL_TYPES)[writer](systems, source)
        score_parquet(source, output, scorer)
        return source, output

    return scored


@pytest.fixture(scope="module")
def many_pages(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored file of one row group, whose columns have a page for each tone."""
    path = tmp_path_factory.mktemp("pages") / "in.parquet"
    # 20,000 rows are the most that pyarrow writes to a page.
    texts = [f"{tone}, number {row % 100}." for tone in TONES for row in range(20_000)]
    table = pa.table({"id": range(len(texts)), "text": texts})
    # Spark skips pages only if all columns that it reads have an index.
    pq.write_table(table, path, write_page_index=True)
    score_parquet(path, path.with_name("out.parquet"), scorer)
    return path.with_name("out.parquet")


@pytest.mark.parametrize("writer", WRITERS | ALL_TYPES)
def test_the_output_is_the_input_and_two_columns(
    scored: Scored, scorer: Scorer, writer: str
) -> None:
    source, output = scored(writer)
    assert_appended(source, output)
    assert verify_output(output, scorer, source=source).problems == ()
    found = pq.ParquetFile(output).read(["id", "text", *OURS])
    texts = reviews()["text"]
    assert found["text"].cast(pa.string()).equals(texts)
    probabilities = scorer.probabilities(texts)
    assert found[PROBABILITY].combine_chunks().equals(probabilities)
    assert found["sentiment_label"].combine_chunks().equals(labels(probabilities))


@pytest.mark.parametrize("writer", WRITERS | ALL_TYPES)
def test_columns_are_chosen(scored: Scored, scorer: Scorer, tmp_path: Path, writer: str) -> None:
    source, _ = scored(writer)
    score_parquet(source, tmp_path / "out.parquet", scorer, ScoreOptions(columns=["stars", "id"]))
    assert_selected(source, tmp_path / "out.parquet", ["stars", "id"])
    assert assert_statistics(tmp_path / "out.parquet") > 0


@pytest.mark.parametrize("writer", WRITERS | ALL_TYPES)
def test_rows_without_text_are_left_out(
    scored: Scored, scorer: Scorer, tmp_path: Path, writer: str
) -> None:
    source, output = scored(writer)[0], tmp_path / "out.parquet"
    score_parquet(source, output, scorer, ScoreOptions(on_null="skip"))
    elements = [items(split(path)[1], SCHEMA) for path in (source, output)]
    assert elements[1][1:-2] == elements[0][1:]
    before, after = (pq.ParquetFile(path).read() for path in (source, output))
    assert after.drop_columns(OURS).equals(before.filter(pc.field("text").is_valid()))
    assert assert_statistics(output) > 0


@pytest.mark.parametrize("writer", WRITERS | ALL_TYPES)
def test_statistics_of_the_new_columns(scored: Scored, writer: str) -> None:
    assert assert_statistics(scored(writer)[1]) > 0


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("writer", WRITERS)
def test_readers_see_all_columns_and_can_filter(
    systems: OtherSystems, scored: Scored, writer: str, reader: str
) -> None:
    read = READERS[reader]
    source, output = scored(writer)
    before, after = read(systems, source, None), read(systems, output, None)
    # fastparquet flattens structs and puts their fields last.
    assert sorted(after.column_names) == sorted([*before.column_names, *OURS])
    assert after.drop_columns(OURS).equals(before)
    assert after["id"].to_pylist() == list(range(ROWS))
    truth = pq.ParquetFile(output).read(OURS)
    assert after["sentiment_label"].to_pylist() == truth["sentiment_label"].to_pylist()
    assert after[PROBABILITY].type == pa.float32()
    assert after[PROBABILITY].to_pylist() == truth[PROBABILITY].to_pylist()
    # The rows above the limit are in some of the row groups only.
    limit = pc.max(truth[PROBABILITY].slice(0, GROUP_ROWS)).as_py()
    kept = after.filter(pc.field(PROBABILITY) > pa.scalar(limit, pa.float32()))
    assert 0 < len(kept) < ROWS
    assert read(systems, output, limit).equals(kept)


@pytest.mark.parametrize("reader", READERS)
def test_readers_that_skip_pages_find_the_right_rows(
    systems: OtherSystems, many_pages: Path, reader: str
) -> None:
    assert assert_statistics(many_pages) == 6
    truth = pq.ParquetFile(many_pages).read()
    limit = pc.max(truth[PROBABILITY].slice(0, 20_000)).as_py()
    found = READERS[reader](systems, many_pages, limit)
    kept = truth.filter(pc.field(PROBABILITY) > pa.scalar(limit, pa.float32()))
    assert 0 < len(kept) <= 40_000
    assert found["id"].to_pylist() == kept["id"].to_pylist()
    assert found[PROBABILITY].to_pylist() == kept[PROBABILITY].to_pylist()


def as_json(frame: Any) -> list[str]:
    # In Spark, since Python has no values for some of its types.
    return [row.json for row in frame.selectExpr("to_json(struct(*)) AS json").collect()]


@pytest.mark.parametrize(
    ("timestamps", "options"),
    [
        ("INT96", ScoreOptions(quarantine=True)),
        ("TIMESTAMP_MICROS", ScoreOptions()),
        ("INT96", ScoreOptions(on_null="skip")),
        ("INT96", ScoreOptions(columns=["id", "far", "lists", "anything"])),
    ],
    ids=["INT96", "TIMESTAMP_MICROS", "rows left out", "columns left out"],
)
def test_spark_sees_both_columns_in_its_own_folders(
    systems: OtherSystems, scorer: Scorer, tmp_path: Path, timestamps: str, options: ScoreOptions
) -> None:
    source, output = str(tmp_path / "in"), str(tmp_path / "out")
    systems.spark.conf.set("spark.sql.parquet.outputTimestampType", timestamps)
    frame = spark_reviews(systems).selectExpr("*", "id % 2 AS `_shard`", "day AS date")
    frame.write.partitionBy("_shard", "date").parquet(source)
    assert score_parquet(source, output, scorer, options).exit_code == 0
    before, after = (systems.spark.read.parquet(path) for path in (source, output))
    keys = ["_shard", "date"]
    chosen = options.columns or set(before.columns) - set(keys)
    old = [column for column in before.columns if column in chosen]
    ours = [("sentiment_label", "string"), (PROBABILITY, "float")]
    assert after.dtypes == [*before.select(*old).dtypes, *ours, *before.select(*keys).dtypes]
    kept = before.where("text IS NOT NULL") if options.on_null == "skip" else before
    expected = kept.select(*old, *keys).orderBy("id")
    assert as_json(after.drop(*OURS).orderBy("id")) == as_json(expected)
    assert as_json(after.select("far").distinct()) == ['{"far":"9999-12-31T00:00:00.000Z"}']
    texts = reviews()["text"]
    probabilities = scorer.probabilities(texts.drop_null() if options.on_null == "skip" else texts)
    rows = after.select("id", *OURS).orderBy("id").toArrow()
    assert rows[PROBABILITY].combine_chunks().equals(probabilities)
    assert rows["sentiment_label"].combine_chunks().equals(labels(probabilities))


def test_hugging_face_datasets_see_both_columns_in_their_own_files(
    systems: OtherSystems, scorer: Scorer, tmp_path: Path
) -> None:
    datasets = systems.datasets
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "tags": datasets.List(datasets.ClassLabel(names=["slow", "loud"])),
        }
    )
    texts = reviews()["text"].to_pylist()
    columns = {
        "text": texts,
        "label": [0, 1, 0] * GROUP_ROWS,
        "tags": [[1], [], [0, 1]] * GROUP_ROWS,
    }
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    name = "train-00000-of-00001.parquet"
    datasets.Dataset.from_dict(columns, features=features).to_parquet(source / name)
    score_parquet(source, output, scorer, ScoreOptions(quarantine=True))
    assert {*output.iterdir()} > {output / "_MANIFEST.json", output / "_quarantine"}
    cache_dir = str(tmp_path / "cache")
    for found in (
        # It takes the file for a split by its name.
        datasets.load_dataset(str(output), split="train", cache_dir=cache_dir),
        datasets.load_dataset(
            "parquet", data_files=f"{output}/**/*.parquet", split="train", cache_dir=cache_dir
        ),
        datasets.Dataset.from_parquet(str(output / name), cache_dir=cache_dir),
    ):
        assert dict(found.features) == {
            **features,
            "sentiment_label": datasets.Value("string"),
            PROBABILITY: datasets.Value("float32"),
        }
        assert found.remove_columns(OURS).to_dict() == columns
        assert found[PROBABILITY][:] == scorer.probabilities(reviews()["text"]).to_pylist()
