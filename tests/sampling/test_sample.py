"""Drawing rows of scored files to label, and the accuracy that they show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import (
    BadDataError,
    CannotWriteError,
    ConfigurationError,
    MissingColumnError,
)
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.sampling.drawing import SAMPLE_SCHEMA, draw_sample
from imdb_classifier.sampling.sample_accuracy import evaluate_sample
from imdb_classifier.sampling.sample_options import SampleOptions
from imdb_classifier.scoring.scorer import Scorer
from tests.command_line import CANARY, SAMPLE, Run
from tests.crafted import with_words


@pytest.fixture(scope="module")
def scored(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample reviews in two files, with their labels as `truth`, and one row without text."""
    table = pq.read_table(SAMPLE, columns=["text", "label"]).rename_columns(["text", "truth"])
    blank = pa.table({"text": pa.array([None], pa.string()), "truth": [0]})
    folder = tmp_path_factory.mktemp("sample")
    for name, part in (("a", table.slice(0, 100)), ("b", table.slice(100))):
        (folder / "in").mkdir(exist_ok=True)
        whole = pa.concat_tables([part, blank.cast(part.schema)])
        pq.write_table(whole, folder / "in" / f"{name}.parquet", row_group_size=40)
    score_parquet(folder / "in", folder / "scored", scorer)
    return folder / "scored"


def truth_of(scored: Path, sample: pa.Table) -> list[int]:
    files = {file.name: pq.read_table(file) for file in scored.glob("*.parquet")}
    pairs = zip(sample["file"].to_pylist(), sample["row"].to_pylist(), strict=True)
    rows = [files[file].slice(row, 1).to_pylist()[0] for file, row in pairs]
    assert [row["text"] for row in rows] == sample["text"].to_pylist()
    return [row["truth"] for row in rows]


def fill_in(file: Path, labels: Any) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "label", pa.array(labels)), file)


@pytest.mark.covers(
    "sample --rows", "sample --half-width", "sample --seed", "sample --json", "evaluate --sample"
)
def test_a_labeled_sample_shows_the_accuracy(
    run: Run, scored: Path, scorer: Scorer, tmp_path: Path
) -> None:
    file = tmp_path / "to_label.parquet"
    drawn = run("sample", scored, file, "--rows", 60, "--json").json
    sample = pq.read_table(file)
    assert sample.schema.equals(SAMPLE_SCHEMA)
    assert len(sample) == drawn["rows"] == 60
    assert sample["label"].null_count == 60
    all_rows = pq.read_table(scored).num_rows - 2
    assert drawn["all_rows"] == all_rows
    assert sum(sample["weight"].to_pylist()) == pytest.approx(all_rows)
    labels = truth_of(scored, sample)

    # Nothing is known yet; with some labels the others stand for those that lack one.
    assert run("evaluate", "--sample", file, "--model", scorer.bundle.path).code == 65
    fill_in(file, [None, *labels[1:]])
    found = run("evaluate", "--sample", file, "--model", scorer.bundle.path, "--json").json
    assert (found["labeled"], found["unlabeled"], found["learned"]) == (59, 1, 0)
    assert found["all_rows"] == all_rows
    everything = pq.read_table(scored)
    right = [
        (row["sentiment_label"] == "positive") == row["truth"]
        for row in everything.to_pylist()
        if row["sentiment_label"]
    ]
    accuracy = found["accuracy"]
    assert accuracy["low"] < np.mean(right) < accuracy["high"]
    by_hand = sum(s["rows"] * s["right"] / s["labeled"] for s in found["strata"]) / all_rows
    assert accuracy["value"] == pytest.approx(by_hand)
    assert (
        f"{accuracy['value']:.4f}"
        in run("evaluate", "--sample", file, "--model", scorer.bundle.path).out
    )
    assert run("evaluate", "--sample", file, "--data", scored).code == 2

    # Another seed draws other rows, a wide interval needs few.
    other = tmp_path / "other.parquet"
    assert run("sample", scored, other, "--rows", 60, "--seed", 2).code == 0
    assert set(pq.read_table(other)["text"].to_pylist()) != set(sample["text"].to_pylist())
    wide = run("sample", scored, tmp_path / "wide.parquet", "--half-width", 0.15, "--json").json
    assert wide["half_width"] <= 0.15
    assert wide["rows"] < run("sample", scored, tmp_path / "all.parquet", "--json").json["rows"]


def test_labeling_everything_shows_the_accuracy_exactly(
    scored: Path, scorer: Scorer, tmp_path: Path
) -> None:
    file = tmp_path / "all.parquet"
    draw_sample(scored, file, SampleOptions(rows=10**6))
    sample = pq.read_table(file)
    assert set(sample["weight"].to_pylist()) == {1.0}
    fill_in(file, truth_of(scored, sample))
    accuracy = evaluate_sample(file, scorer).accuracy
    labeled = [row for row in pq.read_table(scored).to_pylist() if row["sentiment_label"]]
    right = [(row["sentiment_label"] == "positive") == row["truth"] for row in labeled]
    assert accuracy.low == accuracy.value == accuracy.high == pytest.approx(np.mean(right))


def test_a_draw_is_repeated_and_extended(scored: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, rows in zip(paths, (30, 30, 50), strict=True):
        draw_sample(scored, path, SampleOptions(rows=rows))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    few, many = (
        set(zip(*pq.read_table(path, columns=["file", "row"]).to_pydict().values(), strict=True))
        for path in paths[1:]
    )
    assert len(few) == 30
    assert few < many
    with pytest.raises(CannotWriteError, match=r"never replaces a file.*`output`"):
        draw_sample(scored, paths[0], SampleOptions(rows=30))


def test_rows_that_a_model_was_trained_on_do_not_count(
    scored: Path, scorer: Scorer, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    train = pq.read_table(SAMPLE.with_name("train-00000-of-00001.parquet"), columns=["text"])
    pq.write_table(train.slice(0, 1), tmp_path / "in.parquet")
    score_parquet(tmp_path / "in.parquet", tmp_path / "out.parquet", scorer)
    file = tmp_path / "sample.parquet"
    draw_sample(tmp_path / "out.parquet", file)
    fill_in(file, [1])
    with pytest.raises(BadDataError, match=r"1 row of 1 have a label.*trained on 1 of these"):
        evaluate_sample(file, scorer)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.filter(pa.compute.not_equal(table["stratum"], table["stratum"][0])),
        lambda table: pa.concat_tables([table] * 40),
        lambda table: table.set_column(5, "all_rows", pa.array([7] * len(table))),
    ],
    ids=["a stratum is missing", "more rows than there are", "another sum"],
)
def test_what_is_no_whole_sample_is_refused(
    scored: Path, scorer: Scorer, tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    file = tmp_path / "sample.parquet"
    draw_sample(scored, file, SampleOptions(rows=40))
    fill_in(file, [1] * 40)
    pq.write_table(change(pq.read_table(file)), file)
    with pytest.raises(BadDataError, match="rows of every stratum, and of one draw"):
        evaluate_sample(file, scorer)
    pq.write_table(pq.read_table(file).drop_columns(["stratum"]), file)
    with pytest.raises(MissingColumnError, match=r"'stratum' is not in.*fill in the column label"):
        evaluate_sample(file, scorer)


def test_what_cannot_be_sampled_is_refused(
    run: Run, scorer: Scorer, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "scored"
    pq.write_table(pa.table({"text": [CANARY, None], "id": [1, 2]}), source)
    target = tmp_path / "sample.parquet"
    refused = run("sample", source, target)
    assert (refused.code, "in.parquet is not one of them" in refused.err) == (65, True)
    score_parquet(source, tmp_path / "short.parquet", scorer, ScoreOptions(columns=["id"]))
    with pytest.raises(MissingColumnError, match="list the text column in `columns`"):
        draw_sample(tmp_path / "short.parquet", target)
    words = [*tiny_bundle.vocabulary.words.to_pylist(), "quux"]
    with Scorer(with_words(tiny_bundle, words, tmp_path / "other")) as other:
        score_parquet(source, output / "a.parquet", scorer)
        score_parquet(source, output / "b.parquet", other)
    refused = run("sample", output, target)
    assert refused.code == 65
    assert "must be scored by one model" in refused.err
    score_parquet(source, tmp_path / "unsure.parquet", scorer, ScoreOptions(at_least=1.0))
    refused = run("sample", tmp_path / "unsure.parquet", target)
    assert "No row of" in refused.err
    assert not target.exists()
    assert CANARY not in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"half_width": 2}, "2 points are 0.02"),
        ({"half_width": 0.0}, "2 points are 0.02"),
        ({"rows": 0}, "`rows` must be at least 1"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SampleOptions(**options)
