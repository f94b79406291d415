"""Parameters of the flows and options of the commands: one description, one default."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier.cli.app import app
from tests.flows.conftest import CHECKOUT

OWN = {"score": {"runner"}, "train": {"data"}, "evaluate": {"data", "output"}}
"""What commands describe otherwise: which runners need Prefect, and that they download data and
write no report unless told to."""


@pytest.mark.parametrize(
    ("command", "entrypoint", "shared"),
    [
        ("score", "score.py:score_parquet", 14),
        ("train", "train.py:train_imdb", 5),
        ("evaluate", "evaluate.py:evaluate_imdb", 2),
    ],
)
def test_flow_and_command_agree(command: str, entrypoint: str, shared: int) -> None:
    flow: Any = load_flow_from_entrypoint(str(CHECKOUT / "flows" / entrypoint))
    parameters = flow.parameters.properties
    commands: Any = typer.main.get_command(app)
    options = {option.name: option for option in commands.commands[command].params}
    both = [name for name in options if name in parameters and name not in OWN[command]]
    assert len(both) == shared
    assert {name: options[name].help for name in both} == {
        name: " ".join(parameters[name]["description"].split()) for name in both
    }
    assert {name: options[name].default for name in both} == {
        name: parameters[name].get("default") for name in both
    }
