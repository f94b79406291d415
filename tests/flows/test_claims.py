"""Outputs in object stores, which have no locks: flow runs of one server exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State, StateType

from imdb_classifier.storage import storage_of
from imdb_classifier.tasks import events


@pytest.fixture
def score(
    server: Any, bucket: str, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], State[Any]]:
    """Runs the flow on the output ``scored`` of the bucket."""
    monkeypatch.setattr(events, "CLAIM_PAUSE_SECONDS", (0.0, 0.0))
    parameters = {
        "source": str(reviews / "day=2026-11-01"),
        "output": f"{bucket}/scored/",
        "registry": str(tmp_path / "none"),
    }

    def score() -> State[Any]:
        state: State[Any] = server.flow_run("flows/score.py:score_parquet", **parameters)[0]
        return state

    return score


@pytest.fixture
def other(server: Any, bucket: str) -> str:
    """Another run, which is writing to this output."""
    flow = server.post("/flows/", name="score-parquet")["id"]
    running = {"type": "RUNNING", "name": "Running"}
    tags = ["score", f"output:{bucket}/scored"]
    run: str = server.post("/flow_runs/", flow_id=flow, state=running, tags=tags)["id"]
    return run


def test_the_later_run_on_an_output_changes_nothing(
    server: Any, score: Callable[[], State[Any]], other: str, bucket: str
) -> None:
    for _ in range(2):
        state = score()
        assert (state.type, state.name) == (StateType.CANCELLED, "OutputInUse")
        assert f"Another run is writing to {bucket}/scored." in (state.message or "")
    success = f"{bucket}/scored/_SUCCESS"
    assert storage_of(success).kind(success) is None

    ended = {"type": "COMPLETED", "name": "Completed"}
    server.post(f"/flow_runs/{other}/set_state", state=ended, force=True)
    assert score().is_completed()
    assert storage_of(success).kind(success) == "file"


@pytest.mark.usefixtures("other")
def test_a_dead_run_does_not_keep_its_output(
    score: Callable[[], State[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_ALIVE", timedelta(0))
    assert score().is_completed()


@pytest.mark.parametrize("alive", [True, False])
def test_a_long_run_lives_as_long_as_its_heart_beats(alive: bool) -> None:
    begun = SimpleNamespace(id=uuid4(), start_time=datetime.now(UTC) - timedelta(hours=9))
    client = Mock()
    client.read_flow_runs.return_value = [begun]
    client.request.return_value.json.return_value = {"events": [{}] if alive else []}
    assert events._is_claimed(client, "output:s3://bucket/scored", uuid4()) is alive
    asked = client.request.call_args.kwargs["json"]["filter"]
    assert asked["resource"] == {"id": [f"prefect.flow-run.{begun.id}"]}
