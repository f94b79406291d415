"""Artifacts of the flow `score-parquet`: progress, the table of files, and drift."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.errors import PartlyScoredError
from imdb_classifier.tasks import artifacts, score_tasks
from imdb_classifier.tasks.artifacts import artifact_key
from tests.flows.conftest import write_reviews


def test_progress_ends_with_all_rows(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    _, run = score(source=str(reviews / "day=2026-11-01"), output=str(tmp_path / "scored"))
    (progress,) = [a for a in server.artifacts(run) if a["type"] == "progress"]
    assert progress["key"] is None
    assert float(progress["data"]) == 100.0
    assert progress["description"].startswith("3 of 3 rows")


def test_artifacts_that_fail_are_one_warning_each(
    server: Any,
    score: Callable[..., Any],
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(**content: Any) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(score_tasks, "create_table_artifact", broken)
    monkeypatch.setattr(artifacts, "update_progress_artifact", broken)
    monkeypatch.setattr(artifacts, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(artifacts.Progress, "_quiet_until", 0.0)
    (reviews / "day=2026-11-02" / "b.parquet").unlink()
    state, run = score(source=str(reviews), output=str(tmp_path / "scored"))

    assert state.is_completed()
    assert (tmp_path / "scored" / "_SUCCESS").exists()
    warnings = [line["message"] for line in server.logs(run) if line["level"] >= 30]
    assert warnings == [
        "The progress bar was not published (ConnectionError); the run continues without it.",
        "The table of files was not published (ConnectionError); the run continues without it.",
    ]


def test_the_table_shows_failed_files_first_and_no_more_than_200(
    server: Any,
    score: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score_tasks, "TABLE_ROWS", 2)
    for name in ("a", "b"):
        write_reviews(tmp_path / "in" / f"{name}.parquet", ["Fine.", None])
    (tmp_path / "in" / "c.parquet").write_bytes(b"no Parquet file")
    state, run = score(source=str(tmp_path / "in"), output=str(tmp_path / "scored"))
    with pytest.raises(PartlyScoredError, match=r"1 of 3 failed: c\.parquet: ") as caught:
        state.result()
    assert caught.value.result.totals()["failed"] == 1
    rows = server.table(run, "scored-files")
    assert [row["name"] for row in rows] == ["c.parquet", "a.parquet"]
    description = server.artifact(run, "scored-files")["description"]
    assert description.startswith("4 rows in 2 files scored by production-")
    assert ", 1 file failed. Expected accuracy: " in description
    assert description.endswith("Only 2 files are shown, failed ones first, reused ones last.")

    write_reviews(tmp_path / "in" / "c.parquet", ["Dull, loud and badly cut."])
    state, run = score(source=str(tmp_path / "in"), output=str(tmp_path / "scored"))
    assert state.is_completed()
    shown = [(row["name"], row["status"]) for row in server.table(run, "scored-files")]
    assert shown == [("c.parquet", "scored"), ("a.parquet", "reused")]
    # What this run scored, then the folder with what earlier runs scored.
    drift = server.artifact(run, "batch-drift")["data"]
    of_run, of_folder = drift.split("# All outputs")
    assert "1 row scored by production-" in of_run
    assert "5 rows scored by production-" in of_folder


def test_outputs_of_any_script_have_keys_of_their_own() -> None:
    outputs = ["/data/отзывы", "/data/評論", "/data", "s3://bucket/scored"]
    keys = [artifact_key("scored-files", output) for output in outputs]
    assert keys[2:] == ["scored-files-data", "scored-files-s3-bucket-scored"]
    assert len(set(keys)) == 4
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)
