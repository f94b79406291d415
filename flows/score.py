"""The flow `score-parquet`: add a sentiment label and a probability to every review."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from imdb_classifier import tasks
from imdb_classifier.batch.options import Limits, Only, OnNull, ScoreOptions, Selection
from imdb_classifier.errors import OutputInUseError, counted
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.monitoring.drift_limits import DriftLimits


@flow(name="score-parquet", flow_run_name="score {source} with {model}", persist_result=False)
def score_parquet(
    source: str,
    output: str,
    model: str = "@champion",
    text_column: str = ScoreOptions.text_column,
    prefix: str = ScoreOptions.prefix,
    on_null: OnNull = ScoreOptions.on_null,
    quarantine: bool = ScoreOptions.quarantine,
    columns: list[str] | None = None,
    at_least: float | None = ScoreOptions.at_least,
    unsure_label: str | None = ScoreOptions.unsure_label,
    reason: bool = ScoreOptions.reason,
    registry: str | None = None,
    only: Only | None = Selection.only,
    force: bool = Selection.force,
    prune: bool = Selection.prune,
    deadline: str | None = Limits.deadline,
    max_bad_files: int | None = Limits.max_bad_files,
    accept_bad_files: int = Limits.accept_bad_files,
    allow_unapproved: bool = False,
    drift_limits: dict[str, float] | None = None,
    runner: tasks.RunnerName = "local",
    scheduler: str | None = None,
    threads: int | None = None,
    engine: EngineChoice = "auto",
) -> State[Any]:
    """Add a sentiment label and a probability to every review in Parquet files.

    Outputs that are up to date are kept. If some files cannot be scored, the others are, and the
    run fails; rerun it to continue. If another run is writing to the same output, the run is
    canceled as OutputInUse and changes nothing; in object stores, only flow runs of the same
    Prefect server are detected.

    Args:
        source: A Parquet file, folder or glob pattern; local or in an object store.
        output: File or folder for the scored copies.
        model: @champion, @challenger, @previous, a version's id, or a bundle's path.
        text_column: Column that holds the text; for a field of a struct, the names joined by dots.
        prefix: Prefix for the new columns.
        on_null: What happens to rows whose text is null, empty or blank: label keeps them with
            nulls, skip leaves them out, error refuses the file.
        quarantine: List rows and files that could not be scored as CSV, in the output's _quarantine
            folder.
        columns: Write only these columns and the new ones, in the order of the input; the text
            column only if it is listed. Default: all columns.
        at_least: Label only texts whose label has at least this confidence, from 0.5 to 1; all
            keep their probability. Default: label every text.
        unsure_label: Label for texts below at_least. Default: no label (null).
        reason: Add a column that says why a row has its label, or none: scored, blank, truncated,
            mostly unknown words, or unsure.
        registry: Folder of the model registry, local or in an object store. Default:
            IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.
        only: new, stale or new,stale: files without an output; files whose model, input or options
            changed. Default: new files, and an error for stale ones.
        force: Re-score every file, regardless of only. Never replaces files that imdb-classifier
            did not write.
        prune: Delete outputs whose input no longer exists. Never deletes files that
            imdb-classifier did not write.
        deadline: Time budget, e.g. 45m or 1h30m. Finished files are kept; rerun to continue.
        max_bad_files: Stop once more than this many files have failed; in flows, per unit of work.
        accept_bad_files: Complete the run even if up to this many files are unreadable or unfit;
            the manifest names them.
        allow_unapproved: Score with a version that has not passed the promotion checks.
        drift_limits: Limits of your own for input drift, by name: scores, lengths, positive,
            unknown_words, truncated, without_text.
        runner: Where files are scored: local, in this process on every core; process, in one
            process per core; dask, on the workers of a Dask cluster.
        scheduler: Address of the Dask scheduler. Default: a cluster of this machine's cores.
        threads: Number of cores to use. Default: IMDB_CLASSIFIER_THREADS, else all that CPU
            affinity and quota allow.
        engine: What runs the network: compiled (needs the extra fast), onnx (ONNX Runtime), keras
            (slow; needs the extra train), or auto: compiled if it is installed and works, else
            onnx.
    """
    # Parameters are checked before anything else starts.
    options = ScoreOptions(
        text_column, prefix, on_null, quarantine, columns, at_least, unsure_label, reason
    )
    selection = Selection(only, force, prune)
    limits = Limits(deadline, max_bad_files, accept_bad_files)
    limits_of_drift = DriftLimits.of(drift_limits or {})
    pool = tasks.task_runner(runner, scheduler, threads)
    resolved = tasks.resolve_model(model, registry, allow_unapproved)
    tasks.name_run(f"score {source} with", resolved["model_id"])
    try:
        result = tasks.score_batch(
            source,
            output,
            resolved,
            pool,
            options,
            selection=selection,
            limits=limits,
            drift_limits=limits_of_drift,
            threads=threads,
            engine=engine,
        )
    except OutputInUseError as error:
        return Cancelled(name="OutputInUse", message=str(error), data=error)
    totals = result.totals()
    unsure = "" if at_least is None else f", {totals['unsure']:,} unsure"
    message = (
        f"{result.summary} All outputs: {counted(totals['rows'], 'row')}, "
        f"{totals['positive']:,} positive, {totals['negative']:,} negative, "
        f"{totals['without_text']:,} without text, {totals['truncated']:,} truncated{unsure}."
    )
    return Completed(message=message, data=result)
