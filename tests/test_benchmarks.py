from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import scoring
from benchmarks.conditions import conditions
from benchmarks.contenders import CONTENDERS
from benchmarks.reviews import reviews, write_reviews
from imdb_classifier.reviews.sources import DATA_VARIABLE


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
    assert set(figures["parts"]) == {"read", "encode", "network", "write"}
    assert figures["network_of_limit"] > 0


def test_a_measurement_names_processor_commit_and_versions() -> None:
    measured = conditions()
    assert measured["cpu"]
    assert re.fullmatch(r"[0-9a-f]{40}\+?", measured["commit"])
    assert measured["packages"]["numpy"] == np.__version__
