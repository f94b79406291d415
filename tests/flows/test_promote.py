"""Promotion and rollback as a flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER

PROMOTE = "flows/promote.py:promote_model"

pytestmark = pytest.mark.usefixtures("loaded_afresh_once")


@pytest.fixture
def registry(tiny_bundle: Bundle, tmp_path: Path) -> Registry:
    """A registry whose champion is the tiny model, and the bundled one was it before."""
    registry = Registry.at(tmp_path / "registry")
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    version = register_bundle(tiny_bundle, evaluation, registry)
    registry.promote(version.model_id)
    return registry


def test_a_version_is_promoted(server: Any, registry: Registry) -> None:
    aliases = registry.aliases()
    better = aliases["previous"]
    state, run = server.flow_run(
        PROMOTE,
        model=better,
        data=str(FOLDER),
        registry=registry.root,
        gates={"calibration_error": 1.0, "behavior_lost": 1.0},
    )
    assert state.name == "Completed"
    assert state.message.startswith(f"Challenger {better} labels ")
    assert server.get(f"/flow_runs/{run}")["name"] == f"promote {better}"
    assert registry.aliases()["champion"] == better
    assert server.artifact(run, "imdb-promotion")["data"].startswith(f"# Promoted: {better}\n")
    (event,) = server.events(run, 1)
    assert event["event"] == "imdb-classifier.model.promoted"
    assert event["payload"]["champion"] == aliases["champion"]


def test_the_champion_itself_is_left_alone(
    server: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[str] = []
    monkeypatch.setattr(
        "imdb_classifier.tasks.promotion_tasks.emit", lambda event, *_: emitted.append(event)
    )
    champion = registry.champion_id()
    registry.record(champion, {"promote": True, "reason": "Better."})
    before = registry.decision(champion), registry.aliases()
    state, run = server.flow_run(
        PROMOTE, model="@champion", data=str(FOLDER), registry=registry.root
    )
    assert state.name == "Completed"
    assert state.message == f"{champion} is the champion already; nothing was decided."
    assert (registry.decision(champion), registry.aliases()) == before
    assert server.artifacts(run) == []
    assert emitted == []


@pytest.mark.covers(
    "promote-model:batch",
    "promote-model:data",
    "promote-model:gate_on",
    "promote-model:gates",
    "promote-model:model",
    "promote-model:reference",
    "promote-model:text_column",
)
def test_limits_of_ones_own_and_a_batch(
    server: Any, registry: Registry, twins: list[Bundle], shop: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "batch.parquet"
    pq.write_table(pa.table({"body": ["A warm and funny film."]}), batch)
    aliases = registry.aliases()
    state, run = server.flow_run(
        PROMOTE,
        model=aliases["previous"],
        data=str(FOLDER),
        registry=registry.root,
        gates={"calibration_error": 1.0, "behavior_lost": 1.0, "accuracy": 0.99},
        batch=str(batch),
        text_column="body",
        reference=str(twins[0].path),
        gate_on={"shop": str(shop)},
    )
    assert state.name == "NotPromoted"
    assert state.message.endswith(": refused (failed: accuracy).")
    assert server.get(f"/flow_runs/{run}")["name"] == f"promote (refused) {aliases['previous']}"
    assert registry.aliases() == aliases
    decision = registry.decision(aliases["previous"])
    assert decision is not None
    assert decision["label_changes"]["rows"] == 1
    assert [own["result"]["name"] for own in decision["own_sets"]] == ["shop"]
    assert decision["reference"]["name"] == f"reference {twins[0].model_id}"
    (event,) = server.events(run, 1)
    assert event["event"] == "imdb-classifier.model.refused"


@pytest.mark.covers("promote-model:action", "promote-model:registry")
def test_a_rollback(server: Any, registry: Registry) -> None:
    worse, better = registry.aliases()["champion"], registry.aliases()["previous"]
    state, run = server.flow_run(PROMOTE, action="rollback", registry=registry.root)
    assert state.name == "Completed"
    assert registry.load(CHAMPION).model_id == better
    assert registry.aliases()["previous"] == worse
    assert server.get(f"/flow_runs/{run}")["name"] == f"rollback to {better}"
    assert server.artifact(run, "imdb-promotion")["data"].startswith(f"# Rolled back: {better}\n")
    (event,) = server.events(run, 1)
    assert event["event"] == "imdb-classifier.model.promoted"
    assert event["resource"]["prefect.resource.name"] == better
    assert event["payload"] == {"champion": worse, "rolled_back": True}


def test_nothing_to_roll_back_to(server: Any, tmp_path: Path) -> None:
    state, _ = server.flow_run(PROMOTE, action="rollback", registry=str(tmp_path))
    assert state.is_failed()
    assert "'@previous' is none of these" in state.message
