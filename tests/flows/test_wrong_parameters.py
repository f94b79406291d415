"""Wrong parameters of the flows: refused by name, before anything costs time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.samples import FOLDER

TRAIN = "flows/train.py:train_imdb"
SCORE = "flows/score.py:score_parquet"
EVALUATE = "flows/evaluate.py:evaluate_imdb"
PROMOTE = "flows/promote.py:promote_model"
BUNDLED = load_bundle(bundled_path()).model_id
FLAG = re.compile(r"--[a-z]")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Some files that do not fit, by name."""
    pq.write_table(pa.table({"body": ["A film."]}), tmp_path / "batch.parquet")
    (tmp_path / "train").mkdir()
    shutil.copy(FOLDER / "train-00000-of-00001.parquet", tmp_path / "train")
    return {
        "absent": str(tmp_path / "absent"),
        "body": str(tmp_path / "batch.parquet"),
        "train": str(tmp_path / "train"),
    }


@pytest.mark.covers("train-imdb:label_map")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gates": {"acuracy": 0.9}}, r"acuracy=0\.9 is not allowed\. Correct it in `gates`"),
        ({"gates": {"accuracy": -1}}, r"accuracy=-1\.0 is not allowed\. Correct it in `gates`"),
        ({"gates": {"accuracy": 90}}, r"90 % is 0\.9\. accuracy=90\.0 is not allowed"),
        ({"gates": {"shop.accuracy": 0.9}}, r"the sets are: none\. Correct it in `gates`"),
        ({"gate_on": {"shop": "absent"}}, r"absent"),
        ({"gate_on": {"shop": "body"}}, r"Column 'text' is not in .*Its columns: body"),
        ({"reference": "@best"}, r"'@best' is none of these"),
        ({"batch": "absent"}, r"absent"),
        ({"batch": "body"}, r"Column 'text' is not in .*Its columns: body"),
        ({"data": "train"}, r"must contain test-\*\.parquet"),
        ({"extra_train": ["absent"]}, r"absent"),
        ({"gate_on": {"shop": "body"}, "label_map": {"5": "good"}}, r"`label_map` must say which"),
        ({"recipe": "best"}, r"recipe: Input should be 'production', 'seed' or 'tiny'"),
        ({"seed": -1}, r"seed: Input should be greater than or equal to 0"),
    ],
)
def test_nothing_is_trained_with_wrong_parameters(
    server: Any, places: dict[str, str], tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    registry = tmp_path / "registry"
    parameters = {"data": str(FOLDER), "recipe": "tiny", "registry": str(registry)}
    parameters |= {name: _placed(value, places) for name, value in wrong.items()}
    state, _ = server.flow_run(TRAIN, **parameters)
    assert state.is_failed()
    assert re.search(message, state.message), state.message
    assert not FLAG.search(state.message)
    assert not registry.exists()


def _placed(value: Any, places: dict[str, str]) -> Any:
    """A parameter with the names of places replaced by their paths."""
    if isinstance(value, list):
        return [places[name] for name in value]
    if isinstance(value, dict):
        return {name: _placed(path, places) for name, path in value.items()}
    return places.get(value, value) if isinstance(value, str) else value


@pytest.mark.covers("evaluate-imdb:label_map", "promote-model:label_map")
@pytest.mark.parametrize(
    ("flow", "wrong", "message"),
    [
        (EVALUATE, {"model": "@best"}, r"'@best' is none of these"),
        (EVALUATE, {"data": "absent"}, r"There is no .*absent\. Check `data`"),
        (EVALUATE, {"data": "train"}, r"must contain test-\*\.parquet"),
        (EVALUATE, {"gate_on": {"shop": "body"}}, r"Column 'text' is not in .*columns: body"),
        (
            EVALUATE,
            {"gate_on": {"shop": "body"}, "label_map": {"5": "good"}},
            r"`label_map` must say which",
        ),
        (EVALUATE, {"output": "body"}, r"batch\.parquet"),
        (PROMOTE, {"action": "demote"}, r"action: Input should be 'promote' or 'rollback'"),
        (PROMOTE, {"model": "production-1"}, r"production-1"),
        (PROMOTE, {"gates": {"acuracy": 0.9}}, r"acuracy=0\.9 is not allowed"),
        (PROMOTE, {"data": "absent"}, r"There is no .*absent\. Check `data`"),
        (PROMOTE, {"batch": "absent"}, r"absent"),
        (PROMOTE, {"batch": "body"}, r"Column 'text' is not in .*Its columns: body"),
        (PROMOTE, {"reference": "@best"}, r"'@best' is none of these"),
        (PROMOTE, {"gate_on": {"shop": "absent"}}, r"absent"),
        (
            PROMOTE,
            {"gate_on": {"shop": "body"}, "label_map": {"5": "good"}},
            r"`label_map` must say which",
        ),
    ],
)
def test_nothing_is_evaluated_or_promoted_with_wrong_parameters(
    server: Any,
    tiny_bundle: Bundle,
    places: dict[str, str],
    tmp_path: Path,
    flow: str,
    wrong: dict[str, Any],
    message: str,
) -> None:
    registry = Registry.at(tmp_path / "registry")
    champion = registry.register(tiny_bundle, "{}", "# card").model_id
    registry.promote(champion)
    parameters = {"model": BUNDLED, "data": str(FOLDER), "registry": registry.root}
    parameters |= {name: _placed(value, places) for name, value in wrong.items()}
    state, run = server.flow_run(flow, **parameters)
    assert state.is_failed()
    assert re.search(message, state.message), state.message
    assert not FLAG.search(state.message)
    assert not [found for found in server.artifacts(run) if found["type"] == "progress"]
    assert not (tmp_path / "registry" / "reports").exists()
    assert registry.champion_id() == champion


@pytest.mark.covers("train-imdb:recipe_file")
def test_a_recipe_file_takes_the_place_of_the_recipe(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[training]\nepoch = 3\n")
    parameters = {"data": str(FOLDER), "recipe": "tiny", "registry": str(tmp_path / "registry")}
    state, _ = server.flow_run(TRAIN, **parameters, recipe_file=str(file))
    assert state.is_failed()
    assert "training.epoch is unknown (did you mean training.epochs?)" in state.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"only": "old"}, r"only"),
        ({"on_null": "drop"}, r"on_null: Input should be 'label', 'skip' or 'error'"),
        ({"deadline": "45"}, r"'45' is not\. Use, for example, `deadline=45m`"),
        ({"max_bad_files": -1}, r"`max_bad_files` must be at least 0\. It is -1\."),
        ({"drift_limits": {"score": 1.0}}, r"score=1\.0 is not allowed\. Correct it in `drift_l"),
        ({"runner": "threads"}, r"runner: Input should be 'local', 'process' or 'dask'"),
        ({"scheduler": "tcp://[::1]:1"}, r"Set `runner=dask`, or leave out `scheduler`"),
        ({"model": "@best"}, r"'@best' is none of these"),
        ({"text_column": "body"}, r"Name the text column with `text_column`"),
    ],
)
def test_nothing_is_scored_with_wrong_parameters(
    server: Any, tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    parameters: dict[str, Any] = {"registry": str(tmp_path / "none"), **wrong}
    output = tmp_path / "scored"
    state, _ = server.flow_run(SCORE, source=str(FOLDER), output=str(output), **parameters)
    assert state.is_failed()
    assert re.search(message, state.message), state.message
    assert not FLAG.search(state.message)
    assert not list(output.glob("*.parquet"))
