"""Outputs in object stores, which have no locks: flow runs of one server exclude each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import State, StateType

from imdb_classifier.storage import storage_of
from imdb_classifier.tasks import events

Score = Callable[[], tuple[State[Any], UUID]]
Begin = Callable[[str], str]


@pytest.fixture
def score(
    server: Any, bucket: str, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Score:
    """Runs the flow on the output ``scored`` of the bucket."""
    monkeypatch.setattr(events, "CLAIM_PAUSE_SECONDS", (0.0, 0.0))
    parameters = {
        "source": str(reviews / "day=2026-11-01"),
        "output": f"{bucket}/scored/",
        "registry": str(tmp_path / "none"),
    }

    def score() -> tuple[State[Any], UUID]:
        ended: tuple[State[Any], UUID] = server.flow_run(
            "flows/score.py:score_parquet", **parameters
        )
        return ended

    return score


def end(server: Any, run: str) -> None:
    ended = {"type": "COMPLETED", "name": "Completed"}
    server.post(f"/flow_runs/{run}/set_state", state=ended, force=True)


@pytest.fixture
def begin(server: Any, bucket: str) -> Iterator[Begin]:
    """Begins another run, which is writing to a place."""
    flow = server.post("/flows/", name="score-parquet")["id"]
    begun: list[str] = []

    def begin(place: str) -> str:
        running = {"type": "RUNNING", "name": "Running"}
        tags = ["score", f"output:{place}"]
        begun.append(server.post("/flow_runs/", flow_id=flow, state=running, tags=tags)["id"])
        return begun[-1]

    yield begin
    for run in begun:
        end(server, run)


def test_the_later_run_on_an_output_changes_nothing(
    server: Any, score: Score, begin: Begin, bucket: str
) -> None:
    begin(f"{bucket}/scored-elsewhere")
    output = f"{bucket}/scored"
    for place in (output, f"{output}/day=1/a.parquet", bucket):
        other = begin(place)
        state, _ = score()
        assert (state.type, state.name) == (StateType.CANCELLED, "OutputInUse")
        overlap = "" if place == output else f", which overlaps with {output}"
        assert f"Another run is writing to {place}{overlap}." in (state.message or "")
        end(server, other)
    success = f"{output}/_SUCCESS"
    assert storage_of(success).kind(success) is None
    assert score()[0].is_completed()
    assert storage_of(success).kind(success) == "file"


def test_a_run_keeps_its_output_while_its_heart_beats(
    server: Any, score: Score, begin: Begin, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begin(f"{bucket}/scored")
    begun = datetime.fromisoformat(server.get(f"/flow_runs/{other}")["start_time"])
    # As if just too much time had passed since then.
    now = begun + events._ALIVE + timedelta(milliseconds=1)
    monkeypatch.setattr(events, "datetime", SimpleNamespace(now=lambda _: now))
    state, run = score()
    assert state.is_completed()
    lines = [line["message"] for line in server.logs(run)]
    assert lines
    assert not [line for line in lines if "It is unknown whether" in line]

    server.heartbeat(other, "score-parquet")
    heartbeat = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{other}"]},
    }
    server.wait_for(
        "heartbeat of the run", lambda: server.post("/events/filter", filter=heartbeat)["events"]
    )
    state, _ = score()
    assert (state.type, state.name) == (StateType.CANCELLED, "OutputInUse")
