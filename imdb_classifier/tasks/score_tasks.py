"""Scoring of Parquet files in a flow: a batch run whose parts are task runs."""

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

from imdb_classifier.batch.discovery import group_files
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
"""Task runs that score, in one flow run: more of them make a Prefect server on SQLite slow."""
UNIT_ROWS: Final = 50_000
"""Rows of a unit at least: some five seconds of work, compared to which a task run costs little."""
TABLE_ROWS: Final = 200
"""The most files that the table artifact lists."""


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
    """Do what `score_parquet` does, in task runs of the flow run that calls this.

    Progress, the files and the drift become artifacts.

    Args:
        source: A Parquet file, a folder or a glob pattern.
        output: The file or folder to write.
        model: What `resolve_model` gave; its path has to be the same wherever parts are scored.
        pool: Where parts are scored, see `task_runner`.
        options: Columns, and rows without text.
        selection: Which files are scored, depending on the outputs that exist already.
        limits: When to stop early; bad files count for each part by itself.
        drift_limits: How far the batch may be from the model's reference.

    Raises:
        PartlyScoredError: Not every file is scored. Finished files are kept.
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
    """Score a run's files in parts, each by a task run of `score_files`."""
    rows = [row_count(file.source) for file in run.files]
    total = sum(rows)
    parts = group_files(rows, MAXIMUM_UNITS, UNIT_ROWS)
    logger = get_run_logger()
    logger.info(
        "%s with %s; %s to score them",
        counted(len(rows), "file"),
        counted(total, "row"),
        counted(len(parts), "task run"),
    )
    progress = Progress.start(total, "rows")
    here = isinstance(pool, ThreadPoolTaskRunner)
    if not (here or isinstance(pool, ProcessPoolTaskRunner)):
        # Workers of a cluster have working folders of their own.
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
                    # Parts that are scored side by side would move each other's bar.
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
            # Here, because what workers of a cluster log need not arrive.
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
    """Score a part of a run; a file that cannot be scored becomes a result like the others.

    Args:
        number: Of the part, from 1.
        part: What ``BatchRun.to_dict`` gave.
        model: What `resolve_model` gave.
        threads: How many to score with; None for those of the Dask worker, else one for each core.
        progress: The id of a progress artifact, the rows done before this part, and all rows; None
            to show none.

    Returns:
        files: the fields of `FileResult` for each file.

    Raises:
        BundleError: The model is no longer the one that was resolved.
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
    """Publish a result as artifacts and events."""
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
            f"{counted(totals['files'], 'file')}, of them {totals['failed']:,} failed, "
            f"{totals['skipped']:,} skipped and {totals['pending']:,} pending; "
            f"{counted(totals['rows'], 'row')}: {totals['positive']:,} positive, "
            f"{totals['negative']:,} negative, {totals['without_text']:,} without text, "
            f"{totals['truncated']:,} truncated. {by}"
            + (
                f" The first {len(shown):,} files are shown."
                if len(shown) < len(result.files)
                else ""
            )
        ),
    )
    batch = ("batch", printable(output), result.model_id)
    drift = result.drift
    if drift is not None:
        publish(
            "The drift",
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
    """The bundle of a model, if it is still the one that was resolved."""
    bundle = load_bundle(path)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "One run scores with one model.",
            f"{path} was {model_hash[:12]} at first, and is {bundle.model_hash[:12]} now.",
            "Run it again.",
        )
    return bundle


@lru_cache(maxsize=1)
def _scorer(path: str, model_hash: str, threads: int | None) -> Scorer:
    """The scorer of a model, loaded once a process and shared by all parts scored in it."""
    return Scorer(_bundle(path, model_hash), threads)
