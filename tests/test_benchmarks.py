from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import __main__ as bench
from benchmarks import bundled_evaluation, expected_accuracy, many_files, scoring, startup, wide
from benchmarks.conditions import conditions
from benchmarks.contenders import CONTENDERS
from benchmarks.reviews import reviews, write_reviews
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer


@pytest.fixture(autouse=True)
def without_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def test_generated_reviews_are_as_long_as_real_ones() -> None:
    table = reviews("test")
    words = pc.list_value_length(pc.split_pattern(table["text"], " ")).to_numpy()
    assert len(table) == 25_000
    assert np.mean(words) == pytest.approx(230, rel=0.05)
    assert table["text"].equals(reviews("test")["text"])
    assert not table["text"].equals(reviews("train")["text"])


def test_a_file_of_any_size_is_one_row_group(tmp_path: Path) -> None:
    write_reviews(tmp_path / "many.parquet", 30_000)
    written = pq.ParquetFile(tmp_path / "many.parquet")
    assert written.metadata.num_row_groups == 1
    assert written.read(["id"])["id"].to_pylist() == list(range(30_000))


def test_contenders_score_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ours", "ours without the extra `fast`"]
    monkeypatch.setattr(scoring, "CONTENDERS", {name: CONTENDERS[name] for name in names})
    monkeypatch.setattr(scoring, "TUTORIAL", names[1])
    monkeypatch.setattr(scoring, "reviews", lambda split: reviews(split).slice(0, 3_000))
    figures = scoring.measure(2)
    assert figures["rows"] == 3_000
    assert [row["name"] for row in figures["contenders"]] == names
    for row in figures["contenders"]:
        assert len(row["seconds"]) == 2
        assert row["reviews_per_second"] > 0
    assert figures["contenders"][1]["times_the_tutorial"] == 1
    assert set(figures["parts"]) == {"read", "encode", "network", "LSTM", "write"}
    assert figures["lstm_of_limit"] > 0
    assert figures["normal_form_times_keras"] > 0


def test_a_measurement_names_processor_commit_and_versions() -> None:
    measured = conditions()
    assert measured["cpu"]
    assert re.fullmatch(r"[0-9a-f]{40}\+?", measured["commit"])
    assert measured["packages"]["numpy"] == np.__version__


def test_every_start_is_compared_with_that_of_the_libraries() -> None:
    found = {row["a fresh process"]: row for row in startup.measure(1)}
    column = f"times `{startup.YARDSTICK}`"
    assert found[startup.YARDSTICK][column] == 1
    assert all(float(row[column]) > 0 < float(row["seconds"]) for row in found.values())
    assert {"imdb-classifier --help", "imdb-classifier --version"} <= found.keys()


def test_many_files_are_measured_beside_bare_system_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "registry"))
    (tmp_path / "files").mkdir()
    steps = many_files.measure(5, tmp_path / "files")
    assert [step["step"] for step in steps] == ["first run", "second run", "plan", "verify"]
    assert all(step["ratio"] > 1 and step["memory"] > 0 for step in steps)
    assert len(list((tmp_path / "files" / "out").glob("*.parquet"))) == 5
    assert len(list((tmp_path / "files" / "bare").iterdir())) == 5
    assert "| 5 | first run | " in many_files.table({"steps": steps})


def test_wide_tables_are_compared_with_their_text_and_with_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wide, "reviews", lambda split: reviews(split).slice(0, 1_000))
    figures = wide.measure(1, wide_rows=1_000)
    assert [row["table"] for row in figures["tables"]] == [
        wide.TEXT_ALONE, wide.COLUMNS, wide.WIDE, wide.COPY,
    ]  # fmt: skip
    by_name = {row["table"]: row for row in figures["tables"]}
    assert by_name[wide.WIDE]["file, MB"] == by_name[wide.COPY]["file, MB"] >= 100
    assert by_name[wide.WIDE]["peak memory, MiB"] < 700
    assert figures["of_text_alone"] > 0 < figures["of_copy"]
    results = json.loads(Path(bench.__file__).with_name("results.json").read_text("utf-8"))
    assert wide.COLUMNS in bench.tables(results | {"wide": figures})["wide"]


def test_nothing_was_wrong_in_the_published_year() -> None:
    published = Path(__file__).parents[1] / "benchmarks" / "year.json"
    assert json.loads(published.read_text("utf-8"))["problems"] == []


def test_a_bundle_is_evaluated_again_and_its_model_stays(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    with_evaluation(tiny_bundle, "{}", "An older card.", folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    bundled_evaluation.renew(folder, FOLDER)
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"evaluation.json", "README.md", "SHA256SUMS"}
    renewed = load_bundle(folder)
    assert renewed.model_hash == tiny_bundle.model_hash
    assert renewed.evaluation is not None
    assert renewed.evaluation["rows"] == 86
    assert "An older card." not in after["README.md"].decode()


def test_reviews_of_ones_own_stand_beside_their_expected_accuracy(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(FOLDER))
    monkeypatch.setattr(expected_accuracy, "BATCH_ROWS", 20)
    found = expected_accuracy.measure({"shop": shop})
    own = found["sets"][-1]
    assert (own["name"], own["rows"]) == ("shop", 120)
    texts = pq.read_table(shop)
    with Scorer.load() as scorer:
        labels = scorer.probabilities(texts["text"]).to_numpy() >= 0.5
    assert own["accuracy"] == (labels == texts["label"].to_numpy()).mean()
    assert f"| shop | 120 | {100 * own['accuracy']:.1f} % |" in expected_accuracy.table(found)
