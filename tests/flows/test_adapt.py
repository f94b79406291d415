"""Adapting a model as a flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from tests.appliances import appliances

ADAPT = "flows/adaptation.py:adapt_model"

pytestmark = pytest.mark.usefixtures("loaded_afresh_once")


def starred(table: pa.Table, path: Path) -> str:
    """Write labeled texts with 1 and 5 stars as labels."""
    stars = np.where(table["label"].to_numpy() == 1, 5, 1)
    pq.write_table(pa.table({"text": table["text"], "label": stars}), path)
    return str(path)


@pytest.mark.covers(
    "adapt-model:batch",
    "adapt-model:data",
    "adapt-model:gate_on",
    "adapt-model:gates",
    "adapt-model:label_map",
    "adapt-model:model",
    "adapt-model:reference",
    "adapt-model:registry",
    "adapt-model:text_column",
)
def test_a_model_is_adapted_and_promoted(server: Any, tmp_path: Path) -> None:
    registry, batch = Registry.at(tmp_path / "registry"), tmp_path / "batch.parquet"
    pq.write_table(pa.table({"body": ["Good.", "Bad."]}), batch)
    state, run = server.flow_run(
        ADAPT,
        labeled=starred(appliances(300, 1), tmp_path / "labeled.parquet"),
        model="@champion",
        label_map={"1": "negative", "5": "positive"},
        data=str(FOLDER),
        registry=registry.root,
        gates={
            "log_loss": 1.0,
            "accuracy_lost": 0.2,
            "calibration_error": 0.5,
            "shop.accuracy_gained": 0.1,
        },
        batch=str(batch),
        text_column="body",
        reference=str(bundled_path()),
        gate_on={"shop": starred(appliances(300, 2), tmp_path / "held-out.parquet")},
    )
    assert state.name == "Completed", state.message
    result, bundled = state.result(), load_bundle(bundled_path()).model_id
    adapted = result["model_id"]
    assert (result["base"], result["champion"], result["change"]) == (bundled, bundled, "n-grams")
    assert registry.champion_id() == adapted
    assert server.get(f"/flow_runs/{run}")["name"] == f"adapt (promoted): {adapted}"
    table = server.table(run, "imdb-adaptation")
    assert {row["change"] for row in table} == {"none", "bias and scale", "n-grams"}
    assert [row["change"] for row in table if row["chosen"]] == ["n-grams"]
    assert "own set shop" in server.artifact(run, "imdb-promotion")["data"]


def test_labels_that_a_model_predicts_do_not_change_it(
    server: Any, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path / "registry")
    texts = pq.read_table(FOLDER / "train-00000-of-00001.parquet")["text"]
    with Scorer(tiny_bundle) as scorer:
        scores = scorer.probabilities(texts).to_numpy()
    drawn = np.random.default_rng(0).random(len(scores)) < scores
    pq.write_table(pa.table({"text": texts, "label": drawn}), tmp_path / "labeled.parquet")
    state, run = server.flow_run(
        ADAPT,
        labeled=str(tmp_path / "labeled.parquet"),
        model=str(tiny_bundle.path),
        data=str(FOLDER),
        registry=registry.root,
    )
    assert state.name == "NothingHelped"
    assert state.message.endswith(f"{tiny_bundle.model_id} stays as it is.")
    assert registry.aliases() == {}
    assert server.get(f"/flow_runs/{run}")["name"] == f"adapt {tiny_bundle.model_id}"
