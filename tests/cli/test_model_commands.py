from __future__ import annotations

import re

import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import Run


def test_a_worse_challenger_is_refused(run: Run, registry: Registry) -> None:
    outcome = run("models", "promote", "@challenger", "--data", FOLDER, "--json")
    assert outcome.code == 3
    assert outcome.json["promote"] is False
    overall = outcome.json["overall"]
    assert overall["challenger_accuracy"] < overall["champion_accuracy"]
    assert "champion" not in registry.aliases()
    shown = run("models", "promote", "@challenger", "--data", FOLDER)
    assert shown.code == 3
    assert "refused, because of" in " ".join(shown.out.split())
    assert re.search(r"golden scores +. yes +. A fresh process loads", shown.out)


@pytest.mark.parametrize(("gate", "code"), [("speed=1", 78), ("accuracy", 2), ("accuracy=x", 2)])
def test_what_is_no_gate(run: Run, registry: Registry, gate: str, code: int) -> None:
    assert run("models", "promote", "@challenger", "--gate", gate).code == code


def test_promotion_and_roll_back(run: Run, registry: Registry, tiny_bundle: Bundle) -> None:
    bundled = registry.load(CHAMPION).model_id
    registry.promote("@challenger")
    # A champion is not worse than itself.
    gates = [f"--gate={name}" for name in ("accuracy=0.5", "log_loss=1", "calibration_error=1")]
    promote = ("models", "promote", tiny_bundle.model_id, "--data", FOLDER)
    outcome = run(*promote, *gates, "--json")
    assert outcome.code == 0
    assert outcome.json["champion"] == tiny_bundle.model_id
    assert run("models", "promote", "--to", "previous", "--json").json["champion"] == bundled
    assert registry.load(CHAMPION).model_id == bundled
    assert registry.aliases()["previous"] == tiny_bundle.model_id
