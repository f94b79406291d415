"""Parameters of the flows and options of the commands: one description, one default."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier import tasks
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.results import RunResult
from imdb_classifier.cli.app import root_command
from imdb_classifier.monitoring.drift_limits import DriftLimits
from tests.flows.conftest import CHECKOUT

OWN = {
    "score": {"runner"},
    "train": {"data", "recipe", "label_map"},
    "adapt": {"data", "label_map"},
    "evaluate": {"data", "output", "label_map"},
}
"""What commands describe otherwise: which runners need Prefect, that they download data and write
no report unless told to, that a recipe may be a file, for which flows have a parameter, and how a
label map is typed."""


@pytest.mark.parametrize(
    ("command", "entrypoint", "shared"),
    [
        ("score", "score.py:score_parquet", 22),
        ("train", "train.py:train_imdb", 5),
        ("adapt", "adaptation.py:adapt_model", 4),
        ("evaluate", "evaluate.py:evaluate_imdb", 3),
    ],
)
def test_flow_and_command_agree(command: str, entrypoint: str, shared: int) -> None:
    flow: Any = load_flow_from_entrypoint(str(CHECKOUT / "flows" / entrypoint))
    parameters = flow.parameters.properties
    options: dict[str, Any] = {
        str(found.name): found for found in root_command.commands[command].params
    }
    given = root_command.commands[command].make_context(command, [], resilient_parsing=True).params
    both = [name for name in options if name in parameters and name not in OWN[command]]
    assert len(both) == shared
    assert {name: options[name].help for name in both} == {
        name: " ".join(parameters[name]["description"].split()) for name in both
    }
    assert {name: None if given[name] == () else given[name] for name in both} == {
        name: parameters[name].get("default") for name in both
    }


@pytest.mark.parametrize("selected", [{"only": "stale"}, {"force": True}])
def test_every_parameter_of_the_flow_reaches_the_run(
    monkeypatch: pytest.MonkeyPatch, selected: dict[str, Any]
) -> None:
    model = {"model_id": "m"}
    called = {
        "resolve_model": Mock(return_value=model),
        "task_runner": Mock(return_value="a cluster"),
        "name_run": Mock(),
        "score_batch": Mock(return_value=RunResult("m", ())),
    }
    for name, mock in called.items():
        monkeypatch.setattr(tasks, name, mock)
    flow: Any = load_flow_from_entrypoint(str(CHECKOUT / "flows" / "score.py:score_parquet"))
    flow.fn(
        source="in",
        output="out",
        model="@previous",
        text_column="body",
        prefix="mood_",
        on_null="skip",
        quarantine=True,
        columns=["id"],
        at_least=0.9,
        unsure_label="unsure",
        reason=True,
        registry="models",
        deadline="1h",
        max_bad_files=3,
        allow_unapproved=True,
        drift_limits={"scores": 1.0},
        runner="dask",
        scheduler="tcp://[::1]:1",
        threads=2,
        engine="onnx",
        **selected,
    )
    called["resolve_model"].assert_called_once_with("@previous", "models", True)
    called["task_runner"].assert_called_once_with("dask", "tcp://[::1]:1", 2)
    called["score_batch"].assert_called_once_with(
        "in",
        "out",
        model,
        "a cluster",
        ScoreOptions("body", "mood_", "skip", True, ["id"], 0.9, "unsure", True),
        selection=Selection(**selected),
        limits=Limits("1h", 3),
        drift_limits=DriftLimits(scores=1.0),
        threads=2,
        engine="onnx",
    )
