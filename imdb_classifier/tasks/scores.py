"""Tasks that score Parquet files: plan, score unit by unit, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from imdb_classifier import parquet
from imdb_classifier.bundle import load_bundle
from imdb_classifier.errors import BundleError, PartlyScoredError
from imdb_classifier.parquet import FileResult, PlannedFile, RunResult, ScoreOptions
from imdb_classifier.scoring import Scorer
from imdb_classifier.tasks.artifacts import Progress, publish
from imdb_classifier.tasks.failures import (
    RETRIES,
    RETRY_DELAY_SECONDS,
    is_unforeseen,
    without_texts,
)

FILES_KEY: Final = "scored-files"

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
@without_texts()
def plan_scoring(source: str, output: str) -> dict[str, Any]:
    """Find the files to score and put them together into units of work.

    An output folder is marked as incomplete from here on, until `commit_scores`.

    Args:
        source: A Parquet file, a folder of them, or a pattern, see `parquet.plan_files`.
        output: Where the scored copies go.

    Returns:
        files and rows (in all), alone (whether `source` is a single file), progress (the id of a
        progress artifact, or None), and units: for each its number, its files (source, target and
        name), and rows_before (rows of all units in front of it).

    Raises:
        NoInputError: There is nothing to score.
        CannotWriteError: Input and output overlap.
    """
    planned = parquet.plan_files(source, output)
    alone = Path(source).is_file()
    if not alone:
        parquet.start_run(output)
    rows = parquet.row_counts(planned)
    units = [
        {
            "number": number,
            "files": [
                {"source": str(file.source), "target": str(file.target), "name": file.name}
                for file in planned[positions.start : positions.stop]
            ],
            "rows_before": sum(rows[: positions.start]),
        }
        for number, positions in enumerate(parquet.group_files(rows, MAXIMUM_UNITS, UNIT_ROWS), 1)
    ]
    get_run_logger().info(
        "%s files with %s rows; task runs to score them: %d",
        f"{len(planned):,}",
        f"{sum(rows):,}",
        len(units),
    )
    return {
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
@without_texts()
def score_files(
    unit: dict[str, Any],
    plan: dict[str, Any],
    model: dict[str, Any],
    text_column: str,
    prefix: str,
    force: bool = False,
) -> dict[str, Any]:
    """Score the files of a unit; what cannot be scored becomes a result like the others.

    Args:
        unit: One of the plan's units.
        plan: What `plan_scoring` gave; its units are not looked at and may be left out.
        model: What `resolve_model` gave.
        text_column: The column that holds the text.
        prefix: What the names of the two new columns begin with.
        force: Replace outputs that an older model or input gave.

    Returns:
        files: the fields of `parquet.FileResult` for each file.

    Raises:
        BundleError: The model is no longer the one that was resolved.
        ImdbClassifierError: The input is a single file and cannot be scored.
    """
    scorer = _scorer(model["path"], model["model_hash"])
    options = ScoreOptions(text_column, prefix)
    progress = Progress(plan["progress"], plan["rows"], "rows")
    done: int = unit["rows_before"]

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        progress.show(done)

    planned = [
        PlannedFile(Path(file["source"]), Path(file["target"]), file["name"])
        for file in unit["files"]
    ]
    # A single file raises its own error; of several, one that fails does not stop the others.
    if plan["alone"]:
        results = [parquet.score_file(planned[0], scorer, options, force=force, on_rows=on_rows)]
    else:
        results = parquet.score_files(planned, scorer, options, force=force, on_rows=on_rows)
    counts = {
        status: sum(result.status == status for result in results)
        for status in ("scored", "reused", "failed")
    }
    get_run_logger().info(
        "%s rows in %s files: %s",
        f"{sum(result.rows for result in results):,}",
        f"{len(results):,}",
        ", ".join(f"{count:,} {status}" for status, count in counts.items() if count),
    )
    return {"files": [asdict(result) for result in results]}


@task(
    name="commit-scores",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_unforeseen,
)
@without_texts()
def commit_scores(
    output: str,
    plan: dict[str, Any],
    model: dict[str, Any],
    results: Sequence[dict[str, Any]],
    text_column: str,
    prefix: str,
) -> dict[str, Any]:
    """Publish what became of the files; where all went well, mark the output folder as complete.

    Args:
        output: As for `plan_scoring`.
        plan: What `plan_scoring` gave; its units are not looked at and may be left out.
        model: What `resolve_model` gave.
        results: What `score_files` gave for each unit, in their order.
        text_column: As for `score_files`.
        prefix: As for `score_files`.

    Returns:
        model_id and totals (files, failed, rows, positive, negative, without_text).

    Raises:
        PartlyScoredError: A file could not be scored. The others are done and stay.
        CannotWriteError: The output folder cannot be written.
    """
    files = tuple(FileResult(**file) for result in results for file in result["files"])
    run = RunResult(model["model_id"], files)
    totals = run.totals()
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
                "error": file.error or "",
            }
            for file in shown
        ],
        description=(
            f"{totals['files']:,} files, {totals['failed']:,} of them failed; {totals['rows']:,} "
            f"rows: {totals['positive']:,} positive, {totals['negative']:,} negative, "
            f"{totals['without_text']:,} without text. Scored by {run.model_id} into {output}."
            + (f" The first {len(shown):,} files are shown." if len(shown) < len(files) else "")
        ),
    )
    if run.failed:
        errors = {file.name: file.error or "" for file in run.failed}
        raise PartlyScoredError(errors, len(files), run.exit_code)
    if not plan["alone"]:
        parquet.finish_run(output, run, ScoreOptions(text_column, prefix))
    return {"model_id": run.model_id, "totals": totals}


@lru_cache(maxsize=1)
def _scorer(path: str, model_hash: str) -> Scorer:
    """The scorer of a model, loaded once a process."""
    bundle = load_bundle(Path(path))
    if bundle.model_hash != model_hash:
        raise BundleError(
            "One run scores with one model.",
            f"{path} was {model_hash[:12]} at first, and is {bundle.model_hash[:12]} now.",
            "Run it again.",
        )
    return Scorer(bundle)
