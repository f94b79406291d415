"""Scoring of Parquet files in a flow: a batch run whose units are task runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from imdb_classifier.batch.inputs.discovery import group_files
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.outputs.provenance import row_count
from imdb_classifier.batch.results import FileResult, RunResult
from imdb_classifier.batch.run import BatchRun
from imdb_classifier.errors import EXIT_DONE, BundleError, PartlyScoredError, counted, printable
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.monitoring.drift import DriftLimits
from imdb_classifier.monitoring.drift_page import render_drift
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of
from imdb_classifier.tasks.artifacts import Progress, publish
from imdb_classifier.tasks.events import emit
from imdb_classifier.tasks.failures import without_texts
from imdb_classifier.tasks.runners import threads_of_worker

FILES_KEY: Final = "scored-files"
DRIFT_KEY: Final = "batch-drift"

MAXIMUM_UNITS: Final = 64
"""Maximum number of scoring task runs in a flow run; more slow down a Prefect server on SQLite."""
UNIT_ROWS: Final = 50_000
"""Minimum rows of a unit: about five seconds of work, much more than a task run's overhead."""
TABLE_ROWS: Final = 200
"""Maximum number of files in the table artifact."""


@without_texts
def score_batch(
    source: str,
    output: str,
    model: dict[str, Any],
    pool: TaskRunner[Any],
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    drift_limits: DriftLimits | None = None,
) -> RunResult:
    """Score Parquet files like `score_parquet`, in task runs of the current flow run.

    Progress, files and drift are published as artifacts.

    Args:
        source: A Parquet file, folder or glob pattern.
        output: The file or folder to write.
        model: The result of `resolve_model`; its path must be valid wherever units are scored.
        pool: Where units are scored, see `task_runner`.
        options: Columns, and how to treat rows without text.
        selection: Which files to score, depending on existing outputs.
        limits: When to stop early; failed files are counted separately in each unit.
        drift_limits: How far the batch may drift from the model's reference.

    Raises:
        PartlyScoredError: Not every file was scored. Finished files are kept.
        ImdbClassifierError: As for `score_parquet`.
    """
    with BatchRun.open(
        source,
        output,
        options,
        selection=selection,
        limits=limits,
        drift_limits=drift_limits,
    ) as run:
        result = run.finish(_score(run, model, pool), _bundle(model["path"], model["model_hash"]))
    _report(result, output)
    if result.exit_code != EXIT_DONE:
        raise PartlyScoredError(
            {file.name: file.error or "" for file in result.failed},
            skipped=len(result.of_status("skipped")),
            pending=len(result.of_status("pending")),
            files=len(result.files),
            exit_code=result.exit_code,
            result=result,
        )
    return result


def _score(run: BatchRun, model: dict[str, Any], pool: TaskRunner[Any]) -> list[FileResult]:
    """Score the files of a run in units, each in a task run of `score_files`."""
    rows = [row_count(file.source) for file in run.files]
    total = sum(rows)
    parts = group_files(rows, MAXIMUM_UNITS, UNIT_ROWS)
    logger = get_run_logger()
    logger.info(
        "%s with %s, to be scored in %s",
        counted(len(rows), "file"),
        counted(total, "row"),
        counted(len(parts), "task run"),
    )
    progress = Progress.start(total, "rows")
    here = isinstance(pool, ThreadPoolTaskRunner)
    if not (here or isinstance(pool, ProcessPoolTaskRunner)):
        # Cluster workers have other working folders.
        run = _absolute(run)
        model = {**model, "path": storage_of(model["path"]).absolute(model["path"])}
    threads = 1 if isinstance(pool, ProcessPoolTaskRunner) else None
    results: list[FileResult] = []
    done = 0
    with pool:
        begun = [
            pool.submit(
                score_files,
                {
                    "number": number,
                    "part": run.part(positions).to_dict(),
                    "model": model,
                    "threads": threads,
                    # Units that are scored in parallel would overwrite each other's progress.
                    "progress": (progress.artifact, sum(rows[: positions.start]), total)
                    if here
                    else None,
                },
            )
            for number, positions in enumerate(parts, 1)
        ]
        for number, future in enumerate(begun, 1):
            files = [FileResult(**file) for file in future.result()["files"]]
            results += files
            done += sum(file.rows for file in files)
            if not here:
                progress.show(done)
            # Logged here, because the logs of cluster workers may not arrive.
            logger.info("unit %d: %s", number, _summary(files))
    return results


@task(
    name="score-files",
    task_run_name="score unit {number} with {model[model_id]}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
@without_texts
def score_files(
    number: int,
    part: dict[str, Any],
    model: dict[str, Any],
    threads: int | None,
    progress: tuple[str | None, int, int] | None,
) -> dict[str, Any]:
    """Score a unit of a run; files that cannot be scored are among the results.

    Args:
        number: The unit's number, from 1.
        part: The result of ``BatchRun.to_dict``.
        model: The result of `resolve_model`.
        threads: Number of threads; None for those of the Dask worker, else one per core.
        progress: The id of a progress artifact, the rows done before this unit, and all rows; None
            to show no progress.

    Returns:
        files: the fields of `FileResult` for each file.

    Raises:
        BundleError: The model has changed since it was resolved.
        ImdbClassifierError: The input is a single file and cannot be scored.
    """
    scorer = _scorer(model["path"], model["model_hash"], threads or threads_of_worker())
    artifact, done, total = progress or (None, 0, 0)
    bar = Progress(artifact, total, "rows")

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        bar.show(done)

    results = BatchRun.from_dict(part).score(scorer, on_rows)
    return {"files": [asdict(result) for result in results]}


def _absolute(run: BatchRun) -> BatchRun:
    def absolute(path: str) -> str:
        return storage_of(path).absolute(path)

    files = (
        replace(
            file,
            source=absolute(file.source),
            target=absolute(file.target),
            quarantine=absolute(file.quarantine),
        )
        for file in run.files
    )
    return replace(run, files=tuple(files))


def _summary(files: Sequence[FileResult]) -> str:
    statuses = Counter(file.status for file in files)
    rows = counted(sum(file.rows for file in files), "row")
    return f"{rows} in {counted(len(files), 'file')}: " + ", ".join(
        f"{count:,} {status}" for status, count in sorted(statuses.items())
    )


def _report(result: RunResult, output: str) -> None:
    """Publish the result of a run as artifacts and events."""
    totals = result.totals()
    by = f"Scored by {result.model_id} into {output}."
    shown = sorted(result.files, key=lambda file: (file.status != "failed", file.name))[:TABLE_ROWS]
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
            f"{counted(totals['files'], 'file')} ({totals['failed']:,} failed, "
            f"{totals['skipped']:,} skipped, {totals['pending']:,} pending); "
            f"{counted(totals['rows'], 'row')}: {totals['positive']:,} positive, "
            f"{totals['negative']:,} negative, {totals['without_text']:,} without text, "
            f"{totals['truncated']:,} truncated. {by}"
            + (
                f" Only {counted(len(shown), 'file')} shown, failed ones first."
                if len(shown) < len(result.files)
                else ""
            )
        ),
    )
    batch = ("batch", printable(output), result.model_id)
    drift = result.drift
    if drift is not None:
        publish(
            "The drift report",
            create_markdown_artifact,
            key=DRIFT_KEY,
            markdown=render_drift(drift),
            description=by,
        )
    emit("batch.partial" if result.exit_code else "batch.committed", *batch, totals)
    if drift is not None and drift.crossed:
        changes = {measure.name: measure.change for measure in drift.crossed}
        emit("drift.detected", *batch, {"rows": drift.rows, "changes": changes})


def _bundle(path: str, model_hash: str) -> Bundle:
    """Load the bundle of a model, and check that it is the one that was resolved."""
    bundle = load_bundle(path)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "A run must use the same model throughout.",
            f"{path} changed from {model_hash[:12]} to {bundle.model_hash[:12]}.",
            "Rerun to score with the new model.",
        )
    return bundle


@lru_cache(maxsize=1)
def _scorer(path: str, model_hash: str, threads: int | None) -> Scorer:
    """Return a model's scorer, loaded once per process and shared by all units scored in it."""
    return Scorer(_bundle(path, model_hash), threads)
