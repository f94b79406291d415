"""The flow of one's own that the guide for Python shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_flow_of_ones_own_scores_with_our_tasks(
    server: Any, reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    state, run = server.flow_run(
        "docs/own_flow.py:score_and_count",
        source=str(reviews / "day=2026-11-01"),
        output=str(output),
        registry=str(tmp_path / "none"),
    )
    assert state.result() == {"positive": 1, "negative": 1}
    assert (output / "_SUCCESS").exists()
    query = {"flow_runs": {"id": {"any_": [str(run)]}}}
    names = {found["name"].split("-")[0] for found in server.filter("task_runs", **query)}
    assert {"resolve", "count_labels"} <= names
    assert any(name.startswith("score unit 1 with") for name in names)
