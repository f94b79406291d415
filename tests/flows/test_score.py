from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.client.schemas.objects import StateType

from imdb_classifier import tasks
from imdb_classifier.batch.outputs import scored_file
from imdb_classifier.batch.run import locked
from imdb_classifier.errors import (
    BundleError,
    MissingColumnError,
    MissingExtraError,
    NoInputError,
    OutputInUseError,
    PartlyScoredError,
)
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.tasks import score_tasks
from tests.flows.conftest import write_reviews


def _written(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_files_that_fail_and_then_do_not(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    state, run = score(source=str(reviews), output=str(output))

    seen = server.get(f"/flow_runs/{run}")
    bundled = load_bundle(bundled_path()).model_id
    assert seen["name"] == f"score {reviews} with {bundled}"
    assert sorted(seen["tags"]) == sorted(["score", bundled])
    assert seen["state"]["type"] == "FAILED"
    assert "1 of 3 failed: day=2026-11-02/b.parquet: " in seen["state"]["message"]
    assert state.result(raise_on_failure=False).exit_code == 75
    assert _written(output) == [
        "_MANIFEST.json",
        "day=2026-11-01/a.parquet",
        "day=2026-11-02/a.parquet",
    ]
    rows = server.table(run, "scored-files")
    assert [(row["name"], row["status"], row["rows"]) for row in rows] == [
        ("day=2026-11-02/b.parquet", "failed", 0),
        ("day=2026-11-01/a.parquet", "scored", 3),
        ("day=2026-11-02/a.parquet", "scored", 2),
    ]
    assert list(rows[0])[:3] == ["name", "status", "error"]
    assert "must be a readable Parquet file" in rows[0]["error"]
    drift = server.artifact(run, "batch-drift")
    assert "5 rows scored by production-" in drift["data"]
    assert "| lengths |  |  | +" in drift["data"]
    partial, detected = server.events(run, 2)
    assert partial["event"] == "imdb-classifier.batch.partial"
    assert partial["resource"]["prefect.resource.id"] == f"imdb-classifier.batch.{output}"
    assert (partial["payload"]["files"], partial["payload"]["failed"]) == (3, 1)
    expected = partial["payload"]["expected_accuracy"]
    assert expected["labels"] == 3
    assert f"Expected accuracy: {100 * expected['value']:.1f} % \\[" in drift["data"]
    assert detected["event"] == "imdb-classifier.drift.detected"
    assert detected["payload"]["rows"] == 5
    assert detected["payload"]["changes"] == {"without_text": pytest.approx(0.4)}
    models = [r["prefect.resource.id"] for r in detected["related"]]
    assert f"imdb-classifier.model.{bundled}" in models

    (reviews / "day=2026-11-02" / "b.parquet").unlink()
    state, run = score(source=str(reviews), output=str(output))

    seen = server.get(f"/flow_runs/{run}")
    assert seen["state"]["type"] == "COMPLETED"
    message = seen["state"]["message"]
    assert message.startswith("0 rows in 0 files scored by production-")
    assert ", 2 files reused. All outputs: 5 rows, " in message
    assert seen["state"]["message"].endswith(" 2 without text, 0 truncated.")
    assert _written(output) == [
        "_DRIFT.json",
        "_MANIFEST.json",
        "_SUCCESS",
        "day=2026-11-01/a.parquet",
        "day=2026-11-02/a.parquet",
    ]
    # Nothing was scored, so that old rows raise no alarm again.
    (committed,) = server.events(run, 1)
    assert committed["event"] == "imdb-classifier.batch.committed"
    totals = {name: committed["payload"][name] for name in ("scored", "reused", "rows")}
    assert totals == {"scored": 0, "reused": 2, "rows": 5}
    rows = server.table(run, "scored-files")
    assert [(row["status"], row["without text"]) for row in rows] == [("reused", 1)] * 2
    assert "error" not in rows[0]
    scored = pq.read_table(output / "day=2026-11-01" / "a.parquet", partitioning=None)
    assert scored.column_names == ["text", "id", "sentiment_label", "sentiment_probability"]
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]


@pytest.mark.covers(
    "score-parquet:deadline",
    "score-parquet:on_null",
    "score-parquet:only",
    "score-parquet:quarantine",
)
def test_a_deadline_and_another_run_leave_files_for_the_next_one(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    (reviews / "day=2026-11-02" / "b.parquet").unlink()
    output = str(tmp_path / "scored")
    parameters = {"source": str(reviews), "output": output, "quarantine": True}
    state, _ = score(**parameters, deadline="1us")
    with pytest.raises(PartlyScoredError, match="2 of 2 pending") as caught:
        state.result()
    assert caught.value.exit_code == 75

    with locked(output):
        state, _ = score(**parameters)
        assert (state.type, state.name) == (StateType.CANCELLED, "OutputInUse")
        with pytest.raises(OutputInUseError, match="Another run is writing"):
            state.result()

    state, _ = score(**parameters, deadline="1h", on_null="skip")
    assert state.is_completed()
    assert _written(tmp_path / "scored")[3] == "_quarantine/day=2026-11-01/a_parquet.csv"
    assert pq.read_metadata(tmp_path / "scored/day=2026-11-01/a.parquet").num_rows == 2
    write_reviews(reviews / "day=2026-11-03" / "a.parquet", ["Fine."])
    state, run = score(**parameters, only="stale")
    assert state.is_completed()
    assert pq.read_metadata(tmp_path / "scored/day=2026-11-01/a.parquet").num_rows == 3
    # The new file was not asked for: it waits, and the run is complete nevertheless.
    shown = {row["name"]: row["status"] for row in server.table(run, "scored-files")}
    assert shown == {
        "day=2026-11-01/a.parquet": "scored",
        "day=2026-11-02/a.parquet": "scored",
        "day=2026-11-03/a.parquet": "skipped",
    }
    assert "1 file skipped" in state.message


@pytest.mark.covers("score-parquet:at_least", "score-parquet:reason", "score-parquet:unsure_label")
def test_unsure_rows_are_named_and_counted(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    state, run = score(
        source=str(reviews / "day=2026-11-01"),
        output=str(output),
        at_least=1.0,
        unsure_label="unsure",
        reason=True,
    )
    assert state.is_completed()
    scored = pq.read_table(output / "a.parquet")
    named = scored["sentiment_label"].to_pylist()
    why = scored["sentiment_reason"].to_pylist()
    assert [reason == "blank" for reason in why] == [label is None for label in named]
    unsure = named.count("unsure")
    assert unsure == sum(label is not None for label in named) > 0
    assert [row["unsure"] for row in server.table(run, "scored-files")] == [unsure]
    assert f", {unsure} unsure." in server.get(f"/flow_runs/{run}")["state"]["message"]


@pytest.mark.covers("score-parquet:columns")
def test_only_chosen_columns_are_written(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    source = reviews / "day=2026-11-01" / "a.parquet"
    state, _ = score(source=str(source), output=str(tmp_path / "one.parquet"), columns=["id"])
    assert state.is_completed()
    assert pq.read_schema(tmp_path / "one.parquet").names == [
        "id", "sentiment_label", "sentiment_probability",
    ]  # fmt: skip


@pytest.mark.covers("score-parquet:text_column")
def test_a_single_file_fails_with_its_own_error(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    source = reviews / "day=2026-11-01" / "a.parquet"
    state, run = score(source=str(source), output=str(tmp_path), text_column="review")
    with pytest.raises(MissingColumnError, match="Column 'review' is not in"):
        state.result()
    message = server.get(f"/flow_runs/{run}")["state"]["message"]
    assert message.endswith("Its columns: text, id. Name the text column with `text_column`.")

    state, _ = score(source=str(source), output=str(tmp_path / "one.parquet"))
    assert state.is_completed()
    assert pq.read_metadata(tmp_path / "one.parquet").num_rows == 3


@pytest.mark.covers("score-parquet:drift_limits", "score-parquet:force", "score-parquet:prefix")
def test_a_finished_file_is_scored_again_if_asked_for(
    server: Any, score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    parameters = {
        "source": str(reviews / "day=2026-11-01"),
        "output": str(tmp_path / "scored"),
        "prefix": "mood_",
    }
    score(**parameters)
    limits = dict.fromkeys(("without_text", "lengths", "scores", "positive"), 9.0)
    state, run = score(**parameters, force=True, drift_limits=limits)
    assert state.is_completed()
    assert [row["status"] for row in server.table(run, "scored-files")] == ["scored"]
    names = pq.read_schema(tmp_path / "scored" / "a.parquet").names
    assert names == ["text", "id", "mood_label", "mood_probability"]
    drift = json.loads((tmp_path / "scored" / "_DRIFT.json").read_text())
    found = {measure["name"]: measure["limit"] for measure in drift["measures"]}
    assert found["without_text"] == 9.0


@pytest.mark.covers("score-parquet:max_bad_files")
def test_too_many_bad_files_end_a_run(
    server: Any, score: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    # More than are under way at once.
    for number in range(2 * (os.cpu_count() or 1) + 2):
        (tmp_path / "in" / f"{number}.parquet").write_bytes(b"no parquet")
    _, run = score(source=str(tmp_path / "in"), output=str(tmp_path / "out"), max_bad_files=0)
    statuses = {row["status"] for row in server.table(run, "scored-files")}
    assert statuses == {"failed", "pending"}


@pytest.mark.covers("score-parquet:accept_bad_files", "score-parquet:prune")
def test_bad_files_are_accepted_and_outputs_without_an_input_deleted(
    score: Callable[..., Any], reviews: Path, tmp_path: Path
) -> None:
    folder = reviews / "day=2026-11-02"
    parameters = {"source": str(folder), "output": str(tmp_path / "scored")}
    state, _ = score(**parameters, accept_bad_files=1)
    assert state.is_completed()
    assert ", 1 file failed. All outputs: 2 rows" in state.message
    (folder / "a.parquet").rename(folder / "c.parquet")
    state, _ = score(**parameters, accept_bad_files=1, prune=True)
    assert state.result().pruned == ("a.parquet",)
    names = ["_DRIFT.json", "_MANIFEST.json", "_SUCCESS", "c.parquet"]
    assert _written(tmp_path / "scored") == names


@pytest.mark.covers("score-parquet:runner")
def test_without_dask_the_extra_is_named(
    score: Callable[..., Any], reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    folder = str(reviews / "day=2026-11-01")
    state, _ = score(source=folder, output=str(tmp_path / "scored"), runner="dask")
    with pytest.raises(MissingExtraError, match=r"classifier\[dask\]"):
        state.result()


@pytest.mark.covers("score-parquet:threads", "score-parquet:engine")
def test_threads_and_engine_are_chosen(
    score: Callable[..., Any], reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def pool(threads: int, **named: Any) -> ThreadPoolExecutor:
        started.append(threads)
        return ThreadPoolExecutor(threads, **named)

    monkeypatch.setattr("imdb_classifier.scoring.scorer.ThreadPoolExecutor", pool)
    files = {"source": str(reviews / "day=2026-11-01"), "output": str(tmp_path / "scored")}
    state, _ = score(**files, threads=5, engine="onnx")
    assert (state.result().engines, started) == (("onnx",), [5])
    state, _ = score(**files, threads=5, runner="dask", scheduler="tcp://[::1]:1")
    assert "Leave out `threads`, and start workers with" in state.message
    state, _ = score(**files, threads=0)
    assert "`threads` must be at least 1. It is 0." in state.message


def test_no_input_starts_no_task_run_that_scores(
    server: Any, score: Callable[..., Any], tmp_path: Path
) -> None:
    state, run = score(source=str(tmp_path / "none"), output=str(tmp_path / "scored"))
    with pytest.raises(NoInputError, match="matches no file"):
        state.result()
    runs = server.filter("task_runs", flow_runs={"id": {"any_": [str(run)]}})
    assert [run["name"].rsplit("-", 1)[0] for run in runs] == ["resolve-model"]
    assert not (tmp_path / "scored").exists()


def test_an_unexpected_error_fails_one_file_and_keeps_its_message_back(
    server: Any,
    score: Callable[..., Any],
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score_file = scored_file.score_file

    def broken(planned: Any, *arguments: Any, **options: Any) -> Any:
        if planned.file.name == "a.parquet":
            return score_file(planned, *arguments, **options)
        raise RuntimeError("A warm and funny film")

    monkeypatch.setattr("imdb_classifier.batch.file_pool.score_file", broken)
    folder = reviews / "day=2026-11-01"
    pq.write_table(pa.table({"text": ["Fine."]}), folder / "z.parquet")
    state, run = score(source=str(folder), output=str(tmp_path / "scored"))

    error = state.result(raise_on_failure=False)
    assert isinstance(error, PartlyScoredError)
    assert error.exit_code == 75
    assert "z.parquet: Unexpected error: " in str(error)
    assert "RuntimeError in file_pool.py" in str(error)
    assert "warm and funny" not in json.dumps([server.table(run, "scored-files"), str(error)])
    assert _written(tmp_path / "scored") == ["_MANIFEST.json", "a.parquet"]


def test_many_files_make_few_units(
    server: Any, score: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(70):
        write_reviews(tmp_path / "many" / f"{number:02}.parquet", ["Fine."])
    monkeypatch.setattr(score_tasks, "UNIT_ROWS", 1)
    state, run = score(source=str(tmp_path / "many"), output=str(tmp_path / "scored"))
    result = state.result()
    assert [file.name for file in result.files] == [f"{number:02}.parquet" for number in range(70)]
    query = {"flow_runs": {"id": {"any_": [str(run)]}}}
    names = [found["name"] for found in server.filter("task_runs", **query)]
    units = [name for name in names if name.startswith("score unit ")]
    assert 2 <= len(units) <= 64
    assert len(names) == len(units) + 1


def test_one_run_has_one_model(tmp_path: Path) -> None:
    model = tasks.resolve_model.fn("@champion", str(tmp_path))
    with pytest.raises(BundleError, match=r"changed from 000000000000 to \w{12}\. Rerun"):
        score_tasks.score_files.fn(1, {}, {**model, "model_hash": "0" * 64}, None, None)
