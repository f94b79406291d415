"""Tasks that score Parquet files: plan, score unit by unit, commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from imdb_classifier.batch import run
from imdb_classifier.batch.discovery import PlannedFile, group_files, plan_files
from imdb_classifier.batch.outputs.drift_report import report_drift
from imdb_classifier.batch.outputs.provenance import Selection
from imdb_classifier.batch.outputs.publication import declare, withdraw
from imdb_classifier.batch.outputs.scored_file import FileResult, ScoreOptions
from imdb_classifier.batch.run import Limits, RunResult
from imdb_classifier.errors import BundleError, PartlyScoredError, printable
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.monitoring.drift import DriftLimits
from imdb_classifier.monitoring.drift_page import render_drift
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of
from imdb_classifier.tasks.artifacts import Progress, publish
from imdb_classifier.tasks.events import emit
from imdb_classifier.tasks.failures import (
    RETRIES,
    RETRY_DELAY_SECONDS,
    is_unforeseen,
    without_texts,
)
from imdb_classifier.tasks.runners import threads_of_worker

FILES_KEY: Final = "scored-files"
DRIFT_KEY: Final = "batch-drift"

MAXIMUM_UNITS: Final = 64
"""Task runs that score, in one flow run: more of them make a Prefect server on SQLite slow."""
UNIT_ROWS: Final = 50_000
"""Rows of a unit at the least: some five seconds of work, beside which a task run costs little."""
TABLE_ROWS: Final = 200
"""The most files that the table artifact lists."""


@task(
    name="plan-scoring",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_unforeseen,
)
@without_texts
def plan_scoring(
    source: str, output: str, deadline: str | None = None, max_bad_files: int | None = None
) -> dict[str, Any]:
    """Find the files to score and put them together into units of work.

    An output folder is marked as incomplete from here on, until `commit_scores`.

    Args:
        source: A Parquet file, a folder of them, or a pattern, see `parquet.plan_files`.
        output: Where the scored copies go.
        deadline: Such as ``45m``, from now: what is finished by then stays, the rest is left.
        max_bad_files: A unit of which more files fail than this ends early.

    Returns:
        source; ends_at (seconds since 1970, or None); max_bad_files; files and rows (in all); alone
        (whether `source` is a single file); progress (the id of a progress artifact, or None); and
        units: for each its number, its files (the fields of `parquet.PlannedFile`), and
        rows_before (rows of all units in front of it).

    Raises:
        NoInputError: There is nothing to score.
        CannotWriteError: Input and output overlap.
    """
    limits = Limits.of(deadline, max_bad_files)
    planned = plan_files(source, output)
    alone = planned[0].source == source
    if not alone:
        withdraw(output)
    rows = run.row_counts(planned)
    units = [
        {
            "number": number,
            "files": [asdict(file) for file in planned[positions.start : positions.stop]],
            "rows_before": sum(rows[: positions.start]),
        }
        for number, positions in enumerate(group_files(rows, MAXIMUM_UNITS, UNIT_ROWS), 1)
    ]
    get_run_logger().info(
        "%s files with %s rows; task runs to score them: %d",
        f"{len(planned):,}",
        f"{sum(rows):,}",
        len(units),
    )
    return {
        "source": source,
        "ends_at": limits.seconds and time.time() + limits.seconds,
        "max_bad_files": limits.bad_files,
        "files": len(planned),
        "rows": sum(rows),
        "alone": alone,
        "progress": Progress.start(sum(rows), "rows").artifact,
        "units": units,
    }


@task(
    name="score-files",
    task_run_name="score unit {unit[number]} with {model[model_id]}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
@without_texts
def score_files(
    unit: dict[str, Any],
    plan: dict[str, Any],
    model: dict[str, Any],
    options: dict[str, Any],
    only: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Score the files of a unit; what cannot be scored becomes a result like the others.

    Args:
        unit: One of the plan's units.
        plan: What `plan_scoring` gave, without its units; and threads: how many to score on, or
            None for those of the Dask worker, else one for each core.
        model: What `resolve_model` gave.
        options: The fields of `parquet.ScoreOptions`.
        only: ``new``, ``stale`` or ``new,stale``, see `parquet.Selection.of`.
        force: Score finished files anew.

    Returns:
        files: the fields of `parquet.FileResult` for each file.

    Raises:
        BundleError: The model is no longer the one that was resolved.
        ImdbClassifierError: The input is a single file and cannot be scored.
    """
    scorer = _scorer(model["path"], model["model_hash"], plan["threads"] or threads_of_worker())
    ends_at = plan["ends_at"]
    limits = Limits(ends_at and ends_at - time.time(), plan["max_bad_files"])
    progress = Progress(plan["progress"], plan["rows"], "rows")
    done: int = unit["rows_before"]

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        progress.show(done)

    results = run.score_files(
        [PlannedFile(**file) for file in unit["files"]],
        scorer,
        ScoreOptions(**options),
        selection=Selection.of(only, force=force),
        limits=limits,
        on_rows=on_rows,
        # A single file raises its own error; of several, a bad one does not stop the others.
        raising=plan["alone"],
    )
    return {"files": [asdict(result) for result in results]}


def score_units(
    plan: dict[str, Any],
    model: dict[str, Any],
    options: dict[str, Any],
    pool: TaskRunner[Any],
    only: str | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Score all units of a plan by `score_files`, wherever they are to run; for use in a flow.

    Args:
        plan: What `plan_scoring` gave.
        model: As for `score_files`; its path has to be the same wherever units run.
        options: As for `score_files`.
        pool: Where units run, see `runners.task_runner`.
        only: As for `score_files`.
        force: As for `score_files`.

    Returns:
        What `score_files` gave for each unit.
    """
    shared = {name: value for name, value in plan.items() if name != "units"}
    shared["threads"] = 1 if isinstance(pool, ProcessPoolTaskRunner) else None
    units = plan["units"]
    elsewhere = not isinstance(pool, ThreadPoolTaskRunner)
    if elsewhere:
        # Units that run side by side would move each other's bar: it is moved here.
        shared["progress"] = None
        # Workers of a cluster have working folders of their own.
        model = {**model, "path": storage_of(model["path"]).absolute(model["path"])}
        units = [
            {**unit, "files": [{**file, **_places(file)} for file in unit["files"]]}
            for unit in units
        ]
    progress = Progress(plan["progress"], plan["rows"], "rows")
    results: list[dict[str, Any]] = []
    done = 0
    with pool:
        common = {"plan": shared, "model": model, "options": options, "only": only, "force": force}
        begun = [pool.submit(score_files, {"unit": unit, **common}) for unit in units]
        for unit, future in zip(units, begun, strict=True):
            results.append(future.result())
            done += sum(file["rows"] for file in results[-1]["files"])
            if elsewhere:
                progress.show(done)
            # Here, because what workers of a cluster log need not arrive.
            get_run_logger().info("unit %d: %s", unit["number"], _told(results[-1]["files"]))
    return results


def _places(file: Mapping[str, str]) -> dict[str, str]:
    paths = {name: file[name] for name in ("source", "target", "quarantine")}
    return {name: storage_of(path).absolute(path) for name, path in paths.items()}


def _told(files: Sequence[Mapping[str, Any]]) -> str:
    statuses = Counter(file["status"] for file in files)
    return f"{sum(file['rows'] for file in files):,} rows in {len(files):,} files: " + ", ".join(
        f"{statuses[status]:,} {status}"
        for status in ("scored", "reused", "left", "failed")
        if statuses[status]
    )


@task(
    name="commit-scores",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_unforeseen,
)
@without_texts
def commit_scores(
    output: str,
    plan: dict[str, Any],
    model: dict[str, Any],
    results: Sequence[dict[str, Any]],
    options: dict[str, Any],
    drift_limits: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Publish what became of the files; where all went well, mark the output folder as complete.

    The batch is then compared with its model's reference, see `parquet.report_drift`.

    Args:
        output: As for `plan_scoring`.
        plan: What `plan_scoring` gave, whole.
        model: What `resolve_model` gave.
        results: What `score_files` gave for each unit, in their order.
        options: As for `score_files`.
        drift_limits: Those of `drift.DriftLimits` that are not to have their usual values.

    Returns:
        model_id; totals (files, failed, left, rows, positive, negative, without_text, truncated);
        and drifted: the names of the limits that the batch crossed.

    Raises:
        PartlyScoredError: A file could not be scored or was left. The others are done and stay.
        CannotWriteError: The output folder cannot be written.
    """
    limits = DriftLimits.of(drift_limits or {})
    files = tuple(FileResult(**file) for result in results for file in result["files"])
    became = RunResult(model["model_id"], files)
    totals = became.totals()
    shown = sorted(files, key=lambda file: (file.status != "failed", file.name))[:TABLE_ROWS]
    publish(
        "The table of files",
        create_table_artifact,
        key=FILES_KEY,
        table=[
            {
                "name": file.name,
                "status": file.status,
                "rows": file.rows,
                "positive": file.positive,
                "negative": file.negative,
                "without text": file.without_text,
                "truncated": file.truncated,
                "error": file.error or "",
            }
            for file in shown
        ],
        description=(
            f"{totals['files']:,} files, of them {totals['failed']:,} failed and "
            f"{totals['left']:,} left; {totals['rows']:,} "
            f"rows: {totals['positive']:,} positive, {totals['negative']:,} negative, "
            f"{totals['without_text']:,} without text, {totals['truncated']:,} truncated. "
            f"Scored by {became.model_id} into {output}."
            + (f" The first {len(shown):,} files are shown." if len(shown) < len(files) else "")
        ),
    )
    batch = ("batch", printable(output), became.model_id)
    if became.exit_code:
        emit("batch.partial", *batch, totals)
        errors = {file.name: file.error or "" for file in became.failed}
        raise PartlyScoredError(errors, len(became.left), len(files), became.exit_code)
    planned = [PlannedFile(**file) for unit in plan["units"] for file in unit["files"]]
    bundle = _scorer(model["path"], model["model_hash"], None).bundle
    drift = report_drift(None if plan["alone"] else output, planned, bundle, limits)
    if not plan["alone"]:
        declare(output, plan["source"], model, ScoreOptions(**options), planned, files)
    if drift is not None:
        publish(
            "The drift",
            create_markdown_artifact,
            key=DRIFT_KEY,
            markdown=render_drift(drift),
            description=f"Scored by {became.model_id} into {output}.",
        )
    drifted = [measure.name for measure in drift.crossed] if drift else []
    emit("batch.committed", *batch, totals)
    if drift is not None and drifted:
        changes = {measure.name: measure.change for measure in drift.crossed}
        emit("drift.detected", *batch, {"rows": drift.rows, "changes": changes})
    return {"model_id": became.model_id, "totals": totals, "drifted": drifted}


@lru_cache(maxsize=1)
def _scorer(path: str, model_hash: str, threads: int | None) -> Scorer:
    """The scorer of a model, loaded once a process and shared by all units that run in it."""
    bundle = load_bundle(path)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "One run scores with one model.",
            f"{path} was {model_hash[:12]} at first, and is {bundle.model_hash[:12]} now.",
            "Run it again.",
        )
    return Scorer(bundle, threads)
