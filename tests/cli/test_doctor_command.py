from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.diagnosis import checks
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from tests.command_line import Outcome, Run

NAMES = [
    "versions", "cores", "engine", "registry", "model", "output", "space", "Prefect server",
    "schedules",
]  # fmt: skip


@pytest.fixture(autouse=True)
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of the flows have a server, and Prefect's handlers of log lines."""
    monkeypatch.setattr(checks, "find_spec", lambda _: None)


def finding(outcome: Outcome, check: str) -> Any:
    (found,) = [found for found in outcome.json["findings"] if found["check"] == check]
    return found


@pytest.mark.covers("doctor OUTPUT", "doctor --json")
def test_a_healthy_machine(run: Run, tmp_path: Path) -> None:
    outcome = run("doctor", tmp_path / "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert [found["check"] for found in outcome.json["findings"]] == NAMES
    assert [found["status"] for found in outcome.json["findings"]] == ["ok"] * 7 + ["skipped"] * 2
    assert f"{tmp_path}/out" in finding(outcome, "output")["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.covers("doctor --model", "doctor --engine", "doctor --registry")
def test_faults_are_named_with_what_to_do(
    run: Run, other_registry: Registry, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    options = ("--registry", other_registry.root, "--engine", "onnx")
    healthy = run("doctor", tmp_path, *options, "--model", tiny_bundle.model_id, "--json")
    assert finding(healthy, "model")["message"].startswith(tiny_bundle.model_id)
    assert finding(healthy, "engine")["message"] == "onnx"
    assert "2 versions" in finding(healthy, "registry")["message"]
    shown = run("doctor", "/dev/null/out", *options, "--model", "no-such-model")
    assert shown.code == 66
    text = " ".join(shown.out.replace("│", " ").split())
    assert "Faults found" in text
    assert "'no-such-model' is none of these" in text
    assert "choose another --output" in text or "choose another OUTPUT" in text
