"""Scoring of Parquet files in a flow: a batch run whose units are task runs."""

from __future__ import annotations

import posixpath
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from imdb_classifier.batch import file_pool
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.results import FileResult, RunResult, UnitResult
from imdb_classifier.batch.run import BatchRun
from imdb_classifier.batch.units import Unit
from imdb_classifier.errors import EXIT_DONE, PartlyScoredError, counted, printable
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.monitoring.drift_page import render_drift
from imdb_classifier.pipeline.outcomes import ResolvedModel
from imdb_classifier.scoring.kept_bundles import kept_bundle
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import is_remote, storage_of
from imdb_classifier.storage.paths import location_of
from imdb_classifier.tasks.artifacts import Progress, artifact_key, publish
from imdb_classifier.tasks.events import claim, emit
from imdb_classifier.tasks.failures import (
    RETRIES,
    RETRY_DELAY_SECONDS,
    TASK_RETRIES,
    patiently,
    without_texts,
)
from imdb_classifier.tasks.runners import (
    children_without_ctrl_c,
    running,
    task_runner,
    threads_of_worker,
)

FILES_KEY: Final = "scored-files"
DRIFT_KEY: Final = "batch-drift"

MAXIMUM_UNITS: Final = 64
"""Maximum number of scoring task runs in a flow run; more slow down a Prefect server on SQLite."""
UNIT_ROWS: Final = 50_000
"""Minimum rows of a unit: about five seconds of work, much more than a task run's overhead."""
TABLE_ROWS: Final = 200
"""Maximum number of files in the table artifact."""
_FIRST: Final = ("failed", "pending", "scored", "outdated", "skipped", "reused")
"""Order of the files in it."""


@without_texts
def score_batch(
    source: str,
    output: str,
    model: ResolvedModel,
    pool: TaskRunner[Any] | None = None,
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    drift_limits: DriftLimits | None = None,
    threads: int | None = None,
    engine: EngineChoice = "auto",
) -> RunResult:
    """Score Parquet files like `score_parquet`, in task runs of the current flow run.

    Progress, files and drift are published as artifacts.

    Args:
        source: A Parquet file, folder or glob pattern.
        output: The file or folder to write.
        model: The result of `resolve_model`; its path must be valid wherever units are scored.
        pool: Where units are scored, see `task_runner`; by default in this process.
        options: Columns, and how to treat rows without text.
        selection: Which files to score, depending on existing outputs.
        limits: When to stop early; failed files are counted separately in each unit.
        drift_limits: How far the batch may drift from the model's reference.
        threads: Number of threads with which this process scores; by default one per core. Other
            processes score with as many as their pool gives them.
        engine: What runs the network, see `imdb_classifier.load_bundle`.

    Raises:
        PartlyScoredError: Not every file was scored. Finished files are kept.
        ImdbClassifierError: As for `score_parquet`.
    """
    if is_remote(place := location_of(output)):
        claim(place.rstrip("/"))
    # First, so that an engine that cannot be had is an error before the output is touched.
    bundle = kept_bundle(model["path"], model["model_hash"], engine)
    with ExitStack() as opened:
        run = patiently(
            lambda: opened.enter_context(
                BatchRun.open(
                    source,
                    output,
                    model["model_hash"],
                    options,
                    selection=selection,
                    limits=limits,
                    drift_limits=drift_limits,
                )
            )
        )
        units = _score(run, model, pool or task_runner("local"), threads, engine)
        result = patiently(lambda: run.finish(units, bundle))
    _report(result, output)
    if result.exit_code != EXIT_DONE:
        raise PartlyScoredError(
            {file.name: file.error or "" for file in result.failed},
            pending=len(result.of_status("pending")),
            files=len(result.files),
            exit_code=result.exit_code,
            result=result,
        )
    return result


def _score(
    run: BatchRun,
    model: ResolvedModel,
    pool: TaskRunner[Any],
    threads: int | None,
    engine: EngineChoice,
) -> list[UnitResult]:
    """Score the files of a run in units, each in a task run of `score_files`."""
    units = run.units(MAXIMUM_UNITS, UNIT_ROWS)
    total = sum(unit.rows for unit in units)
    logger = get_run_logger()
    logger.info(
        "%s: %s with %s to be scored, in %s",
        counted(len(run.assessed), "file"),
        counted(len(run.to_score), "file"),
        counted(total, "row"),
        counted(len(units), "task run"),
    )
    progress = Progress.start(total, "rows")
    here = isinstance(pool, ThreadPoolTaskRunner)
    if not (here or isinstance(pool, ProcessPoolTaskRunner)):
        # Cluster workers have other working folders.
        units = [_absolute(unit) for unit in units]
        model = model.copy()
        model["path"] = storage_of(model["path"]).absolute(model["path"])
    if not here:
        threads = 1 if isinstance(pool, ProcessPoolTaskRunner) else None
    results: list[UnitResult] = []
    done = 0
    with running(pool):
        begun = []
        with children_without_ctrl_c():
            for number, unit in enumerate(units, 1):
                begun.append(
                    pool.submit(
                        score_files,
                        {
                            "number": number,
                            "unit": unit.to_dict(),
                            "model": model,
                            "threads": threads,
                            "engine": engine,
                            # Units scored in parallel would overwrite each other's progress.
                            "progress": (progress.artifact, done, total) if here else None,
                        },
                    )
                )
                done += unit.rows
        done = 0
        for number, future in enumerate(begun, 1):
            results.append(UnitResult.from_dict(future.result()))
            done += sum(file.rows for file in results[-1].files)
            if not here:
                progress.show(done)
            # Logged here, because the logs of cluster workers may not arrive.
            logger.info("unit %d: %s", number, _summary(results[-1].files))
    return results


@task(
    name="score-files",
    task_run_name="score unit {number} with {model[model_id]}",
    cache_policy=NO_CACHE,
    persist_result=False,
    **RETRIES,
)
@without_texts
def score_files(
    number: int,
    unit: dict[str, Any],
    model: ResolvedModel,
    threads: int | None,
    progress: tuple[str | None, int, int] | None,
    engine: EngineChoice = "auto",
) -> dict[str, Any]:
    """Score a unit of a run; files that cannot be scored are among the results.

    Files that a system or a server refuses to read or write are tried again.

    Args:
        number: The unit's number, from 1.
        unit: The result of ``Unit.to_dict``.
        model: The result of `resolve_model`.
        threads: Number of threads; None for those of the Dask worker, else one per core.
        progress: The id of a progress artifact, the rows done before this unit, and all rows; None
            to show no progress.
        engine: What runs the network.

    Returns:
        The result of ``UnitResult.to_dict``.

    Raises:
        BundleError: The model has changed since it was resolved.
        ImdbClassifierError: The input is a single file and cannot be scored.
    """
    threads = threads or threads_of_worker()
    scorer = _scorer(model["path"], model["model_hash"], threads, engine)
    artifact, before, total = progress or (None, 0, 0)
    bar = Progress(artifact, total, "rows")
    whole = Unit.from_dict(unit)
    result = file_pool.score_files(whole, scorer, lambda _, done, __: bar.show(before + done))
    for _ in range(TASK_RETRIES):
        again = [i for i, file in enumerate(result.files) if file.may_pass]
        if not again:
            break
        time.sleep(RETRY_DELAY_SECONDS)
        some = replace(whole, files=tuple(whole.files[i] for i in again))
        result = result.updated(again, file_pool.score_files(some, scorer))
    return result.to_dict()


def _absolute(unit: Unit) -> Unit:
    def absolute(folder: str) -> str:
        return posixpath.join(storage_of(folder).absolute(folder), "")

    files = (
        replace(
            file,
            file=replace(
                file.file,
                source_folder=absolute(file.file.source_folder),
                target_folder=absolute(file.file.target_folder),
            ),
        )
        for file in unit.files
    )
    return replace(unit, files=tuple(files))


def _summary(files: Sequence[FileResult]) -> str:
    statuses = Counter(file.status for file in files)
    rows = counted(sum(file.rows for file in files), "row")
    return f"{rows} in {counted(len(files), 'file')}: " + ", ".join(
        f"{count:,} {status}" for status, count in sorted(statuses.items())
    )


def _report(result: RunResult, output: str) -> None:
    """Publish the result of a run as artifacts and events."""
    totals = result.totals()
    if result.expected_accuracy:
        get_run_logger().info(result.expected_accuracy.summary)
    for note in result.notes():
        get_run_logger().warning(note)
    shown = sorted(result.files, key=lambda file: (_FIRST.index(file.status), file.name))
    publish(
        "The table of files",
        create_table_artifact,
        key=artifact_key(FILES_KEY, output),
        table=[
            {
                "name": file.name,
                "status": file.status,
                # Before the counts, which a narrow page cuts off.
                **({"error": file.error or ""} if result.failed else {}),
                "rows": file.rows,
                "positive": file.positive,
                "negative": file.negative,
                "without text": file.without_text,
                "truncated": file.truncated,
                **({"unsure": file.unsure} if totals["unsure"] else {}),
            }
            for file in shown[:TABLE_ROWS]
        ],
        description=" ".join(
            [
                result.summary,
                *([result.expected_accuracy.summary] if result.expected_accuracy else []),
                f"Output: {output}.",
                *(
                    [f"Only {TABLE_ROWS} files are shown, failed ones first, reused ones last."]
                    if len(shown) > TABLE_ROWS
                    else []
                ),
            ]
        ),
    )
    batch = ("batch", printable(output), result.model_id)
    expected = result.expected_accuracy
    emit(
        "batch.committed" if result.is_complete else "batch.partial",
        *batch,
        {**totals, "expected_accuracy": expected and asdict(expected)},
    )
    drift = result.drift
    if drift is None:
        return
    whole = result.output_drift
    publish(
        "The drift report",
        create_markdown_artifact,
        key=artifact_key(DRIFT_KEY, output),
        markdown=render_drift(drift)
        + (f"\n\n# All outputs\n\n{render_drift(whole)}" if whole and totals["reused"] else ""),
        description=f"{drift.summary} {result.summary}",
    )
    if drift.crossed:
        changes = {measure.name: measure.change for measure in drift.crossed}
        emit("drift.detected", *batch, {"rows": drift.rows, "changes": changes})


@lru_cache(maxsize=1)
def _scorer(path: str, model_hash: str, threads: int | None, engine: EngineChoice) -> Scorer:
    """Return a model's scorer, loaded once per process and shared by all units scored in it."""
    return Scorer(kept_bundle(path, model_hash, engine), threads)
